//! What is sent again, and what never is; and limits that nobody set.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::{Scripted, ok};
use crate::support::backend::Backend;
use crate::support::client::{Connection, Version};
use crate::support::eventually::{PATIENCE, eventually};
use crate::support::isobath::Isobath;
use crate::support::manifest::{app, endpoint_slice, site};
use crate::support::port::Port;
use crate::support::stand::Stand;

/// Each connection answers one request and ends with the second, as one does that was closed while idle in the moment
/// when Envoy used it again.
async fn ends_with_the_second() -> Scripted {
    Scripted::start(|request| (request.nth == 1).then(|| ok(""))).await
}

/// RFC 9110, 9.2.2: what is idempotent may be repeated, what is not may have been done.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ended_while_idle_costs_no_idempotent_request() {
    let backend = ends_with_the_second().await;
    let mut manifests = backend.app("web");
    manifests.push(site("web", "web.test", "web:80"));
    manifests.push(
        site("more", "more.test", "web:80").annotate("projectcontour.io/retry-on", "retriable-4xx"),
    );
    manifests.push(
        site("never", "never.test", "web:80")
            .annotate("projectcontour.io/retry-on", "retriable-4xx")
            .annotate("projectcontour.io/num-retries", "-1"),
    );
    let stand = Stand::start(&manifests).await;
    let body = Bytes::from_static(b"12345");
    let none = Bytes::new();
    for (host, method, body, status, times) in [
        ("web.test", "GET", &none, 200, 2),
        ("web.test", "HEAD", &none, 200, 2),
        ("web.test", "OPTIONS", &none, 200, 2),
        ("web.test", "DELETE", &none, 200, 2),
        ("web.test", "PUT", &none, 200, 2),
        ("web.test", "PUT", &body, 503, 1),
        ("web.test", "POST", &none, 503, 1),
        ("web.test", "POST", &body, 503, 1),
        ("web.test", "PATCH", &body, 503, 1),
        ("web.test", "LOCK", &none, 503, 1),
        ("more.test", "GET", &none, 200, 2),
        ("more.test", "POST", &body, 503, 1),
        ("never.test", "GET", &none, 503, 1),
    ] {
        let mut connection = Connection::open(stand.isobath.http(), Version::H1, None)
            .await
            .unwrap();
        // Whatever was there before, the connection of this one has answered once, and is the only one.
        let first = connection.get("web.test", "/first").await.unwrap();
        assert_eq!(first.status, 200);
        let before = backend.heads().len();
        let sent = connection
            .send_body(
                Method::from_bytes(method.as_bytes()).unwrap(),
                host,
                "/second",
                // What a client may not ask for.
                &[("x-envoy-retry-on", "reset"), ("x-envoy-max-retries", "9")],
                body.clone(),
            )
            .await
            .unwrap();
        let heads = backend.heads().split_off(before);
        assert_eq!(
            (sent.status, heads.len()),
            (status, times),
            "{method} {host} with {} bytes: {heads:?}",
            body.len()
        );
        for head in heads {
            assert!(!head.contains("retry"), "{head}");
        }
    }
}

/// Connections that are given up before the back end gives them up.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_as_long_as_the_service_says() {
    let backend = ends_with_the_second().await;
    for (annotate, flags) in [
        (true, &[][..]),
        (false, &["--envoy-upstream-idle-timeout", "50ms"]),
        (true, &["--envoy-upstream-idle-timeout", "1h"]),
    ] {
        let mut manifests = backend.app("web");
        if annotate {
            let annotated = manifests[0].clone();
            manifests[0] = annotated.annotate("isobath.dev/upstream-idle-timeout", "50ms");
        }
        manifests.push(site("web", "web.test", "web:80"));
        let isobath = Isobath::start_with(&manifests, flags).await;
        let stand = Stand::on(isobath).await;
        let mut connection = Connection::open(stand.isobath.http(), Version::H1, None)
            .await
            .unwrap();
        for _ in 0..3 {
            let answer = connection
                .send(Method::POST, "web.test", "/", &[])
                .await
                .unwrap();
            assert_eq!(answer.status, 200, "{flags:?}");
            eventually("Envoy gives the idle connection up", async || {
                let stats = stand.envoy.stats("upstream_cx_active").await?;
                let active = stats.values().sum::<u64>();
                // The control plane's own.
                ensure!(active <= 1, "{stats:?}");
                anyhow::Ok(())
            })
            .await;
        }
    }
}

/// Where nothing was sent, everything may be sent elsewhere: any method, any size.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_costs_no_request_of_any_size() {
    let good = Backend::start("good").await;
    let nobody = Port::take();
    let mut manifests = app("web", &[&good]);
    manifests.push(endpoint_slice(
        "nobody",
        "web",
        "",
        &["127.0.0.1"],
        nobody.address().port(),
        true,
    ));
    manifests.push(site("web", "web.test", "web:80"));
    for version in [Version::H1, Version::H2] {
        // Envoy leaves an endpoint out after five failures, so each size has an Envoy that knows nothing yet.
        for size in [40_000, 1_000_000, 10_000_000] {
            let stand = Stand::start(&manifests).await;
            for nth in 0..8 {
                let mut connection = Connection::open(stand.isobath.http(), version, None)
                    .await
                    .unwrap();
                let body = Bytes::from(vec![0; size]);
                let answer = connection
                    .send_body(Method::POST, "web.test", "/", &[], body)
                    .await
                    .unwrap();
                assert_eq!(answer.status, 200, "{version:?} {size} {nth}");
                assert_eq!(answer.echo().body, size);
            }
        }
    }

    // Many at once, held until all are there. Envoy's own limit is three retries at a time.
    good.delay(Duration::from_millis(300));
    let stand = Stand::start(&manifests).await;
    let address = stand.isobath.http();
    let requests = (0..200).map(async |_| {
        let mut connection = Connection::open(address, Version::H1, None).await?;
        let answer = connection.send(Method::POST, "web.test", "/", &[]).await?;
        anyhow::Ok(answer.status)
    });
    let answers: Vec<_> = join_all(requests).await;
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| !matches!(answer, Ok(200)))
        .collect();
    assert!(failed.is_empty(), "{} of 200: {failed:?}", failed.len());
}

/// Envoy's own limit is 1,024 connections to a Service; one that somebody set holds.
#[tokio::test(flavor = "multi_thread")]
async fn websockets_are_as_many_as_come() {
    const MANY: usize = 1_100;
    let backend = Backend::start("web").await;
    let mut manifests = app("web", &[&backend]);
    manifests.push(site("web", "web.test", "web:80"));
    let mut few = app("few", &[&backend]);
    few[0] = few[0]
        .clone()
        .annotate("projectcontour.io/max-connections", "2")
        .annotate("projectcontour.io/max-pending-requests", "1");
    manifests.extend(few);
    manifests.push(site("few", "few.test", "few:80"));
    let stand = Stand::start(&manifests).await;
    let address = stand.isobath.http();
    let mut open = Vec::new();
    for _ in 0..MANY {
        open.push(ask_for_websocket(address, "web.test").await);
    }
    for (nth, stream) in open.iter_mut().enumerate() {
        assert_eq!(status(stream).await, "101", "{nth}");
    }
    // Envoy gives each of its workers one connection whatever the limit says, and keeps one request waiting: more than that
    // are refused, and counted.
    let workers = std::thread::available_parallelism().unwrap().get();
    for _ in 0..2 * workers + 20 {
        open.push(ask_for_websocket(address, "few.test").await);
    }
    eventually("what is too much is counted", async || {
        let refused = stand
            .envoy
            .stats("few.*upstream_rq_pending_overflow")
            .await?;
        ensure!(refused.values().sum::<u64>() > 0, "{refused:?}");
        Ok(())
    })
    .await;
}

async fn ask_for_websocket(address: SocketAddr, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn status(stream: &mut TcpStream) -> String {
    let mut start = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut start)).await;
    read.expect("an answer").unwrap();
    String::from_utf8_lossy(&start[9..]).into_owned()
}
