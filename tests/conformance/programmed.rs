//! When a Gateway is said to be programmed: by an xDS client that answers as the test says, on a real API server.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::control_plane::ADMIN;
use crate::suite::Suite;
use crate::support::ads::{Ads, LDS};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::network::alone;
use crate::world::World;

/// What becomes of listeners on a port other than 80.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Acknowledge,
    Hold,
    Refuse,
}

/// A client that has everything, and goes on as it is told.
struct Client {
    answer: watch::Sender<Answer>,
    task: AbortHandle,
}

impl Client {
    async fn connect(socket: PathBuf) -> Self {
        let mut ads = Ads::connect(&socket).await.unwrap();
        ads.everything().await.unwrap();
        let answer = watch::Sender::new(Answer::Acknowledge);
        let mut told = answer.subscribe();
        let task = tokio::spawn(async move {
            loop {
                let response = ads.receive().await.unwrap();
                let mut resources = response.resources.iter();
                let is_other = |name: &str| name.starts_with("gw/") && !name.contains("/80/");
                let is_of_other =
                    response.type_url == LDS && resources.any(|it| is_other(&it.name));
                if is_of_other {
                    told.wait_for(|answer| *answer != Answer::Hold)
                        .await
                        .unwrap();
                    if *told.borrow() == Answer::Refuse {
                        ads.refuse(&response, "the test says so").await.unwrap();
                        continue;
                    }
                }
                ads.acknowledge(response).await.unwrap();
                ads.follow().await.unwrap();
            }
        });
        Self {
            answer,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn gateway(name: &str, ports: &[u16]) -> String {
    let listeners = ports
        .iter()
        .map(|port| json!({"name": format!("http-{port}"), "port": port, "protocol": "HTTP"}));
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"gatewayClassName": "isobath", "listeners": listeners.collect::<Vec<_>>()},
    })
    .to_string()
}

/// `status reason generation` of the Gateway and of each of its listeners, and the message of the first.
fn programmed(world: &World, name: &str) -> (Vec<String>, String) {
    let line = ["get", "gateway", name, "-o", "json"];
    let object: Value = serde_json::from_str(&world.plane.kubectl(ADMIN, &line, "")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |object: &Value| {
        let conditions = object["conditions"].as_array().cloned().unwrap_or_default();
        let condition = conditions.into_iter().find(|it| it["type"] == "Programmed");
        let condition = condition.unwrap_or_default();
        let said = ["status", "reason"].map(|field| text(&condition[field]));
        let generation = &condition["observedGeneration"];
        (
            format!("{} {generation}", said.join(" ")),
            text(&condition["message"]),
        )
    };
    let status = &object["status"];
    let (first, message) = of(status);
    let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
    let listeners = listeners.iter().map(|it| of(it).0);
    (std::iter::once(first).chain(listeners).collect(), message)
}

async fn until(world: &World, name: &str, expected: &[&str], message: &str) {
    let what = format!("{name} {expected:?}");
    eventually(&what, async || {
        let (found, said) = programmed(world, name);
        let is_so = found == expected && said.contains(message);
        is_so.then_some(()).ok_or(format!("{found:?} {said}"))
    })
    .await;
}

#[test]
fn a_gateway_is_programmed_once_an_envoy_has_acknowledged_it() {
    alone(async || {
        let Some(suite) = Suite::find() else {
            return;
        };
        let Some(world) = World::start(&suite, "standard").await else {
            return;
        };
        let kubeconfig = world.install();
        let flags = [
            "--pod-name=pod",
            "--pod-namespace=isobath",
            "--gateway-addresses=10.97.0.128/25",
        ];
        let mut isobath = Isobath::of_cluster(&kubeconfig, &flags);
        isobath.restart().await;
        let apply = |text: &str| world.plane.kubectl(ADMIN, &["apply", "-f", "-"], text);

        // Without an Envoy: as it is published.
        apply(&gateway("first", &[80]));
        let [there, again] = ["True Programmed 1", "True Programmed 2"];
        until(&world, "first", &[there, there], "").await;

        let client = Client::connect(isobath.xds()).await;
        client.answer.send_replace(Answer::Hold);
        apply(&gateway("held", &[81]));
        let waits = "Unknown Pending 1";
        let said = "No Envoy has acknowledged";
        until(&world, "held", &[waits, waits], said).await;
        // What is said stays said, and a newer snapshot is no acknowledgement either: that of the Gateway's own listener is awaited.
        apply(&gateway("first", &[80, 82]));
        let waits_again = "Unknown Pending 2";
        until(&world, "first", &[waits_again; 3], said).await;
        until(&world, "held", &[waits, waits], said).await;
        client.answer.send_replace(Answer::Acknowledge);
        until(&world, "held", &[there, there], "").await;
        until(&world, "first", &[again; 3], "").await;

        client.answer.send_replace(Answer::Refuse);
        apply(&gateway("refused", &[83, 80]));
        let refused = "False Invalid 1";
        until(&world, "refused", &[there, refused, there], "").await;
        apply(&gateway("refused-whole", &[84]));
        until(
            &world,
            "refused-whole",
            &[refused, refused],
            "the test says so",
        )
        .await;
        until(&world, "held", &[there, there], "").await;
        client.answer.send_replace(Answer::Acknowledge);
        // It is sent again with its next change alone.
        apply(&gateway("refused-whole", &[85]));
        until(&world, "refused-whole", &[again, again], "").await;
        drop(client);
    });
}
