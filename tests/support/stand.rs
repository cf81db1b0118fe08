//! The test stand: `isobath serve` and the Envoy that it programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::client::{self, Answer, Tls, Version};
use super::envoy::{self, Envoy};
use super::isobath::{BINARY, Isobath};
use super::load::Target;
use super::manifest::Manifest;

/// A control plane and its Envoy, both ready. Dropping it ends both, and fails the test if Envoy has refused
/// anything meanwhile: that holds for every test of the suite, without being said.
#[derive(Debug)]
pub(crate) struct Stand {
    /// The control plane.
    pub(crate) isobath: Isobath,
    /// The data plane.
    pub(crate) envoy: Envoy,
}

impl Stand {
    /// Starts both on these objects and waits until Envoy serves them.
    pub(crate) async fn start(manifests: &[Manifest]) -> Self {
        Self::on(Isobath::start(manifests).await).await
    }

    /// Starts an Envoy for a control plane that runs.
    pub(crate) async fn on(isobath: Isobath) -> Self {
        let directory = isobath.directory();
        let bootstrap = bootstrap(directory, &isobath.xds_address());
        let log = directory.join("envoy.log");
        let mut envoy = Envoy::start(&bootstrap, &directory.join("admin.sock"), &log);
        envoy.live().await;
        Self { isobath, envoy }
    }

    /// One request over a connection of its own, by plain HTTP/1.1.
    pub(crate) async fn get(&self, host: &str, path: &str) -> Result<Answer> {
        client::get(self.isobath.http(), Version::H1, None, host, path).await
    }

    /// One request over a connection of its own, by HTTPS with the host as server name.
    pub(crate) async fn get_tls(&self, version: Version, host: &str, path: &str) -> Result<Answer> {
        let tls = Tls::sni(host);
        client::get(self.isobath.https(), version, Some(&tls), host, path).await
    }

    /// Plain traffic for one host: over a kept HTTP/1.1 and a kept HTTP/2 connection, and over new ones.
    pub(crate) fn http_traffic(&self, host: &str) -> Vec<Target> {
        let target = |version, reconnect| Target {
            address: self.isobath.http(),
            version,
            tls: None,
            host: host.to_owned(),
            path: "/".to_owned(),
            reconnect,
        };
        vec![
            target(Version::H1, false),
            target(Version::H2, false),
            target(Version::H1, true),
        ]
    }

    /// The same over TLS.
    pub(crate) fn https_traffic(&self, host: &str, tls: &Tls) -> Vec<Target> {
        let mut targets = self.http_traffic(host);
        for target in &mut targets {
            target.address = self.isobath.https();
            target.tls = Some(tls.clone());
        }
        targets
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- isobath's log\n{}", self.isobath.log());
            return;
        }
        let rejected = rejected(self.envoy.admin());
        assert!(rejected.is_empty(), "Envoy has refused: {rejected:?}");
    }
}

/// The counters of refused updates that are not zero, of all types. Drop can't await, so this has a thread and
/// a runtime of its own.
fn rejected(admin: &Path) -> Vec<(String, u64)> {
    let admin = admin.to_owned();
    let stats = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(envoy::stats(&admin, "update_rejected"))
            .unwrap()
    });
    let stats = stats.join().unwrap();
    assert!(!stats.is_empty(), "Envoy counts no refusals at all");
    stats.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Has `isobath bootstrap` write Envoy's bootstrap into the directory.
pub(crate) fn bootstrap(directory: &Path, xds: &str) -> PathBuf {
    let path = directory.join("bootstrap.yaml");
    let output = Command::new(BINARY)
        .arg("bootstrap")
        .arg(&path)
        .args(["--xds-address", xds])
        .arg("--admin-socket")
        .arg(directory.join("admin.sock"))
        .output()
        .unwrap();
    assert!(output.status.success(), "isobath bootstrap: {output:?}");
    path
}
