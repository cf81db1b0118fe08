#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::process::metrics::Metrics;
use crate::process::supervisor::Supervisor;

/// A request over a real socket; returns the status and the rest of the answer, head included.
async fn request(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    request_with(address, method, path, "").await
}

/// The same with another header; a `Host` in it is the only one.
async fn request_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    header: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let host = if header.starts_with("Host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let head = format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{header}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// Runs the pages, calls `check` with the two addresses, and stops them.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    sources: Sources,
    check: impl FnOnce(SocketAddr, SocketAddr) -> F,
) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let args = Args {
        admin_address: any,
        metrics_address: any,
    };
    let bound = Bound::bind(&args).unwrap();
    let (admin, metrics) = bound.addresses().unwrap();
    let check = check(admin, metrics);
    let mut supervisor = Supervisor::new();
    supervisor.add("admin", |stop| bound.serve(sources, stop));
    supervisor.add_finite("check", |_| async {
        check.await;
        Ok(())
    });
    supervisor.run().await.unwrap();
}

fn sources() -> (Sources, Pending) {
    let (readiness, pending) = Readiness::new("first snapshot");
    let mut pages = Pages::default();
    pages.add("/debug/xds", "what is served", |query| {
        format!("{{\"names\": {}}}", query.len())
    });
    let sources = Sources {
        heartbeat: Heartbeat::new(),
        readiness,
        unserved: Unserved::default(),
        metrics: Metrics::new().share(),
        pages,
    };
    (sources, pending)
}

#[tokio::test]
async fn each_listener_has_its_pages_and_no_others() {
    let (sources, pending) = sources();
    serve(sources, |admin, metrics| async move {
        pending.done();
        for (method, path, on_admin, on_metrics) in [
            ("GET", "/healthz", 200, 200),
            ("GET", "/readyz", 200, 200),
            ("GET", "/metrics", 200, 200),
            ("GET", "/debug", 200, 404),
            ("GET", "/debug/xds?name=a", 200, 404),
            ("GET", "/debug/pprof/profile?seconds=0", 400, 404),
            ("GET", "/debug/pprof/heap", 200, 404),
            ("POST", "/healthz", 405, 405),
            ("DELETE", "/metrics", 405, 405),
            ("POST", "/debug/xds", 405, 404),
            ("GET", "/", 404, 404),
            ("GET", "/metrics/../debug", 404, 404),
            ("PUT", "/quitquitquit", 404, 404),
        ] {
            let (status, answer) = request(admin, method, path).await;
            assert_eq!(status, on_admin, "{method} {path} on admin: {answer}");
            let (status, answer) = request(metrics, method, path).await;
            assert_eq!(status, on_metrics, "{method} {path} on metrics: {answer}");
            // What comes through a proxy, by whichever way it found loopback.
            let forwarded = "X-Forwarded-For: 203.0.113.7\r\n";
            let (status, _) = request_with(admin, method, path, forwarded).await;
            assert_eq!(status, 403, "{method} {path} through a proxy");
            let (status, _) = request_with(metrics, method, path, forwarded).await;
            let expected = if path == "/metrics" { 403 } else { on_metrics };
            assert_eq!(status, expected, "{method} {path} through a proxy");
        }
        let (_, index) = request(admin, "GET", "/debug").await;
        assert!(index.contains("/debug/xds") && index.contains("/debug/pprof/profile"));
        let (_, page) = request(admin, "GET", "/debug/xds?name=a").await;
        assert!(page.contains("application/json") && page.ends_with("{\"names\": 1}"));
        // A browser keeps nothing of it, and runs nothing of it; a flame graph is moved by its own script.
        for (path, is_fenced) in [
            ("/debug/xds", true),
            ("/nothing", true),
            ("/debug/pprof/heap", false),
        ] {
            let (_, page) = request(admin, "GET", path).await;
            assert!(page.contains("cache-control: no-store"), "{path}: {page}");
            assert!(
                page.contains("x-content-type-options: nosniff"),
                "{path}: {page}"
            );
            assert!(
                page.contains("cross-origin-resource-policy: same-origin"),
                "{path}: {page}"
            );
            let policy = "content-security-policy: default-src 'none'; frame-ancestors 'none'";
            assert_eq!(page.contains(policy), is_fenced, "{path}: {page}");
        }
        let (_, page) = request(metrics, "GET", "/metrics").await;
        assert!(page.contains(metrics::CONTENT_TYPE) && page.trim_end().ends_with("# EOF"));
    })
    .await;
}

/// By a name that leads here, by a page of another site, by a proxy of any kind: nothing of the admin address is told, and
/// no metric.
#[tokio::test]
async fn strangers_are_refused() {
    let (sources, _pending) = sources();
    serve(sources, |admin, metrics| async move {
        for (header, on_admin, on_metrics) in [
            ("Host: localhost:6060\r\n", 200, 200),
            ("Host: [::1]\r\n", 200, 200),
            ("Host: localhost\r\nSec-Fetch-Site: none\r\n", 200, 200),
            (
                "Origin: http://localhost:6060\r\nSec-Fetch-Site: same-origin\r\n",
                200,
                200,
            ),
            ("Host: evil.test\r\n", 403, 200),
            ("Host: localhost\r\nHost: evil.test\r\n", 403, 200),
            ("Origin: https://evil.test\r\n", 403, 200),
            ("Origin: null\r\n", 403, 200),
            ("Sec-Fetch-Site: cross-site\r\n", 403, 200),
            ("Sec-Fetch-Site: same-site\r\n", 403, 200),
            ("Via: 1.1 proxy\r\n", 403, 403),
            ("Forwarded: for=203.0.113.7\r\n", 403, 403),
            ("X-Forwarded-For: 203.0.113.7\r\n", 403, 403),
            ("X-Forwarded-Proto: https\r\n", 403, 403),
            ("X-Real-IP: 203.0.113.7\r\n", 403, 403),
            ("X-Envoy-Expected-Rq-Timeout-Ms: 15000\r\n", 403, 403),
        ] {
            for path in ["/debug", "/debug/xds", "/metrics", "/readyz", "/nothing"] {
                let (status, answer) = request_with(admin, "GET", path, header).await;
                assert_eq!(status == 403, on_admin == 403, "{header} {path}: {answer}");
            }
            let (status, answer) = request_with(metrics, "GET", "/metrics", header).await;
            assert_eq!(status, on_metrics, "{header}: {answer}");
            let (status, _) = request_with(metrics, "GET", "/healthz", header).await;
            assert_eq!(status, 200, "{header}: a probe");
        }
    })
    .await;
}

/// Whoever asks for much and takes nothing of it has the connection for half a minute.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut() {
    const LENGTH: usize = 256 << 20;
    let (mut sources, _pending) = sources();
    sources
        .pages
        .add("/debug/much", "much", |_| "x".repeat(LENGTH));
    serve(sources, |admin, _| async move {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let head = format!("GET /debug/much HTTP/1.1\r\nHost: {admin}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // It passes once there is nothing left to do but to wait.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let mut taken = Vec::new();
        let _ = stream.read_to_end(&mut taken).await;
        assert!(taken.starts_with(b"HTTP/1.1 200 OK"));
        assert!(taken.len() < LENGTH, "{} bytes", taken.len());
    })
    .await;
}

/// The Envoy beside it serves nothing on a listener that it refuses.
#[tokio::test]
async fn readyz_names_what_envoy_refuses() {
    let (mut sources, pending) = sources();
    pending.done();
    let sentences: Arc<Mutex<Vec<String>>> = Arc::default();
    let shown = sentences.clone();
    sources.unserved = Unserved::new(move || shown.lock().unwrap().clone());
    serve(sources, |_, metrics| async move {
        assert_eq!(request(metrics, "GET", "/readyz").await.0, 200);
        let refused = "Envoy refuses the listener http: it is too old";
        *sentences.lock().unwrap() = vec![refused.to_owned()];
        let (status, answer) = request(metrics, "GET", "/readyz").await;
        assert_eq!(status, 503);
        let line = "\r\nnot served: Envoy refuses the listener http: it is too old\n";
        assert!(answer.ends_with(line), "{answer}");
        sentences.lock().unwrap().clear();
        assert_eq!(request(metrics, "GET", "/readyz").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn readyz_names_what_is_pending() {
    let (sources, pending) = sources();
    let services = sources.readiness.add("list of Services");
    serve(sources, |_, metrics| async move {
        let (status, answer) = request(metrics, "GET", "/readyz").await;
        assert_eq!(status, 503);
        assert!(answer.ends_with("pending: first snapshot\npending: list of Services\n"));
        pending.done();
        let (status, answer) = request(metrics, "GET", "/readyz").await;
        assert_eq!(status, 503);
        assert!(answer.ends_with("\r\npending: list of Services\n"));
        services.done();
        assert_eq!(request(metrics, "GET", "/readyz").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn healthz_tells_a_stuck_loop() {
    let (sources, _pending) = sources();
    let heartbeat = sources.heartbeat.clone();
    tokio::time::pause();
    tokio::time::advance(Heartbeat::LIMIT + Duration::from_secs(12)).await;
    tokio::time::resume();
    serve(sources, |_, metrics| async move {
        let (status, answer) = request(metrics, "GET", "/healthz").await;
        assert_eq!(status, 503);
        // And what has passed since.
        let (_, rest) = answer.split_once("has not turned for ").expect(&answer);
        let (seconds, _) = rest.split_once(" s").expect(&answer);
        assert!(seconds.parse::<u64>().unwrap() >= 42, "{answer}");
        heartbeat.tick();
        assert_eq!(request(metrics, "GET", "/healthz").await.0, 200);
    })
    .await;
}

#[test]
fn a_taken_port_is_an_error_that_names_the_flag() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let args = Args {
        admin_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        metrics_address: address,
    };
    let error = format!("{:#}", Bound::bind(&args).unwrap_err());
    assert!(
        error.starts_with(&format!(
            "can't listen on {address} (see --metrics-address): "
        )),
        "{error}"
    );
}
