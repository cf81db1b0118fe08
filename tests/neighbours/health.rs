//! Argo CD: what it takes for healthy. It waits for that after each sync.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::eventually::eventually;
use crate::world::World;

/// What has a status that Isobath writes, and for which Argo CD has a rule.
const OBJECTS: [(&str, &str); 6] = [
    ("ingress", "plain"),
    ("ingress", "forced"),
    ("gateway", "edge"),
    ("httproute", "to-tls"),
    ("httproute", "routed"),
    ("gatewayclass", "isobath"),
];

/// All are healthy, and an Ingress without an address is not.
pub(crate) async fn is_healthy(world: &World) {
    eventually("Argo CD finds all healthy", async || {
        let objects: Vec<Value> = OBJECTS.map(|(kind, name)| world.get(kind, name)).into();
        let said = judge(world, &objects);
        let is_good = |health: &Value| health["status"] == "Healthy";
        // It has no rule for classes: a sync takes them as they are.
        let (class, others) = said.split_last().unwrap();
        match others.iter().all(is_good) && (class.is_null() || is_good(class)) {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        }
    })
    .await;
    let mut waiting = world.get("ingress", "plain");
    waiting["status"] = json!({});
    let said = judge(world, &[waiting]);
    assert_eq!(said[0]["status"], "Progressing", "{said:?}");
}

/// What it says of each.
fn judge(world: &World, objects: &[Value]) -> Vec<Value> {
    let mut child = Command::new(world.program("argo-cd"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(json!(objects).to_string().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let lines = String::from_utf8(output.stdout).unwrap();
    let said = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    said.collect()
}
