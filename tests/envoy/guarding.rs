//! Who is let in, and from where, on a real Envoy with a real back end.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use isobath::envoy::edge::Edge;
use isobath::model::{AddressRules, AddressSource, Cidr, Cors, Filters, Origins, Route};
use isobath::xds::ResourceType;
use tokio::net::TcpSocket;

use crate::backend;
use crate::client::{Answer, exchange, request};
use crate::filter_cases::{ranges, some_origins};
use crate::fixture::{World, forward, managers};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, to};

pub fn guarded(path: &str, filters: Filters) -> Route {
    Route {
        filters: Some(Box::new(filters)),
        ..to(path, forward(&["a"]))
    }
}

pub async fn start(envoy: &std::path::Path, routes: Vec<Route>, edge: &Edge) -> Proxy {
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
pub async fn get_from(proxy: &Proxy, from: &str, path: &str, headers: &[&str]) -> Answer {
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
