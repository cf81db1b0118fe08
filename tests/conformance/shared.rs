//! The addresses of Gateways that are reached as Ingresses are, on a real API server with Isobath's own rights.

use serde_json::{Value, json};

use crate::suite::Suite;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::network::alone;
use crate::world::World;

const POD: [&str; 2] = ["--pod-name=pod", "--pod-namespace=isobath"];

fn gateway(name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "gatewayClassName": "isobath",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    })
}

/// The values of the addresses of a Gateway, and what its `Programmed` says.
fn of_gateway(world: &World, name: &str) -> (Vec<String>, String) {
    let status = world.json(&["get", "gateway", name])["status"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let addresses = status["addresses"].as_array().cloned().unwrap_or_default();
    let addresses = addresses.iter().map(|it| text(&it["value"])).collect();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let programmed = conditions.iter().find(|it| it["type"] == "Programmed");
    let message = programmed.map(|it| text(&it["message"]));
    (addresses, message.unwrap_or_default())
}

async fn until(world: &World, name: &str, expected: &[&str]) {
    let what = format!("Gateway {name} has {expected:?}");
    eventually(&what, async || {
        let (found, message) = of_gateway(world, name);
        let is_ours = message.starts_with("It is published");
        let is_so = is_ours && found == expected;
        is_so.then_some(()).ok_or(format!("{found:?} {message}"))
    })
    .await;
}

#[test]
fn gateways_have_the_addresses_of_ingresses_and_of_nobody_else() {
    alone(async || {
        let Some(suite) = Suite::find() else {
            return;
        };
        let Some(world) = World::start(&suite, "standard").await else {
            return;
        };
        let kubeconfig = world.install();
        let published = ["--ingress-status-address=192.0.2.1,lb.test"];
        let flags = [&POD[..], &published].concat();
        let mut isobath = Isobath::of_cluster(&kubeconfig, &flags);
        isobath.restart().await;
        world.apply(&gateway("shared"));
        world.apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "ingressClassName": "isobath",
                "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
            },
        }));
        let has = ["192.0.2.1", "lb.test"];
        until(&world, "shared", &has).await;
        eventually("the Ingress has them", async || {
            let ingress = world.json(&["get", "ingress", "web"]);
            let entries = &ingress["status"]["loadBalancer"]["ingress"];
            let entries = entries.as_array().cloned().unwrap_or_default();
            let value = |it: &Value| {
                let value = it["ip"].as_str().or_else(|| it["hostname"].as_str());
                value.unwrap_or_default().to_owned()
            };
            let found: Vec<String> = entries.iter().map(value).collect();
            (found == has).then_some(()).ok_or(format!("{found:?}"))
        })
        .await;
        isobath.terminate().await;

        // While none is known, what we said stays, and what another controller said does not.
        world.apply(&gateway("taken"));
        let status = json!({"status": {
            "addresses": [{"type": "IPAddress", "value": "203.0.113.9"}],
            "conditions": [{
                "type": "Programmed", "status": "True", "reason": "Programmed", "message": "theirs",
                "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }});
        let status = status.to_string();
        let line = [
            "patch",
            "gateway",
            "taken",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        world.kubectl(&line, "");
        let flags = [&POD[..], &["--ingress-status-from=none"]].concat();
        let mut isobath = Isobath::of_cluster(&kubeconfig, &flags);
        isobath.restart().await;
        until(&world, "taken", &[]).await;
        until(&world, "shared", &has).await;
        drop(isobath);
    });
}
