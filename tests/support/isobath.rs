//! The real `isobath serve`, on a directory of manifests or on an API server.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::client::{self, Version};
use super::eventually::eventually;
use super::manifest::{self, Manifest};
use super::port::Port;
use super::process::Process;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_isobath");

/// A control plane, its directory of manifests (where it reads one) and its sockets. It can be ended and started
/// again on the same ones.
#[derive(Debug)]
pub(crate) struct Isobath {
    process: Option<Process>,
    directory: TempDir,
    admin: Port,
    metrics: Port,
    http: Port,
    https: Port,
    stats: Port,
    arguments: Vec<String>,
    /// Whether it reads the directory, rather than what its arguments or its environment name.
    manifests: bool,
    environment: Vec<(String, String)>,
    every_address: bool,
    well_known: Option<IpAddr>,
}

impl Isobath {
    /// Writes the manifests to one file, `manifests.yaml`, starts `isobath serve` and waits until it is ready.
    pub(crate) async fn start(manifests: &[Manifest]) -> Self {
        Self::start_with(manifests, &[]).await
    }

    /// The same with more arguments.
    pub(crate) async fn start_with(manifests: &[Manifest], arguments: &[&str]) -> Self {
        let mut this = Self::prepare(arguments);
        this.write("manifests.yaml", manifests);
        this.restart().await;
        this
    }

    /// Takes ports for one that reads from the API server of this kubeconfig, at once; nothing runs.
    pub(crate) fn of_cluster(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let kubeconfig = kubeconfig.to_str().unwrap();
        let arguments = [&["--kubeconfig", kubeconfig], arguments].concat();
        Self::of_environment(&arguments, &[])
    }

    /// The same for one that finds its API server by its environment, as in a pod.
    pub(crate) fn of_environment(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            manifests: false,
            environment: environment.iter().map(owned).collect(),
            ..Self::prepare(&[&["--start-jitter", "0s"], arguments].concat())
        }
    }

    /// Takes ports and makes an empty directory of manifests; nothing runs.
    pub(crate) fn prepare(arguments: &[&str]) -> Self {
        // A short prefix: the path of a Unix socket holds 107 bytes.
        let directory = tempfile::Builder::new().prefix("iso-").tempdir().unwrap();
        fs::create_dir(directory.path().join("manifests")).unwrap();
        Self {
            process: None,
            directory,
            admin: Port::take(),
            metrics: Port::take(),
            http: Port::take(),
            https: Port::take(),
            stats: Port::take(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            manifests: true,
            environment: Vec::new(),
            every_address: false,
            well_known: None,
        }
    }

    /// Listens on every address of the machine, as it does by default; ports only are the test's.
    pub(crate) fn on_every_address(mut self) -> Self {
        self.every_address = true;
        self
    }

    /// Has Envoy serve where everybody looks for it: at ports 80 and 443 of an address that is the test's own.
    pub(crate) fn on_well_known_ports(mut self, address: IpAddr) -> Self {
        self.well_known = Some(address);
        self
    }

    fn listens(&self, address: SocketAddr) -> String {
        match self.every_address {
            true => format!("*:{}", address.port()),
            false => address.to_string(),
        }
    }

    /// Starts the process (again) and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts the process (again) and does not wait.
    pub(crate) fn spawn(&mut self) {
        assert!(self.process.is_none(), "it runs");
        // Figures are of a release build, which is another one than the tests'.
        let other = std::env::var_os("ISOBATH_TEST_BINARY");
        let mut command = Command::new(other.unwrap_or_else(|| BINARY.into()));
        command.arg("serve");
        if self.manifests {
            command.arg("--manifests").arg(self.manifests());
        }
        for name in [
            "KUBECONFIG",
            "KUBERNETES_SERVICE_HOST",
            "KUBERNETES_SERVICE_PORT",
        ] {
            command.env_remove(name);
        }
        let environment = self.environment.iter();
        command
            .envs(environment.map(|(name, value)| (name, value)))
            .args(["--xds-address", &self.xds_address()])
            .args(["--admin-address", &self.admin.address().to_string()])
            .args(["--metrics-address", &self.listens(self.metrics.address())])
            .args(["--envoy-http-address", &self.listens(self.http())])
            .args(["--envoy-https-address", &self.listens(self.https())])
            .args(["--envoy-stats-address", &self.listens(self.stats())])
            .args(["--log-format", "text"])
            .args(&self.arguments);
        self.process = Some(Process::start("isobath", &mut command, &self.log_path()));
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) async fn ready(&mut self) {
        let address = self.metrics.address();
        let process = self.process.as_mut().expect("it was started");
        eventually("isobath is ready", async || {
            process.assert_running();
            let answer = client::get(address, Version::H1, None, "metrics", "/readyz").await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            Ok(())
        })
        .await;
    }

    /// Ends the process in order and waits for its end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.end(Signal::SIGTERM).await
    }

    /// Kills the process and waits for its end.
    pub(crate) async fn kill(&mut self) {
        self.end(Signal::SIGKILL).await;
    }

    async fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        process.signal(signal);
        process.end().await
    }

    /// Waits until the process ends by itself; its exit status and the last line that it logged.
    pub(crate) async fn ends(&mut self) -> (ExitStatus, String) {
        let mut process = self.process.take().expect("it runs");
        let status = process.end().await;
        let log = self.log();
        (status, log.lines().last().unwrap_or_default().to_owned())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        self.process.as_ref().expect("it runs").pid()
    }

    /// Takes note that the process has ended by itself.
    pub(crate) fn terminated(&mut self) {
        let mut process = self.process.take().expect("it ran");
        assert!(process.ended().is_some(), "it still runs");
    }

    /// Writes a file of the directory as editors do: whole, under another name, then renamed.
    pub(crate) fn write(&self, file: &str, manifests: &[Manifest]) {
        self.write_text(file, &manifest::text(manifests));
    }

    /// The same with any text.
    pub(crate) fn write_text(&self, file: &str, text: &str) {
        // Of its own for each file: two may be written at a time.
        let staged = format!("staged-{}", file.replace('/', "-"));
        let staged = self.directory.path().join(staged);
        fs::write(&staged, text).unwrap();
        fs::rename(staged, self.manifests().join(file)).unwrap();
    }

    /// Removes a file of the directory.
    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.manifests().join(file)).unwrap();
    }

    /// The directory that it watches.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.directory.path().join("manifests")
    }

    /// A folder for other files of the test, gone with it.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path of the xDS socket.
    pub(crate) fn xds(&self) -> PathBuf {
        self.directory.path().join("xds.sock")
    }

    /// The xDS address as arguments spell it.
    pub(crate) fn xds_address(&self) -> String {
        format!("unix:{}", self.xds().display())
    }

    /// Where Envoy is told to serve HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        let well_known = self.well_known.map(|address| (address, 80).into());
        well_known.unwrap_or_else(|| self.http.address())
    }

    /// Where Envoy is told to serve HTTPS.
    pub(crate) fn https(&self) -> SocketAddr {
        let well_known = self.well_known.map(|address| (address, 443).into());
        well_known.unwrap_or_else(|| self.https.address())
    }

    /// Where Envoy is told to serve its own `/ready` and metrics.
    pub(crate) fn stats(&self) -> SocketAddr {
        self.stats.address()
    }

    /// The address of probes and metrics.
    pub(crate) fn metrics_address(&self) -> SocketAddr {
        self.metrics.address()
    }

    /// The address of the admin pages.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The running process.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// All of its log, over restarts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("isobath.log")
    }

    /// Its metrics: name with labels as written, and value.
    pub(crate) async fn metrics(&self) -> BTreeMap<String, f64> {
        self.try_metrics().await.unwrap()
    }

    async fn try_metrics(&self) -> Result<BTreeMap<String, f64>> {
        let address = self.metrics.address();
        let answer = client::get(address, Version::H1, None, "metrics", "/metrics").await?;
        ensure!(answer.status == 200, "{}", answer.status);
        let text = answer.text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Ok(samples
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect())
    }
}
