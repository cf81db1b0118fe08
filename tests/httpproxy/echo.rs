//! Back ends that say what reached them, and do what the query of a request says.
//!
//! Each has four ports: 80 (HTTP/1.1, and HTTP/2 with prior knowledge), 81 (the same), 443 (TLS, asks for a
//! certificate) and 9 (answers the back end's name and what was sent). Of a query mean something: `delay=500ms`,
//! `status=302`, `h=name:value` (a header of the answer, often), `big=1` (a long body), `tell=NAMES` (a header `x-told` with
//! the values of these headers of the request, its method and its path), and `fail=ID&times=N&code=C`: the
//! first N requests of that ID get C (503), whichever back end has them; `x-tries` says how many there were.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::certificate::{Authority, Leaf};

/// Ports of a Service, and the names that slices have for them.
pub(crate) const PORTS: [(u16, &str); 4] = [(80, "http"), (81, "other"), (443, "tls"), (9, "tcp")];

/// What all back ends share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// How many requests of each `fail=` there were.
    tries: Mutex<BTreeMap<String, u32>>,
    /// How many requests of each host each back end got.
    requests: Mutex<BTreeMap<(String, String), u32>>,
}

impl Shared {
    /// How many requests of a host a back end got.
    pub(crate) fn requests(&self, backend: &str, host: &str) -> u32 {
        let requests = self.requests.lock().unwrap();
        let key = (backend.to_owned(), host.to_owned());
        requests.get(&key).copied().unwrap_or(0)
    }
}

/// One back end. It serves as long as the test.
#[derive(Debug)]
pub(crate) struct Echo {
    /// Its name.
    pub(crate) name: String,
    /// Where it listens, in the order of [`PORTS`].
    pub(crate) addresses: [SocketAddr; 4],
}

struct Server {
    name: String,
    /// Answers 503 to `/health`.
    is_sick: bool,
    shared: Arc<Shared>,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default)]
struct Seen {
    port: u16,
    tls: Option<String>,
    sni: Option<String>,
    peer: Option<String>,
}

impl Echo {
    /// Starts one at this address; one that is not of 127.0.0.0/8 is a network's of the test's own, and then it is at
    /// 127.0.0.1 as well. Its certificate is `leaf`; clients may show one of `clients`.
    pub(crate) async fn start(
        name: &str,
        at: Ipv4Addr,
        shared: &Arc<Shared>,
        leaf: &Leaf,
        clients: &Authority,
    ) -> Self {
        let server = Arc::new(Server {
            name: name.to_owned(),
            is_sick: name == "sick",
            shared: shared.clone(),
        });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(clients.roots(), provider)
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = leaf.server_config_for(&["h2", "http/1.1"], verifier);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut addresses = Vec::new();
        let listen = match at.is_loopback() {
            true => at,
            false => Ipv4Addr::UNSPECIFIED,
        };
        for (port, kind) in PORTS {
            let listener = TcpListener::bind((listen, 0)).await.unwrap();
            let number = listener.local_addr().unwrap().port();
            addresses.push(SocketAddr::from((at, number)));
            let (server, acceptor) = (server.clone(), acceptor.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    let (server, acceptor) = (server.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        match kind {
                            "tcp" => server.lines(stream).await,
                            "tls" => server.tls(stream, acceptor, port).await,
                            _ => {
                                let seen = Seen {
                                    port,
                                    ..Seen::default()
                                };
                                server.http(stream, seen).await;
                            }
                        }
                    });
                }
            });
        }
        Self {
            name: name.to_owned(),
            addresses: addresses.try_into().unwrap(),
        }
    }
}

impl Server {
    /// How a connection ends is the client's to report, here and below.
    async fn lines(&self, mut stream: TcpStream) {
        let mut bytes = [0; 256];
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            let text = String::from_utf8_lossy(&bytes[..length]);
            let answer = format!("{} {text}", self.name);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn tls(self: Arc<Self>, stream: TcpStream, acceptor: TlsAcceptor, port: u16) {
        let Ok(stream) = acceptor.accept(stream).await else {
            return;
        };
        let session = stream.get_ref().1;
        let version = session.protocol_version().unwrap();
        let peer = session.peer_certificates().and_then(|chain| chain.first());
        let seen = Seen {
            port,
            tls: Some(format!("{version:?}").replace("TLSv1_", "TLS 1.")),
            sni: session.server_name().map(str::to_owned),
            peer: peer.map(|leaf| common_name(leaf)),
        };
        self.http(stream, seen).await;
    }

    async fn http(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        seen: Seen,
    ) {
        let service = service_fn(|request| {
            let (server, seen) = (self.clone(), seen.clone());
            async move { Ok::<_, Infallible>(server.answer(request, seen).await) }
        });
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>, seen: Seen) -> Response<Full<Bytes>> {
        let query = Query::of(request.uri().query().unwrap_or(""));
        let host = request.uri().authority().map(ToString::to_string);
        let header = request.headers().get("host");
        let host = host.or_else(|| header.map(|it| it.to_str().unwrap_or("?").to_owned()));
        let host = host.unwrap_or_default();
        let key = (self.name.clone(), host.clone());
        *self.shared.requests.lock().unwrap().entry(key).or_default() += 1;
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert("x-backend", self.name.parse().unwrap());
        if request.headers().contains_key(http::header::UPGRADE) {
            headers.insert("connection", HeaderValue::from_static("upgrade"));
            headers.insert("upgrade", HeaderValue::from_static("websocket"));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            return response;
        }
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for header in query.all("h") {
            let (name, value) = header.split_once(':').unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        if let Some(names) = query.one("tell") {
            let told = |name: &str| match name {
                "method" => request.method().to_string(),
                "path" => request.uri().to_string(),
                name => {
                    let value = request.headers().get(name);
                    let value = value.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
                    value.unwrap_or_else(|| "-".to_owned())
                }
            };
            let told: Vec<String> = names.split(',').map(told).collect();
            headers.insert("x-told", told.join("|").parse().unwrap());
        }
        let mut status = query.one("status").map_or(200, |it| it.parse().unwrap());
        if let Some(id) = query.one("fail") {
            let tries = {
                let mut tries = self.shared.tries.lock().unwrap();
                let tries = tries.entry(id.to_owned()).or_default();
                *tries += 1;
                *tries
            };
            headers.insert("x-tries", tries.into());
            if tries <= query.one("times").map_or(1, |it| it.parse().unwrap()) {
                status = query.one("code").map_or(503, |it| it.parse().unwrap());
            }
        }
        if self.is_sick && request.uri().path() == "/health" {
            status = 503;
        }
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let (head, body) = request.into_parts();
        let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
        if let Some(delay) = query.one("delay") {
            tokio::time::sleep(duration(delay)).await;
        }
        let mut told = json!({
            "backend": self.name, "port": seen.port, "tls": seen.tls, "sni": seen.sni, "peer": seen.peer,
            "method": head.method.as_str(), "host": host, "proto": format!("{:?}", head.version), "blen": length,
            "path": head.uri.path_and_query().map_or("", |path| path.as_str()), "headers": {},
        });
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let held = &mut told["headers"][name.as_str()];
            *held = match held.as_str() {
                Some(other) => format!("{other}, {value}").into(),
                None => Value::from(value),
            };
        }
        if query.one("big").is_some() {
            told["padding"] = "many words ".repeat(500).into();
        }
        *response.body_mut() = Full::from(told.to_string());
        response
    }
}

struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(
            pairs
                .map(|(key, value)| (key.to_owned(), decoded(value)))
                .collect(),
        )
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(found, _)| found == key);
        pairs.map(|(_, value)| &**value)
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }
}

/// `%3B` and `+` of a query.
fn decoded(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).unwrap()
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(millis.parse().unwrap()),
        None => Duration::from_secs(text.trim_end_matches('s').parse().unwrap()),
    }
}

fn common_name(leaf: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(leaf).unwrap();
    let name = certificate.subject().iter_common_name().next().unwrap();
    name.as_str().unwrap().to_owned()
}
