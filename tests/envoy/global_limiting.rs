//! What a rate limit service is told of requests, and what becomes of its answers, on a real Envoy with a real service.

use std::time::Duration;

use isobath::model::{
    Cluster, Descriptor, DescriptorEntry, Filters, GlobalRateLimit, HeaderName, HostFilters,
    Redirect, Rejection, Route, RouteAction, StringMatch, Unanswered, UpstreamProtocol,
    VirtualHost,
};

use crate::backend;
use crate::client::{Answer, request};
use crate::filter_cases::changed;
use crate::fixture::{World, cluster_of, forward, header, is, virtual_host};
use crate::guarding::get_from;
use crate::limiter::Limiter;
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::{HOST, get, to};

fn limit(domain: &str, descriptors: Vec<Vec<DescriptorEntry>>) -> GlobalRateLimit {
    at(
        "limits/grpc/1",
        domain,
        descriptors,
        Duration::from_secs(20),
    )
}

fn at(
    cluster: &str,
    domain: &str,
    descriptors: Vec<Vec<DescriptorEntry>>,
    timeout: Duration,
) -> GlobalRateLimit {
    let descriptors = descriptors.into_iter();
    let descriptors = descriptors.map(|entries| Descriptor::new(entries).unwrap());
    GlobalRateLimit::new(cluster, domain, descriptors.collect(), timeout).unwrap()
}

fn fixed(key: &str, value: &str) -> DescriptorEntry {
    DescriptorEntry::fixed(key, value).unwrap()
}

fn by_header(name: &str) -> DescriptorEntry {
    DescriptorEntry::header("header", HeaderName::of_request(name).unwrap()).unwrap()
}

/// For requests with this kind, or for all others.
fn of_kind(expected: bool) -> DescriptorEntry {
    let headers = vec![
        header("x-kind", is(StringMatch::exact("one"))),
        header("x-kind", is(StringMatch::regex("o.e").unwrap())),
    ];
    DescriptorEntry::matching("kind", "yes", headers, expected).unwrap()
}

fn limited(path: &str, limit: GlobalRateLimit) -> Route {
    with(to(path, forward(&["a"])), limit)
}

fn with(route: Route, limit: GlobalRateLimit) -> Route {
    Route {
        filters: Some(Box::new(Filters {
            global_rate_limit: Some(limit),
            ..Filters::default()
        })),
        ..route
    }
}

struct Stand {
    proxy: Proxy,
    limiter: Limiter,
}

impl Stand {
    async fn start(envoy: &std::path::Path, host: VirtualHost) -> Self {
        let (limiter, address) = Limiter::start().await;
        let h2c = |name: &str| Cluster {
            ..changed(cluster_of(name), |it| {
                it.settings.protocol = UpstreamProtocol::H2c;
            })
        };
        let dead = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let world = World::new()
            .cluster("a", &[backend::start("a").await])
            .cluster_with(&h2c("limits/grpc/1"), &[address])
            .cluster_with(&h2c("limits/dead/1"), &[dead])
            .http_host(&host);
        let proxy = Proxy::start(envoy, world.resources()).await;
        Self { proxy, limiter }
    }
}

/// Path, headers, and what the service is told.
const TOLD: &[(&str, &[&str], &[&str])] = &[
    ("/fixed", &[], &["d generic_key=100%,b=%REQ(:path)%"]),
    ("/header", &["X-User: alice"], &["d header=alice"]),
    ("/header", &["x-user: a=b,c"], &["d header=a=b,c"]),
    ("/header", &["X-User: a", "X-User: b"], &["d header=a"]),
    ("/header", &["X-User:"], &["d header="]),
    ("/header", &[], &[]),
    ("/method", &[], &["d header=GET"]),
    ("/kind", &["X-Kind: one"], &["d kind=yes"]),
    ("/kind", &["X-Kind: two"], &[]),
    ("/kind", &[], &[]),
    ("/unkind", &["X-Kind: one"], &[]),
    ("/unkind", &["X-Kind: two"], &["d kind=yes"]),
    ("/unkind", &[], &["d kind=yes"]),
    ("/address", &[], &["d remote_address=127.0.0.1"]),
    // Nobody in front is trusted.
    (
        "/address",
        &["X-Forwarded-For: 192.0.2.1"],
        &["d remote_address=127.0.0.1"],
    ),
    ("/range", &[], &["d masked_remote_address=127.0.0.0/24"]),
    ("/query?user=alice&user=bob", &[], &["d q=alice"]),
    ("/query?user=a%20b", &[], &["d q=a b"]),
    ("/query?user=", &[], &["d q="]),
    ("/query?users=alice", &[], &[]),
    ("/query", &[], &[]),
    ("/path/x?token=secret", &[], &["d path=/path/x"]),
    ("/path", &[], &["d path=/path"]),
    (
        "/both",
        &["X-User: alice"],
        &["d header=alice,remote_address=127.0.0.1"],
    ),
    // One that lacks an entry is none.
    ("/both", &[], &[]),
    (
        "/two",
        &["X-User: alice"],
        &["d header=alice", "d remote_address=127.0.0.1"],
    ),
    ("/two", &[], &["d remote_address=127.0.0.1"]),
    ("/off", &["X-User: alice"], &[]),
];

#[tokio::test]
async fn the_service_is_told() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let one = |path, entries| limited(path, limit("d", vec![entries]));
    let address = DescriptorEntry::client_address;
    let routes = vec![
        one(
            "/fixed",
            vec![fixed("generic_key", "100%"), fixed("b", "%REQ(:path)%")],
        ),
        one("/header", vec![by_header("x-user")]),
        one("/method", vec![by_header(":method")]),
        one("/kind", vec![of_kind(true)]),
        one("/unkind", vec![of_kind(false)]),
        one("/address", vec![address()]),
        one(
            "/range",
            vec![DescriptorEntry::client_range(24, 64).unwrap()],
        ),
        one("/query", vec![DescriptorEntry::query("q", "user").unwrap()]),
        one("/path", vec![DescriptorEntry::path("path").unwrap()]),
        one("/both", vec![by_header("x-user"), address()]),
        limited(
            "/two",
            limit("d", vec![vec![by_header("x-user")], vec![address()]]),
        ),
        to("/off", forward(&["a"])),
    ];
    let stand = Stand::start(&envoy, virtual_host(HOST, routes)).await;
    let mut wrong = Vec::new();
    for (path, headers, expected) in TOLD {
        let answer = get(&stand.proxy, path, headers).await;
        let told = stand.limiter.told();
        let is_asked = answer.header("x-limiter").is_some();
        if answer.status != 200 || told != *expected || is_asked == expected.is_empty() {
            wrong.push(format!("{path} {headers:?}: {} {told:?}", answer.status));
        }
    }
    let long = format!("/path/{}", "x".repeat(2000));
    get(&stand.proxy, &long, &[]).await;
    assert_eq!(stand.limiter.told(), [format!("d path={}", &long[..1024])]);
    assert_eq!(wrong, Vec::<String>::new());
    stand.proxy.assert_content();
}

/// So many, for ever.
fn most(count: u32) -> DescriptorEntry {
    fixed("most", &count.to_string())
}

/// Path, header of one request after the other, and their answers.
const COUNTED: &[(&str, &[(&str, u16)])] = &[
    ("/two", &[("", 200), ("X-User: a", 200), ("", 429)]),
    (
        "/user",
        &[
            ("X-User: a", 200),
            ("X-User: b", 200),
            ("X-User: a", 429),
            ("X-User: b", 429),
            ("", 200),
            ("", 200),
        ],
    ),
    ("/status", &[("", 200), ("", 503)]),
    ("/answer", &[("", 204), ("", 204), ("", 204)]),
    ("/redirect", &[("", 301), ("", 301), ("", 301)]),
    ("/fail", &[("", 500)]),
    ("/fail-status", &[("", 503)]),
    ("/fail-open", &[("", 200)]),
    ("/hang", &[("", 503)]),
    ("/hang-open", &[("", 200)]),
    ("/dead", &[("", 503)]),
    ("/dead-open", &[("", 200)]),
    ("/missing", &[("", 503)]),
    ("/missing-open", &[("", 200)]),
];

fn counted() -> Vec<Route> {
    let why = (HeaderName::new("X-Why").unwrap(), "100%".into());
    let status = changed(limit("status", vec![vec![most(1)]]), |it| {
        it.rejection = Rejection::new(503, vec![why]).unwrap();
    });
    let told = changed(limit("told", vec![vec![most(1)]]), |it| {
        it.tells_limits = true
    });
    let grpc = changed(limit("grpc", vec![vec![most(0)]]), |it| {
        it.exhausts_grpc = true
    });
    let one = || vec![vec![most(1)]];
    let short = Duration::from_millis(300);
    let closed = |limit: GlobalRateLimit| limit.with_unanswered(Unanswered::Refused(503)).unwrap();
    let open = |limit: GlobalRateLimit| limit.with_unanswered(Unanswered::Passed).unwrap();
    let by_itself = |path: &str, action| {
        let route = Route {
            action,
            ..to(path, forward(&[]))
        };
        with(route, limit("itself", one()))
    };
    let user = vec![by_header("x-user"), most(1)];
    vec![
        limited("/two", limit("all", vec![vec![most(2)]])),
        limited("/user", limit("user", vec![user])),
        limited("/status", status),
        limited("/told", told),
        limited("/grpc", grpc),
        limited("/grpc-plain", limit("grpc", vec![vec![most(0)]])),
        by_itself("/answer", RouteAction::status(204)),
        by_itself("/redirect", RouteAction::Redirect(Redirect::to_https(None))),
        limited("/fail", limit("fail", one())),
        limited("/fail-status", closed(limit("fail", one()))),
        limited("/fail-open", open(limit("fail", one()))),
        limited("/hang", closed(at("limits/grpc/1", "hang", one(), short))),
        limited(
            "/hang-open",
            open(at("limits/grpc/1", "hang", one(), short)),
        ),
        limited("/dead", closed(at("limits/dead/1", "d", one(), short))),
        limited("/dead-open", open(at("limits/dead/1", "d", one(), short))),
        limited(
            "/missing",
            closed(at("limits/missing/1", "d", one(), short)),
        ),
        limited(
            "/missing-open",
            open(at("limits/missing/1", "d", one(), short)),
        ),
    ]
}

#[tokio::test]
async fn requests_are_counted_by_the_service() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let stand = Stand::start(&envoy, virtual_host(HOST, counted())).await;
    let mut wrong = Vec::new();
    for (path, requests) in COUNTED {
        for (index, (header, expected)) in requests.iter().enumerate() {
            let headers: Vec<&str> = [*header].into_iter().filter(|it| !it.is_empty()).collect();
            let answer = get(&stand.proxy, path, &headers).await;
            if answer.status != *expected {
                wrong.push(format!("{path} {index} {header}: {}", answer.status));
            }
            // Nobody outside is told how it came about.
            let is_told = answer.header("x-envoy-ratelimited").is_some();
            let why = answer.header("x-why");
            assert!(!is_told, "{path}");
            assert_eq!(why.is_some(), *path == "/status" && index == 1, "{path}");
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_told(&stand).await;
    stand.proxy.assert_content();
}

async fn assert_told(stand: &Stand) {
    for (remaining, status) in [("0", 200), ("0", 429)] {
        let answer = get(&stand.proxy, "/told", &[]).await;
        let limits = ["limit", "remaining", "reset"].map(|name| {
            answer
                .header(&format!("x-ratelimit-{name}"))
                .unwrap_or("-")
                .to_owned()
        });
        assert_eq!(answer.status, status);
        assert_eq!(limits, ["1, 1;w=3600", remaining, "3600"]);
    }
    let call = ["Content-Type: application/grpc", "TE: trailers"];
    for (path, code) in [("/grpc", "8"), ("/grpc-plain", "14")] {
        let answer = get(&stand.proxy, path, &call).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("grpc-status"), Some(code), "{path}");
    }
}

/// What the host's descriptor and the route's are told, by path.
const OF_HOST: &[(&str, &[&str])] = &[
    ("/plain", &["host generic_key=host"]),
    ("/empty", &["host generic_key=host"]),
    (
        "/besides",
        &["route generic_key=route", "host generic_key=host"],
    ),
    ("/instead", &["route generic_key=route"]),
    ("/none", &[]),
    ("/ignores-own-counts", &["host generic_key=host"]),
    // What no route takes is nobody's.
    ("/unknown", &[]),
];

#[tokio::test]
async fn a_host_is_counted_by_the_service() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let named = |name: &str| limit(name, vec![vec![fixed("generic_key", name)]]);
    let with =
        |path: &str, own: Option<GlobalRateLimit>, ignores_global_limit, ignores_host| Route {
            filters: Some(Box::new(Filters {
                global_rate_limit: own,
                ignores_global_limit,
                ignores_host,
                ..Filters::default()
            })),
            ..to(path, forward(&["a"]))
        };
    let own = || Some(named("route"));
    let routes = vec![
        to("/plain", forward(&["a"])),
        with("/empty", None, false, false),
        with("/besides", own(), false, false),
        with("/instead", own(), true, false),
        with("/none", None, true, false),
        with("/ignores-own-counts", None, false, true),
    ];
    let host = VirtualHost {
        filters: Some(Box::new(HostFilters {
            global_rate_limit: Some(named("host")),
            ..HostFilters::default()
        })),
        ..virtual_host(HOST, routes)
    };
    let stand = Stand::start(&envoy, host).await;
    let mut wrong = Vec::new();
    for (path, expected) in OF_HOST {
        let answer = get(&stand.proxy, path, &[]).await;
        let told = stand.limiter.told();
        let status = if *path == "/unknown" { 404 } else { 200 };
        if answer.status != status || told != *expected {
            wrong.push(format!("{path}: {} {told:?}", answer.status));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let answer = get_from(&stand.proxy, "127.0.0.2", "/plain", &[]).await;
    assert_eq!(answer.status, 200);
    stand.proxy.assert_content();
}

/// Who may not pass is not counted.
#[tokio::test]
async fn guards_come_before_the_service() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let denied = isobath::model::AddressRules::deny(crate::filter_cases::ranges(
        isobath::model::AddressSource::Peer,
        &["127.0.0.2"],
    ));
    let mut route = limited("/", limit("d", vec![vec![most(1)]]));
    if let Some(filters) = &mut route.filters {
        filters.addresses = Some(denied);
    }
    let stand = Stand::start(&envoy, virtual_host(HOST, vec![route])).await;
    for (from, expected) in [
        ("127.0.0.2", 403),
        ("127.0.0.2", 403),
        ("127.0.0.1", 200),
        ("127.0.0.2", 403),
        ("127.0.0.1", 429),
    ] {
        let found: Answer = get_from(&stand.proxy, from, "/", &[]).await;
        assert_eq!(found.status, expected, "{from}");
    }
    let preflight = request("OPTIONS", HOST, "/", &[]);
    assert_eq!(
        crate::client::plain(stand.proxy.http, &preflight)
            .await
            .status,
        429
    );
}
