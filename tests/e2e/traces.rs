//! Traces of requests, as flags ask for them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use tokio::net::TcpListener;

use crate::check::apps;
use crate::support::certificate::Authority;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::site;
use crate::support::stand::Stand;

/// What was sent to `/v1/traces`, as OTLP has it: protobuf, in which texts are as they are.
type Spans = Arc<Mutex<Vec<u8>>>;

async fn start_collector() -> (SocketAddr, Spans) {
    let spans = Spans::default();
    let keep = async |State(spans): State<Spans>, body: Bytes| {
        spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(body);
    };
    let app = Router::new()
        .route("/v1/traces", axum::routing::post(keep))
        .with_state(spans.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, spans)
}

/// Over QUIC too: Envoy would refuse a listener whose collector it does not know.
#[tokio::test]
async fn spans_come_to_the_collector() {
    let (address, spans) = start_collector().await;
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    manifests.push(Authority::new().leaf(&["web.test"]).secret("web"));
    let url = format!("http://{address}/v1/traces");
    let flags = [
        "--envoy-tracing-collector",
        &url,
        "--envoy-tracing-service",
        "edge-of-test",
        "--envoy-tracing-tag",
        "zone=north,team=%REQ(X-Team)%",
        "--envoy-http3",
    ];
    let isobath = Isobath::start_with(&manifests, &flags).await;
    let stand = Stand::on(isobath).await;
    assert_eq!(stand.get("web.test", "/").await.unwrap().status, 200);
    eventually("the span is there", async || {
        let spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
        for text in ["edge-of-test", "zone", "north"] {
            let is_there = spans.windows(text.len()).any(|it| it == text.as_bytes());
            ensure!(is_there, "no {text} in {} bytes", spans.len());
        }
        Ok(())
    })
    .await;
}
