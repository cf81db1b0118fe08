//! The cluster: a control plane with all definitions, a node, and Isobath with exactly the rights that `deploy/` gives.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::control_plane::{ADMIN, ControlPlane};
use crate::kubelet::Kubelet;
use crate::pod::Program;
use crate::support::backend::Backend;
use crate::support::isobath::Isobath;
use crate::support::network::address;
use crate::support::stand::Stand;

/// Where the programs lie that `tests/neighbours/build.sh` makes.
const PROGRAMS: &str = "ISOBATH_TEST_NEIGHBOURS";

/// Where the definitions of the Gateway API lie, which `tests/conformance/build.sh` fetches.
const DEFINITIONS: &str = "ISOBATH_TEST_CONFORMANCE";

/// Where the back end of all applications listens.
const BACKEND: Ipv4Addr = address(2);

/// Where Ingresses are reached.
pub(crate) const INGRESSES: Ipv4Addr = address(3);

/// Where the one node listens.
const NODE: Ipv4Addr = address(4);

/// Where the Gateway is reached.
pub(crate) const GATEWAY: Ipv4Addr = address(130);

/// A cluster with applications by Ingress and by HTTPRoute, and Isobath.
pub(crate) struct World {
    pub(crate) stand: Stand,
    pub(crate) plane: ControlPlane,
    programs: PathBuf,
    _kubelet: Kubelet,
    _backend: Backend,
}

impl World {
    /// `None`, with a loud line: what it needs was not built, and this is not CI.
    pub(crate) async fn start() -> Option<Self> {
        let programs = built(PROGRAMS, "tests/neighbours/build.sh")?;
        let definitions = built(DEFINITIONS, "tests/conformance/build.sh")?;
        let mut plane = ControlPlane::start().await?;
        for folder in [definitions.join("crds/standard"), programs.join("crds")] {
            let folder = folder.to_str().unwrap();
            plane.kubectl(ADMIN, &["apply", "--server-side", "-f", folder], "");
        }
        let line = ["wait", "--for=condition=Established", "crd", "--all"];
        plane.kubectl_wait(ADMIN, &line);
        plane.start_controller_manager();
        let solver = Program::AcmeSolver(programs.join("cert-manager"));
        let client = plane.client(ADMIN).await;
        let kubelet = Kubelet::start(client, NODE, plane.authority(), solver).await;
        let backend = Backend::start_at("web", BACKEND).await;
        let stand = install(&plane).await;
        let this = Self {
            stand,
            plane,
            programs,
            _kubelet: kubelet,
            _backend: backend,
        };
        let port = this._backend.address().port().to_string();
        let applications = include_str!("applications.yaml").replace("BACKEND_PORT", &port);
        this.kubectl(&["apply", "-f", "-"], &applications);
        Some(this)
    }

    /// Runs kubectl with all rights.
    pub(crate) fn kubectl(&self, line: &[&str], stdin: &str) -> String {
        self.plane.kubectl(ADMIN, line, stdin)
    }

    /// An object as JSON.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", kind, name, "-o", "json"], "");
        serde_json::from_str(&text).unwrap()
    }

    /// A program of this name.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A kubeconfig of who may do everything.
    pub(crate) fn admin(&self) -> PathBuf {
        self.plane.kubeconfig(ADMIN)
    }

    /// A folder that lives as long as the world.
    pub(crate) fn dir(&self) -> &Path {
        self.plane.dir()
    }
}

pub(crate) fn built(variable: &str, script: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(variable) {
        return Some(folder.into());
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{variable} is not set on CI"
    );
    eprintln!("SKIPPED: {variable} is not set ({script} builds it)");
    None
}

/// Puts in what `deploy/base` has besides the pods, and starts Isobath and its Envoy.
async fn install(plane: &ControlPlane) -> Stand {
    for file in ["namespace", "rbac", "ingressclass"] {
        let path = format!("{}/deploy/base/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
        plane.kubectl(ADMIN, &["apply", "-f", &path], "");
    }
    let class = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/gateway-api");
    plane.kubectl(ADMIN, &["apply", "-k", class], "");
    let line = [
        "-n",
        "isobath",
        "create",
        "token",
        "isobath",
        "--duration=2h",
    ];
    let token = plane.dir().join("token");
    fs::write(&token, plane.kubectl(ADMIN, &line, "").trim()).unwrap();
    let kubeconfig = plane.kubeconfig_with_token_file("isobath", plane.address(), &token);
    let pool = format!("{GATEWAY}/32");
    let arguments = [
        "--pod-name=pod",
        "--pod-namespace=isobath",
        "--gateway-addresses",
        &pool,
        "--ingress-status-address",
        &INGRESSES.to_string(),
    ];
    let isobath = Isobath::of_cluster(&kubeconfig, &arguments);
    let mut isobath = isobath.on_well_known_ports(INGRESSES.into());
    isobath.restart().await;
    Stand::on(isobath).await
}
