#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::body::to_bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::*;
use crate::process::supervisor::Supervisor;

/// Runs the echo server while `check` runs.
async fn serve(server: Server, check: impl Future<Output = ()> + Send + 'static) {
    let mut supervisor = Supervisor::new();
    supervisor.add("echo", |stop| server.run(stop));
    supervisor.add_finite("check", |_| async {
        check.await;
        Ok(())
    });
    supervisor.run().await.unwrap();
}

fn web() -> NamespacedName {
    NamespacedName::new("default", "web")
}

async fn json(response: hyper::Response<hyper::body::Incoming>) -> Value {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = to_bytes(Body::new(response.into_body()), usize::MAX)
        .await
        .unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn it_answers_what_it_received() {
    let (mut echo, server) = bind().unwrap();
    let address = echo.address(&web(), 80);
    serve(server, async move {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut client, connection) = http1::handshake(io).await.unwrap();
        let request = hyper::Request::post("/a/b?c=d")
            .header("host", "shop.localhost")
            .header("x-twice", "1")
            .header("x-twice", "2")
            .body("héllo".to_owned())
            .unwrap();
        let response = tokio::select! {
            response = client.send_request(request) => response.unwrap(),
            _ = connection => panic!("the connection ended"),
        };
        assert_eq!(
            json(response).await,
            json!({
                "service": "default/web:80",
                "method": "POST",
                "host": "shop.localhost",
                "path": "/a/b",
                "query": "c=d",
                "version": "HTTP/1.1",
                "headers": {"host": ["shop.localhost"], "x-twice": ["1", "2"], "content-length": ["6"]},
                "body": "héllo",
                "body_bytes": 6,
            })
        );
    })
    .await;
}

#[tokio::test]
async fn it_speaks_http2_and_bounds_what_it_repeats() {
    let (mut echo, server) = bind().unwrap();
    let address = echo.address(&web(), 80);
    serve(server, async move {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let request = hyper::Request::put("http://shop.localhost/")
            .body("x".repeat(BODY + 1))
            .unwrap();
        let answer = async { json(client.send_request(request).await.unwrap()).await };
        let answer = tokio::select! {
            answer = answer => answer,
            _ = connection => panic!("the connection ended"),
        };
        assert_eq!(answer["version"], "HTTP/2.0");
        assert_eq!(answer["host"], "shop.localhost");
        assert_eq!(answer["body_bytes"], BODY + 1);
        assert_eq!(answer["body"].as_str().unwrap().len(), BODY);
    })
    .await;
}

#[tokio::test]
async fn every_service_port_has_its_address_up_to_a_bound() {
    let (mut echo, server) = bind().unwrap();
    let first = echo.address(&web(), 80);
    assert_eq!(echo.address(&web(), 80), first);
    assert_ne!(echo.address(&web(), 81), first);
    for port in 0..2 * OWN_LISTENERS as u16 {
        echo.address(&web(), 1000 + port);
    }
    let common = echo.common;
    assert_eq!(echo.address(&web(), 9), common);
    serve(server, async move {
        let io = TokioIo::new(TcpStream::connect(common).await.unwrap());
        let (mut client, connection) = http1::handshake(io).await.unwrap();
        let request = hyper::Request::get("/").body(String::new()).unwrap();
        let response = tokio::select! {
            response = client.send_request(request) => response.unwrap(),
            _ = connection => panic!("the connection ended"),
        };
        assert_eq!(json(response).await["service"], Value::Null);
        drop(echo);
    })
    .await;
}

/// A client, and what drives it.
async fn connect(address: SocketAddr) -> (http2::SendRequest<String>, JoinSet<()>) {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async { connection.await.unwrap_or_default() });
    (client, driver)
}

#[tokio::test]
async fn it_is_healthy_and_has_no_other_method() {
    let (mut echo, server) = bind().unwrap();
    let address = echo.address(&web(), 80);
    serve(server, async move {
        let (mut client, _driver) = connect(address).await;
        let mut call = async |path: &str| {
            let request = hyper::Request::post(format!("http://a.localhost{path}"))
                .header("content-type", "application/grpc")
                .body("\0\0\0\0\0".to_owned())
                .unwrap();
            client.send_request(request).await.unwrap()
        };
        let answer = call("/grpc.health.v1.Health/Check").await;
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        let collected = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(&collected.to_bytes()[..], b"\0\0\0\0\x02\x08\x01");
        // A watch says it once and stays open.
        let mut watch = call("/grpc.health.v1.Health/Watch").await.into_body();
        let first = http_body_util::BodyExt::frame(&mut watch)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&first.into_data().unwrap()[..], b"\0\0\0\0\x02\x08\x01");
        assert!(!hyper::body::Body::is_end_stream(&watch));
        let answer = call("/shop.Cart/Add").await;
        assert_eq!(answer.headers()["grpc-status"], "12");
        assert!(
            answer.headers()["grpc-message"]
                .to_str()
                .unwrap()
                .contains("--backend")
        );
    })
    .await;
}

#[tokio::test]
async fn it_sends_events_to_whoever_accepts_them() {
    let (mut echo, server) = bind().unwrap();
    let address = echo.address(&web(), 80);
    serve(server, async move {
        let (mut client, _driver) = connect(address).await;
        let request = hyper::Request::get("http://a.localhost/news")
            .header("accept", "text/event-stream")
            .body(String::new())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut body = answer.into_body();
        let mut text = String::new();
        while text.matches("\n\n").count() < 2 {
            let frame = http_body_util::BodyExt::frame(&mut body)
                .await
                .unwrap()
                .unwrap();
            text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        }
        assert!(
            text.starts_with("data: {\"service\":\"default/web:80\""),
            "{text}"
        );
        assert!(text.ends_with("event: tick\ndata: 1\n\n"), "{text}");
    })
    .await;
}
