//! A route moves from Service to Service, each of which is new and goes with the move, while other Ingresses change
//! beside it: make before break, also for requests that a filter holds and for those that are retried.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::FaultDelay;
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_filter,
};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::google::protobuf::{Any, Duration as ProtoDuration};
use envoy_types::util::pack_any;
use prost::Message as _;

use crate::config_dump::agrees;
use crate::support::ads::{ECDS, LDS};
use crate::support::backend::Backend;
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Tls, Version};
use crate::support::isobath::Isobath;
use crate::support::load::{Load, Target};
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{Manifest, app, ingress, site};
use crate::support::stand::{Stand, apps};
use crate::support::xds_proxy::XdsProxy;
use crate::{figures, rounds};

/// How long the filter holds requests under `/held`.
const HOLD: i32 = 300_000_000;
/// So many that no request outlives the turn of one: it would be told apart from those of the next turn.
const BACKENDS: usize = 8;
const CHURNED: usize = 40;
const CHURN: Duration = Duration::from_millis(20);

/// Puts a filter before the router that holds requests under `/held`.
fn hold(type_url: &str, bytes: Vec<u8>) -> Vec<u8> {
    if ![LDS, ECDS].contains(&type_url) {
        return bytes;
    }
    let fault = HttpFault {
        delay: Some(FaultDelay {
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(ProtoDuration {
                seconds: 0,
                nanos: HOLD,
            })),
            percentage: Some(FractionalPercent {
                numerator: 100,
                ..FractionalPercent::default()
            }),
        }),
        headers: vec![HeaderMatcher {
            name: ":path".into(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
                match_pattern: Some(MatchPattern::Prefix("/held".into())),
                ..StringMatcher::default()
            })),
            ..HeaderMatcher::default()
        }],
        ..HttpFault::default()
    };
    let with_fault = |any: &mut Any| {
        if any.type_url.ends_with(".HttpConnectionManager") {
            let mut manager = HttpConnectionManager::decode(&*any.value).unwrap();
            let router = manager.http_filters.len() - 1;
            manager.http_filters.insert(
                router,
                HttpFilter {
                    name: "hold".into(),
                    config_type: Some(http_filter::ConfigType::TypedConfig(pack_any(
                        fault.clone(),
                    ))),
                    ..HttpFilter::default()
                },
            );
            any.value = manager.encode_to_vec();
        }
    };
    if type_url == ECDS {
        let mut extension = TypedExtensionConfig::decode(&*bytes).unwrap();
        with_fault(extension.typed_config.as_mut().unwrap());
        return extension.encode_to_vec();
    }
    let mut listener = Listener::decode(&*bytes).unwrap();
    let chains = listener.filter_chains.iter_mut();
    for chain in chains.chain(&mut listener.default_filter_chain) {
        for filter in &mut chain.filters {
            if let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type {
                with_fault(any);
            }
        }
    }
    listener.encode_to_vec()
}

/// The two hosts that move, and the Services of this turn; those of the last one are deleted with it.
fn moving(turn: usize, backends: &[Backend], failing: &Backend) -> Vec<Manifest> {
    let backend = &backends[turn % backends.len()];
    let (web, retried) = (format!("web-{turn}"), format!("retried-{turn}"));
    let mut all = vec![
        site("web", "web.test", &format!("{web}:80")),
        site("retried", "retried.test", &format!("{retried}:80"))
            .annotate("projectcontour.io/retry-on", "5xx")
            .annotate("projectcontour.io/num-retries", "3"),
    ];
    all.extend(app(&web, &[backend]));
    all.extend(app(&retried, &[backend, failing]));
    all
}

/// An Ingress beside them in its so-manieth form: other paths, another Service, gone; some over TLS at times.
fn beside(number: usize, form: usize, leaf: &Leaf) -> Vec<Manifest> {
    let name = format!("beside-{number}");
    let host = format!("{name}.test");
    let mut all = match form % 4 {
        0 => vec![site(&name, &host, "one:80")],
        1 => vec![site(&name, &host, "two:80")],
        2 => {
            vec![ingress(&name).rule(&host, &[("/a", Prefix, "one:80"), ("/b", Prefix, "two:80")])]
        }
        _ => return Vec::new(),
    };
    if number.is_multiple_of(10) {
        all[0] = all[0].clone().tls(&[&host], &name);
        all.push(leaf.secret(&name));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_moves_from_service_to_service() {
    let turns = rounds(15, 1000);
    let authority = Authority::new();
    let mut backends = Vec::new();
    for number in 0..BACKENDS {
        backends.push(Backend::start(&format!("turn-{number}")).await);
    }
    let failing = Backend::start("failing").await;
    failing.delay(Duration::from_millis(50));
    failing.fail();
    let (_others, mut base) = apps(&["still", "one", "two"]).await;
    base.push(site("still", "still.test", "still:80").tls(&["still.test"], "still"));
    base.push(authority.leaf(&["still.test"]).secret("still"));
    let mut isobath = Isobath::prepare(&[]);
    isobath.write("base.yaml", &base);
    isobath.write("moving.yaml", &moving(0, &backends, &failing));
    isobath.restart().await;
    let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
    proxy.rewrite(|type_url, _, bytes| hold(type_url, bytes));
    let mut stand = Stand::behind(isobath, proxy.socket(), &["--drain-time-s", "1"]).await;

    let tls = Tls {
        trust: authority.trust(),
        ..Tls::sni("still.test")
    };
    let mut targets = stand.https_traffic("still.test", &tls);
    targets.extend(stand.http_traffic("still.test"));
    let untouched = Load::start(targets).await;
    let mut targets = stand.http_traffic("web.test");
    targets.extend(stand.http_traffic("retried.test"));
    let held = |version| Target {
        path: "/held".to_owned(),
        version,
        reconnect: false,
        ..targets[0].clone()
    };
    targets.extend([Version::H1, Version::H1, Version::H2].map(held));
    let moved = Load::start(targets).await;

    let is_over = AtomicBool::new(false);
    let move_about = async {
        let start = Instant::now();
        for turn in 1..=turns {
            let objects = moving(turn, &backends, &failing);
            stand.isobath.write("moving.yaml", &objects);
            moved.reaches(backends[turn % BACKENDS].name()).await;
            // Those that the filter holds now will find what they were routed to.
            moved.more(20).await;
        }
        is_over.store(true, Ordering::Relaxed);
        start.elapsed()
    };
    let change_others = async {
        let leaves: Vec<Leaf> = (0..CHURNED)
            .map(|number| authority.leaf(&[&format!("beside-{number}.test")]))
            .collect();
        let mut ticks = tokio::time::interval(CHURN);
        let mut changes = 0;
        while !is_over.load(Ordering::Relaxed) {
            ticks.tick().await;
            let (number, form) = (changes % CHURNED, changes / CHURNED);
            let objects = beside(number, form, &leaves[number]);
            stand
                .isobath
                .write(&format!("beside-{number}.yaml"), &objects);
            changes += 1;
        }
        changes
    };
    let (took, changes) = tokio::join!(move_about, change_others);

    // Each of its answers is followed by another attempt.
    let retries = failing.requests();
    let no_cluster = stand
        .envoy
        .stats("^http\\.https?\\.no_cluster$")
        .await
        .unwrap();
    let failed = stand
        .envoy
        .stats("^http\\.https?\\.downstream_rq_5xx$")
        .await
        .unwrap();
    let moved = moved.stop_without_failure().await;
    let untouched = untouched.stop_without_failure().await;
    let sum = |stats: &std::collections::BTreeMap<String, u64>| stats.values().sum::<u64>();
    figures(
        "moves",
        format!(
            "{turns} moves and {changes} changes of others in {took:.1?} ({:.0}/s); where it moves: {moved}; \
             untouched: {untouched}; {} answers NC, {} answers 5xx, {} retries",
            changes as f64 / took.as_secs_f64(),
            sum(&no_cluster),
            sum(&failed),
            retries,
        ),
    );
    assert_eq!(
        untouched.closed, 0,
        "nothing of an untouched host is drained"
    );
    for counters in [&no_cluster, &failed] {
        assert!(!counters.is_empty(), "Envoy counts them");
        assert_eq!(sum(counters), 0, "{counters:?}");
    }
    assert!(retries > 0, "requests were retried");
    assert!(proxy.refusals().is_empty(), "{:?}", proxy.refusals());
    // The versions that Envoy shows are Isobath's: the proxy changes bytes, never those.
    agrees(&stand).await;
    stand.isobath.process().assert_running();
}
