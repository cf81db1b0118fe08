//! Where requests go, by shares, copies and upgrades, on a real Envoy with real back ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isobath::model::{
    BackendOptions, Forward, ForwardOptions, Fraction, HeaderModifier, HeaderName, HostRewrite,
    Mirror, PathMatch, PathRewrite, Refused, RefusedStatus, Route, RouteAction, Upgrade,
    WeightedCluster,
};

use crate::backend;
use crate::client::{Answer, plain, request};
use crate::fixture::{World, forward, modifier, route};
use crate::proxy::{Proxy, envoy};
use crate::scripted::Scripted;

pub const HOST: &str = "a.example.com";

pub fn element(path: &str) -> PathMatch {
    PathMatch::PathPrefix(path.into())
}

pub fn to(path: &str, forward: Forward) -> Route {
    route(element(path), RouteAction::Forward(forward))
}

pub fn with(forward: Forward, options: ForwardOptions) -> Forward {
    Forward {
        options: Some(Box::new(options)),
        ..forward
    }
}

fn backend_with(cluster: &str, weight: u32, options: BackendOptions) -> WeightedCluster {
    WeightedCluster {
        options: Some(Box::new(options)),
        ..WeightedCluster::new(cluster, weight)
    }
}

pub fn sets(name: &str, value: &str) -> HeaderModifier {
    modifier(&[(name, value)], &[])
}

pub async fn get(proxy: &Proxy, path: &str, headers: &[&str]) -> Answer {
    plain(proxy.http, &request("GET", HOST, path, headers)).await
}

/// How many of these requests had each answer: the back end's name and path, or the status.
async fn counts(proxy: &Proxy, path: &str, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let answer = get(proxy, path, &[]).await;
        let found = match answer.status {
            200 => {
                let words: Vec<&str> = answer.echo().split(' ').collect();
                format!("{} {}", words[0], words[3])
            }
            status => status.to_string(),
        };
        *counts.entry(found).or_default() += 1;
    }
    counts
}

/// An answer with the least and the most of it.
type Counts = &'static [(&'static str, usize, usize)];

/// Path, and what 200 requests for it come to. So far from the mean is less likely than one in a million.
const SHARES: &[(&str, Counts)] = &[
    ("/even", &[("a /even", 60, 140), ("b /even", 60, 140)]),
    ("/most", &[("a /most", 145, 199), ("b /most", 1, 55)]),
    ("/zero", &[("b /zero", 200, 200)]),
    // More than 32 bits together.
    ("/huge", &[("a /huge", 60, 140), ("b /huge", 60, 140)]),
    ("/half-500", &[("a /half-500", 60, 140), ("500", 60, 140)]),
    ("/half-503", &[("a /half-503", 60, 140), ("503", 60, 140)]),
    ("/all-500", &[("500", 200, 200)]),
    ("/all-503", &[("503", 200, 200)]),
    ("/nobody", &[("503", 200, 200)]),
    ("/none-500", &[("a /none-500", 200, 200)]),
    // Paths of their own: a route for each.
    ("/own", &[("a /for-a", 60, 140), ("b /own", 60, 140)]),
    ("/own/x", &[("a /for-a/x", 60, 140), ("b /own/x", 60, 140)]),
    (
        "/three",
        &[("a /1", 25, 110), ("b /", 25, 110), ("500", 25, 110)],
    ),
    (
        "/three/x",
        &[("a /1/x", 25, 110), ("b /x", 25, 110), ("500", 25, 110)],
    ),
];

fn shares() -> Vec<Route> {
    let shares = |backends: &[(&str, u32)]| Forward {
        backends: backends
            .iter()
            .map(|(cluster, weight)| WeightedCluster::new(*cluster, *weight))
            .collect(),
        ..forward(&[])
    };
    let refused = |weight, status| ForwardOptions {
        refused: Some(Refused { weight, status }),
        ..ForwardOptions::default()
    };
    let rewritten = |cluster: &str, weight, path: &str| {
        let options = BackendOptions {
            rewrite: Some(PathRewrite::ReplacePrefix(path.into())),
            ..BackendOptions::default()
        };
        backend_with(cluster, weight, options)
    };
    let own = Forward {
        backends: vec![rewritten("a", 1, "/for-a"), WeightedCluster::new("b", 1)],
        ..forward(&[])
    };
    let three = Forward {
        backends: vec![
            rewritten("a", 7, "/1"),
            WeightedCluster::new("never", 0),
            rewritten("b", 7, "/"),
        ],
        ..forward(&[])
    };
    use RefusedStatus::{InternalServerError as E500, ServiceUnavailable as E503};
    vec![
        to("/even", shares(&[("a", 1), ("b", 1)])),
        to("/most", shares(&[("a", 90), ("b", 10)])),
        to("/zero", shares(&[("a", 0), ("b", 1)])),
        to("/huge", shares(&[("a", u32::MAX), ("b", u32::MAX)])),
        to("/half-500", with(shares(&[("a", 5)]), refused(5, E500))),
        to("/half-503", with(shares(&[("a", 5)]), refused(5, E503))),
        to("/all-500", with(shares(&[("a", 0)]), refused(5, E500))),
        to("/all-503", with(shares(&[]), refused(5, E503))),
        to("/nobody", shares(&[("a", 0), ("b", 0)])),
        to("/none-500", with(shares(&[("a", 1)]), refused(0, E500))),
        to("/own", own),
        to("/three", with(three, refused(7, E500))),
    ]
}

#[tokio::test]
async fn each_back_end_has_its_share() {
    let Some(envoy) = envoy() else { return };
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .cluster("b", &[backend::start("b").await])
        .http(HOST, shares());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (path, expected) in SHARES {
        let found = counts(&proxy, path, 200).await;
        let is_right = found.len() == expected.len()
            && expected.iter().all(|(name, least, most)| {
                found
                    .get(*name)
                    .is_some_and(|count| (least..=most).contains(&count))
            });
        if !is_right {
            wrong.push(format!("{path}: {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    // A share that can't be is UNAVAILABLE to a call, and not UNKNOWN.
    let call = ["Content-Type: application/grpc", "TE: trailers"];
    let answer = plain(proxy.http, &request("POST", HOST, "/all-503", &call)).await;
    assert_eq!(answer.header("grpc-status"), Some("14"));
    proxy.assert_content();
}

#[tokio::test]
async fn each_back_end_has_its_headers() {
    let Some(envoy) = envoy() else { return };
    let changes = |host: &str, value: &str| BackendOptions {
        request_headers: modifier(&[("x-own", value), ("host", host)], &["x-gone"]),
        response_headers: sets("x-answer", value),
        ..BackendOptions::default()
    };
    let plain_and_changed = Forward {
        backends: vec![
            WeightedCluster::new("a", 1),
            backend_with("b", 1, changes("b.inner", "of-b 100%")),
        ],
        ..forward(&[])
    };
    let mut both = to("/both", plain_and_changed.clone());
    both.request_headers = sets("x-own", "of-all");
    let only = Forward {
        backends: vec![backend_with("b", 1, changes("only.inner", "only"))],
        ..forward(&[])
    };
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .cluster("b", &[backend::start("b").await])
        .http(
            HOST,
            vec![both, to("/only", only), to("/plain", plain_and_changed)],
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut seen = BTreeSet::new();
    for path in ["/both", "/only", "/plain"] {
        for _ in 0..30 {
            let answer = get(&proxy, path, &["X-Gone: 1"]).await;
            seen.insert(format!(
                "{} host={} own={:?} gone={:?} answer={:?}",
                answer.echo(),
                answer.received("host").unwrap(),
                answer.received("x-own"),
                answer.received("x-gone"),
                answer.header("x-answer"),
            ));
        }
    }
    let expected = [
        // What both set, the route has: Envoy writes the share's first.
        r#"a h1 GET /both host=a.example.com own=Some("of-all") gone=Some("1") answer=None"#,
        r#"a h1 GET /plain host=a.example.com own=None gone=Some("1") answer=None"#,
        r#"b h1 GET /both host=b.inner own=Some("of-all") gone=None answer=Some("of-b 100%")"#,
        r#"b h1 GET /only host=only.inner own=Some("only") gone=None answer=Some("only")"#,
        r#"b h1 GET /plain host=b.inner own=Some("of-b 100%") gone=None answer=Some("of-b 100%")"#,
    ];
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, expected);
    proxy.assert_content();
}

#[tokio::test]
async fn copies_go_to_mirrors() {
    let Some(envoy) = envoy() else { return };
    let mirror = |cluster: &str, fraction| Mirror {
        cluster: cluster.into(),
        fraction,
    };
    let mirrors = |mirrors: Vec<Mirror>| ForwardOptions {
        mirrors,
        ..ForwardOptions::default()
    };
    let half = Fraction::new(1, 2).unwrap();
    let (one, two) = (Scripted::start("one").await, Scripted::start("two").await);
    let of_share = BackendOptions {
        mirrors: vec![mirror("two", Fraction::ALL)],
        ..BackendOptions::default()
    };
    let split = Forward {
        backends: vec![backend_with("a", 1, of_share), WeightedCluster::new("b", 1)],
        ..forward(&[])
    };
    let routes = vec![
        to(
            "/all",
            with(forward(&["a"]), mirrors(vec![mirror("one", Fraction::ALL)])),
        ),
        to(
            "/half",
            with(forward(&["a"]), mirrors(vec![mirror("one", half)])),
        ),
        to(
            "/none",
            with(
                forward(&["a"]),
                mirrors(vec![mirror("one", Fraction::NONE)]),
            ),
        ),
        to(
            "/two",
            with(
                forward(&["a"]),
                mirrors(vec![
                    mirror("one", Fraction::ALL),
                    mirror("two", Fraction::ALL),
                ]),
            ),
        ),
        to(
            "/split",
            with(split, mirrors(vec![mirror("one", Fraction::ALL)])),
        ),
        to(
            "/last",
            with(forward(&["a"]), mirrors(vec![mirror("one", Fraction::ALL)])),
        ),
    ];
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .cluster("b", &[backend::start("b").await])
        .cluster("one", &[one.address])
        .cluster("two", &[two.address])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut of_a = 0;
    for path in ["/all", "/half", "/none", "/two", "/split"] {
        for _ in 0..100 {
            let answer = get(&proxy, path, &["X-Script: 500"]).await;
            // What the mirror answers nobody sees.
            assert_eq!(answer.status, 200, "{path}");
            of_a += usize::from(path == "/split" && answer.echo().starts_with("a "));
        }
    }
    let count = |mirror: &Scripted, path: &str| {
        let copy = format!("GET {HOST} {path}");
        mirror.seen().iter().filter(|seen| **seen == copy).count()
    };
    // Copies are sent beside the requests: each is awaited.
    let expected = [("/all", 100, 0), ("/two", 100, 100), ("/split", 100, of_a)];
    for _ in 0..500 {
        let is_there = |(path, of_one, of_two): &(&str, usize, usize)| {
            count(&one, path) >= *of_one && count(&two, path) >= *of_two
        };
        if expected.iter().all(is_there) {
            break;
        }
        get(&proxy, "/none", &["X-Script: 200"]).await;
    }
    for (path, of_one, of_two) in expected {
        assert_eq!(
            (count(&one, path), count(&two, path)),
            (of_one, of_two),
            "{path}"
        );
    }
    assert!(
        (25..=75).contains(&count(&one, "/half")),
        "{}",
        count(&one, "/half")
    );
    assert_eq!(count(&one, "/none"), 0);
    proxy.assert_content();
}

#[tokio::test]
async fn upgrades_are_a_routes_own() {
    let Some(envoy) = envoy() else { return };
    let upgrades = |upgrades: &[(&str, bool)]| {
        let upgrades = upgrades
            .iter()
            .map(|(name, is_allowed)| (Upgrade::new(name).unwrap(), *is_allowed));
        let options = ForwardOptions {
            upgrades: upgrades.collect(),
            ..ForwardOptions::default()
        };
        with(forward(&["back"]), options)
    };
    let routes = vec![
        to("/off", upgrades(&[("websocket", false)])),
        to("/on", upgrades(&[("WebSocket", true)])),
        to("/default", forward(&["back"])),
        to("/other", upgrades(&[("spdy/3.1", true)])),
    ];
    let world = World::new()
        .cluster("back", &[backend::start("back").await])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    // The back end ignores the offer. Envoy ends what it has passed on as an upgrade and was answered otherwise, without
    // the body; where it ignores the offer itself there is one.
    for (path, upgrade, status, has_body) in [
        ("/off", "websocket", 403, false),
        ("/off", "WebSocket", 403, false),
        ("/on", "websocket", 200, false),
        ("/default", "websocket", 200, false),
        ("/other", "websocket", 200, false),
        // What the operator does not name is ignored before routes are tried.
        ("/other", "spdy/3.1", 200, true),
        ("/default", "spdy/3.1", 200, true),
        ("/off", "h2c", 200, true),
    ] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        );
        let answer = plain(proxy.http, &head).await;
        let found = (answer.status, answer.echo().starts_with("back"));
        assert_eq!(found, (status, has_body), "{path} {upgrade}: {answer:?}");
    }
    // Nobody is a tunnel.
    let answer = plain(
        proxy.http,
        &format!("CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n\r\n"),
    )
    .await;
    assert!([403, 404].contains(&answer.status), "{answer:?}");
    proxy.assert_content();
}

/// What one host has, another does not.
#[tokio::test]
async fn nothing_leaks_to_another_host() {
    let Some(envoy) = envoy() else { return };
    let changed = BackendOptions {
        request_headers: sets("x-own", "a"),
        response_headers: sets("x-answer", "a"),
        rewrite: Some(PathRewrite::ReplaceFullPath("/rewritten".into())),
        mirrors: vec![Mirror {
            cluster: "one".into(),
            fraction: Fraction::ALL,
        }],
        ..BackendOptions::default()
    };
    let options = ForwardOptions {
        refused: Some(Refused {
            weight: 1,
            status: RefusedStatus::InternalServerError,
        }),
        host: Some(HostRewrite::Header(HeaderName::new("x-tenant").unwrap())),
        idle_timeout: Some(Duration::from_millis(1)),
        upgrades: BTreeMap::from([(Upgrade::websocket(), false)]),
        ..ForwardOptions::default()
    };
    let all = Forward {
        backends: vec![backend_with("a", 1, changed)],
        ..with(forward(&[]), options)
    };
    let one = Scripted::start("one").await;
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .cluster("one", &[one.address])
        .http(HOST, vec![to("/", all)])
        .http("b.example.com", vec![to("/", forward(&["a"]))]);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for _ in 0..20 {
        get(&proxy, "/x", &["X-Tenant: t", "X-Script: 200"]).await;
        let asked = request(
            "GET",
            "b.example.com",
            "/x",
            &["X-Tenant: t", "X-Script: 200"],
        );
        let answer = plain(proxy.http, &asked).await;
        assert_eq!(answer.echo(), "a h1 GET /x");
        assert_eq!(answer.received("host"), Some("b.example.com"));
        assert_eq!(answer.received("x-own"), None);
        assert_eq!(answer.header("x-answer"), None);
    }
    assert!(
        one.seen()
            .iter()
            .all(|seen| !seen.contains("b.example.com"))
    );
    proxy.assert_content();
}
