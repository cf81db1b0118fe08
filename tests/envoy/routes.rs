//! Route actions on a real Envoy: headers, shares, retries, errors, protocols.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use isobath::model::{
    ClusterSettings, Conditions, Forward, ForwardOptions, HashKey, HashPolicy, HeaderMatch,
    HeaderPredicate, LoadBalancing, PathMatch, QueryMatch, QueryPredicate, RetryPolicy, Route,
    RouteAction, RouteMatch, StringMatch, UpstreamProtocol, WeightedCluster,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backend;
use crate::client::{plain, request};
use crate::fixture::{World, all_to, cluster_with, forward, header, is, modifier, query, route};
use crate::proxy::{Proxy, envoy};

const HOST: &str = "a.example.com";

fn to(path: &str, forward: Forward) -> Route {
    route(
        PathMatch::PathPrefix(path.into()),
        RouteAction::Forward(forward),
    )
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

#[tokio::test]
async fn headers() {
    let Some(envoy) = envoy() else { return };
    let set = [
        ("host", "inner.example.com"),
        ("x-empty", ""),
        ("x-rate", "100% %REQ(x-secret)% %%"),
        ("x-twice", "ours"),
        ("x-forwarded-host", "public.example.com"),
    ];
    let changed = modifier(&set, &["x-secret"]);
    let modified = Route {
        request_headers: changed.clone(),
        response_headers: changed,
        ..to("/modified", forward(&["back"]))
    };
    let world = World::new()
        .cluster("back", &[backend::start("back").await])
        .http(HOST, [vec![modified], all_to("back")].concat());
    let proxy = Proxy::start(&envoy, world.resources()).await;

    let sent = ["X-Secret: theirs", "X-Twice: one", "X-Twice: two"];
    let answer = plain(proxy.http, &request("GET", HOST, "/modified", &sent)).await;
    for (name, value) in [
        ("host", Some("inner.example.com")),
        ("x-empty", Some("")),
        ("x-rate", Some("100% %REQ(x-secret)% %%")),
        ("x-twice", Some("ours")),
        ("x-forwarded-host", Some("public.example.com")),
        ("x-secret", None),
    ] {
        assert_eq!(answer.received(name), value, "{name}");
    }
    assert_eq!(answer.body.matches("x-twice").count(), 1);
    assert_eq!(answer.header("x-rate"), Some("100% %REQ(x-secret)% %%"));
    assert_eq!(answer.header("x-secret"), None);
    // The back end's own, and nothing of Envoy's.
    assert_eq!(answer.header("server"), Some("echo"));
    assert!(
        answer
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("x-envoy")),
        "{answer:?}"
    );

    // What strangers say about themselves does not arrive.
    let forged = [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Client-Cert: By=evil",
        "X-Real-Ip: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
        "X-Request-Id: forged",
        "X-Envoy-Original-Path: /admin",
        "X-Envoy-Internal: true",
        "X-Envoy-External-Address: 10.0.0.1",
        "X-Envoy-Retry-On: 5xx",
        "X-Envoy-Upstream-Rq-Timeout-Ms: 1",
    ];
    let answer = plain(proxy.http, &request("GET", HOST, "/", &forged)).await;
    assert_eq!(answer.received("x-forwarded-proto"), Some("http"));
    // For a peer on the loopback address Envoy writes the node's own.
    let client: IpAddr = answer.received("x-forwarded-for").unwrap().parse().unwrap();
    assert_ne!(client.to_string(), "10.0.0.1");
    assert_eq!(
        answer.received("x-envoy-external-address"),
        Some("127.0.0.1")
    );
    assert_ne!(answer.received("x-request-id"), Some("forged"));
    let received: Vec<&str> = answer
        .body
        .lines()
        .skip(1)
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        received,
        [
            "host",
            "x-envoy-external-address",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
    // A header that CGI would take for another one.
    let answer = plain(
        proxy.http,
        &request("GET", HOST, "/", &["X_Forwarded_For: 10.0.0.1"]),
    )
    .await;
    assert_eq!(answer.status, 400);
    proxy.assert_content();
}

#[tokio::test]
async fn conditions() {
    let Some(envoy) = envoy() else { return };
    let when = |headers: Vec<HeaderMatch>, query: Vec<QueryMatch>, status| Route {
        matches: RouteMatch::path(PathMatch::PathPrefix("/".into())).and(Conditions {
            headers,
            query,
            grpc: false,
            without_certificate: false,
        }),
        ..route(
            PathMatch::PathPrefix("/".into()),
            RouteAction::status(status),
        )
    };
    let exact = |value: &str| is(StringMatch::exact(value));
    let routes = vec![
        when(vec![HeaderMatch::method("PUT").unwrap()], vec![], 210),
        when(
            vec![header("x-kind", exact("a"))],
            vec![query("q", QueryPredicate::Is(StringMatch::exact("1")))],
            211,
        ),
        when(vec![header("x-kind", exact("a"))], vec![], 212),
        when(
            vec![header("x-kind", is(StringMatch::regex("[0-9]+").unwrap()))],
            vec![],
            213,
        ),
        when(
            vec![header("x-kind", HeaderPredicate::Present)],
            vec![],
            214,
        ),
        when(vec![], vec![query("q", QueryPredicate::Present)], 215),
        when(vec![], vec![], 216),
    ];
    let proxy = Proxy::start(&envoy, World::new().http(HOST, routes).resources()).await;
    let cases: [(&str, &str, &[&str], u16); 8] = [
        ("PUT", "/", &[], 210),
        ("GET", "/?q=1", &["X-Kind: a"], 211),
        ("GET", "/?q=2", &["X-Kind: a"], 212),
        ("GET", "/", &["X-Kind: 42"], 213),
        ("GET", "/", &["X-Kind: a42"], 214),
        ("GET", "/?q", &[], 215),
        ("GET", "/?x=q", &[], 216),
        ("GET", "/q=1", &["X-Other: a"], 216),
    ];
    for (method, path, headers, status) in cases {
        let answer = plain(proxy.http, &request(method, HOST, path, headers)).await;
        assert_eq!(answer.status, status, "{method} {path} {headers:?}");
    }
    proxy.assert_content();
}

#[tokio::test]
async fn errors_and_retries() {
    let Some(envoy) = envoy() else { return };
    let good = backend::start("good").await;
    let shares = Forward {
        backends: vec![
            WeightedCluster::new("good", 1),
            WeightedCluster::new("missing", 0),
        ],
        ..forward(&[])
    };
    let half = forward(&["good", "other"]);
    let quick = Forward {
        // Not the reason: whichever of two timers a late event loop finds due first would be.
        timeout: Some(Duration::from_secs(60)),
        retry: Some(Box::new(RetryPolicy {
            retry_on: vec!["5xx".into()],
            num_retries: 1,
            per_try_timeout: Some(Duration::from_millis(50)),
            ..RetryPolicy::default()
        })),
        ..forward(&["silent"])
    };
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new()
        .cluster("good", &[good])
        .cluster("other", &[backend::start("other").await])
        .cluster("none", &[])
        .cluster("half-dead", &[good, nobody().await])
        .cluster("dead", &[nobody().await])
        .cluster("silent", &[silent.local_addr().unwrap()])
        .http(
            HOST,
            vec![
                to("/no-backends", forward(&[])),
                to("/no-endpoints", forward(&["none"])),
                to("/missing", forward(&["missing"])),
                to("/half-dead", forward(&["half-dead"])),
                to("/dead", forward(&["dead"])),
                to("/shares", shares),
                to("/half", half),
                to("/quick", quick),
                route(
                    PathMatch::PathPrefix("/teapot".into()),
                    RouteAction::status(418),
                ),
            ],
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let get = async |path: &str| plain(proxy.http, &request("GET", HOST, path, &[])).await;
    for (path, status) in [
        ("/no-backends", 503),
        ("/no-endpoints", 503),
        ("/missing", 503),
        ("/dead", 503),
        ("/shares", 200),
        ("/quick", 504),
        ("/teapot", 418),
        ("/unknown", 404),
    ] {
        assert_eq!(get(path).await.status, status, "{path}");
    }
    assert_eq!(proxy.statistic("cluster.silent.upstream_rq_retry").await, 1);
    // The only endpoint is never ejected, however often it fails: it is used as soon as it is back.
    for _ in 0..20 {
        assert_eq!(get("/dead").await.status, 503);
    }
    assert_eq!(
        proxy
            .statistic("cluster.dead.outlier_detection.ejections_active")
            .await,
        0
    );
    assert_ne!(
        proxy
            .statistic("cluster.dead.upstream_cx_connect_fail")
            .await,
        0
    );
    // One of two endpoints is dead, and nobody notices.
    let mut backends = BTreeSet::new();
    for _ in 0..40 {
        assert_eq!(get("/half-dead").await.status, 200);
        backends.insert(get("/half").await.echo().to_owned());
    }
    assert_eq!(backends.len(), 2, "{backends:?}");
    assert_ne!(
        proxy
            .statistic("cluster.half-dead.outlier_detection.ejections_enforced_total")
            .await,
        0
    );
    proxy.assert_content();
}

#[tokio::test]
async fn upstream_protocols() {
    let Some(envoy) = envoy() else { return };
    let plain_backend = backend::start("back").await;
    let (tls_backend, seen) = tls_backend().await;
    let of = |name: &str, protocol| {
        let settings = ClusterSettings {
            protocol,
            ..ClusterSettings::default()
        };
        cluster_with(name, settings)
    };
    let hashed = Forward {
        options: Some(Box::new(ForwardOptions {
            hash_policies: vec![HashPolicy::only(HashKey::SourceIp)],
            ..ForwardOptions::default()
        })),
        ..forward(&["hashed"])
    };
    let world = World::new()
        .cluster_with(&of("h1", UpstreamProtocol::Http1), &[plain_backend])
        .cluster_with(&of("h2c", UpstreamProtocol::H2c), &[plain_backend])
        .cluster_with(&of("tls", UpstreamProtocol::Tls), &[tls_backend])
        .cluster_with(&of("h2", UpstreamProtocol::H2), &[tls_backend])
        .cluster_with(
            &cluster_with(
                "hashed",
                ClusterSettings {
                    load_balancing: LoadBalancing::RingHash,
                    ..ClusterSettings::default()
                },
            ),
            &[plain_backend, backend::start("second").await],
        )
        .http(
            HOST,
            vec![
                to("/h1", forward(&["h1"])),
                to("/h2c", forward(&["h2c"])),
                to("/tls", forward(&["tls"])),
                to("/h2", forward(&["h2"])),
                to("/hashed", hashed),
            ],
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let get = async |path: &str| plain(proxy.http, &request("GET", HOST, path, &[])).await;
    assert_eq!(get("/h1").await.echo(), "back h1 GET /h1");
    assert_eq!(get("/h2c").await.echo(), "back h2 GET /h2c");
    // The TLS back end only shows what it was offered and hangs up.
    assert_eq!(get("/tls").await.status, 503);
    assert_eq!(get("/h2").await.status, 503);
    let seen = seen.lock().unwrap().clone();
    assert!(
        seen.contains(&"http/1.1".to_owned()) && seen.contains(&"h2".to_owned()),
        "{seen:?}"
    );
    let first = get("/hashed").await.echo().to_owned();
    for _ in 0..10 {
        assert_eq!(get("/hashed").await.echo(), first);
    }
    proxy.assert_content();
}

/// Completes TLS handshakes, notes the protocol that the client chose by ALPN, and closes.
async fn tls_backend() -> (SocketAddr, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let pair = rcgen::generate_simple_self_signed(["inner".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let provider = rustls::crypto::ring::default_provider().into();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                let alpn = stream.get_ref().1.alpn_protocol().unwrap_or_default();
                noted
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(alpn).into_owned());
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn web_sockets() {
    let Some(envoy) = envoy() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let world = World::new()
        .cluster("back", &[backend])
        .http(HOST, all_to("back"));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let upgrade = format!(
        "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    proxy.assert_content();
}
