//! external-dns: what it would write into a zone.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::support::eventually::eventually;
use crate::world::{GATEWAY, INGRESSES, World};

/// What it reads of Ingresses and of HTTPRoutes becomes this: names and where they lead.
pub(crate) async fn are_read(world: &World) {
    let wanted = BTreeMap::from([
        ("forced.test".to_owned(), vec![INGRESSES.to_string()]),
        ("plain.test".to_owned(), vec![INGRESSES.to_string()]),
        ("routed.test".to_owned(), vec![GATEWAY.to_string()]),
    ]);
    eventually("external-dns reads the addresses", async || {
        let read = read(world);
        match read == wanted {
            true => Ok(()),
            false => Err(format!("{read:?}")),
        }
    })
    .await;
}

/// Runs it once.
fn read(world: &World) -> BTreeMap<String, Vec<String>> {
    let output = Command::new(world.program("external-dns"))
        .arg("--kubeconfig")
        .arg(world.admin())
        .args(["--source=ingress", "--source=gateway-httproute"])
        .args(["--provider=inmemory", "--registry=noop", "--policy=sync"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "external-dns: {said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let endpoints = lines.lines().map(|line| {
        let endpoint: Value = serde_json::from_str(line).unwrap();
        assert_eq!(endpoint["recordType"], "A", "{endpoint}");
        let targets = endpoint["targets"].as_array().unwrap().iter();
        let targets = targets.map(|target| target.as_str().unwrap().to_owned());
        let name = endpoint["dnsName"].as_str().unwrap().to_owned();
        (name, targets.collect())
    });
    endpoints.collect()
}
