//! Gateways with a Service of their own (`--gateway-services`): on a real API server with Isobath's own rights, where the test
//! stands for the cloud that gives addresses, and a real Envoy.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::control_plane::ADMIN;
use crate::suite::Suite;
use crate::support::client::{self, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::network::alone;
use crate::support::stand::Stand;
use crate::world::World;

/// Where the slices say that Envoy's pod is: an address of the loopback device.
const POD: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 200);

const GROUP: &str = "gateway.networking.k8s.io/v1";

impl World {
    pub(crate) fn kubectl(&self, line: &[&str], stdin: &str) -> String {
        self.plane.kubectl(ADMIN, line, stdin)
    }

    pub(crate) fn apply(&self, object: &Value) {
        self.kubectl(&["apply", "-f", "-"], &object.to_string());
    }

    pub(crate) fn json(&self, line: &[&str]) -> Value {
        let line = [line, &["-o", "json"]].concat();
        serde_json::from_str(&self.kubectl(&line, "")).unwrap()
    }

    /// The Services of a Gateway, by name.
    fn services(&self, gateway: &str) -> BTreeMap<String, Value> {
        let label = format!("gateway.networking.k8s.io/gateway-name={gateway}");
        let list = self.json(&["get", "services", "-l", &label]);
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let name = |it: &Value| it["metadata"]["name"].as_str().unwrap().to_owned();
        items.into_iter().map(|it| (name(&it), it)).collect()
    }

    /// That of type LoadBalancer, once each of its ports leads to its node port.
    async fn load_balancer(&self, gateway: &str, ports: &[&str]) -> (Value, BTreeMap<String, u16>) {
        let what = format!("the Service of Gateway {gateway} has {ports:?}");
        eventually(&what, async || {
            let services = self.services(gateway);
            let mut services = services.into_values();
            let service = services.find(|it| it["spec"]["type"] == "LoadBalancer");
            let service = service.ok_or("there is none")?;
            let of = service["spec"]["ports"].as_array().unwrap();
            let named = of.iter().map(|port| {
                let number = |field: &str| port[field].as_u64().unwrap_or_default();
                let name = format!("{}/{}", number("port"), port["protocol"].as_str().unwrap());
                (name, number("nodePort"), number("targetPort"))
            });
            let named: Vec<_> = named.collect();
            let is_settled = named
                .iter()
                .all(|(_, node, target)| node == target && *node > 0);
            let found: BTreeMap<String, u16> = named
                .iter()
                .map(|(name, node, _)| (name.clone(), u16::try_from(*node).unwrap()))
                .collect();
            let names: Vec<&str> = found.keys().map(String::as_str).collect();
            (is_settled && names == ports)
                .then(|| (service.clone(), found))
                .ok_or("it has others")
        })
        .await
    }

    /// What a cloud does.
    fn assign(&self, service: &Value, address: &str) {
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        let name = service["metadata"]["name"].as_str().unwrap();
        let line = [
            "patch",
            "service",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
        ];
        self.kubectl(&[&line[..], &[&status.to_string()]].concat(), "");
    }

    async fn until_programmed(&self, gateway: &str, expected: &str) {
        let what = format!("Gateway {gateway} is {expected}");
        eventually(&what, async || {
            let object = self.json(&["get", "gateway", gateway]);
            let conditions = object["status"]["conditions"].as_array().cloned();
            let condition = conditions.into_iter().flatten();
            let mut condition = condition.filter(|it| it["type"] == "Programmed");
            let condition = condition.next().unwrap_or_default();
            let addresses = object["status"]["addresses"].as_array().cloned();
            let addresses = addresses.into_iter().flatten();
            let addresses: Vec<_> = addresses.map(|it| it["value"].to_string()).collect();
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            let found = format!(
                "{} {} {}",
                text("status"),
                text("reason"),
                addresses.join(" ")
            );
            (found == expected)
                .then_some(())
                .ok_or(format!("{found}: {}", text("message")))
        })
        .await;
    }

    /// Where the slice of IPv4 of a Gateway's Service leads to.
    async fn until_leads_to(&self, service: &str, expected: Value) {
        let what = format!("Service {service} leads to {expected}");
        eventually(&what, async || {
            let slice = self.json(&["get", "endpointslice", &format!("{service}-ipv4")]);
            let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
            let found = endpoints.iter().map(|it| it["addresses"][0].clone());
            let found = Value::Array(found.collect());
            (found == expected).then_some(()).ok_or(found)
        })
        .await;
    }

    /// An Event of a Gateway has this text.
    async fn until_told(&self, gateway: &str, text: &str) {
        let what = format!("Gateway {gateway} is told: {text}");
        eventually(&what, async || {
            let of = format!("involvedObject.name={gateway}");
            let events = self.json(&["get", "events", "--field-selector", &of]);
            let events = events["items"].as_array().cloned().unwrap_or_default();
            let notes = events.iter().map(|it| it["message"].to_string());
            let notes: Vec<String> = notes.collect();
            let is_told = notes.iter().any(|note| note.contains(text));
            is_told.then_some(()).ok_or(notes.join("\n"))
        })
        .await;
    }

    async fn until_services(&self, gateway: &str, count: usize) {
        let what = format!("Gateway {gateway} has {count} Services");
        eventually(&what, async || {
            let found = self.services(gateway);
            (found.len() == count)
                .then_some(())
                .ok_or(format!("{:?}", found.keys()))
        })
        .await;
    }
}

fn gateway(name: &str, class: &str, ports: &[(u16, &str)], address: Option<&str>) -> Value {
    let listeners = ports.iter().map(|(port, protocol)| {
        json!({"name": format!("{}-{port}", protocol.to_lowercase()), "port": port, "protocol": protocol})
    });
    let mut gateway = json!({
        "apiVersion": GROUP, "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "gatewayClassName": class,
            "infrastructure": {"labels": {"team": "a"}, "annotations": {"note.test/x": "y"}},
            "listeners": listeners.collect::<Vec<_>>(),
        },
    });
    if let Some(address) = address {
        gateway["spec"]["addresses"] = json!([{"type": "IPAddress", "value": address}]);
    }
    gateway
}

/// A route that sends on to a host.
fn route(name: &str, gateway: &str, to: &str) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": gateway}],
            "hostnames": ["a.test"],
            "rules": [{"filters": [{
                "type": "RequestRedirect", "requestRedirect": {"hostname": to, "statusCode": 302},
            }]}],
        },
    })
}

/// Where a request at a port of the pod is sent on to.
async fn until_location(port: u16, expected: &str) {
    let at = SocketAddr::new(IpAddr::V4(POD), port);
    eventually(expected, async || {
        let answer = client::get(at, Version::H1, None, "a.test", "/").await?;
        anyhow::ensure!(answer.header("location") == expected, "{answer:?}");
        Ok(())
    })
    .await;
}

/// The slice of Envoy's own Service.
fn pods(addresses: &[Ipv4Addr]) -> Value {
    let of = |address: &Ipv4Addr| json!({"addresses": [address], "conditions": {"ready": true}});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "envoy", "namespace": "isobath",
            "labels": {"kubernetes.io/service-name": "envoy"},
        },
        "addressType": "IPv4",
        "endpoints": addresses.iter().map(of).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": 8080}],
    })
}

async fn start(world: &World) -> Option<Stand> {
    let kubeconfig = world.install();
    let rights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/overlays/gateway-services/rbac.yaml"
    );
    world.kubectl(&["apply", "-f", rights], "");
    world.apply(&json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "envoy", "namespace": "isobath"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }));
    world.apply(&pods(&[POD]));
    world.apply(&json!({
        "apiVersion": GROUP, "kind": "GatewayClass", "metadata": {"name": "other"},
        "spec": {"controllerName": "other.test/controller"},
    }));
    let flags = [
        "--pod-name=pod",
        "--pod-namespace=isobath",
        "--gateway-services=isobath/envoy",
    ];
    let mut isobath = Isobath::of_cluster(&kubeconfig, &flags).on_every_address();
    isobath.restart().await;
    Some(Stand::on(isobath).await)
}

#[test]
fn a_gateway_is_reached_by_its_own_service() {
    alone(async || {
        let Some(suite) = Suite::find() else {
            return;
        };
        let Some(world) = World::start(&suite, "standard").await else {
            return;
        };
        let mut stand = start(&world).await.unwrap();

        let listeners = [(80, "HTTP"), (8080, "HTTP"), (53, "UDP")];
        world.apply(&gateway("edge", "isobath", &listeners, None));
        world.apply(&route("edge", "edge", "edge.test"));
        let ports = ["53/UDP", "80/TCP", "8080/TCP"];
        let (service, given) = world.load_balancer("edge", &ports).await;
        let metadata = &service["metadata"];
        assert_eq!(metadata["labels"]["team"], "a");
        assert_eq!(metadata["annotations"]["note.test/x"], "y");
        assert_eq!(metadata["ownerReferences"][0]["kind"], "Gateway");
        assert!(service["spec"]["selector"].is_null());
        world
            .until_programmed("edge", "False AddressNotAssigned ")
            .await;
        world.assign(&service, "192.0.2.7");
        world
            .until_programmed("edge", "True Programmed \"192.0.2.7\"")
            .await;
        let name = metadata["name"].as_str().unwrap().to_owned();
        let label = format!("kubernetes.io/service-name={name}");
        let slices = world.json(&["get", "endpointslices", "-l", &label]);
        let slices = slices["items"].as_array().unwrap();
        let slice = slices
            .iter()
            .find(|it| it["addressType"] == "IPv4")
            .unwrap();
        assert_eq!(slice["endpoints"][0]["addresses"], json!([POD]));
        let leads_to = slice["ports"].as_array().unwrap().iter();
        let mut leads_to: Vec<u64> = leads_to.map(|it| it["port"].as_u64().unwrap()).collect();
        leads_to.sort_unstable();
        let mut expected: Vec<u64> = given.values().map(|it| u64::from(*it)).collect();
        expected.sort_unstable();
        assert_eq!(leads_to, expected);
        until_location(given["80/TCP"], "http://edge.test/").await;
        until_location(given["8080/TCP"], "http://edge.test:8080/").await;

        // Another one has the same ports outside, and others in the pod.
        world.apply(&gateway(
            "second",
            "isobath",
            &[(80, "HTTP")],
            Some("192.0.2.9"),
        ));
        world.apply(&route("second", "second", "second.test"));
        let (second, of_second) = world.load_balancer("second", &["80/TCP"]).await;
        assert_eq!(second["spec"]["loadBalancerIP"], "192.0.2.9");
        until_location(of_second["80/TCP"], "http://second.test/").await;
        until_location(given["80/TCP"], "http://edge.test/").await;
        world.assign(&second, "192.0.2.8");
        world
            .until_programmed("second", "False AddressNotUsable \"192.0.2.8\"")
            .await;
        world.assign(&second, "192.0.2.9");
        world
            .until_programmed("second", "True Programmed \"192.0.2.9\"")
            .await;

        // Nothing but the Service remembers: another process has the same ports.
        let mut isobath = stand.part();
        isobath.terminate().await;
        isobath.restart().await;
        stand = Stand::on(isobath).await;
        until_location(given["8080/TCP"], "http://edge.test:8080/").await;
        // A port less, and one more; what stays keeps its number.
        world.apply(&gateway(
            "edge",
            "isobath",
            &[(80, "HTTP"), (81, "HTTP")],
            None,
        ));
        let (_, now) = world.load_balancer("edge", &["80/TCP", "81/TCP"]).await;
        assert_eq!(now["80/TCP"], given["80/TCP"]);
        until_location(now["81/TCP"], "http://edge.test:81/").await;
        world
            .until_programmed("edge", "True Programmed \"192.0.2.7\"")
            .await;

        // Its class goes, and a pod with it: what is there stays, and does not lead to an address that may be another's by now.
        let class = world.json(&["get", "gatewayclass", "isobath"]);
        world.kubectl(&["delete", "gatewayclass", "isobath"], "");
        world.apply(&pods(&[]));
        world.until_leads_to(&name, json!([])).await;
        world.until_services("edge", 2).await;
        world.apply(&pods(&[POD]));
        world.until_leads_to(&name, json!([POD])).await;
        world.apply(&json!({
            "apiVersion": GROUP, "kind": "GatewayClass",
            "metadata": {"name": "isobath"}, "spec": class["spec"],
        }));
        until_location(now["81/TCP"], "http://edge.test:81/").await;

        // One that is deleted and waits for its finalizer is left alone, and there is another one once it is gone.
        let finalizers = |names: Value| json!({"metadata": {"finalizers": names}}).to_string();
        let patch = |patch: &str| {
            let line = ["patch", "service", &name, "--type=merge", "-p", patch];
            world.kubectl(&line, "");
        };
        patch(&finalizers(json!(["x.test/y"])));
        world.kubectl(&["delete", "service", &name, "--wait=false"], "");
        world
            .until_programmed("edge", "False AddressNotAssigned ")
            .await;
        let uid = |of: &Value| of["metadata"]["uid"].clone();
        let ending = world.json(&["get", "service", &name]);
        patch(&finalizers(json!(null)));
        eventually("there is another Service", async || {
            let services = world.services("edge");
            let another = services.get(&name).ok_or("there is none")?;
            let is_another = uid(another) != uid(&ending);
            is_another.then_some(()).ok_or("it is the same")
        })
        .await;
        let (_, now) = world.load_balancer("edge", &["80/TCP", "81/TCP"]).await;
        until_location(now["81/TCP"], "http://edge.test:81/").await;
        world.until_leads_to(&name, json!([POD])).await;

        // A slice of somebody else's stays as it is, and the Gateway's owner is told.
        let slice = format!("{name}-ipv4");
        world.kubectl(&["delete", "endpointslice", &slice], "");
        let foreign = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": slice, "namespace": "default"},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.97.0.201"]}], "ports": [],
        });
        world.kubectl(&["replace", "--force", "-f", "-"], &foreign.to_string());
        world.apply(&gateway("edge", "isobath", &[(80, "HTTP")], None));
        world
            .until_told("edge", &format!("EndpointSlice default/{slice} "))
            .await;
        let kept = world.json(&["get", "endpointslice", &slice]);
        assert_eq!(kept["endpoints"][0]["addresses"], json!(["10.97.0.201"]));
        world.kubectl(&["delete", "endpointslice", &slice], "");

        // Of another class it has nothing of ours, but what is not ours stays.
        world.until_services("edge", 2).await;
        world.apply(&gateway("edge", "other", &[(80, "HTTP")], None));
        world.until_services("edge", 0).await;
        world.kubectl(&["delete", "gateway", "second"], "");
        world.until_services("second", 0).await;
        let foreign = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "labels": {"whose": "another"}},
            "spec": {"ports": [{"name": "x", "port": 1}]},
        });
        world.apply(&foreign);
        world.apply(&gateway("edge", "isobath", &[(80, "HTTP")], None));
        world
            .until_programmed("edge", "False AddressNotAssigned ")
            .await;
        let kept = world.json(&["get", "service", &name]);
        assert_eq!(kept["spec"]["ports"][0]["port"], 1);
        assert_eq!(kept["metadata"]["labels"], json!({"whose": "another"}));
        drop(stand);
    });
}
