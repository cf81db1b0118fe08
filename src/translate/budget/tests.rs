#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use super::*;
use crate::facts::ClassSelection;
use crate::model::{
    AddressRules, Algorithm, Authorization, Authorizer, BackendOptions, BackendPage, Compression,
    Connect, CookieRewrite, CookieRewrites, Cors, Descriptor, DescriptorEntry, DirectResponse,
    DynamicValue, ErrorPages, Filters, Forward, ForwardOptions, Fraction, GlobalRateLimit,
    GrpcAuthorizer, HashKey, HashPolicy, HeaderChange, HeaderMode, HeaderModifier, HeaderName,
    HeaderPart, HeaderValue, HostRewrite, InternalRedirects, JwtRequirement, LocalRateLimit,
    Mirror, Origins, Page, Refused, RefusedStatus, RequestKey, RouteTracing, SessionKey,
    SessionPersistence, Upgrade, WeightedCluster,
};
use crate::objects::{
    Annotations, Kind, Metadata, NamespacedName, ObjectRef, PathType, ServiceBackendPort,
};

mod dialect;

fn paths(count: usize, path_type: PathType, text: impl Fn(usize) -> String) -> Box<[IngressPath]> {
    let path = |index| IngressPath {
        path: text(index).into(),
        path_type,
        backend: IngressBackend::Service {
            name: "w".into(),
            port: ServiceBackendPort::Number(80),
        },
    };
    (0..count).map(path).collect()
}

fn plain(count: usize) -> Box<[IngressPath]> {
    paths(count, PathType::Exact, |index| format!("/{index}"))
}

fn rule(host: impl Into<Option<String>>, paths: Box<[IngressPath]>) -> IngressRule {
    IngressRule {
        host: host.into().map(Arc::from),
        paths,
    }
}

fn tls(hosts: usize) -> IngressTls {
    IngressTls {
        hosts: (0..hosts)
            .map(|index| format!("h{index}.test").into())
            .collect(),
        secret_name: Some("tls".into()),
    }
}

fn ingress(
    annotations: &[(&str, &str)],
    tls: impl IntoIterator<Item = IngressTls>,
    rules: impl IntoIterator<Item = IngressRule>,
) -> Arc<Ingress> {
    let annotations = annotations.iter();
    Arc::new(Ingress {
        metadata: Metadata {
            name: NamespacedName::new("default", "web"),
            uid: "".into(),
            created: None,
            annotations: annotations
                .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
                .collect::<Annotations>(),
        },
        class_name: None,
        default_backend: None,
        tls: tls.into_iter().collect(),
        rules: rules.into_iter().collect(),
        load_balancer: Arc::default(),
        left_out: None,
    })
}

fn account(ingress: &Ingress) -> Account {
    Account::of(ingress, Dialect::Own, &Settings::usual(), Compat::Sane)
}

/// Within the budget where no class is named.
fn within_budget(ingress: Arc<Ingress>) -> Arc<Ingress> {
    within_budget_of(ingress, &[], Compat::Sane)
}

fn within_budget_of(ingress: Arc<Ingress>, classes: &[&str], nginx_compat: Compat) -> Arc<Ingress> {
    let classes = ClassSelection {
        names: classes.iter().map(|name| Arc::from(*name)).collect(),
        manifests: true,
    };
    let prices = Prices {
        classes: &classes,
        nginx_compat,
    };
    super::within_budget(ingress, prices)
}

#[test]
fn what_is_said_in_plain_words_stays() {
    let host = |index: usize| format!("h{index}.test");
    for whole in [
        ingress(&[], [], [rule(None, plain(30_000))]),
        ingress(&[], [], [rule(host(0), plain(30_000))]),
        ingress(
            &[],
            [tls(10_000)],
            (0..10_000).map(|index| rule(host(index), plain(1))),
        ),
        ingress(
            &[("isobath.dev/request-headers", "x-a: b")],
            [],
            [rule(None, plain(10_000))],
        ),
    ] {
        let within = within_budget(whole.clone());
        assert_eq!(within.left_out, None);
        assert!(Arc::ptr_eq(&within, &whole));
    }
}

#[test]
fn the_first_of_what_is_too_much_stay_and_that_is_told() {
    let headers = format!("x-a: {}", "a".repeat(4000));
    let expressions = |count| {
        paths(count, PathType::ImplementationSpecific, |index| {
            format!("/{index}[a]{{990}}")
        })
    };
    let cases = [
        // Text that every route repeats costs several times itself.
        ingress(
            &[("isobath.dev/request-headers", &headers)],
            [],
            [rule(None, plain(10_000))],
        ),
        ingress(&[], [], [rule(None, expressions(5000))]),
        ingress(&[], [tls(100_000)], [rule(None, plain(1))]),
    ];
    for whole in cases {
        let within = within_budget(whole.clone());
        let told = within.left_out.as_deref().unwrap();
        assert!(
            told.contains("only the first") && told.contains(EXCEEDED),
            "{told}"
        );
        let (rules, tls) = (&within.rules, &within.tls);
        assert!(count_paths(rules) > 0 && whole.rules[0].paths.starts_with(&rules[0].paths));
        if let Some(first) = tls.first() {
            assert!(!first.hosts.is_empty() && whole.tls[0].hosts.starts_with(&first.hosts));
        }
        // And what is left pays for no copy.
        assert!(account(&within).share() < BASE / 1000);
    }
}

#[test]
fn an_entry_that_loses_all_its_hosts_is_not_about_all_hosts() {
    let entries = [tls(100_000), tls(100_000)];
    let within = within_budget(ingress(&[], entries, [rule("a.test".to_owned(), plain(1))]));
    assert!(within.tls.iter().all(|tls| !tls.hosts.is_empty()));
    assert_eq!(within.tls.len(), 1);
}

#[test]
fn hosts_under_tls_share_what_is_left() {
    let check = |hosts: usize, rules: Vec<IngressRule>, affords: bool| {
        let account = account(&ingress(&[], [tls(hosts)], rules));
        assert_eq!(account.affords_hostless(), affords, "{account:?}");
        assert_eq!(account.hosts(), hosts as u64);
        account.share()
    };
    check(1000, vec![rule(None, plain(20))], true);
    check(1000, vec![rule(None, plain(30))], false);
    // The same paths as expressions cost more, by their programs.
    let small = paths(10, PathType::ImplementationSpecific, |index| {
        format!("/{index}/[a-z]+")
    });
    let large = paths(10, PathType::ImplementationSpecific, |index| {
        format!("/{index}[a]{{99}}")
    });
    check(1000, vec![rule(None, small)], true);
    check(1000, vec![rule(None, large)], false);
    let one = check(1, vec![rule("a.test".to_owned(), plain(1))], true);
    let many = check(1000, vec![rule("a.test".to_owned(), plain(1))], true);
    assert!(
        one > 70_000_000 && (60_000..90_000).contains(&many),
        "{one} {many}"
    );
}

#[test]
fn one_port_has_endpoints_however_many_they_are() {
    assert_eq!(ports(0), usize::MAX);
    assert_eq!(ports(1_000_000), 1);
    assert!((50..70).contains(&ports(1000)));
}

/// 32,000 of them fit into an object, and took 166 MB here.
#[test]
fn a_wildcard_costs_more_than_a_host() {
    let served = |prefix: &str| {
        let rules = (0..32_000).map(|index| rule(format!("{prefix}h{index}.test"), plain(0)));
        within_budget(ingress(&[], [], rules)).rules.len()
    };
    assert_eq!(served("a."), 32_000);
    assert!(served("*.") < 23_000);
}

fn route_to(forward: Forward) -> Route {
    Route {
        matches: RouteMatch::path(PathMatch::PathPrefix("/a".into())),
        action: RouteAction::Forward(forward),
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        filters: None,
        source: ObjectRef::new(Kind::Ingress, "default", "web").into(),
    }
}

fn to(clusters: usize) -> Forward {
    let share = |index| WeightedCluster::new(format!("web/{index}"), 1);
    Forward {
        backends: (0..clusters).map(share).collect(),
        options: Some(Box::default()),
        ..Forward::default()
    }
}

fn mirror() -> Mirror {
    Mirror {
        cluster: "web/copy".into(),
        fraction: Fraction::ALL,
    }
}

fn change() -> HeaderChange {
    let value = vec![HeaderPart::Value(DynamicValue::Host)];
    HeaderChange::new("x-a", value, HeaderMode::Set).unwrap()
}

fn session() -> SessionPersistence {
    SessionPersistence {
        key: SessionKey::Header(HeaderName::new("x-session").unwrap()),
        is_strict: false,
    }
}

fn rewrites() -> CookieRewrites {
    let mut rewrite = CookieRewrite::of_all();
    rewrite.secure = Some(true);
    CookieRewrites::new(vec![rewrite]).unwrap()
}

/// All that stands in a table has its price: what few routes ask for, too.
#[test]
fn whatever_a_route_asks_for_costs() {
    let base = route(&route_to(to(1)));
    let options: Vec<fn(&mut ForwardOptions)> = vec![
        |it| {
            it.refused = Some(Refused {
                weight: 1,
                status: RefusedStatus::InternalServerError,
            });
        },
        |it| it.mirrors.push(mirror()),
        |it| it.hash_policies.push(HashPolicy::only(HashKey::SourceIp)),
        |it| it.host = Some(HostRewrite::Endpoint),
        |it| it.session = Some(session()),
        |it| it.cookie_rewrites = rewrites(),
        |it| it.upgrades.extend([(Upgrade::websocket(), true)]),
        |it| it.connect = Some(Connect::Terminate),
    ];
    for (index, set) in options.iter().enumerate() {
        let mut forward = to(1);
        set(forward.options.as_mut().unwrap());
        assert!(route(&route_to(forward)) > base, "option {index}");
    }
    // Two headers, and a filter.
    let mut forward = to(1);
    let followed = InternalRedirects::new(1, BTreeSet::from([302])).unwrap();
    forward.options.as_mut().unwrap().internal_redirects = Some(followed);
    let filter = unit::FILTER;
    assert_eq!(route(&route_to(forward)), base + filter + 2 * HEADER);
    for (name, filters) in each_filter() {
        assert_ne!(filters, Filters::default(), "{name}");
        let with = Route {
            filters: Some(Box::new(filters)),
            ..route_to(to(1))
        };
        assert!(route(&with) > base, "{name}");
    }
}

/// Filters that say one thing each.
fn each_filter() -> Vec<(&'static str, Filters)> {
    let grpc = || {
        Authorizer::Grpc(GrpcAuthorizer {
            cluster: "authz".into(),
            sees: None,
        })
    };
    let second = Duration::from_secs(1);
    vec![
        ("log", filters(|it| it.is_not_logged = true)),
        (
            "tracing",
            filters(|it| {
                it.tracing = Some(RouteTracing {
                    sampling: Fraction::NONE,
                    tags: Vec::new(),
                });
            }),
        ),
        (
            "cors",
            filters(|it| it.cors = Cors::new(Origins::All, [], [], []).ok()),
        ),
        (
            "limit",
            filters(|it| it.local_rate_limits = vec![limit(Vec::new())]),
        ),
        (
            "addresses",
            filters(|it| it.addresses = Some(AddressRules::allow(Vec::new()))),
        ),
        ("host", filters(|it| it.ignores_host = true)),
        (
            "token",
            filters(|it| {
                it.jwt = Some(JwtRequirement {
                    providers: BTreeSet::new(),
                    may_be_missing: false,
                });
            }),
        ),
        ("body", filters(|it| it.max_body = NonZeroU64::new(1))),
        (
            "asked",
            filters(|it| it.authorization = Authorization::new(grpc(), second).ok()),
        ),
        (
            "counted",
            filters(|it| it.global_rate_limit = Some(counted(second))),
        ),
        ("count", filters(|it| it.ignores_global_limit = true)),
        (
            "pages",
            filters(|it| it.error_pages = Some(ErrorPages::default())),
        ),
        ("browsers", filters(|it| it.grpc_web = true)),
        (
            "compression",
            filters(|it| {
                it.compression = Compression::new(&[Algorithm::Gzip], &["text/html"]).ok()
            }),
        ),
        ("requests", filters(|it| it.request_headers.push(change()))),
        ("answers", filters(|it| it.response_headers.push(change()))),
    ]
}

fn filters(set: impl FnOnce(&mut Filters)) -> Filters {
    let mut filters = Filters::default();
    set(&mut filters);
    filters
}

fn limit(keys: Vec<RequestKey>) -> LocalRateLimit {
    let mut limit = LocalRateLimit::new(1, Duration::from_secs(1), 0).unwrap();
    limit.keys = keys;
    limit
}

fn counted(wait: Duration) -> GlobalRateLimit {
    let entry = DescriptorEntry::fixed("generic_key", "all").unwrap();
    let all = vec![Descriptor::new(vec![entry]).unwrap()];
    GlobalRateLimit::new("limits", "d", all, wait).unwrap()
}

/// What a route says stands in each route of Envoy that it is.
#[test]
fn what_is_rendered_more_than_once_costs_as_often() {
    let long = |mut it: Route| {
        let value = "a".repeat(10_000);
        let name = HeaderName::new("x-a").unwrap();
        let value = HeaderValue::new(&name, value).unwrap();
        it.response_headers.set.insert(name, value);
        it
    };
    let text = text_cost(10_000);
    let is_times = |times: u64, it: Route| {
        let found = route(&long(it));
        let range = text * times..text * (times + 1);
        assert!(
            range.contains(&found),
            "{found} is not {times} times {text}"
        );
    };
    is_times(1, route_to(to(4)));
    // Another path for the path and for what is below it.
    let rewritten = Forward {
        rewrite: Some(PathRewrite::ReplacePrefix("/".into())),
        ..to(4)
    };
    is_times(2, route_to(rewritten.clone()));
    // Shares that are routes of their own.
    let mut split = rewritten;
    split.backends[0].options = Some(Box::new(BackendOptions {
        mirrors: vec![mirror()],
        ..BackendOptions::default()
    }));
    is_times(8, route_to(split));
    // Answers for other origins.
    let answer = |count: usize| Route {
        action: RouteAction::DirectResponse(DirectResponse::new(200, "").unwrap()),
        filters: Some(Box::new(filters(|it| {
            let pattern =
                |index| crate::model::StringMatch::exact(&format!("https://{index}.test"));
            let origins = Origins::Like((0..count).map(pattern).collect());
            it.cors = Cors::new(origins, [], [], []).ok();
        }))),
        ..route_to(to(0))
    };
    is_times(5, answer(2));
    // Requests for pages, which have the headers of the route's answers.
    let paged = Route {
        filters: Some(Box::new(filters(|it| {
            let page = Page::Backend(BackendPage {
                to: to(1),
                keeps_status: true,
                told: Vec::new(),
            });
            let mut pages = ErrorPages::default();
            pages.add(&[503], page).unwrap();
            it.error_pages = Some(pages);
        }))),
        ..route_to(to(1))
    };
    is_times(2, paged);
    // What a route says of cookies stands behind what a share says of them.
    let mut cookies = to(3);
    cookies.options.as_mut().unwrap().cookie_rewrites = rewrites();
    let without = route(&route_to(cookies.clone()));
    for share in &mut cookies.backends {
        share.options = Some(Box::new(BackendOptions {
            cookie_rewrites: rewrites(),
            ..BackendOptions::default()
        }));
    }
    assert!(route(&route_to(cookies)) >= without + 3 * 2 * NAME);
}

/// An Ingress whose prefix is replaced by nothing has two routes for each path.
#[test]
fn a_path_of_two_routes_costs_both() {
    let left = |to: &str| {
        let rules = [rule(
            "a.test".to_owned(),
            paths(100, PathType::Prefix, |index| format!("/{index}")),
        )];
        let annotations = [("isobath.dev/rewrite-prefix", to)];
        account(&ingress(&annotations, [tls(1)], rules)).share()
    };
    let (one, two) = (left("/to"), left("/"));
    assert!(one >= two + 100 * ROUTE, "{one} {two}");
}

/// A name of many labels has as many wildcards above it, in whose tables it is misdirected.
#[test]
fn deep_names_pay_for_the_wildcards_above_them() {
    for (labels, expected) in [(1, 1), (3, 1), (8, 1), (9, 2), (10, 2), (126, 60)] {
        let host = vec!["a"; labels].join(".");
        assert_eq!(depth(&host), expected, "{labels} labels");
    }
    let deep = |count: usize| {
        let hosts = (0..count).map(|index| format!("{index}{}", ".a".repeat(120)).into());
        IngressTls {
            hosts: hosts.collect(),
            secret_name: Some("tls".into()),
        }
    };
    for (count, is_cut) in [(100, false), (1000, true)] {
        let cut = within_budget(ingress(&[], [deep(count)], []));
        assert_eq!(cut.left_out.is_some(), is_cut, "{count}");
    }
}
