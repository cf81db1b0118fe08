//! The test stand: `isobath serve` and the Envoy that it programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::client::{self, Answer, Tls, Version};
use super::envoy::Envoy;
use super::isobath::{BINARY, Isobath};
use super::load::Target;
use super::manifest::Manifest;

/// A control plane and its Envoy, both ready. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct Stand {
    /// The data plane. It goes first: its socket lies in the control plane's directory.
    pub(crate) envoy: Envoy,
    /// The control plane.
    pub(crate) isobath: Isobath,
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
        let counted = envoy.stats("update_rejected").await.unwrap();
        assert!(!counted.is_empty(), "Envoy counts refusals");
        Self { envoy, isobath }
    }

    /// Ends the Envoy and gives the control plane back.
    pub(crate) fn part(self) -> Isobath {
        self.isobath
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
