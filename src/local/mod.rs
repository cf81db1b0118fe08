//! `isobath run`: the whole thing on one machine, without a cluster and without configuration.
//!
//! Manifests go in as YAML, a real Envoy comes up as a child, and what is missing is stood in for: an echo backend for
//! every Service without endpoints, a certificate for every TLS host (of an Ingress or an HTTPProxy) without a Secret. Everything is announced, nothing of
//! it exists in any other mode, and the translation is the same as in a cluster. What is printed as served is read back
//! from what Envoy is told ([`served`]), and what is not served is named with its reason ([`missing`]).

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::envoy::{listener, stats};
use crate::process::envoy_admin::Admin;
use crate::process::exit_code::UsageError;
use crate::process::listen_address::listen_address;
use crate::sources::manifests::STANDARD_INPUT;

pub mod backend;
pub mod certificate;
pub mod changes;
pub mod echo;
pub mod envoy;
pub mod event_filter;
pub mod example;
pub mod missing;
pub mod sample;
pub mod served;
pub mod stand_in;
pub mod terminal;
pub mod tether;
pub mod unknown_host;
pub mod urls;

/// How often it is looked whether Envoy listens.
const POLL: Duration = Duration::from_millis(20);

/// Flags of `isobath run`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// A directory of Kubernetes manifests (YAML or JSON), one such file, or - for standard input; without it a built-in
    /// example.
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
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
        default_value = "127.0.0.1:8080",
        value_parser = listen_address
    )]
    pub envoy_http_address: SocketAddr,
    /// Where Envoy listens for HTTPS.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTPS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8443",
        value_parser = listen_address
    )]
    pub envoy_https_address: SocketAddr,
    /// Where Envoy serves /ready and /metrics.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_STATS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8002",
        value_parser = listen_address
    )]
    pub envoy_stats_address: SocketAddr,
}

/// All that stands on the disk and on ports before the first task runs. Its folder goes with it.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    /// Envoy's program.
    pub envoy: PathBuf,
    /// The manifests to read; `None` for a cluster.
    pub manifests: Option<PathBuf>,
    /// Whether they are the built-in example.
    pub is_example: bool,
    /// Where Envoy is to listen: HTTP, HTTPS, stats. A port 0 of the flags is a real port here.
    pub addresses: [SocketAddr; 3],
}

impl Place {
    /// Looks for Envoy, checks that the ports are free, and makes the folder. Of a cluster no manifests are read.
    ///
    /// # Errors
    ///
    /// [`UsageError`] where a flag can put it right: no Envoy, a taken port, a path where nothing is.
    pub fn prepare(args: &Args, of_cluster: bool) -> anyhow::Result<Self> {
        let envoy = envoy::find(args.envoy.as_deref())?;
        // Held until all of them are, so that no two are the same.
        let held = [
            free(args.envoy_http_address, "--envoy-http-address")?,
            free(args.envoy_https_address, "--envoy-https-address")?,
            free(args.envoy_stats_address, "--envoy-stats-address")?,
        ];
        let addresses = [
            held[0].local_addr()?,
            held[1].local_addr()?,
            held[2].local_addr()?,
        ];
        drop(held);
        let folder = tempfile::Builder::new()
            .prefix("isobath-run-")
            .tempdir()
            .context("can't make a temporary folder")?;
        let manifests = match &args.path {
            Some(path) if path.exists() || path == Path::new(STANDARD_INPUT) => Some(path.clone()),
            Some(path) => {
                let sentence = format!("there is no file or directory {}", path.display());
                return Err(UsageError::new(sentence).into());
            }
            None if of_cluster => None,
            None => {
                let example = example::write(folder.path());
                Some(example.context("can't write the built-in example")?)
            }
        };
        Ok(Self {
            folder,
            envoy,
            manifests,
            is_example: args.path.is_none() && !of_cluster,
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

    /// Where the authorizer is asked.
    #[must_use]
    pub fn authz_socket(&self) -> PathBuf {
        self.folder().join("authz.sock")
    }

    /// Where Envoy's admin is.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.folder().join("admin.sock")
    }
}

/// Returns when Envoy listens on all of `addresses`: URLs are printed when they work. Whoever answers at a port may be
/// somebody else, so Envoy is asked too, at its admin socket.
pub async fn listening(addresses: &[SocketAddr], envoy_admin: &Path) {
    let admin = Admin::new(envoy_admin);
    let names = [listener::HTTP, listener::HTTPS, stats::NAME];
    loop {
        // A line is `NAME::ADDRESS`.
        let listeners = admin.get("/listeners").await.unwrap_or_default();
        let is_there = |name: &str| {
            let mut lines = listeners.lines();
            lines.any(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with("::"))
            })
        };
        if names.into_iter().all(is_there) {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    for address in addresses {
        // 0.0.0.0 and [::] are for listening only.
        let address = reachable(*address);
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The address by which this machine reaches a listener.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        // `[::]` takes IPv4 too, and ::1 is not on every machine.
        any if any.ip().is_unspecified() => ([127, 0, 0, 1], any.port()).into(),
        address => address,
    }
}

/// Envoy binds with `SO_REUSEPORT`, so that two of them would share a port in silence, and what it can't bind it only
/// logs. A bind without that option tells.
fn free(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        UsageError::new(format!(
            "can't listen on {address}: {error}; choose another address with {flag}"
        ))
    })?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
