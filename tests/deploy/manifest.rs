//! The manifests, read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::control_plane::kubectl;

/// Every overlay; each has a rendered file.
pub(crate) const OVERLAYS: [&str; 7] = [
    "hostport",
    "loadbalancer",
    "gateway-services",
    "hostnetwork",
    "nodeport",
    "deployment",
    "namespaced",
];

/// What people read, written by hand.
pub(crate) const PAGES: [&str; 7] = [
    "README.md",
    "deploy/README.md",
    "deploy/contour.md",
    "deploy/edge.md",
    "deploy/gateway-api.md",
    "deploy/ingress-nginx.md",
    "deploy/ingress.md",
];

/// The folder `deploy`.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// A file of the checkout.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `kubectl kustomize` makes of a folder of `deploy`.
pub(crate) fn kustomize(folder: &str) -> String {
    let output = Command::new(kubectl())
        .arg("kustomize")
        .arg(deploy().join(folder))
        .output()
        .expect("kubectl is in KUBEBUILDER_ASSETS or installed");
    assert!(
        output.status.success(),
        "{folder}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The objects of a text of several documents.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

/// The objects of an overlay's rendered file.
pub(crate) fn rendered(overlay: &str) -> Vec<Value> {
    objects(&read(format!("deploy/rendered/{overlay}.yaml")))
}

/// The objects of that kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

/// `kind namespace/name`, for messages and comparisons.
pub(crate) fn identity(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or("-").to_owned();
    format!(
        "{} {}/{}",
        object["kind"].as_str().unwrap(),
        text("namespace"),
        text("name")
    )
}

/// A DaemonSet's or Deployment's pod.
pub(crate) struct Workload<'a> {
    pub(crate) name: String,
    pub(crate) object: &'a Value,
    pub(crate) spec: &'a Value,
}

/// All workloads of an overlay.
pub(crate) fn workloads(objects: &[Value]) -> Vec<Workload<'_>> {
    objects
        .iter()
        .filter(|object| object.pointer("/spec/template/spec").is_some())
        .map(|object| Workload {
            name: identity(object),
            object,
            spec: &object["spec"]["template"]["spec"],
        })
        .collect()
}

impl<'a> Workload<'a> {
    /// All containers, initial ones included.
    pub(crate) fn containers(&self) -> Vec<&'a Value> {
        list(&self.spec["initContainers"])
            .iter()
            .chain(list(&self.spec["containers"]))
            .collect()
    }

    /// The container of that name.
    pub(crate) fn container(&self, name: &str) -> Option<&'a Value> {
        self.containers()
            .into_iter()
            .find(|container| container["name"] == name)
    }
}

/// An array's elements; none of what is no array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The strings of an array.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    list(value)
        .iter()
        .map(|item| item.as_str().expect("a string").to_owned())
        .collect()
}
