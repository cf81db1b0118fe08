//! xDS over gRPC: the glue between sockets and streams. One task per connection, all of them owned by the server.
//!
//! The listener is bound at start and accepted from only once there is a snapshot (I5). A client that never
//! reads costs one response per type, which is all that may be unacknowledged, and the names that it may hold.

mod body;
mod connection;
mod requests;
mod session;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::address::Address;
use super::stream::Timing;
use super::transport::{Incoming, Listener, Tls, TlsFiles};
use super::{Metrics, Published, Reports};

pub use super::transport::BindError;

/// Most connections at a time. A node has one Envoy, but one control plane can serve a fleet of a thousand (`make
/// figures` does); a bound keeps a loop of reconnects from adding up.
const CONNECTIONS: usize = 2048;

/// Pause after `accept` failed, as it does without free file descriptors: enough to not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and how the xDS server listens.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "xDS server")]
pub struct Args {
    /// Where Envoy connects: unix:PATH, or HOST:PORT (beyond loopback with mutual TLS only)
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

    /// How long clusters stay after the last route that named them was replaced: requests that wait in a filter or
    /// are retried still need them
    #[arg(long, env = "ISOBATH_XDS_REMOVAL_GRACE_MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(500..=600_000), value_name = "MILLISECONDS")]
    pub xds_removal_grace_ms: u64,
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
                grace: Duration::from_millis(self.xds_removal_grace_ms),
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

/// What all connections share.
#[derive(Clone, Debug)]
struct Shared {
    published: watch::Receiver<Option<Published>>,
    timing: Timing,
    identifier: Arc<str>,
    metrics: Metrics,
    reports: Reports,
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
            metrics,
            reports,
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                gone = closed(&mut published) => return gone,
                Some(ended) = connections.join_next() => {
                    ended.map_err(|error| anyhow::anyhow!("the task of an xDS connection: {error}"))?;
                }
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok(incoming) => {
                        connections.spawn(converse(incoming, shared.clone()));
                    }
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

async fn converse(incoming: Incoming, shared: Shared) {
    match incoming.establish().await {
        Ok(connection) => {
            if let Err(error) = connection::serve(connection, shared).await {
                tracing::debug!(error = %error, "an xDS connection ended");
            }
        }
        Err(error) => {
            shared.metrics.rejected_connection();
            tracing::warn!(%error, "an xDS connection was not let in");
        }
    }
}
