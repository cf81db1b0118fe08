//! What becomes of answers on their way, on a real Envoy with a real back end: compression, and gRPC for browsers.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use isobath::model::{Algorithm, ClusterSettings, Compression, Filters, Route, UpstreamProtocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, plain, request};
use crate::fixture::{World, cluster_with, forward};
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::{HOST, to};

/// A back end that answers with so many bytes of this type, as the path says: `/ROUTE/LENGTH/TYPE/SUBTYPE`, and with the header
/// in `X-Say`.
async fn start() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|request: Request| async move { answer(&request) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn answer(request: &Request) -> Response<Body> {
    let content_type = request.headers().get("content-type");
    let content_type = content_type.map_or("", |it| it.to_str().unwrap());
    if content_type.starts_with("application/grpc") && !content_type.contains("web") {
        return call();
    }
    let parts: Vec<&str> = request.uri().path().splitn(4, '/').collect();
    let length: usize = parts[2].parse().unwrap();
    let mut answer = Response::builder()
        .header("content-type", parts[3].replace("%3B", ";"))
        .header("etag", "\"strong\"");
    if let Some(said) = request.headers().get("x-say") {
        let (name, value) = said.to_str().unwrap().split_once(": ").unwrap();
        answer = answer.header(name.to_owned(), value.to_owned());
    }
    answer.body(Body::from("a".repeat(length))).unwrap()
}

/// One message, and the status behind it.
fn call() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[
            0, 0, 0, 0, 2, b'h', b'i',
        ]))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
    let answer = Response::builder().header("content-type", "application/grpc+proto");
    answer.body(body).unwrap()
}

fn filtered(path: &str, filters: Filters) -> Route {
    Route {
        filters: Some(Box::new(filters)),
        ..to(path, forward(&["a"]))
    }
}

fn compressed(path: &str, algorithms: &[Algorithm], types: &[&str]) -> Route {
    filtered(
        path,
        Filters {
            compression: Some(Compression::new(algorithms, types).unwrap()),
            ..Filters::default()
        },
    )
}

/// Path, headers, and of the answer its encoding.
const ROWS: &[(&str, &[&str], &str)] = &[
    ("/all/5000/text/plain", &["Accept-Encoding: gzip"], "gzip"),
    ("/all/5000/text/plain", &["Accept-Encoding: br"], "br"),
    ("/all/5000/text/plain", &["Accept-Encoding: zstd"], "zstd"),
    (
        "/all/5000/text/plain",
        &["Accept-Encoding: gzip, br, zstd"],
        "br",
    ),
    ("/all/5000/text/plain", &["Accept-Encoding: *"], "br"),
    (
        "/all/5000/text/plain",
        &["Accept-Encoding: br;q=0.1, gzip"],
        "gzip",
    ),
    ("/all/5000/text/plain", &["Accept-Encoding: br;q=0"], ""),
    ("/all/5000/text/plain", &["Accept-Encoding: deflate"], ""),
    ("/all/5000/text/plain", &["Accept-Encoding: identity"], ""),
    ("/all/5000/text/plain", &[], ""),
    ("/all/1024/text/plain", &["Accept-Encoding: gzip"], "gzip"),
    ("/all/1023/text/plain", &["Accept-Encoding: gzip"], ""),
    (
        "/all/5000/text/plain%3Bcharset=utf-8",
        &["Accept-Encoding: gzip"],
        "gzip",
    ),
    ("/all/5000/TEXT/Plain", &["Accept-Encoding: gzip"], "gzip"),
    ("/all/5000/text/plainer", &["Accept-Encoding: gzip"], ""),
    ("/all/5000/image/png", &["Accept-Encoding: gzip"], ""),
    (
        "/all/5000/text/plain",
        &["Accept-Encoding: gzip", "X-Say: content-encoding: br"],
        "br",
    ),
    (
        "/all/5000/text/plain",
        &[
            "Accept-Encoding: gzip",
            "X-Say: cache-control: no-transform",
        ],
        "",
    ),
    ("/gzip/5000/text/plain", &["Accept-Encoding: br"], ""),
    (
        "/gzip/5000/text/plain",
        &["Accept-Encoding: br, gzip;q=0.1"],
        "gzip",
    ),
    (
        "/own/5000/application/x-own",
        &["Accept-Encoding: gzip"],
        "gzip",
    ),
    ("/own/5000/text/html", &["Accept-Encoding: gzip"], ""),
    (
        "/none/5000/text/plain",
        &["Accept-Encoding: gzip, br, zstd"],
        "",
    ),
];

/// An answer without its body, which need not be text, and the length of that.
async fn bytes(proxy: &Proxy, path: &str, headers: &[&str]) -> (Answer, usize) {
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let request = request("GET", HOST, path, headers);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let answer = Answer {
        status: status.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: String::new(),
    };
    (answer, bytes.len() - end - 4)
}

#[tokio::test]
async fn answers_are_made_smaller() {
    let Some(envoy) = envoy() else { return };
    if !makes_all_filters(&envoy) {
        return;
    }
    let all = [Algorithm::Brotli, Algorithm::Zstd, Algorithm::Gzip];
    let world = World::new().cluster("a", &[start().await]).http(
        HOST,
        vec![
            compressed("/all", &all, &Compression::CONTENT_TYPES),
            compressed("/gzip", &[Algorithm::Gzip], &Compression::CONTENT_TYPES),
            compressed("/own", &all, &["Application/X-Own"]),
            to("/none", forward(&["a"])),
        ],
    );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (path, headers, expected) in ROWS {
        let (answer, length) = bytes(&proxy, path, headers).await;
        let found = answer.header("content-encoding").unwrap_or_default();
        if found != *expected || answer.status != 200 {
            wrong.push(format!("{path} {headers:?}: {} {found:?}", answer.status));
        }
        if !expected.is_empty() && !headers.iter().any(|it| it.starts_with("X-Say")) {
            assert!(length < 500, "{path}: {length}");
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{path}");
            assert_eq!(answer.header("etag"), Some("W/\"strong\""), "{path}");
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// A call as a browser makes it.
async fn browser(proxy: &Proxy, path: &str, content_type: &str, body: &str) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let content_type = format!("Content-Type: {content_type}");
    let accept = content_type.replace("Content-Type", "Accept");
    let head = request("POST", HOST, path, &[&content_type, &accept, &length]);
    plain(proxy.http, &format!("{head}{body}")).await
}

#[tokio::test]
async fn browsers_speak_grpc() {
    let Some(envoy) = envoy() else { return };
    if !makes_all_filters(&envoy) {
        return;
    }
    let web = Filters {
        grpc_web: true,
        ..Filters::default()
    };
    let settings = ClusterSettings {
        protocol: UpstreamProtocol::H2c,
        ..ClusterSettings::default()
    };
    let world = World::new()
        .cluster_with(&cluster_with("a", settings), &[start().await])
        .http(
            HOST,
            vec![filtered("/web", web), to("/not", forward(&["a"]))],
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let message = "\0\0\0\0\u{2}hi";
    let answer = browser(&proxy, "/web/0/a", "application/grpc-web+proto", message).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/grpc-web+proto")
    );
    assert!(answer.body.starts_with(message), "{answer:?}");
    // The trailers are the last frame of the body.
    assert!(answer.body.contains("grpc-status:0"), "{answer:?}");
    let text = browser(
        &proxy,
        "/web/0/a",
        "application/grpc-web-text+proto",
        "AAAAAAJoaQ==",
    )
    .await;
    assert_eq!(
        text.header("content-type"),
        Some("application/grpc-web-text+proto")
    );
    assert!(text.body.starts_with("AAAAAAJoaQ"), "{text:?}");
    // Without it the back end sees what the browser sent, which is none of its calls.
    let other = browser(
        &proxy,
        "/not/3/text/plain",
        "application/grpc-web+proto",
        message,
    )
    .await;
    assert_eq!(other.body, "aaa");
    proxy.assert_content();
}
