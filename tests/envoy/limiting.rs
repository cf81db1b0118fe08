//! How often, and how much, on a real Envoy with a real back end.

use std::num::NonZeroU64;
use std::time::Duration;

use isobath::envoy::edge::Edge;
use isobath::model::{
    Filters, HeaderName, HostFilters, LocalRateLimit, Rejection, RequestKey, VirtualHost,
};

use crate::backend;
use crate::client::{exchange, request, tls};
use crate::filter_cases::{header_key, limit};
use crate::fixture::{World, forward, virtual_host};
use crate::guarding::{get_from, guarded, start};
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::{HOST, get, to};

/// Path, headers of one request after the other, and their answers.
const LIMITS: &[(&str, &[(&str, u16)])] = &[
    // Two in an hour and a burst of one.
    (
        "/all",
        &[
            ("", 200),
            ("X-Key: b", 200),
            ("", 200),
            ("", 429),
            ("X-Key: c", 429),
        ],
    ),
    (
        "/address",
        &[("", 200), ("X-Key: b", 200), ("", 200), ("", 429)],
    ),
    (
        "/header",
        &[
            ("X-Key: a", 200),
            ("X-Key: a", 200),
            ("X-Key: a", 200),
            ("X-Key: a", 429),
            ("X-Key: b", 200),
            ("x-key: a", 429),
            // Who has no key is not counted.
            ("", 200),
            ("", 200),
            ("", 200),
            ("", 200),
        ],
    ),
    (
        "/both",
        &[
            ("X-Key: a", 200),
            ("X-Key: a", 200),
            ("X-Key: a", 200),
            ("X-Key: b", 200),
            ("X-Key: a", 429),
            ("", 200),
        ],
    ),
    ("/status", &[("", 200), ("", 503)]),
    (
        "/two",
        &[("X-Key: a", 200), ("X-Key: a", 200), ("X-Key: b", 429)],
    ),
];

#[tokio::test]
async fn requests_are_counted() {
    let Some(envoy) = envoy() else { return };
    let limited = |path, limits| {
        let filters = Filters {
            local_rate_limits: limits,
            ..Filters::default()
        };
        guarded(path, filters)
    };
    let long = Duration::from_secs(3600);
    let header = (HeaderName::new("X-Why").unwrap(), "100%".into());
    let mut status = LocalRateLimit::new(1, long, 0).unwrap();
    status.rejection = Rejection::new(503, vec![header]).unwrap();
    let routes = vec![
        limited("/all", vec![limit(2, vec![])]),
        limited("/address", vec![limit(2, vec![RequestKey::ClientAddress])]),
        limited("/header", vec![limit(2, vec![header_key("X-Key")])]),
        limited(
            "/both",
            vec![limit(
                2,
                vec![RequestKey::ClientAddress, header_key("x-key")],
            )],
        ),
        limited("/status", vec![status]),
        limited(
            "/two",
            vec![limit(2, vec![header_key("x-key")]), limit(1, vec![])],
        ),
    ];
    let proxy = start(&envoy, routes, &Edge::default()).await;
    let mut wrong = Vec::new();
    for (path, requests) in LIMITS {
        for (index, (header, expected)) in requests.iter().enumerate() {
            let headers: Vec<&str> = [*header].into_iter().filter(|it| !it.is_empty()).collect();
            let answer = get(&proxy, path, &headers).await;
            if answer.status != *expected {
                wrong.push(format!("{path} {index} {header}: {}", answer.status));
            }
            if answer.status == 503 {
                assert_eq!(answer.header("x-why"), Some("100%"));
            }
        }
    }
    // Another address has a count of its own, where addresses are told apart.
    for (path, expected) in [("/address", 200), ("/both", 200), ("/all", 429)] {
        let found = get_from(&proxy, "127.0.0.2", path, &["X-Key: a"])
            .await
            .status;
        if found != expected {
            wrong.push(format!("{path} from another address: {found}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// What is kept of a header is cut, so that what strangers send is no memory of ours.
#[tokio::test]
async fn keys_are_cut() {
    let Some(envoy) = envoy() else { return };
    let filters = Filters {
        local_rate_limits: vec![limit(1, vec![header_key("X-Key")])],
        ..Filters::default()
    };
    let proxy = start(&envoy, vec![guarded("/", filters)], &Edge::default()).await;
    let long = "k".repeat(128);
    let mut statuses = Vec::new();
    for end in ["", "a", "b"] {
        let header = format!("X-Key: {long}{end}");
        statuses.push(get(&proxy, "/", &[&header]).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

/// The host's count is one for its routes, those aside that are not for it; a change of the table begins anew.
#[tokio::test]
async fn a_host_counts_for_all_its_routes() {
    let Some(envoy) = envoy() else { return };
    let outside = Filters {
        ignores_host: true,
        ..Filters::default()
    };
    let routes = vec![
        guarded("/outside", outside),
        to("/one", forward(&["a"])),
        guarded("/two", Filters::default()),
    ];
    let host = VirtualHost {
        client_check: None,
        filters: Some(Box::new(HostFilters {
            local_rate_limits: vec![limit(2, vec![])],
            ..HostFilters::default()
        })),
        ..virtual_host(HOST, routes)
    };
    let a = backend::start("a").await;
    let world = |other| {
        let world = World::new().cluster("a", &[a]).http_host(&host);
        let world = world.http(other, vec![to("/", forward(&["a"]))]);
        world.resources()
    };
    let proxy = Proxy::start(&envoy, world("o1.test")).await;
    for (path, expected) in [
        ("/outside", 200),
        ("/one", 200),
        ("/two", 200),
        ("/one", 200),
        ("/two", 429),
        ("/one", 429),
        ("/outside", 200),
        // Nobody's.
        ("/none", 404),
    ] {
        assert_eq!(get(&proxy, path, &[]).await.status, expected, "{path}");
    }
    // What the type says, and no more: should Envoy keep its counts one day, the type is to be changed.
    let next = world("o2.test");
    proxy
        .update(|all| *all = next, "http.http.rds.http.config_reload")
        .await;
    assert_eq!(get(&proxy, "/one", &[]).await.status, 200);
    proxy.assert_content();
}

/// A wildcard's count is not for names that only Envoy's wide idea of a wildcard brings to it.
#[tokio::test]
async fn a_wildcard_counts_its_own() {
    let Some(envoy) = envoy() else { return };
    let host = VirtualHost {
        client_check: None,
        filters: Some(Box::new(HostFilters {
            local_rate_limits: vec![limit(1, vec![])],
            ..HostFilters::default()
        })),
        ..virtual_host("*.example.com", vec![to("/", forward(&["a"]))])
    };
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .http_host(&host);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (name, expected) in [
        ("x.y.example.com", 404),
        ("x.y.example.com", 404),
        ("x.example.com", 200),
        ("x.y.example.com", 404),
        ("x.example.com", 200),
        ("x.example.com", 429),
        ("x.y.example.com", 404),
    ] {
        let asked = request("GET", name, "/", &[]);
        let found = crate::client::plain(proxy.http, &asked).await.status;
        assert_eq!(found, expected, "{name}");
    }
}

/// A host's count is not for connections that another host's certificate was shown on.
#[tokio::test]
async fn a_host_counts_its_own_connections() {
    let Some(envoy) = envoy() else { return };
    let host = VirtualHost {
        filters: Some(Box::new(HostFilters {
            local_rate_limits: vec![limit(1, vec![])],
            ..HostFilters::default()
        })),
        ..virtual_host("own.example.com", vec![to("/", forward(&["a"]))])
    };
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .https("wild", &[("*.example.com", "a")])
        .for_own_name("wild", &host);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (name, expected) in [
        ("x.example.com", 421),
        ("x.example.com", 421),
        ("x.example.com", 421),
        ("own.example.com", 200),
        ("x.example.com", 421),
        ("own.example.com", 200),
        ("own.example.com", 429),
        ("x.example.com", 421),
    ] {
        let stream = tls(proxy.https, Some(name), "http/1.1").await.unwrap();
        let asked = request("GET", "own.example.com", "/", &[]);
        let found = exchange(stream, &asked).await.status;
        assert_eq!(found, expected, "{name}");
    }
    proxy.assert_content();
}

/// Path, length of the body, whether it is said before, and the status of the answer.
const BODIES: &[(&str, usize, bool, u16)] = &[
    ("/8", 8, true, 200),
    ("/8", 9, true, 413),
    ("/8", 8, false, 200),
    ("/8", 9, false, 413),
    ("/8", 0, true, 200),
    ("/large", 20_000, true, 200),
    ("/large", 20_001, true, 413),
    ("/none", 20_001, true, 200),
];

#[tokio::test]
async fn bodies_are_bounded() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let bounded = |path, bytes| {
        let filters = Filters {
            max_body: NonZeroU64::new(bytes),
            ..Filters::default()
        };
        guarded(path, filters)
    };
    let routes = vec![
        bounded("/8", 8),
        bounded("/large", 20_000),
        to("/none", forward(&["a"])),
    ];
    let proxy = start(&envoy, routes, &Edge::default()).await;
    for (path, length, is_said, expected) in BODIES {
        let body = "x".repeat(*length);
        let (header, body) = match is_said {
            true => (format!("Content-Length: {length}"), body),
            false => (
                "Transfer-Encoding: chunked".to_owned(),
                format!("{length:x}\r\n{body}\r\n0\r\n\r\n"),
            ),
        };
        let head = request("POST", HOST, path, &[&header]);
        let answer = crate::client::plain(proxy.http, &(head + &body)).await;
        assert_eq!(answer.status, *expected, "{path} {length} {is_said}");
    }
    // Envoy has a line on its own log for each that is refused.
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}
