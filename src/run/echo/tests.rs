#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::body::to_bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::*;
use crate::supervisor::Supervisor;

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
