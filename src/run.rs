//! `isobath run`: the whole thing on one machine, without a cluster and without configuration.
//!
//! Manifests go in as a directory of YAML, a real Envoy comes up as a child, and what is missing is stood in for: an
//! echo backend for every Service without endpoints, a certificate for every TLS host without a Secret. Everything is
//! announced, nothing of it exists in any other mode, and the translation is the same as in a cluster.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::cli::UsageError;

pub mod backend;
pub mod certificate;
pub mod changes;
pub mod echo;
pub mod envoy;
pub mod example;
pub mod overlay;
pub mod stand_in;
pub mod terminal;
pub mod tether;
pub mod unknown_host;
pub mod urls;

/// Flags of `isobath run`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// A directory of Kubernetes manifests (YAML or JSON); without it a built-in example.
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The Envoy to start; without it `envoy` on PATH.
    #[arg(long, env = "ISOBATH_ENVOY", value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// Sends a Service's traffic to this address instead of its endpoints. SERVICE alone is in namespace `default`;
    /// PORT is a port of the Service by number or name, without it all ports. May be given several times.
    #[arg(
        long,
        env = "ISOBATH_BACKEND",
        value_name = "[NAMESPACE/]SERVICE[:PORT]=HOST:PORT",
        value_delimiter = ','
    )]
    pub backend: Vec<backend::Backend>,
    /// Where Envoy listens for HTTP.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTP_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8080"
    )]
    pub envoy_http_address: SocketAddr,
    /// Where Envoy listens for HTTPS.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTPS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8443"
    )]
    pub envoy_https_address: SocketAddr,
    /// Where Envoy serves /ready and /metrics.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_STATS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8002"
    )]
    pub envoy_stats_address: SocketAddr,
}

/// All that stands on the disk and on ports before the first task runs. Its folder goes with it.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    /// Envoy's program.
    pub envoy: PathBuf,
    /// The manifests to read.
    pub manifests: PathBuf,
    /// Whether they are the built-in example.
    pub is_example: bool,
    /// Where Envoy is to listen: HTTP, HTTPS, stats. A port 0 of the flags is a real port here.
    pub addresses: [SocketAddr; 3],
}

impl Place {
    /// Looks for Envoy, checks that the ports are free, and makes the folder.
    ///
    /// # Errors
    ///
    /// [`UsageError`] where a flag can put it right: no Envoy, a taken port, a directory that is none.
    pub fn prepare(args: &Args) -> anyhow::Result<Self> {
        let envoy = envoy::find(args.envoy.as_deref())?;
        let addresses = [
            free(args.envoy_http_address, "--envoy-http-address")?,
            free(args.envoy_https_address, "--envoy-https-address")?,
            free(args.envoy_stats_address, "--envoy-stats-address")?,
        ];
        let folder = tempfile::Builder::new()
            .prefix("isobath-run-")
            .tempdir()
            .context("can't make a temporary folder")?;
        let manifests = match &args.directory {
            Some(directory) if directory.is_dir() => directory.clone(),
            Some(directory) => {
                return Err(
                    UsageError::new(format!("{} is no directory", directory.display())).into(),
                );
            }
            None => example::write(folder.path()).context("can't write the built-in example")?,
        };
        Ok(Self {
            folder,
            envoy,
            manifests,
            is_example: args.directory.is_none(),
            addresses,
        })
    }

    /// The folder for the bootstrap and the sockets, readable by this user only.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the control plane serves xDS.
    #[must_use]
    pub fn xds_socket(&self) -> PathBuf {
        self.folder().join("xds.sock")
    }

    /// Where Envoy's admin is.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.folder().join("admin.sock")
    }
}

/// Returns when something listens on all of `addresses`: URLs are printed when they work.
pub async fn listening(addresses: &[SocketAddr]) {
    for address in addresses {
        // 0.0.0.0 is for listening only.
        let address = reachable(*address);
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The address by which this machine reaches a listener.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, v6.port()).into()
        }
        address => address,
    }
}

/// Envoy binds with `SO_REUSEPORT`, so that two of them would share a port in silence, and what it can't bind it only
/// logs. A bind without that option tells.
fn free(address: SocketAddr, flag: &str) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).map_err(|error| {
        UsageError::new(format!(
            "can't listen on {address}: {error}; choose another address with {flag}"
        ))
    })?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests;
