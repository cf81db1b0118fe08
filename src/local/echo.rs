//! The built-in backend: answers every request with what it received, as JSON.
//!
//! It speaks what a Service may say that it speaks, on every port: HTTP/1.1 and HTTP/2, in clear and by TLS (the first
//! byte of a connection tells), repeats what a WebSocket sends, sends events to whoever accepts nothing else, and is
//! healthy to gRPC.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificate;
use crate::objects::NamespacedName;
use crate::process::http::{self, Limits};
use crate::process::supervisor::Stop;

mod grpc;
mod websocket;

/// Service ports with a listener of their own, whose answers name the Service. Beyond it, or where the process is out
/// of file descriptors, one listener answers for all the others.
const OWN_LISTENERS: usize = 256;

/// How much of a body is repeated.
const BODY: usize = 64 << 10;

/// How often an event is sent to whoever listens for them.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// WebSockets at one time; one more is refused.
const WEBSOCKETS: usize = 1024;

/// Envoy keeps its connections as long as it likes: a backend that closed them when idle would make 503s.
pub(super) const LIMITS: Limits = Limits {
    connections: 4096,
    header_timeout: None,
    write_timeout: None,
};

/// Hands out addresses of echo backends.
#[derive(Debug)]
pub struct Echo {
    common: SocketAddr,
    own: BTreeMap<(NamespacedName, u16), SocketAddr>,
    server: mpsc::UnboundedSender<Listener>,
}

/// Serves them.
pub struct Server {
    listeners: mpsc::UnboundedReceiver<Listener>,
    tls: TlsAcceptor,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

type Listener = (TcpListener, Option<Arc<str>>);

/// Binds the common listener, on loopback and any free port.
///
/// # Errors
///
/// When it can't be bound.
pub fn bind() -> anyhow::Result<(Echo, Server)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (common, listener) = listen().context("can't listen on loopback for the echo backend")?;
    sender.send((listener, None))?;
    let echo = Echo {
        common,
        own: BTreeMap::new(),
        server: sender,
    };
    let server = Server {
        listeners: receiver,
        tls: acceptor()?,
    };
    Ok((echo, server))
}

/// TLS with a certificate that nobody checks: Envoy takes any of a back end.
fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let names = BTreeSet::from(["echo.localhost".into()]);
    let made = certificate::self_signed(&names).map_err(anyhow::Error::msg)?;
    let chain = CertificateDer::from_pem_slice(made.chain.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(made.key.expose().as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Echo {
    /// The address that answers for this port of this Service. It stays the same, whether the Service is there or not:
    /// someone who comments it out and in again gets the same bytes.
    pub fn address(&mut self, service: &NamespacedName, port: u16) -> SocketAddr {
        let key = (service.clone(), port);
        if let Some(address) = self.own.get(&key) {
            return *address;
        }
        if self.own.len() >= OWN_LISTENERS {
            return self.common;
        }
        let Ok((address, listener)) = listen() else {
            return self.common;
        };
        let name = format!("{service}:{port}");
        if self.server.send((listener, Some(name.into()))).is_err() {
            // The server has ended, and with it soon the process.
            return self.common;
        }
        self.own.insert(key, address);
        address
    }
}

impl Server {
    /// Runs until asked to stop.
    ///
    /// # Errors
    ///
    /// When a listener can't be taken over by the runtime.
    pub async fn run(mut self, mut stop: Stop) -> anyhow::Result<()> {
        let mut servers = JoinSet::new();
        let mut websockets = JoinSet::new();
        let (upgrades, mut upgraded) = mpsc::channel::<OnUpgrade>(WEBSOCKETS);
        loop {
            let (listener, service) = tokio::select! {
                () = stop.requested() => return Ok(()),
                Some(ended) = servers.join_next() => {
                    ended.context("an echo listener failed")??;
                    continue;
                }
                Some(_) = websockets.join_next() => continue,
                Some(upgrade) = upgraded.recv() => {
                    if websockets.len() < WEBSOCKETS {
                        websockets.spawn(repeat(upgrade));
                    }
                    continue;
                }
                Some(next) = self.listeners.recv() => next,
            };
            let echo = Connections {
                service,
                tls: self.tls.clone(),
                upgrades: upgrades.clone(),
            };
            let serve = move |stream| echo.clone().serve(stream);
            servers.spawn(http::accept(listener, serve, LIMITS, stop.clone()));
        }
    }
}

/// The other side of an upgrade. It fails when the client goes away, which is no news.
async fn repeat(upgrade: OnUpgrade) {
    if let Ok(upgraded) = upgrade.await {
        let upgraded: TokioIo<Upgraded> = TokioIo::new(upgraded);
        let _ = websocket::echo(upgraded).await;
    }
}

/// Serves the connections of one listener.
#[derive(Clone)]
struct Connections {
    service: Option<Arc<str>>,
    tls: TlsAcceptor,
    upgrades: mpsc::Sender<OnUpgrade>,
}

/// What is known of a connection's requests.
#[derive(Clone)]
struct ConnectionInfo {
    service: Option<Arc<str>>,
    tls: bool,
    upgrades: mpsc::Sender<OnUpgrade>,
}

impl Connections {
    async fn serve(self, stream: TcpStream) {
        /// The first byte of a TLS record with a handshake; no HTTP begins so.
        const HANDSHAKE: u8 = 0x16;
        let mut first = [0];
        // Waits until there is one. A client that says nothing goes as every idle one does.
        if !matches!(stream.peek(&mut first).await, Ok(1)) {
            return;
        }
        let tls = first[0] == HANDSHAKE;
        let router = Router::new().fallback(answer).with_state(ConnectionInfo {
            service: self.service,
            tls,
            upgrades: self.upgrades,
        });
        let mut builder = http::builder(LIMITS);
        // WebSockets over HTTP/2 (RFC 8441), as Envoy asks for them.
        builder.http2().enable_connect_protocol();
        if !tls {
            http::connection(stream, builder, router).await;
        } else if let Ok(stream) = self.tls.accept(stream).await {
            http::connection(stream, builder, router).await;
        }
    }
}

pub(super) fn listen() -> std::io::Result<(SocketAddr, TcpListener)> {
    let listener = http::listen((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok((listener.local_addr()?, listener))
}

/// What was received.
#[derive(Serialize)]
struct Answer<'a> {
    /// The Service and port in whose name it is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    version: &'a str,
    /// Whether it came by TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls: bool,
    headers: BTreeMap<&'a str, Vec<String>>,
    body: String,
    body_bytes: u64,
}

async fn answer(State(connection): State<ConnectionInfo>, mut request: Request) -> Response {
    if grpc::is_call(&request) {
        return grpc::answer(request.uri().path());
    }
    if is_upgrade(&request) {
        return upgrade(&connection, &mut request);
    }
    let (head, body) = request.into_parts();
    let (body, body_bytes) = read(body).await;
    let answer = Answer {
        service: connection.service.as_deref(),
        method: head.method.as_str(),
        host: host(&head),
        path: head.uri.path(),
        query: head.uri.query(),
        version: version(head.version),
        tls: connection.tls,
        headers: headers(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        body_bytes,
    };
    let accept = head.headers.get(header::ACCEPT);
    if accept.is_some_and(|accept| accept.as_bytes().starts_with(EVENT_STREAM.as_bytes())) {
        // A struct of strings and numbers always serialises.
        return events(serde_json::to_string(&answer).unwrap_or_default());
    }
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

const WEBSOCKET: &str = "websocket";

const EVENT_STREAM: &str = "text/event-stream";

/// The request as the first event, and one more each second for as long as the client listens.
fn events(first: String) -> Response {
    let first = futures::stream::iter([format!("data: {first}\n\n")]);
    let ticks = futures::stream::unfold(1_u64, |number| async move {
        tokio::time::sleep(EVENT_INTERVAL).await;
        Some((format!("event: tick\ndata: {number}\n\n"), number + 1))
    });
    let body = first.chain(ticks).map(Ok::<_, std::convert::Infallible>);
    let content_type = [(header::CONTENT_TYPE, EVENT_STREAM)];
    (content_type, Body::from_stream(body)).into_response()
}

fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    let protocol = request.extensions().get::<Protocol>();
    upgrade.is_some_and(|upgrade| {
        upgrade
            .as_bytes()
            .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    }) || protocol.is_some_and(|protocol| protocol.as_str() == WEBSOCKET)
}

/// Agrees to a WebSocket (RFC 6455, section 4.2; RFC 8441, where 200 is the answer and the key is only passed on).
fn upgrade(connection: &ConnectionInfo, request: &mut Request) -> Response {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accept = key.and_then(|key| key.to_str().ok()).map(websocket::accept);
    let is_http2 = request.version() == Version::HTTP_2;
    if accept.is_none() && !is_http2 {
        return (StatusCode::BAD_REQUEST, "no Sec-WebSocket-Key\n").into_response();
    }
    if connection
        .upgrades
        .try_send(hyper::upgrade::on(request))
        .is_err()
    {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets\n").into_response();
    }
    let accept = accept.map(|accept| [(header::SEC_WEBSOCKET_ACCEPT, accept)]);
    let accept = accept.into_iter().flatten().collect::<Vec<_>>();
    let accept = axum::response::AppendHeaders(accept);
    if is_http2 {
        return (StatusCode::OK, accept).into_response();
    }
    let agreed = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, WEBSOCKET),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, agreed, accept).into_response()
}

/// The host that a request is for, empty where it is not text.
pub(super) fn host(head: &Parts) -> &str {
    let host = head.headers.get(header::HOST);
    let authority = head.uri.authority().map(|authority| authority.as_str());
    authority
        .or_else(|| host?.to_str().ok())
        .unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str()).or_default().push(value);
    }
    all
}

/// The beginning of the body, and how long it was. A body that is cut off counts as far as it came.
async fn read(body: Body) -> (Vec<u8>, u64) {
    let (mut kept, mut length) = (Vec::new(), 0);
    let mut stream = body.into_data_stream();
    while let Some(Ok(data)) = stream.next().await {
        length += data.len() as u64;
        let room = BODY.saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    (kept, length)
}

#[cfg(test)]
mod tests;
