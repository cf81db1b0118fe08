//! Which endpoints a real Envoy takes for well, and what a connection to one begins with.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use isobath::model::{
    ClusterSettings, Forward, HealthCheck, HttpQuestion, LoadBalancing, OutlierDetection,
    PathRewrite, Percent, ProxyProtocol, Question, RetryPolicy, UpstreamProtocol,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::backend;
use crate::fixture::{World, cluster_with, forward};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, to};

/// A back end that is asked how it is, and may be told.
#[derive(Clone)]
struct Patient {
    address: SocketAddr,
    status: Arc<Mutex<u16>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Patient {
    async fn start(name: &'static str, status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let patient = Self {
            address: listener.local_addr().unwrap(),
            status: Arc::new(Mutex::new(status)),
            asked: Arc::default(),
        };
        let own = patient.clone();
        let app = Router::new().fallback(move |request: Request| {
            let own = own.clone();
            async move { own.answer(name, &request) }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        patient
    }

    fn answer(&self, name: &str, request: &Request) -> Response<Body> {
        let status = *self.status.lock().unwrap();
        let path = request.uri().path_and_query().unwrap().as_str();
        let host = match request.headers().get("host") {
            Some(host) => host.to_str().unwrap(),
            None => request.uri().authority().unwrap().as_str(),
        };
        let asked = format!("{:?} {} {host}{path}", request.version(), request.method());
        if path.starts_with("/grpc.health.v1.Health/") {
            self.asked.lock().unwrap().insert(asked);
            return serving(status == 200);
        }
        let is_question = path.starts_with("/healthz");
        if is_question {
            self.asked.lock().unwrap().insert(asked);
        }
        let status = if is_question || path == "/fails" {
            status
        } else {
            200
        };
        let answer = Response::builder().status(status);
        answer.body(Body::from(format!("{name} "))).unwrap()
    }

    fn is_now(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().cloned().collect()
    }
}

/// `HealthCheckResponse`, whose only field is a status: 1 is SERVING, 2 is NOT_SERVING.
fn serving(is_well: bool) -> Response<Body> {
    let message = [0, 0, 0, 0, 2, 8, if is_well { 1 } else { 2 }];
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(&message))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(futures::stream::iter(frames));
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .unwrap()
}

const PATIENCE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(50);

fn asking(question: Question, protocol: UpstreamProtocol) -> ClusterSettings {
    let timeout = Duration::from_secs(5);
    ClusterSettings {
        protocol,
        health_check: Some(HealthCheck::new(question, SOON, timeout, [1, 1]).unwrap()),
        ..ClusterSettings::default()
    }
}

fn http(path: &str, host: Option<&str>, statuses: &[(u16, u16)]) -> Question {
    Question::Http(HttpQuestion::new(path, host, statuses).unwrap())
}

/// Asks until this many endpoints of a cluster are well.
async fn until_well(proxy: &Proxy, cluster: &str, count: u64) {
    let statistic = format!("cluster.{cluster}.membership_healthy");
    proxy.change(|_| (), &statistic, count).await;
}

/// The name of who answers, or the status, of so many requests.
async fn answers(proxy: &Proxy, path: &str, requests: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for _ in 0..requests {
        let answer = get(proxy, path, &[]).await;
        found.insert(match answer.status {
            200 => answer.echo().split(' ').next().unwrap().to_owned(),
            status => status.to_string(),
        });
    }
    found
}

/// Asks until 16 requests have these answers: Envoy's workers hear of health once in a second at most
/// (`update_merge_window`), however often it changes.
async fn until_answers(proxy: &Proxy, path: &str, expected: &[&str]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = answers(proxy, path, 16).await;
        if found == texts(expected) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{path}: {found:?}");
    }
}

/// To one cluster, and never a second time.
fn once(cluster: &str) -> Forward {
    Forward {
        retry: Some(Box::new(RetryPolicy::never())),
        ..forward(&[cluster])
    }
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// What is asked, a status that is bad and one that is good, and the question as the endpoint sees it.
fn questions() -> Vec<(ClusterSettings, u16, u16, &'static str)> {
    use UpstreamProtocol::{H2c, Http1};
    let statuses = [(200, 299), (404, 404)];
    let host = Some("a.example.com");
    let grpc = Question::Grpc("shop.Cart".into());
    vec![
        (
            asking(http("/healthz", None, &[]), Http1),
            204,
            200,
            "HTTP/1.1 GET isobath-health-check/healthz",
        ),
        (
            asking(http("/healthz?a=b", host, &statuses), Http1),
            300,
            299,
            "HTTP/1.1 GET a.example.com/healthz?a=b",
        ),
        (
            asking(http("/healthz", host, &statuses), Http1),
            403,
            404,
            "HTTP/1.1 GET a.example.com/healthz",
        ),
        (
            asking(http("/healthz", None, &[]), H2c),
            500,
            200,
            "HTTP/2.0 GET isobath-health-check/healthz",
        ),
        (
            asking(grpc, H2c),
            503,
            200,
            "HTTP/2.0 POST isobath-health-check/grpc.health.v1.Health/Check",
        ),
    ]
}

#[tokio::test]
async fn an_endpoint_that_is_ill_gets_nothing() {
    let Some(envoy) = envoy() else { return };
    let mut world = World::new();
    let mut patients = Vec::new();
    let mut routes = Vec::new();
    for (index, (settings, bad, good, question)) in questions().into_iter().enumerate() {
        let name = format!("q{index}");
        let (well, ill) = (
            Patient::start("well", good).await,
            Patient::start("ill", bad).await,
        );
        let endpoints = [well.address, ill.address];
        world = world.cluster_with(&cluster_with(&name, settings), &endpoints);
        routes.push(to(&format!("/{name}"), forward(&[&name])));
        patients.push((name, well, ill, good, bad, question));
    }
    let proxy = Proxy::start(&envoy, world.http(HOST, routes).resources()).await;
    for (name, well, ill, good, bad, question) in patients {
        let path = format!("/{name}");
        until_well(&proxy, &name, 1).await;
        until_answers(&proxy, &path, &["well"]).await;
        ill.is_now(good);
        until_well(&proxy, &name, 2).await;
        until_answers(&proxy, &path, &["ill", "well"]).await;
        // Nobody is well: nobody gets a request.
        well.is_now(bad);
        ill.is_now(bad);
        until_well(&proxy, &name, 0).await;
        until_answers(&proxy, &path, &["503"]).await;
        assert_eq!(ill.asked(), [question]);
    }
    proxy.assert_content();
}

#[tokio::test]
async fn a_connection_is_a_question_too() {
    let Some(envoy) = envoy() else { return };
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = asking(Question::Tcp, UpstreamProtocol::Http1);
    // All of them are used where less than this is well: the answer of the one that is not there is 503.
    let panicking = |panic_threshold| ClusterSettings {
        panic_threshold: Percent::new(panic_threshold).unwrap(),
        ..settings.clone()
    };
    let endpoints = [backend::start("open").await, closed];
    let world = World::new()
        .cluster_with(&cluster_with("never", panicking(0)), &endpoints)
        .cluster_with(&cluster_with("half", panicking(50)), &endpoints)
        .cluster_with(&cluster_with("more", panicking(51)), &endpoints);
    let routes = ["never", "half", "more"].map(|name| to(&format!("/{name}"), once(name)));
    let proxy = Proxy::start(&envoy, world.http(HOST, routes.into()).resources()).await;
    for (name, expected) in [
        ("never", ["open"].as_slice()),
        ("half", &["open"]),
        ("more", &["503", "open"]),
    ] {
        until_well(&proxy, name, 1).await;
        until_answers(&proxy, &format!("/{name}"), expected).await;
    }
    proxy.assert_content();
}

/// Answers eject an endpoint only where somebody asked for that.
#[tokio::test]
async fn an_endpoint_whose_answers_fail_is_left_alone() {
    let Some(envoy) = envoy() else { return };
    let detection = |all, gateway| ClusterSettings {
        outlier_detection: OutlierDetection {
            consecutive_5xx: all,
            consecutive_gateway_failure: gateway,
            base_ejection_time: Duration::from_secs(300),
            max_ejection_time: Duration::from_secs(300),
            ..OutlierDetection::default()
        },
        ..ClusterSettings::default()
    };
    let rows = [
        ("any-500", detection(3, 0), 500, true),
        ("any-503", detection(3, 0), 503, true),
        ("gateway-500", detection(0, 3), 500, false),
        ("gateway-503", detection(0, 3), 503, true),
        ("default-503", ClusterSettings::default(), 503, false),
        ("any-499", detection(3, 0), 499, false),
    ];
    let mut world = World::new();
    let mut routes = Vec::new();
    for (name, settings, status, _) in &rows {
        let (good, bad) = (
            Patient::start("good", 200).await,
            Patient::start("bad", *status).await,
        );
        world = world.cluster_with(
            &cluster_with(name, settings.clone()),
            &[good.address, bad.address],
        );
        let rewritten = Forward {
            rewrite: Some(PathRewrite::ReplaceFullPath("/fails".into())),
            ..once(name)
        };
        routes.push(to(&format!("/{name}"), rewritten));
    }
    let proxy = Proxy::start(&envoy, world.http(HOST, routes).resources()).await;
    for (name, _, status, is_ejected) in rows {
        let path = format!("/{name}");
        let status = status.to_string();
        assert_eq!(
            answers(&proxy, &path, 16).await,
            texts(&["good", &status]),
            "{name}"
        );
        let ejected = format!("cluster.{name}.outlier_detection.ejections_active");
        // The main thread ejects some time after a worker has counted.
        proxy.change(|_| (), &ejected, is_ejected.into()).await;
        if is_ejected {
            until_answers(&proxy, &path, &["good"]).await;
        }
    }
    proxy.assert_content();
}

/// The first bytes of a connection, up to the request.
async fn first_bytes(settings: ClusterSettings) -> Option<Vec<u8>> {
    let envoy = envoy()?;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{bytes:?}");
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw";
        stream.write_all(answer).await.unwrap();
        let request = bytes
            .windows(4)
            .position(|window| window == b"GET ")
            .unwrap();
        bytes.truncate(request);
        bytes
    });
    let world = World::new()
        .cluster_with(&cluster_with("raw", settings), &[address])
        .http(HOST, vec![to("/", forward(&["raw"]))]);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    assert_eq!(get(&proxy, "/", &[]).await.echo(), "raw");
    proxy.assert_content();
    Some(seen.await.unwrap())
}

#[tokio::test]
async fn a_connection_begins_with_a_proxy_header() {
    let proxied = |version| ClusterSettings {
        proxy_protocol: version,
        load_balancing: LoadBalancing::Random,
        ..ClusterSettings::default()
    };
    let Some(bytes) = first_bytes(proxied(Some(ProxyProtocol::V1))).await else {
        return;
    };
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
        "{text:?}"
    );
    assert!(text.ends_with("\r\n"), "{text:?}");
    let bytes = first_bytes(proxied(Some(ProxyProtocol::V2))).await.unwrap();
    // Signature, version 2 and PROXY, TCP over IPv4, twelve bytes of addresses, and these.
    assert!(
        bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01"),
        "{bytes:?}"
    );
    assert_eq!(first_bytes(proxied(None)).await.unwrap(), b"");
}
