//! Which endpoint gets a request, on a real Envoy with real back ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use isobath::envoy::endpoint;
use isobath::model::{
    ClusterSettings, ForwardOptions, HashCookie, HashKey, HashPolicy, HeaderName, LoadBalancing,
    Percent, Route, SetCookie, SlowStart,
};
use isobath::xds::ResourceType;

use crate::ads::Resources;
use crate::backend;
use crate::client::{Answer, exchange, request};
use crate::fixture::{World, assignment, cluster_with, forward};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, to, with};

const SEVERAL: [&str; 4] = ["a", "b", "c", "d"];

async fn several() -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for name in SEVERAL {
        addresses.push(backend::start(name).await);
    }
    addresses
}

fn by(load_balancing: LoadBalancing) -> ClusterSettings {
    ClusterSettings {
        load_balancing,
        ..ClusterSettings::default()
    }
}

fn endpoint_of(answer: &Answer) -> String {
    answer
        .echo()
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// How many requests each endpoint gets of 200: the least and the most of all of them.
const SPREAD: &[(&str, LoadBalancing, usize, usize)] = &[
    ("turns", LoadBalancing::RoundRobin(None), 50, 50),
    ("drawn", LoadBalancing::Random, 15, 95),
    // One request at a time: all have as few, and which of two is taken is drawn.
    ("least", LoadBalancing::LeastRequest(None), 15, 95),
    // Nothing is hashed.
    ("ring", LoadBalancing::RingHash, 15, 95),
    ("table", LoadBalancing::Maglev, 15, 95),
];

#[tokio::test]
async fn requests_are_spread() {
    let Some(envoy) = envoy() else { return };
    let addresses = several().await;
    let world = SPREAD
        .iter()
        .fold(World::new(), |world, (name, balancing, ..)| {
            world.cluster_with(&cluster_with(name, by(*balancing)), &addresses)
        });
    let routes = SPREAD
        .iter()
        .map(|(name, ..)| to(&format!("/{name}"), forward(&[name])));
    let proxy = Proxy::start(&envoy, world.http(HOST, routes.collect()).resources()).await;
    for (name, _, least, most) in SPREAD {
        let mut counts = BTreeMap::new();
        for _ in 0..200 {
            let answer = get(&proxy, &format!("/{name}"), &[]).await;
            *counts.entry(endpoint_of(&answer)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), SEVERAL.len(), "{name}: {counts:?}");
        for count in counts.values() {
            assert!((least..=most).contains(&count), "{name}: {counts:?}");
        }
    }
    proxy.assert_content();
}

/// A route by its path, with what it hashes.
fn hashing() -> Vec<(&'static str, Vec<HashPolicy>)> {
    let header = |name: &str| HashKey::Header(HeaderName::new(name).unwrap());
    let cookie = |cookie: HashCookie| vec![HashPolicy::only(HashKey::Cookie(cookie))];
    let day = Duration::from_secs(86_400);
    let set = SetCookie::new(Some(day), "/set", &[("SameSite", "Lax"), ("Secure", "")]);
    let first = HashPolicy {
        terminal: true,
        ..HashPolicy::only(header("x-tenant"))
    };
    let path = HashKey::Header(HeaderName::of_request(":path").unwrap());
    vec![
        ("/source", vec![HashPolicy::only(HashKey::SourceIp)]),
        ("/header", vec![HashPolicy::only(header("x-tenant"))]),
        ("/path", vec![HashPolicy::only(path)]),
        (
            "/query",
            vec![HashPolicy::only(HashKey::Query("tenant".into()))],
        ),
        ("/theirs", cookie(HashCookie::of_others("session").unwrap())),
        (
            "/set",
            cookie(HashCookie::new("session", set.unwrap()).unwrap()),
        ),
        (
            "/session",
            cookie(HashCookie::new("session", SetCookie::default()).unwrap()),
        ),
        ("/first", vec![first, HashPolicy::only(header("x-user"))]),
        (
            "/both",
            vec![
                HashPolicy::only(header("x-tenant")),
                HashPolicy::only(header("x-user")),
            ],
        ),
    ]
}

/// What differs between the requests of a row: `{}` is a number of each.
struct Row {
    path: &'static str,
    headers: &'static [&'static str],
    /// Whether all requests, or those of one number only, go to one endpoint.
    stays: Stays,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stays {
    All,
    Number,
    No,
}

const fn row(path: &'static str, headers: &'static [&'static str], stays: Stays) -> Row {
    Row {
        path,
        headers,
        stays,
    }
}

const ROWS: &[Row] = &[
    row("/source", &[], Stays::All),
    row("/source", &["X-Forwarded-For: 192.0.2.{}"], Stays::All),
    row("/header", &["X-Tenant: {}"], Stays::Number),
    row("/header", &["X-TENANT: one"], Stays::All),
    row("/header", &[], Stays::No),
    row("/header", &["X-Tenant: one", "X-User: {}"], Stays::All),
    row("/path/{}", &[], Stays::Number),
    row("/path", &["X-Tenant: {}"], Stays::All),
    row("/query?tenant={}", &[], Stays::Number),
    row("/query?other={}&tenant=one", &[], Stays::All),
    row("/query?Tenant={}", &[], Stays::No),
    row("/theirs", &["Cookie: session={}"], Stays::Number),
    row("/theirs", &["Cookie: other={}; session=one"], Stays::All),
    row("/theirs", &["Cookie: other=one"], Stays::No),
    row("/set", &["Cookie: session={}"], Stays::Number),
    row("/first", &["X-Tenant: one", "X-User: {}"], Stays::All),
    row("/first", &["X-User: {}"], Stays::Number),
    row("/both", &["X-Tenant: one", "X-User: {}"], Stays::Number),
    row("/both", &["X-User: one"], Stays::All),
];

fn hashed_world(addresses: &[SocketAddr], balancing: LoadBalancing) -> World {
    let routes = hashing().into_iter().map(|(path, hash_policies)| {
        let options = ForwardOptions {
            hash_policies,
            ..ForwardOptions::default()
        };
        to(path, with(forward(&["hashed"]), options))
    });
    World::new()
        .cluster_with(&cluster_with("hashed", by(balancing)), addresses)
        .http(HOST, routes.collect())
}

async fn check_hashing(balancing: LoadBalancing) {
    let Some(envoy) = envoy() else { return };
    let addresses = several().await;
    let proxy = Proxy::start(&envoy, hashed_world(&addresses, balancing).resources()).await;
    for Row {
        path,
        headers,
        stays,
    } in ROWS
    {
        let mut by_number: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for number in (0..24).chain(0..24).chain(0..24) {
            let number_text = number.to_string();
            let filled = |text: &str| text.replace("{}", &number_text);
            let headers: Vec<String> = headers.iter().map(|header| filled(header)).collect();
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let answer = get(&proxy, &filled(path), &headers).await;
            let endpoints = by_number.entry(number).or_default();
            endpoints.insert(endpoint_of(&answer));
        }
        let all: BTreeSet<&String> = by_number.values().flatten().collect();
        let found = match (all.len(), by_number.values().all(|of| of.len() == 1)) {
            (1, _) => Stays::All,
            (_, true) => Stays::Number,
            (_, false) => Stays::No,
        };
        assert_eq!(
            found, *stays,
            "{balancing:?} {path} {headers:?}: {by_number:?}"
        );
    }
    check_cookies(&proxy).await;
    proxy.assert_content();
}

/// Who comes without the cookie gets one, and stays where it leads.
async fn check_cookies(proxy: &Proxy) {
    for (path, attributes) in [
        (
            "/set",
            "; Max-Age=86400; Path=/set; SameSite=Lax; Secure; HttpOnly",
        ),
        ("/session", "; HttpOnly"),
    ] {
        let answer = get(proxy, path, &[]).await;
        let set = answer.header("set-cookie").unwrap_or_default();
        let (cookie, rest) = set.split_at(set.find(';').unwrap_or(set.len()));
        assert!(cookie.starts_with("session=") && cookie.len() > 12, "{set}");
        assert_eq!(rest, attributes);
        let header = format!("Cookie: {cookie}");
        for _ in 0..20 {
            let again = get(proxy, path, &[&header]).await;
            assert_eq!(endpoint_of(&again), endpoint_of(&answer));
            assert_eq!(again.header("set-cookie"), None);
        }
    }
    let theirs = get(proxy, "/theirs", &[]).await;
    assert_eq!(theirs.header("set-cookie"), None);
}

#[tokio::test]
async fn what_is_hashed_chooses_the_endpoint_on_a_ring() {
    check_hashing(LoadBalancing::RingHash).await;
}

#[tokio::test]
async fn what_is_hashed_chooses_the_endpoint_by_maglev() {
    check_hashing(LoadBalancing::Maglev).await;
}

/// How long a slow start takes.
const WINDOW: Duration = Duration::from_secs(8);

/// A new endpoint gets few requests for a while, unless nobody asked for that.
#[tokio::test]
async fn a_new_endpoint_starts_slowly() {
    let Some(envoy) = envoy() else { return };
    let slow = SlowStart::new(WINDOW, 100, Percent::new(1).unwrap()).unwrap();
    let of = [
        ("turns", LoadBalancing::RoundRobin(Some(slow)), 0, 20),
        ("least", LoadBalancing::LeastRequest(Some(slow)), 0, 20),
        ("at-once", LoadBalancing::RoundRobin(None), 30, 30),
    ];
    let old = backend::start("old").await;
    let routes: Vec<Route> = of
        .iter()
        .map(|(name, ..)| to(&format!("/{name}"), forward(&[name])))
        .collect();
    let world = of
        .iter()
        .fold(World::new(), |world, (name, balancing, ..)| {
            world.cluster_with(&cluster_with(name, by(*balancing)), &[old])
        });
    let proxy = Proxy::start(&envoy, world.http(HOST, routes).resources()).await;
    // The first endpoint starts as slowly. It is through when Envoy is older than that.
    let deadline = tokio::time::Instant::now() + 10 * WINDOW;
    while proxy.statistic("server.uptime").await <= WINDOW.as_secs() + 1 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (name, _, least, most) in of {
        let count = of_sixty(&proxy, name, old).await;
        assert!((least..=most).contains(&count), "{name}: {count}");
    }
    proxy.assert_content();
}

/// How many of sixty requests a new endpoint gets that are early in its start. Where the machine is too busy for so many at
/// once, another new endpoint begins.
async fn of_sixty(proxy: &Proxy, cluster: &str, old: SocketAddr) -> usize {
    let membership = format!("cluster.{cluster}.membership_total");
    for _ in 0..20 {
        let change = async |endpoints: &[SocketAddr]| {
            let assignment = endpoint::load_assignment(&assignment(cluster, endpoints));
            let key = (ResourceType::Endpoint, cluster.to_owned());
            let change = |all: &mut Resources| drop(all.insert(key, assignment.bytes()));
            let count = endpoints.len() as u64;
            proxy.change(change, &membership, count).await;
        };
        let start = tokio::time::Instant::now();
        change(&[old, backend::start("new").await]).await;
        let mut count = 0;
        for _ in 0..60 {
            let answer = get(proxy, &format!("/{cluster}"), &[]).await;
            count += usize::from(endpoint_of(&answer) == "new");
        }
        if start.elapsed() < WINDOW / 3 {
            return count;
        }
        change(&[old]).await;
    }
    panic!("sixty requests take longer than {:?}", WINDOW / 3);
}

/// What one route hashes, another of the same host and cluster does not.
#[tokio::test]
async fn a_hash_is_of_its_route() {
    let Some(envoy) = envoy() else { return };
    let addresses = several().await;
    let hashed = ForwardOptions {
        hash_policies: vec![HashPolicy::only(HashKey::SourceIp)],
        ..ForwardOptions::default()
    };
    let routes = vec![
        to("/hashed", with(forward(&["one"]), hashed)),
        to("/not", forward(&["one"])),
    ];
    let world = World::new()
        .cluster_with(
            &cluster_with("one", by(LoadBalancing::RingHash)),
            &addresses,
        )
        .http(HOST, routes)
        .http("b.example.com", vec![to("/", forward(&["one"]))]);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (host, path, expected) in [
        (HOST, "/hashed", 1..=1),
        (HOST, "/not", 2..=4),
        ("b.example.com", "/hashed", 2..=4),
    ] {
        let mut found = BTreeSet::new();
        for _ in 0..40 {
            let stream = tokio::net::TcpStream::connect(proxy.http).await.unwrap();
            let answer = exchange(stream, &request("GET", host, path, &[])).await;
            found.insert(endpoint_of(&answer));
        }
        assert!(expected.contains(&found.len()), "{host}{path}: {found:?}");
    }
}
