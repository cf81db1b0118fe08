//! An API server with what `deploy/base` puts into it: namespace, class, and a ServiceAccount with its rights.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use crate::check::{Transport, answer};
use crate::control_plane::{ADMIN, ControlPlane};
use crate::fault_proxy::{FaultProxy, Upstream};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, endpoint_slice, service, site, text};
use crate::support::stand::Stand;

/// The namespace of `deploy/`.
pub(crate) const HOME: &str = "isobath";

/// What is published on Ingresses.
pub(crate) const ADDRESS: &str = "192.0.2.1";

/// The installation; nothing of Isobath runs yet.
pub(crate) struct Installation {
    pub(crate) plane: ControlPlane,
}

impl Installation {
    /// `None`: the control plane's programs are missing and this is not CI.
    pub(crate) async fn start() -> Option<Self> {
        let this = Self {
            plane: ControlPlane::start().await?,
        };
        for file in ["namespace", "rbac", "ingressclass"] {
            this.kubectl(&["apply", "-f", "-"], &base(file));
        }
        Some(this)
    }

    /// Runs kubectl with all rights.
    pub(crate) fn kubectl(&self, args: &[&str], stdin: &str) -> String {
        self.plane.kubectl(ADMIN, args, stdin)
    }

    /// Waits until a definition is served.
    pub(crate) fn wait_established(&self, crd: &str) {
        let args = ["wait", "--for=condition=established", crd];
        self.plane.kubectl_wait(ADMIN, &args);
    }

    pub(crate) fn apply(&self, manifests: &[Manifest]) {
        self.kubectl(&["apply", "-f", "-"], &text(manifests));
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        self.kubectl(&["delete", kind, name], "");
    }

    /// A token of the ServiceAccount, good for an hour.
    pub(crate) fn token(&self) -> String {
        let line = ["-n", HOME, "create", "token", "isobath", "--duration=1h"];
        self.kubectl(&line, "").trim().to_owned()
    }

    /// A kubeconfig of the ServiceAccount, by way of this address.
    pub(crate) fn kubeconfig(&self, server: SocketAddr) -> PathBuf {
        let token = self.plane.dir().join("token");
        fs::write(&token, self.token()).unwrap();
        let name = format!("account-{}", server.port());
        self.plane.kubeconfig_with_token_file(&name, server, &token)
    }

    /// A proxy to the API server, for whoever brings a token.
    pub(crate) async fn proxy(&self) -> FaultProxy {
        let authority = self.plane.authority();
        let server = authority.server();
        let upstream = Upstream {
            address: self.plane.address(),
            ca: authority.certificate().to_owned(),
            identity: None,
        };
        FaultProxy::start(upstream, &server.certificate, &server.key).await
    }

    /// Isobath as this pod, with the rights of the ServiceAccount; nothing runs yet.
    pub(crate) fn isobath(&self, pod: &str, arguments: &[&str]) -> Isobath {
        self.isobath_at(self.plane.address(), pod, arguments)
    }

    /// The same, by way of this address.
    pub(crate) fn isobath_at(&self, server: SocketAddr, pod: &str, arguments: &[&str]) -> Isobath {
        let kubeconfig = self.kubeconfig(server);
        let arguments = [
            &["--pod-name", pod, "--pod-namespace", HOME][..],
            &["--ingress-status-address", ADDRESS],
            arguments,
        ];
        Isobath::of_cluster(&kubeconfig, &arguments.concat())
    }

    /// The same, ready, with an Envoy.
    pub(crate) async fn stand(&self) -> Stand {
        let mut isobath = self.isobath("pod", &[]);
        isobath.restart().await;
        Stand::on(isobath).await
    }
}

/// A file of `deploy/base`.
pub(crate) fn base(file: &str) -> String {
    let path = format!("{}/deploy/base/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap()
}

/// A file of an overlay of `deploy/`.
pub(crate) fn overlay(name: &str, file: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/deploy/overlays/{name}/{file}.yaml");
    fs::read_to_string(path).unwrap()
}

/// Waits until a request is answered like this (see [`crate::check`]).
pub(crate) async fn becomes(
    stand: &Stand,
    transport: Transport,
    host: &str,
    path: &str,
    want: &str,
) {
    let what = format!("{transport:?} {host}{path} is {want}");
    eventually(&what, async || {
        match answer(stand, transport, host, path).await {
            got if got == want => Ok(()),
            got => Err(got),
        }
    })
    .await;
}

/// A Service of one port, 80, whose address the API server chooses.
pub(crate) fn cluster_service(name: &str) -> Manifest {
    let mut service = service(name);
    let spec = service.0["spec"].as_object_mut().unwrap();
    spec.remove("clusterIP");
    service
}

/// An EndpointSlice of one endpoint, by the name of its Service.
pub(crate) fn slice(service: &str, address: SocketAddr) -> Manifest {
    let ip = address.ip().to_string();
    endpoint_slice(service, service, "", &[&ip], address.port(), true)
}

/// An Ingress of our class for one host.
pub(crate) fn our_site(name: &str, host: &str, backend: &str) -> Manifest {
    site(name, host, backend).class("isobath")
}

/// The documents of a file of `deploy/base`.
pub(crate) fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&base(file)).unwrap()
}
