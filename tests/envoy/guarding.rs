//! Who is let in, from where, how often, and with which headers, on a real Envoy with a real back end.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::time::Duration;

use isobath::envoy::edge::Edge;
use isobath::model::{
    AddressRules, AddressSource, Cidr, Cors, DynamicValue, Filters, HeaderChange, HeaderMode,
    HeaderName, HeaderPart, HostFilters, LocalRateLimit, Origins, Rejection, RequestKey, Route,
    VirtualHost,
};
use isobath::xds::ResourceType;
use tokio::net::TcpSocket;

use crate::backend;
use crate::client::{Answer, exchange, request};
use crate::filter_cases::{dynamic, dynamic_values, header_key, limit, ranges, some_origins};
use crate::fixture::{World, forward, managers, virtual_host};
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::{HOST, get, sets, to};

fn guarded(path: &str, filters: Filters) -> Route {
    Route {
        filters: Some(Box::new(filters)),
        ..to(path, forward(&["a"]))
    }
}

async fn start(envoy: &std::path::Path, routes: Vec<Route>, edge: &Edge) -> Proxy {
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .http(HOST, routes);
    let mut resources = world.resources();
    for manager in managers(edge) {
        let name = (ResourceType::Extension, manager.name().to_string());
        resources.insert(name, manager.bytes());
    }
    Proxy::start(envoy, resources).await
}

/// One request from this address of ours.
async fn get_from(proxy: &Proxy, from: &str, path: &str, headers: &[&str]) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    let ip: IpAddr = from.parse().unwrap();
    socket.bind(SocketAddr::new(ip, 0)).unwrap();
    let stream = socket.connect(proxy.http).await.unwrap();
    exchange(stream, &request("GET", HOST, path, headers)).await
}

/// Path, the ranges, and what 127.0.0.1 and 127.0.0.2 are answered.
fn address_rows() -> Vec<(&'static str, AddressRules, u16, u16)> {
    let peers = |list: &[&str]| ranges(AddressSource::Peer, list);
    let allow = |list: &[&str]| AddressRules::allow(peers(list));
    let deny = |list: &[&str]| AddressRules::deny(peers(list));
    vec![
        ("/allow", allow(&["127.0.0.1"]), 200, 403),
        ("/allow-both", allow(&["127.0.0.1", "127.0.0.2"]), 200, 200),
        ("/allow-net", allow(&["127.0.0.2/31"]), 403, 200),
        ("/allow-all", allow(&["0.0.0.0/0"]), 200, 200),
        ("/allow-nobody", allow(&[]), 403, 403),
        ("/allow-v6", allow(&["::/0"]), 403, 403),
        ("/allow-mapped", allow(&["::ffff:127.0.0.1"]), 200, 403),
        ("/allow-sloppy", allow(&["127.0.0.9/30"]), 403, 403),
        ("/deny", deny(&["127.0.0.2"]), 200, 403),
        ("/deny-net", deny(&["127.0.0.0/8"]), 403, 403),
        ("/deny-all", deny(&["0.0.0.0/0", "::/0"]), 403, 403),
        ("/deny-nobody", deny(&[]), 200, 200),
        ("/deny-other", deny(&["10.0.0.0/8"]), 200, 200),
        (
            "/but-not",
            allow(&["127.0.0.0/8"]).but_not(peers(&["127.0.0.1"])),
            403,
            200,
        ),
        (
            "/nobody-but-not",
            allow(&[]).but_not(peers(&["127.0.0.1"])),
            403,
            403,
        ),
        (
            "/but-not-all",
            allow(&["127.0.0.1"]).but_not(peers(&["0.0.0.0/0"])),
            403,
            403,
        ),
    ]
}

#[tokio::test]
async fn addresses_are_let_in_or_not() {
    let Some(envoy) = envoy() else { return };
    let routes = address_rows().into_iter().map(|(path, rules, ..)| {
        let filters = Filters {
            addresses: Some(rules),
            ..Filters::default()
        };
        guarded(path, filters)
    });
    let proxy = start(&envoy, routes.collect(), &Edge::default()).await;
    let mut wrong = Vec::new();
    for (path, _, one, two) in address_rows() {
        for (from, expected) in [("127.0.0.1", one), ("127.0.0.2", two)] {
            // Nobody says by himself who he is.
            for headers in [
                &[][..],
                &["X-Forwarded-For: 127.0.0.1, 127.0.0.2, 10.0.0.1"],
            ] {
                let found = get_from(&proxy, from, path, headers).await.status;
                if found != expected {
                    wrong.push(format!("{path} {from} {headers:?}: {found}"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// Behind a proxy that is trusted: the rule, what it says of the client, and the answer.
const CLIENTS: &[(&str, &str, u16)] = &[
    ("/client", "X-Forwarded-For: 192.0.2.1", 200),
    ("/client", "X-Forwarded-For: 198.51.100.1", 403),
    // The client's own word comes before the proxy's.
    ("/client", "X-Forwarded-For: 192.0.2.1, 198.51.100.1", 403),
    ("/client", "X-Forwarded-For: 198.51.100.1, 192.0.2.1", 200),
    ("/client", "X-Forwarded-For: nonsense", 403),
    ("/client", "X-None: 1", 403),
    ("/client", "X-Forwarded-For: 2001:db8::7", 200),
    ("/peer", "X-Forwarded-For: 192.0.2.1", 403),
    ("/peer", "X-Forwarded-For: 127.0.0.1", 403),
    ("/both", "X-Forwarded-For: 192.0.2.1", 200),
    ("/both", "X-Forwarded-For: 198.51.100.1", 403),
];

#[tokio::test]
async fn clients_are_who_trusted_proxies_say() {
    let Some(envoy) = envoy() else { return };
    let net = ["192.0.2.0/24", "2001:db8::/32"];
    let clients = ranges(AddressSource::Client, &net);
    let local = vec![(AddressSource::Peer, Cidr::new("127.0.0.1").unwrap())];
    let rules = [
        ("/client", AddressRules::allow(clients.clone())),
        (
            "/peer",
            AddressRules::allow(ranges(AddressSource::Peer, &net)),
        ),
        (
            "/both",
            AddressRules::allow(local).but_not(ranges(AddressSource::Client, &["198.51.100.0/24"])),
        ),
    ];
    let routes = rules.map(|(path, rules)| {
        let filters = Filters {
            addresses: Some(rules),
            ..Filters::default()
        };
        guarded(path, filters)
    });
    let edge = Edge {
        trusted_hops: 1,
        ..Edge::default()
    };
    let proxy = start(&envoy, routes.into(), &edge).await;
    let mut wrong = Vec::new();
    for (path, header, expected) in CLIENTS {
        let found = get(&proxy, path, &[header]).await.status;
        if found != *expected {
            wrong.push(format!("{path} {header}: {found}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

const PREFLIGHT: &[&str] = &[
    "Access-Control-Request-Method: PUT",
    "Access-Control-Request-Headers: x-a",
];

/// Path, method, origin, and of the answer: its status, and its headers after `access-control-` in this order:
/// `allow-origin`, `allow-methods`, `allow-headers`, `expose-headers`, `max-age`, `allow-credentials`.
type CorsRow = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    [&'static str; 6],
);

const NONE: [&str; 6] = [""; 6];

const CORS: &[CorsRow] = &[
    (
        "/full",
        "OPTIONS",
        "https://a.test",
        200,
        ["https://a.test", "GET,PUT", "x-a,x-b", "x-e", "600", "true"],
    ),
    (
        "/full",
        "GET",
        "https://a.test",
        200,
        ["https://a.test", "", "", "x-e", "", "true"],
    ),
    (
        "/full",
        "GET",
        "https://A.test",
        200,
        ["https://A.test", "", "", "x-e", "", "true"],
    ),
    (
        "/full",
        "GET",
        "https://x.b.test",
        200,
        ["https://x.b.test", "", "", "x-e", "", "true"],
    ),
    ("/full", "GET", "https://x.b.test.evil", 200, NONE),
    ("/full", "GET", "https://evil.test", 200, NONE),
    ("/full", "GET", "null", 200, NONE),
    ("/full", "GET", "", 200, NONE),
    // A preflight of another origin: Envoy's own answer, which allows nobody, or the back end's.
    (
        "/full",
        "OPTIONS",
        "https://evil.test",
        200,
        ["", "GET,PUT", "x-a,x-b", "", "600", "true"],
    ),
    ("/forwards", "OPTIONS", "https://evil.test", 200, NONE),
    (
        "/all",
        "OPTIONS",
        "https://a.test",
        200,
        ["https://a.test", "PUT", "x-a", "", "", ""],
    ),
    (
        "/all",
        "GET",
        "https://a.test",
        200,
        ["https://a.test", "", "", "", "", ""],
    ),
    (
        "/nobody",
        "OPTIONS",
        "https://a.test",
        200,
        ["", "GET", "", "", "", ""],
    ),
    (
        "/zero",
        "OPTIONS",
        "https://a.test",
        200,
        ["https://a.test", "GET", "", "", "0", ""],
    ),
    ("/off", "OPTIONS", "https://a.test", 200, NONE),
    // Refused, and readable.
    (
        "/guarded",
        "GET",
        "https://a.test",
        403,
        ["https://a.test", "", "", "", "", ""],
    ),
    (
        "/guarded",
        "OPTIONS",
        "https://a.test",
        200,
        ["https://a.test", "GET", "", "", "", ""],
    ),
];

fn cors_routes() -> Vec<Route> {
    let mut full = Cors::new(
        Origins::Like(some_origins()),
        ["GET", "PUT"],
        ["x-a", "x-b"],
        ["x-e"],
    )
    .unwrap();
    full.max_age = Some(Duration::from_secs(600));
    full.allows_credentials = true;

    let of = |origins, methods, headers| Cors::new(origins, [methods], [headers], []).unwrap();
    let get = |origins| Cors::new(origins, ["GET"], [], []).unwrap();
    let mut forwards = full.clone();
    forwards.forwards_other_preflights = true;
    let mut zero = get(Origins::All);
    zero.max_age = Some(Duration::ZERO);
    let with = |path, cors| {
        let filters = Filters {
            cors: Some(cors),
            ..Filters::default()
        };
        guarded(path, filters)
    };
    let mut refused = with("/guarded", get(Origins::All));
    refused.filters.as_mut().unwrap().addresses = Some(AddressRules::allow(Vec::new()));
    vec![
        with("/full", full),
        with("/forwards", forwards),
        with("/all", of(Origins::All, "*", "*")),
        with("/nobody", get(Origins::Like(Vec::new()))),
        with("/zero", zero),
        refused,
        to("/off", forward(&["a"])),
    ]
}

#[tokio::test]
async fn pages_of_other_origins() {
    let Some(envoy) = envoy() else { return };
    let proxy = start(&envoy, cors_routes(), &Edge::default()).await;
    let mut wrong = Vec::new();
    for (path, method, origin, status, expected) in CORS {
        let origin_header = format!("Origin: {origin}");
        let mut headers = vec![];
        if !origin.is_empty() {
            headers.push(origin_header.as_str());
        }
        if *method == "OPTIONS" {
            headers.extend(PREFLIGHT);
        }
        let asked = request(method, HOST, path, &headers);
        let answer = crate::client::plain(proxy.http, &asked).await;
        let found = [
            "allow-origin",
            "allow-methods",
            "allow-headers",
            "expose-headers",
            "max-age",
            "allow-credentials",
        ]
        .map(|name| {
            answer
                .header(&format!("access-control-{name}"))
                .unwrap_or_default()
        });
        if answer.status != *status || found != *expected {
            wrong.push(format!(
                "{path} {method} {origin}: {} {found:?}",
                answer.status
            ));
        }
        let is_forwarded = answer.echo().starts_with("a ");
        let is_own = *method == "OPTIONS" && !["/forwards", "/off"].contains(path);
        if is_forwarded == (is_own || *status != 200) {
            wrong.push(format!(
                "{path} {method} {origin}: forwarded {is_forwarded}"
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

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

/// What the back end is told for each value, of a request without TLS for `/values?q=1`.
const VALUES: &[(DynamicValue, Option<&str>)] = &[
    (DynamicValue::ClientAddress, Some("127.0.0.1")),
    (DynamicValue::PeerAddress, Some("127.0.0.1")),
    (DynamicValue::Host, Some(HOST)),
    (DynamicValue::Path, Some("/values?q=1")),
    (DynamicValue::Method, Some("GET")),
    (DynamicValue::Scheme, Some("http")),
    (DynamicValue::Protocol, Some("HTTP/1.1")),
    (DynamicValue::ServerName, None),
    (DynamicValue::TlsVersion, None),
    (DynamicValue::TlsCipher, None),
    (DynamicValue::ClientCertificate, None),
    (DynamicValue::ClientSubject, None),
    (DynamicValue::ClientIssuer, None),
    (DynamicValue::ClientSerial, None),
    (DynamicValue::ClientFingerprint, None),
    (DynamicValue::EndpointAddress, None),
    (DynamicValue::ResponseFlags, Some("-")),
];

#[tokio::test]
async fn headers_have_what_envoy_knows() {
    let Some(envoy) = envoy() else { return };
    let name = |index: usize| format!("x-value-{index}");
    let values = dynamic_values();
    let set = |(index, value): (usize, &DynamicValue)| {
        dynamic(&name(index), value.clone(), HeaderMode::Set)
    };
    let text = |text: &str| HeaderPart::Text(text.into());
    let mixed = |header| {
        let parts = vec![
            text("100%;"),
            HeaderPart::Value(DynamicValue::Host),
            text(";%REQ(:path)%"),
        ];
        HeaderChange::new(header, parts, HeaderMode::Set).unwrap()
    };
    let literal = |name, value, mode| HeaderChange::literal(name, value, mode).unwrap();
    let filters = Filters {
        request_headers: values
            .iter()
            .enumerate()
            .map(set)
            .chain([
                mixed("x-mixed"),
                literal("x-add", "new", HeaderMode::Add),
                literal("x-absent", "new", HeaderMode::SetIfAbsent),
                literal("x-set", "new", HeaderMode::Set),
            ])
            .collect(),
        response_headers: vec![
            dynamic("x-id", DynamicValue::RequestId, HeaderMode::Set),
            dynamic("x-endpoint", DynamicValue::EndpointAddress, HeaderMode::Set),
            dynamic("x-flags", DynamicValue::ResponseFlags, HeaderMode::Set),
            mixed("x-mixed"),
            HeaderChange::strict_transport_security(60, true, false),
            literal("server", "ours", HeaderMode::SetIfAbsent),
            literal("x-secret", "more", HeaderMode::Add),
        ],
        ..Filters::default()
    };
    let mut refused = guarded("/refused", filters.clone());
    refused.filters.as_mut().unwrap().addresses = Some(AddressRules::allow(Vec::new()));
    let mut dead = guarded("/dead", filters.clone());
    dead.action = isobath::model::RouteAction::Forward(forward(&[]));
    let mut values_route = guarded("/values", filters);
    values_route.request_headers = sets("x-set", "literal");
    let routes = vec![values_route, refused, dead];
    let proxy = start(&envoy, routes, &Edge::default()).await;
    let sent = ["X-Add: old", "X-Absent: old", "X-Set: old", "X-Tenant: t%1"];
    let answer = get(&proxy, "/values?q=1", &sent).await;
    let mut wrong = Vec::new();
    for (value, expected) in VALUES {
        let index = values.iter().position(|it| it == value).unwrap();
        let found = answer.received(&name(index));
        if found != *expected {
            wrong.push(format!("{value:?}: {found:?}"));
        }
    }
    let of = |value: &DynamicValue| {
        let index = values.iter().position(|it| it == value).unwrap();
        answer.received(&name(index)).unwrap_or_default().to_owned()
    };
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(
        of(&DynamicValue::ListenerPort),
        proxy.http.port().to_string()
    );
    assert_eq!(of(&values[10]), "t%1");
    let id = of(&DynamicValue::RequestId);
    assert_eq!((id.len(), answer.header("x-id")), (36, Some(id.as_str())));
    assert_eq!(answer.received("x-request-id"), Some(id.as_str()));
    let (seconds, millis) = of(&DynamicValue::StartTime)
        .split_once('.')
        .map(|(a, b)| (a.len(), b.len()))
        .unwrap();
    assert_eq!((seconds, millis), (10, 3));
    for (header, expected) in [
        ("x-mixed", "100%;a.example.com;%REQ(:path)%"),
        ("x-absent", "old"),
        ("x-set", "new"),
    ] {
        assert_eq!(answer.received(header), Some(expected), "{header}");
    }
    assert!(
        answer.body.contains("x-add: new\nx-add: old"),
        "{}",
        answer.body
    );
    assert_eq!(
        answer.header("x-mixed"),
        Some("100%;a.example.com;%REQ(:path)%")
    );
    assert_eq!(answer.header("server"), Some("echo"));
    let secrets: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "x-secret")
        .collect();
    assert_eq!(secrets.len(), 2, "{answer:?}");
    assert!(
        answer
            .header("x-endpoint")
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert_eq!(answer.header("x-flags"), Some("-"));
    // Envoy's own answers have them too.
    for (path, status) in [("/refused", 403), ("/dead", 503)] {
        let answer = get(&proxy, path, &[]).await;
        let found = (answer.status, answer.header("strict-transport-security"));
        assert_eq!(
            found,
            (status, Some("max-age=60; includeSubDomains")),
            "{path}"
        );
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
