//! xDS over gRPC: the glue between sockets and streams. One task per connection, all of them owned by the server.
//!
//! The listener is bound at start and accepted from only once there is a snapshot (I5). A client that never
//! reads costs one response per type, which is all that may be unacknowledged, and the names that it may hold.

mod body;
mod connection;
mod eviction;
mod log_limit;
mod memory_limit;

mod requests;

mod session;
mod shared;
mod streams;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::process::duration::duration_within;

use super::address::Address;
use super::stream::Timing;
use super::transport::{Incoming, Listener, Peer, Tls, TlsFiles};
use super::{Metrics, Published, Reports};
use connection::Ended;
use eviction::Candidate;
use log_limit::LogLimit;
use memory_limit::MemoryLimit;
use shared::Shared;
use streams::Streams;

pub use super::transport::BindError;

/// Most connections at a time. A node has one Envoy, but one control plane can serve a fleet of a thousand (`make
/// figures` does); a bound keeps a loop of reconnects from adding up. Beyond it a new connection replaces another:
/// [`eviction::evicted`].
const CONNECTIONS: usize = 2048;

/// Pause after `accept` failed, as it does without free file descriptors: enough to not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client whose connection is closed may take to read why.
const CLOSE_DELAY: Duration = Duration::from_secs(1);

/// Where and how the xDS server listens.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "xDS server")]
pub struct Args {
    /// Where Envoy connects: unix:PATH, or HOST:PORT (beyond loopback with mutual TLS only; *:PORT is every address)
    #[arg(
        long,
        env = "ISOBATH_XDS_ADDRESS",
        default_value = "unix:/run/isobath/xds.sock",
        value_name = "ADDRESS"
    )]
    pub xds_address: Address,

    /// Certificate chain of the xDS server (PEM), for HOST:PORT; read again when it changes
    #[arg(long, env = "ISOBATH_XDS_TLS_CERT", value_name = "FILE")]
    pub xds_tls_cert: Option<PathBuf>,

    /// Private key of the xDS server (PEM), for HOST:PORT; read again when it changes
    #[arg(long, env = "ISOBATH_XDS_TLS_KEY", value_name = "FILE")]
    pub xds_tls_key: Option<PathBuf>,

    /// Certificate authorities whose clients may connect (PEM), for HOST:PORT; read again when it changes
    #[arg(long, env = "ISOBATH_XDS_TLS_CLIENT_CA", value_name = "FILE")]
    pub xds_tls_client_ca: Option<PathBuf>,

    /// How long clusters stay after the last route that named them was replaced, 500ms to 10m: requests that wait in a
    /// filter or are retried still need them
    #[arg(long, env = "ISOBATH_XDS_REMOVAL_GRACE", default_value = "1s", value_parser = grace, value_name = "DURATION")]
    pub xds_removal_grace: Duration,

    /// The same in milliseconds, as it was called before.
    #[arg(long, env = "ISOBATH_XDS_REMOVAL_GRACE_MS", hide = true, conflicts_with = "xds_removal_grace",
          value_parser = clap::value_parser!(u64).range(500..=600_000), value_name = "MILLISECONDS")]
    pub xds_removal_grace_ms: Option<u64>,
}

/// Shorter than what a filter may hold a request is no grace, and longer keeps what nobody uses.
fn grace(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_millis(500)..=Duration::from_secs(600))
}

impl Args {
    /// Binds the address. Clients can connect from now on, and wait.
    ///
    /// # Errors
    ///
    /// In one sentence: flags that do not go together, a file that cannot be used, or an address that cannot be
    /// bound.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let tls = match (self.xds_tls_cert, self.xds_tls_key, self.xds_tls_client_ca) {
            (None, None, None) => None,
            (Some(certificate), Some(key), Some(client_ca)) => Some(Tls::load(TlsFiles {
                certificate,
                key,
                client_ca,
            })?),
            _ => {
                return Err(BindError::Flags(
                    "--xds-tls-cert, --xds-tls-key and --xds-tls-client-ca go together: give all of them or none"
                        .into(),
                ));
            }
        };
        let listener = Listener::bind(&self.xds_address, tls).await?;
        Ok(Bound {
            listener,
            timing: Timing {
                grace: self
                    .xds_removal_grace_ms
                    .map_or(self.xds_removal_grace, Duration::from_millis),
                ..Timing::default()
            },
        })
    }
}

/// A server whose address is bound and that does not answer yet.
#[derive(Debug)]
#[must_use = "clients can connect, and wait until it serves"]
pub struct Bound {
    listener: Listener,
    timing: Timing,
}

/// The connections that are open, by number in the order in which they came.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<u64>,
    last: u64,
    open: BTreeMap<u64, Open>,
    /// Of the line that there are too many.
    log: LogLimit,
}

/// One of them.
#[derive(Debug)]
struct Open {
    peer: Peer,
    streams: Streams,
    task: AbortHandle,
}

impl Connections {
    /// The next task that ends. To be cancelled when there is none.
    async fn ended(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(number)) => {
                self.open.remove(&number);
                Ok(())
            }
            Some(Err(error)) if error.is_cancelled() => Ok(()),
            Some(Err(error)) => Err(anyhow::anyhow!("the task of an xDS connection: {error}")),
            None => std::future::pending().await,
        }
    }

    /// Adds a connection, if the maximum is not reached or another one can be closed for it.
    fn admit(&mut self, incoming: Incoming, shared: Shared) {
        let peer = incoming.peer();
        if self.open.len() >= CONNECTIONS {
            shared.metrics.rejected_connection();
            let evicted = self.evicted(peer);
            let open = evicted.and_then(|number| self.open.remove(&number));
            self.tell(peer, open.as_ref().map(|open| open.peer));
            let Some(open) = open else {
                return;
            };
            open.task.abort();
        }
        self.last += 1;
        let (number, streams) = (self.last, Streams::default());
        let served = converse(incoming, peer, shared, streams.clone());
        let task = self.tasks.spawn(async move {
            served.await;
            number
        });
        let open = Open {
            peer,
            streams,
            task,
        };
        self.open.insert(number, open);
    }

    fn evicted(&self, newcomer: Peer) -> Option<u64> {
        let now = Instant::now().into_std();
        let candidate = |(number, open): (&u64, &Open)| Candidate {
            number: *number,
            peer: open.peer,
            health: open.streams.health(now),
        };
        let candidates: Vec<Candidate> = self.open.iter().map(candidate).collect();
        eviction::evicted(&candidates, newcomer)
    }

    /// Logs that there are too many connections, once in a while.
    fn tell(&mut self, newcomer: Peer, evicted: Option<Peer>) {
        let Some(more) = self.log.allow(Instant::now()) else {
            return;
        };
        match evicted {
            Some(evicted) => tracing::warn!(
                %newcomer, %evicted, more,
                "an xDS connection was closed to make room for another: there are {CONNECTIONS}"
            ),
            None => tracing::warn!(
                %newcomer, more,
                "an xDS connection was not let in: there are {CONNECTIONS}, all of them of clients that have few"
            ),
        }
    }
}

impl Bound {
    /// The address that was bound.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn local_address(&self) -> io::Result<Address> {
        self.listener.local_address()
    }

    /// Serves until `shutdown`; then all connections end, and `Ok` is the result. Accepts nothing before the first
    /// snapshot. `identifier` is what clients are told as `control_plane.identifier`.
    ///
    /// # Errors
    ///
    /// If the task of a connection panicked, or the publisher of snapshots is gone.
    pub async fn serve(
        self,
        mut published: watch::Receiver<Option<Published>>,
        shutdown: impl Future<Output = ()>,
        identifier: impl Into<Arc<str>>,
        metrics: Metrics,
        reports: Reports,
    ) -> anyhow::Result<()> {
        let mut shutdown = std::pin::pin!(shutdown);
        // In this order, here and below: when the process stops, the publisher may be the first to be gone.
        tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            first = published.wait_for(Option::is_some) => {
                first.map_err(|_| anyhow::anyhow!("nobody publishes snapshots any more"))?;
            }
        }
        let shared = Shared {
            published: published.clone(),
            timing: self.timing,
            identifier: identifier.into(),
            memory_limit: MemoryLimit::new(metrics.clone()),
            metrics,
            reports,
        };
        let mut connections = Connections::default();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                gone = closed(&mut published) => return gone,
                ended = connections.ended() => ended?,
                accepted = self.listener.accept() => match accepted {
                    Ok(incoming) => connections.admit(incoming, shared.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept an xDS connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn closed(published: &mut watch::Receiver<Option<Published>>) -> anyhow::Result<()> {
    while published.changed().await.is_ok() {}
    anyhow::bail!("nobody publishes snapshots any more")
}

async fn converse(incoming: Incoming, peer: Peer, shared: Shared, streams: Streams) {
    match incoming.establish().await {
        Ok(connection) => {
            let metrics = shared.metrics.clone();
            let ended = tokio::select! {
                ended = connection::serve(connection, peer, shared, streams.clone()) => ended,
                () = async {
                    streams.closed().await;
                    tokio::time::sleep(CLOSE_DELAY).await;
                } => return,
            };
            match ended {
                Ok(Ended::Closed) => {}
                Ok(Ended::Silent) => {
                    metrics.rejected_connection();
                    tracing::debug!("an xDS connection was closed: nothing is asked on it");
                }
                Err(error) => tracing::debug!(error = %error, "an xDS connection ended"),
            }
        }
        Err(error) => {
            shared.metrics.rejected_connection();
            tracing::warn!(%error, "an xDS connection was not let in");
        }
    }
}
