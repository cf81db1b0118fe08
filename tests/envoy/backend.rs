//! A back end that answers what it received, as text: request line, then sorted headers. It sets the cookie of
//! `X-Echo-Cookie`, it leads to `X-Echo-Location`, and its status is that of `X-Echo-Status`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Version};

/// Starts it on a free port of the loopback address, until the runtime ends. It speaks HTTP/1.1 and HTTP/2.
pub async fn start(name: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(move |request: Request| async move { echo(name, &request) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

type Headers = [(&'static str, &'static str); 2];

fn echo(name: &str, request: &Request) -> (StatusCode, HeaderMap, Headers, String) {
    let version = match request.version() {
        Version::HTTP_2 => "h2",
        _ => "h1",
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let mut lines: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")))
        .collect();
    lines.sort();
    let body = format!(
        "{name} {version} {} {path}\n{}\n",
        request.method(),
        lines.join("\n")
    );
    let mut asked_for = HeaderMap::new();
    for (asked, name) in [
        ("x-echo-cookie", "set-cookie"),
        ("x-echo-location", "location"),
    ] {
        if let Some(value) = request.headers().get(asked) {
            asked_for.append(name, value.clone());
        }
    }
    let asked = request.headers().get("x-echo-status");
    let status = asked.and_then(|it| StatusCode::from_bytes(it.as_bytes()).ok());
    let status = status.unwrap_or(StatusCode::OK);
    (
        status,
        asked_for,
        [("server", "echo"), ("x-secret", "inner")],
        body,
    )
}
