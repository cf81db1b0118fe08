//! Serves axum routers on listeners that were bound before, with bounds that axum's own loop lacks.
//!
//! Some of these listeners face the pod's network, so that a client which sends nothing, or opens many connections,
//! must cost little and never keep a probe from being answered. Connections are tasks of the server's own set: when
//! it ends, they end (I8).

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio_io_timeout::TimeoutStream;

use crate::process::supervisor::Stop;

/// What clients of a listener may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time. One more, and the oldest is cut: who floods a port does not keep kubelet out.
    pub connections: usize,
    /// A head must be whole within this time, which also ends idle keep-alive connections. `None`: whenever it comes.
    pub header_timeout: Option<Duration>,
    /// A client that takes nothing of an answer for so long is cut. `None`: it may take as long as it likes.
    pub write_timeout: Option<Duration>,
}

impl Limits {
    /// For pages that people and probes read.
    pub const PAGES: Self = Self {
        connections: 256,
        header_timeout: Some(Duration::from_secs(30)),
        write_timeout: Some(Duration::from_secs(30)),
    };
}

/// After a failed `accept` (out of file descriptors): without a pause the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a TCP listener for [`serve`].
///
/// # Errors
///
/// Naming the address and `flag`, the flag that moves it.
pub fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("can't listen on {address} (see {flag})"))
}

/// The same without words.
///
/// # Errors
///
/// The kernel's.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves HTTP/1.1 and HTTP/2 with prior knowledge until asked to stop, on the runtime that it is called on. Open requests
/// are cut then: nobody's data goes through these servers.
///
/// # Errors
///
/// When the runtime can't take the listener, which must not block.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: Stop,
) -> anyhow::Result<()> {
    let builder = builder(limits);
    let serve = move |stream| {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(limits.write_timeout);
        connection(Box::pin(stream), builder.clone(), router.clone())
    };
    accept(listener, serve, limits, stop).await
}

/// Hands each connection to `serve` until asked to stop.
///
/// # Errors
///
/// When the runtime can't take the listener, which must not block.
pub async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
    limits: Limits,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("can't serve a listener")?;
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            Some(_) = connections.join_next() => by_age.retain(|connection| !connection.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if by_age.len() >= limits.connections && let Some(oldest) = by_age.pop_front() {
                        oldest.abort();
                    }
                    by_age.push_back(connections.spawn(serve(stream)));
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// What serves connections.
pub fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout);
    builder
}

/// Serves one connection to its end; one that is upgraded is somebody else's from then on.
pub async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    builder: Builder<TokioExecutor>,
    router: Router,
) {
    let service = TowerToHyperService::new(router);
    // A client that goes away in mid-request is no news.
    let _ = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}
