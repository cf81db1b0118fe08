//! A proxy between Isobath and the API server that misbehaves as the test says, while it runs.
//!
//! It terminates TLS on both sides, so it can rewrite what passes; the API server sees the client
//! certificate that the proxy was given, whoever connects. Faults are of two kinds: of connections
//! ([`FaultProxy::cut`], [`FaultProxy::set_mode`]) and of requests ([`FaultProxy::on`], rules that are used
//! up one after another). Every request is recorded.
//!
//! Use it with `#[path = "support/fault_proxy.rs"] mod fault_proxy;`.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::type_complexity
)]

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// New ones are reset at once. Open ones go on.
    Refuse,
    /// Nothing passes any more, on open connections and new ones alike, and nothing ends.
    BlackHole,
}

/// How open connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN, in the middle of whatever was being sent.
    Close,
    /// RST.
    Reset,
    /// Not at all: they become black holes, each for itself, while new ones pass.
    Silence,
}

/// What happens to a request, or to its answer.
#[derive(Clone)]
pub enum Fault {
    /// It gets this answer and is not passed on: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// The answer's body is cut after so many bytes, and its connection with it.
    Truncate(usize),
    /// The answer's body ends after so many bytes as if it were whole.
    EndAfter(usize),
    /// The answer's body says nothing more after so many bytes, and does not end.
    StallAfter(usize),
    /// The answer's body comes byte by byte.
    OneByteChunks,
    /// The path and query that the server sees.
    RewriteUri(Arc<dyn Fn(&str) -> String + Send + Sync>),
    /// The whole body of an answer that ends.
    RewriteBody(Arc<dyn Fn(String) -> String + Send + Sync>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Path and query.
    pub uri: String,
    /// The header `authorization`.
    pub authorization: Option<String>,
}

/// Where the proxy leads, and as whom.
pub struct Upstream {
    /// The API server.
    pub address: SocketAddr,
    /// Its CA, as PEM.
    pub ca: String,
    /// The client certificate that it sees, as PEM; `None` where requests bring a token.
    pub identity: Option<(String, String)>,
}

struct Rule {
    matches: Box<dyn Fn(&str) -> bool + Send>,
    fault: Fault,
    left: usize,
}

struct Shared {
    upstream: SocketAddr,
    connector: TlsConnector,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<(u64, Cut)>,
    rules: Mutex<Vec<Rule>>,
    latency: Mutex<Duration>,
    recorded: Mutex<Vec<Recorded>>,
}

/// A running proxy; dropping it cuts everything.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 with the given server certificate and key (PEM).
    pub async fn start(upstream: Upstream, certificate: &str, key: &str) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(
            rustls::ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(certificates(certificate), private_key(key))
                .unwrap(),
        ));
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates(&upstream.ca) {
            roots.add(certificate).unwrap();
        }
        let client = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match &upstream.identity {
            Some((certificate, key)) => client
                .with_client_auth_cert(certificates(certificate), private_key(key))
                .unwrap(),
            None => client.with_no_client_auth(),
        };
        let shared = Arc::new(Shared {
            upstream: upstream.address,
            connector: TlsConnector::from(Arc::new(client)),
            mode: watch::Sender::new(Mode::Pass),
            cut: watch::Sender::new((0, Cut::Close)),
            rules: Mutex::default(),
            latency: Mutex::default(),
            recorded: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(accept(listener, acceptor, shared.clone()));
        Self {
            address,
            shared,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to connections, at once.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Ends all open connections.
    pub fn cut(&self, how: Cut) {
        self.shared
            .cut
            .send_modify(|(count, last)| (*count, *last) = (*count + 1, how));
    }

    /// The next `times` requests whose path and query satisfy `matches` suffer `fault`. Of several rules that
    /// match the oldest is used.
    pub fn on(&self, times: usize, matches: impl Fn(&str) -> bool + Send + 'static, fault: Fault) {
        self.shared.rules.lock().unwrap().push(Rule {
            matches: Box::new(matches),
            fault,
            left: times,
        });
    }

    /// From now on every request waits a random part of this time before anything else happens to it.
    pub fn slow_down(&self, most: Duration) {
        *self.shared.latency.lock().unwrap() = most;
    }

    /// Forgets all rules.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
        self.set_mode(Mode::Pass);
    }

    /// All requests so far.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().unwrap().clone()
    }

    /// How many requests so far satisfy `matches`.
    pub fn count(&self, matches: impl Fn(&str) -> bool) -> usize {
        let recorded = self.shared.recorded.lock().unwrap();
        recorded.iter().filter(|seen| matches(&seen.uri)).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut(Cut::Close);
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let handle = stream.as_fd().try_clone_to_owned().unwrap();
        let mode = *shared.mode.borrow();
        if mode == Mode::Refuse {
            drop(stream);
            reset(handle);
            continue;
        }
        let mut cut = shared.cut.subscribe();
        let mut connection = Box::pin(connection(stream, acceptor.clone(), shared.clone()));
        tokio::spawn(async move {
            let mut silent = false;
            loop {
                // Nothing passes any more once the cut was ordered, so it is looked at first.
                tokio::select! {
                    biased;
                    changed = cut.changed() => match (changed, cut.borrow_and_update().1) {
                        (Ok(()), Cut::Silence) => silent = true,
                        (Ok(()), Cut::Reset) => {
                            drop(connection);
                            // The handle keeps the socket open for one more word.
                            return reset(handle);
                        }
                        _ => return,
                    },
                    () = &mut connection, if !silent => return,
                }
            }
        });
    }
}

/// Closing a socket that lingers for no time sends RST.
fn reset(handle: OwnedFd) {
    use nix::sys::socket::{setsockopt, sockopt};
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let _ = setsockopt(&handle, sockopt::Linger, &linger);
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    if *shared.mode.borrow() == Mode::BlackHole {
        passing(&shared).await;
    }
    let Ok(tls) = acceptor.accept(stream).await else {
        return;
    };
    let service = hyper::service::service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(request, shared).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(tls), service)
        .await;
}

/// Waits while the mode is [`Mode::BlackHole`].
async fn passing(shared: &Shared) {
    let mut mode = shared.mode.subscribe();
    if mode
        .wait_for(|mode| *mode != Mode::BlackHole)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let mut uri = request.uri().to_string();
    shared.recorded.lock().unwrap().push(Recorded {
        uri: uri.clone(),
        authorization: request
            .headers()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned()),
    });
    let latency = *shared.latency.lock().unwrap();
    let part = RandomState::new().hash_one(()) % 1024;
    tokio::time::sleep(latency * u32::try_from(part).unwrap() / 1024).await;
    passing(&shared).await;
    let fault = {
        let mut rules = shared.rules.lock().unwrap();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && (rule.matches)(&uri));
        rule.map(|rule| {
            rule.left -= 1;
            rule.fault.clone()
        })
    };
    match &fault {
        Some(Fault::Answer(status, headers, body)) => {
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(*name, value);
            }
            let body = Full::new(body.clone()).map_err(|never| match never {});
            return response.body(body.boxed_unsync()).unwrap();
        }
        Some(Fault::RewriteUri(rewrite)) => uri = rewrite(&uri),
        _ => {}
    }
    let forwarded = match forward(request, &uri, &shared).await {
        Ok(response) => response,
        Err(error) => {
            let body = Full::new(Bytes::from(error)).map_err(|never| match never {});
            return Response::builder()
                .status(StatusCode::BAD_GATEWAY)
                .body(body.boxed_unsync())
                .unwrap();
        }
    };
    let (mut head, body) = forwarded.into_parts();
    // The body may be another one by now; hyper frames it anew.
    head.headers.remove("content-length");
    head.headers.remove("transfer-encoding");
    let data = body.into_data_stream().map(|chunk| {
        chunk
            .map(|bytes: Bytes| bytes)
            .map_err(std::io::Error::other)
    });
    let data = match fault {
        Some(Fault::Truncate(size)) => limited(data, size, Limit::Cut).left_stream(),
        Some(Fault::EndAfter(size)) => limited(data, size, Limit::End).left_stream(),
        Some(Fault::StallAfter(size)) => limited(data, size, Limit::Stall).left_stream(),
        Some(Fault::OneByteChunks) => data
            .flat_map(|chunk| {
                stream::iter(match chunk {
                    Ok(bytes) => (0..bytes.len())
                        .map(|at| Ok(bytes.slice(at..=at)))
                        .collect::<Vec<_>>(),
                    Err(error) => vec![Err(error)],
                })
            })
            .left_stream()
            .right_stream(),
        Some(Fault::RewriteBody(rewrite)) => {
            let mut whole = Vec::new();
            let mut data = std::pin::pin!(data);
            while let Some(Ok(bytes)) = data.next().await {
                whole.extend_from_slice(&bytes);
            }
            let text = rewrite(String::from_utf8(whole).unwrap());
            stream::iter([Ok(Bytes::from(text))])
                .right_stream()
                .right_stream()
                .right_stream()
        }
        _ => data.left_stream().right_stream().right_stream(),
    };
    // What is under way when the black hole opens stays in it, the end of a body too.
    let end = shared.clone();
    let end = stream::once(async move { passing(&end).await });
    let data = data.chain(end.filter_map(|()| std::future::ready(None)));
    let body = data.then(move |chunk| {
        let shared = shared.clone();
        async move {
            passing(&shared).await;
            chunk.map(Frame::data)
        }
    });
    Response::from_parts(head, StreamBody::new(body).boxed_unsync())
}

enum Limit {
    Cut,
    End,
    Stall,
}

/// The first `size` bytes, and then a bad end.
fn limited(
    data: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    size: usize,
    limit: Limit,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let first = data.scan(size, |left, chunk| {
        let chunk = chunk.map(|bytes| {
            let taken = bytes.slice(..bytes.len().min(*left));
            *left -= taken.len();
            taken
        });
        let go_on = !matches!(&chunk, Ok(bytes) if bytes.is_empty());
        std::future::ready(go_on.then_some(chunk))
    });
    let end = stream::once(async move {
        match limit {
            Limit::Cut => Some(Err(std::io::Error::other("cut by the test"))),
            Limit::End => None,
            Limit::Stall => std::future::pending().await,
        }
    });
    first.chain(end.filter_map(std::future::ready))
}

async fn forward(
    request: Request<Incoming>,
    uri: &str,
    shared: &Shared,
) -> Result<Response<Incoming>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(shared.upstream)
        .await
        .map_err(|error| text(&error))?;
    let name = ServerName::from(shared.upstream.ip());
    let tls = shared
        .connector
        .connect(name, stream)
        .await
        .map_err(|error| text(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .map_err(|error| text(&error))?;
    // It ends with the answer's body, which the caller drops.
    tokio::spawn(connection);
    let (mut head, body) = request.into_parts();
    head.uri = uri.parse().unwrap();
    sender
        .send_request(Request::from_parts(head, body))
        .await
        .map_err(|error| text(&error))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(Result::unwrap)
        .collect()
}

fn private_key(pem: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()
}
