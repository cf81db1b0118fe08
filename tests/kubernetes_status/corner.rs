//! One test's corner of the control plane: two namespaces (Isobath's and the users') and a user with rights.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isobath::objects::LoadBalancerAddress;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::replica::{Replica, addresses};

/// Nothing in these tests takes longer, on a machine that does other things as well.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// The files of `deploy` with the rights that every replica has.
pub(crate) const RBAC: &[&str] = &["base/rbac.yaml"];
/// Flags that name what is published.
pub(crate) const BY_ADDRESS: &[&str] = &["--ingress-status-address", "192.0.2.1,lb.example.com"];

/// One test's corner of the control plane: two namespaces (Isobath's and the users') and a user with rights.
pub(crate) struct Corner {
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) admin: Client,
    pub(crate) home: String,
    pub(crate) shop: String,
    user: String,
}

impl Corner {
    pub(crate) async fn new(name: &str) -> Option<Self> {
        let plane = ControlPlane::shared().await?;
        let corner = Self {
            admin: plane.client(ADMIN).await,
            home: format!("{name}-isobath"),
            shop: format!("{name}-shop"),
            user: format!("{name}-user"),
            plane,
        };
        for namespace in [&corner.home, &corner.shop] {
            corner.kubectl(&["create", "namespace", namespace], "");
        }
        Some(corner)
    }

    pub(crate) fn kubectl(&self, args: &[&str], stdin: &str) -> String {
        self.plane.kubectl(ADMIN, args, stdin)
    }

    /// Waits until a definition is served.
    pub(crate) fn wait_established(&self, crd: &str) {
        let args = ["wait", "--for=condition=established", crd];
        self.plane.kubectl_wait(ADMIN, &args);
    }

    /// Grants what `deploy/base` grants, less the rule that `except` selects.
    pub(crate) fn grant(&self, files: &[&str], except: impl Fn(&Value) -> bool) {
        let gather = |kind| -> Vec<Value> {
            let all = files.iter().flat_map(|file| rules(file, kind));
            all.filter(|rule| !except(rule)).collect()
        };
        let text = |rules: &Vec<Value>| serde_json::to_string(rules).unwrap();
        self.plane.grant(&self.user, &text(&gather("ClusterRole")));
        self.plane
            .grant_in(&self.home, &self.user, &text(&gather("Role")));
    }

    pub(crate) fn ingress(&self, name: &str, class: &str) {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": self.shop},
            "spec": {"ingressClassName": class, "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        });
        self.kubectl(&["apply", "-f", "-"], &object.to_string());
    }

    pub(crate) fn ingresses(&self) -> Api<Ingress> {
        Api::namespaced(self.admin.clone(), &self.shop)
    }

    pub(crate) async fn addresses(&self, name: &str) -> Vec<String> {
        addresses(&self.ingresses().get(name).await.unwrap())
            .iter()
            .map(text)
            .collect()
    }

    pub(crate) async fn until_addresses(&self, name: &str, expected: &[&str]) {
        let what = format!("{name} has {expected:?}");
        until(&what, || async { self.addresses(name).await == expected }).await;
    }

    /// Starts a replica that serves the class `isobath`.
    pub(crate) async fn replica(&self, pod: &str, flags: &[&str]) -> Replica {
        let client = self.plane.client(&self.user).await;
        Replica::start(client, self.admin.clone(), self, pod, flags)
    }
}

fn text(address: &LoadBalancerAddress) -> String {
    match address {
        LoadBalancerAddress::Ip(ip) => ip.to_string(),
        LoadBalancerAddress::Hostname(name) => name.to_string(),
    }
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + WITHIN;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The rules of the roles of a kind in a file of `deploy`.
fn rules(file: &str, kind: &str) -> Vec<Value> {
    let path = format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap())
        .filter(|document| document["kind"] == kind)
        .flat_map(|document| document["rules"].as_array().unwrap().clone())
        .collect()
}
