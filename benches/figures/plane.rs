//! The two control planes as children, each with a stub API server of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::child::{Child, connectable, free_port, get, ready};
use crate::client::Client;
use crate::null::Script;
use crate::objects::Kind;
use crate::stub::Stub;

/// What is started, and where Envoy listens: the same for both, so that the bytes are the same.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary that is measured.
    pub isobath: PathBuf,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub stats: SocketAddr,
    /// More arguments of `isobath serve`.
    pub arguments: &'static [&'static str],
}

impl Setup {
    pub fn new(isobath: PathBuf) -> Result<Self> {
        Ok(Self {
            isobath,
            http: free_port()?,
            https: free_port()?,
            stats: free_port()?,
            arguments: &[],
        })
    }
}

/// The release binary, ready.
pub struct Plane {
    pub stub: Stub,
    pub child: Child,
    /// From its start.
    pub ready: Duration,
    metrics: SocketAddr,
    directory: TempDir,
}

impl Plane {
    /// Starts it with a stub, and waits until it is ready.
    pub async fn start(stub: Stub, setup: &Setup) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("iso-").tempdir()?;
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, stub.kubeconfig())?;
        let source = ["--kubeconfig".as_ref(), kubeconfig.as_os_str()];
        let (mut child, metrics) = isobath(directory.path(), setup, &source)?;
        let ready = ready(metrics, "/readyz", &mut child).await?;
        Ok(Self {
            stub,
            child,
            ready,
            metrics,
            directory,
        })
    }

    /// Its xDS socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("xds.sock")
    }

    /// A client that wants everything.
    pub async fn client(&self) -> Result<Client> {
        Client::connect(&self.socket()).await
    }

    /// How many events it has taken in.
    pub async fn events(&self) -> Result<u64> {
        let (status, text) = get(self.metrics, "/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("isobath_events_total{"));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        Ok(values.sum())
    }

    /// Waits until it has taken in so many.
    pub async fn has_seen(&mut self, events: u64) -> Result<()> {
        while self.events().await? < events {
            self.child.alive()?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Starts the binary; the address of `/metrics`.
pub fn isobath(
    directory: &Path,
    setup: &Setup,
    source: &[&std::ffi::OsStr],
) -> Result<(Child, SocketAddr)> {
    static SHOWN: OnceLock<()> = OnceLock::new();
    let (metrics, admin) = (free_port()?, free_port()?);
    let mut command = Command::new(&setup.isobath);
    command
        // As in the image.
        .env("MIMALLOC_PURGE_DELAY", "10")
        .arg("serve")
        .args(source)
        .arg("--xds-address")
        .arg(format!("unix:{}", directory.join("xds.sock").display()))
        .args(["--metrics-address", &metrics.to_string()])
        .args(["--admin-address", &admin.to_string()])
        .args(["--envoy-http-address", &setup.http.to_string()])
        .args(["--envoy-https-address", &setup.https.to_string()])
        .args(["--envoy-stats-address", &setup.stats.to_string()])
        .args(setup.arguments);
    if source.iter().any(|argument| *argument == "--kubeconfig") {
        command.args(["--start-jitter", "0s"]);
    }
    SHOWN.get_or_init(|| eprintln!("{command:?}"));
    Ok((
        Child::start(&mut command, &directory.join("isobath.log"))?,
        metrics,
    ))
}

/// The null control plane.
pub struct Null {
    pub stub: Stub,
    pub child: Child,
    directory: TempDir,
}

impl Null {
    /// Starts it: each event of this kind is answered by the script.
    pub async fn start(script: &Script, kind: Kind) -> Result<Self> {
        static SHOWN: OnceLock<()> = OnceLock::new();
        let stub = Stub::start(std::iter::empty(), true).await;
        let directory = tempfile::Builder::new().prefix("iso-").tempdir()?;
        let file = directory.path().join("script");
        script.write(&file)?;
        let socket = directory.path().join("xds.sock");
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("null")
            .arg("--socket")
            .arg(&socket)
            .arg("--script")
            .arg(&file)
            .args(["--api", &stub.address.to_string(), "--path", kind.path()]);
        SHOWN.get_or_init(|| eprintln!("{command:?}"));
        let mut child = Child::start(&mut command, &directory.path().join("null.log"))?;
        connectable(&socket, &mut child)
            .await
            .context("the null control plane")?;
        while stub.watchers() == 0 {
            child.alive()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self {
            stub,
            child,
            directory,
        })
    }

    /// Its xDS socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("xds.sock")
    }
}
