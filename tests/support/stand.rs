//! The test stand: `isobath serve` and the Envoy that it programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::backend::Backend;
use super::certificate::Authority;
use super::client::{self, Answer, Tls, Version};
use super::envoy::Envoy;
use super::eventually::eventually;
use super::isobath::{BINARY, Isobath};
use super::load::{Load, Target};
use super::manifest::{Manifest, app, service, site, slice};

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
        let socket = isobath.xds();
        Self::behind(isobath, &socket, &[]).await
    }

    /// Starts an Envoy that reaches the control plane by this socket, with more arguments.
    pub(crate) async fn behind(isobath: Isobath, socket: &Path, arguments: &[&str]) -> Self {
        let mut envoy = envoy(&isobath, socket, arguments);
        envoy.live().await;
        let counted = envoy.stats("update_rejected").await.unwrap();
        assert!(!counted.is_empty(), "Envoy counts refusals");
        Self { envoy, isobath }
    }

    /// Plain and TLS hosts, all of them under traffic over kept and new connections of both versions: about 1,000
    /// requests a second. The fourth back end is for [`Stand::fence`].
    pub(crate) async fn under_traffic() -> (Self, Load, Vec<Backend>) {
        let authority = Authority::new();
        let (mut backends, mut manifests) = apps(&["plain", "sealed", "wild"]).await;
        manifests.extend([
            site("plain", "plain.test", "plain:80"),
            site("sealed", "sealed.test", "sealed:80").tls(&["sealed.test"], "sealed"),
            site("wild", "*.wild.test", "wild:80").tls(&["*.wild.test"], "wild"),
            // What can't be served is not served after a restart either.
            site("broken", "broken.test", "nowhere:80").tls(&[], "missing"),
            site("fence", "fence.test", "fence:80"),
            service("fence"),
            authority.leaf(&["sealed.test"]).secret("sealed"),
            authority.leaf(&["*.wild.test"]).secret("wild"),
        ]);
        let stand = Self::start(&manifests).await;
        let mut targets = stand.http_traffic("plain.test");
        for host in ["sealed.test", "a.wild.test"] {
            let tls = Tls {
                trust: authority.trust(),
                ..Tls::sni(host)
            };
            targets.extend(stand.https_traffic(host, &tls));
        }
        backends.push(Backend::start("fence").await);
        let load = Load::start(targets).await;
        (stand, load, backends)
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

    /// Waits until Envoy has taken a change of one assignment of endpoints, which moves no counter of
    /// [`Envoy::modifications`]: whatever a new stream had to say before is said. It takes a host `fence.test` of a
    /// Service `fence` that has no other endpoint.
    pub(crate) async fn fence(&self, backend: &Backend, on: bool) {
        let (slices, status): (Vec<Manifest>, _) = match on {
            true => (vec![slice("fence", backend)], 200),
            false => (vec![], 503),
        };
        self.isobath.write("fence.yaml", &slices);
        eventually("the fence has arrived", async || {
            let answer = self.get("fence.test", "/").await?;
            anyhow::ensure!(answer.status == status, "{}", answer.status);
            Ok(())
        })
        .await;
    }

    /// Plain traffic for one host: over a kept HTTP/1.1 and a kept HTTP/2 connection, and over new ones.
    pub(crate) fn http_traffic(&self, host: &str) -> Vec<Target> {
        let target = |version, reconnect| Target {
            address: self.isobath.http(),
            version,
            tls: None,
            host: host.to_owned(),
            path: "/".to_owned(),
            headers: &[],
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

/// Starts an Envoy in the control plane's directory, and does not wait for it.
pub(crate) fn envoy(isobath: &Isobath, socket: &Path, arguments: &[&str]) -> Envoy {
    let directory = isobath.directory();
    let bootstrap = bootstrap(directory, &format!("unix:{}", socket.display()));
    let admin = directory.join("admin.sock");
    Envoy::start_with(&bootstrap, &admin, &directory.join("envoy.log"), arguments)
}

/// One back end for each name, and the Services that lead to them.
pub(crate) async fn apps(names: &[&str]) -> (Vec<Backend>, Vec<Manifest>) {
    let mut backends = Vec::new();
    let mut manifests = Vec::new();
    for name in names {
        let backend = Backend::start(name).await;
        manifests.extend(app(name, &[&backend]));
        backends.push(backend);
    }
    (backends, manifests)
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
        .arg("--authz-socket")
        .arg(directory.join("authz.sock"))
        .output()
        .unwrap();
    assert!(output.status.success(), "isobath bootstrap: {output:?}");
    path
}
