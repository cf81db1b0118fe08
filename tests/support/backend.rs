//! Real HTTP servers that say who they are and what reached them. A WebSocket upgrade is accepted, and its bytes
//! come back as they were sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::certificate::Leaf;

/// What a back end answers: itself, and the request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Echo {
    /// The back end's name.
    pub(crate) backend: String,
    /// The request's method.
    pub(crate) method: String,
    /// Its path with the query.
    pub(crate) path: String,
    /// Its `Host` or `:authority`.
    pub(crate) host: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: String,
    /// Whether it came over TLS.
    pub(crate) tls: bool,
    /// The server name of the TLS connection.
    pub(crate) sni: Option<String>,
    /// Its headers; values of one name are joined by `, `.
    pub(crate) headers: BTreeMap<String, String>,
    /// The length of its body.
    pub(crate) body: usize,
}

#[derive(Debug)]
struct State {
    name: String,
    requests: AtomicU64,
    connections: AtomicU64,
    delay_ms: AtomicU64,
    fails: AtomicBool,
    last: Mutex<Option<Instant>>,
}

/// A running back end; dropping it closes its port and its connections.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Backend {
    /// Serves HTTP/1.1 and HTTP/2 with prior knowledge (h2c), without TLS.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, Ipv4Addr::LOCALHOST).await
    }

    /// The same on another address of this host.
    pub(crate) async fn start_at(name: &str, ip: Ipv4Addr) -> Self {
        Self::at(name, (ip, 0).into()).await
    }

    /// The same on an address and a port that the test chooses.
    pub(crate) async fn at(name: &str, address: SocketAddr) -> Self {
        Self::serve(name, address, None).await
    }

    /// Serves HTTP/1.1 and HTTP/2, as ALPN decides, over TLS with this certificate.
    pub(crate) async fn tls(name: &str, leaf: &Leaf) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(leaf.server_config(&["h2", "http/1.1"])));
        Self::serve(name, (Ipv4Addr::LOCALHOST, 0).into(), Some(acceptor)).await
    }

    async fn serve(name: &str, address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            name: name.to_owned(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            delay_ms: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            last: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, state.clone(), tls));
        Self {
            address,
            state,
            task,
        }
    }

    /// The name in its answers.
    pub(crate) fn name(&self) -> &str {
        &self.state.name
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has received.
    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// When it has received the last one.
    pub(crate) fn last(&self) -> Option<Instant> {
        *self.state.last.lock().unwrap()
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// From now on holds each request this long before it answers.
    pub(crate) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(millis, Ordering::Relaxed);
    }

    /// From now on answers 503.
    pub(crate) fn fail(&self) {
        self.state.fails.store(true, Ordering::Relaxed);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, tls: Option<TlsAcceptor>) {
    // Owned by this task, so that its end is the connections' end.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, tls) = (state.clone(), tls.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve_connection(stream, state, None).await,
                Some(acceptor) => {
                    // A failed handshake is the client's to report.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let sni = stream.get_ref().1.server_name().map(str::to_owned);
                        serve_connection(stream, state, Some(sni)).await;
                    }
                }
            }
        });
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<State>,
    tls: Option<Option<String>>,
) {
    let service = service_fn(|request| {
        let (state, tls) = (state.clone(), tls.clone());
        async move { Ok::<_, Infallible>(answer(request, &state, tls).await) }
    });
    // How a connection ends is the client's to report.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    state: &State,
    tls: Option<Option<String>>,
) -> Response<Full<Bytes>> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    *state.last.lock().unwrap() = Some(Instant::now());
    if request.headers().contains_key(http::header::UPGRADE) {
        return upgrade(request);
    }
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes().len(),
        Err(error) => return plain(400, format!("body: {error}")),
    };
    let delay = Duration::from_millis(state.delay_ms.load(Ordering::Relaxed));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if state.fails.load(Ordering::Relaxed) {
        return plain(503, "told to fail".to_owned());
    }
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers
            .entry(name.to_string())
            .and_modify(|all| *all = format!("{all}, {value}"))
            .or_insert(value);
    }
    let authority = head.uri.authority().map(ToString::to_string);
    let echo = Echo {
        backend: state.name.clone(),
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        host: authority
            .or_else(|| headers.get("host").cloned())
            .unwrap_or_default(),
        version: format!("{:?}", head.version),
        tls: tls.is_some(),
        sni: tls.flatten(),
        headers,
        body,
    };
    let mut response = Response::new(Full::from(serde_json::to_vec(&echo).unwrap()));
    response
        .headers_mut()
        .insert("x-backend", state.name.parse().unwrap());
    response
}

fn upgrade(request: Request<Incoming>) -> Response<Full<Bytes>> {
    tokio::spawn(async move {
        if let Ok(stream) = hyper::upgrade::on(request).await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(stream));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    let mut response = plain(101, String::new());
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    response
}

fn plain(status: u16, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}
