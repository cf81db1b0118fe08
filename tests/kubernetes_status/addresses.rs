//! The addresses of Ingresses come and go with the class, and where they come from.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::corner::{BY_ADDRESS, Corner, RBAC, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_come_and_go_with_the_class() {
    let Some(corner) = Corner::new("addresses").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    corner.ingress("other", "nginx");
    let api = corner.ingresses();
    let status =
        |entries: Value| Patch::Merge(json!({"status": {"loadBalancer": {"ingress": entries}}}));
    let nginx = PatchParams {
        field_manager: Some("nginx".into()),
        ..PatchParams::default()
    };
    // Another controller on the same address, and one of our Ingresses with a leftover of it.
    let shared = status(json!([{"ip": "192.0.2.1"}]));
    api.patch_status("other", &nginx, &shared).await.unwrap();
    let leftover = status(json!([{"ip": "198.51.100.7"}]));
    api.patch_status("web", &nginx, &leftover).await.unwrap();

    let mut replica = corner.replica("a", BY_ADDRESS).await;
    replica.until_leader().await;
    corner
        .until_addresses("web", &["192.0.2.1", "lb.example.com"])
        .await;
    let listed = corner.kubectl(&["get", "ingress", "web", "-n", &corner.shop], "");
    assert!(listed.contains("192.0.2.1,lb.example.com"), "{listed}");

    // It leaves, and its next controller was faster: what it added stays, with all its fields.
    let entries = json!([{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"},
        {"ip": "198.51.100.8", "ports": [{"port": 80, "protocol": "TCP"}]}]);
    replica.sees(false);
    corner.ingress("web", "nginx");
    api.patch_status("web", &nginx, &status(entries))
        .await
        .unwrap();
    replica.sees(true);
    corner.until_addresses("web", &["198.51.100.8"]).await;
    let left = api
        .get("web")
        .await
        .unwrap()
        .status
        .unwrap()
        .load_balancer
        .unwrap();
    let ports = left.ingress.unwrap()[0].ports.clone().unwrap();
    assert_eq!(ports[0].port, 80);

    // It publishes an address that happens to be ours: that is its own affair now.
    api.patch_status("web", &nginx, &status(json!([{"ip": "192.0.2.1"}])))
        .await
        .unwrap();
    // One that leaves alone is left without any.
    corner.ingress("alone", "isobath");
    corner
        .until_addresses("alone", &["192.0.2.1", "lb.example.com"])
        .await;
    corner.ingress("alone", "nginx");
    corner.until_addresses("alone", &[]).await;
    assert_eq!(corner.addresses("web").await, ["192.0.2.1"]);
    assert_eq!(corner.addresses("other").await, ["192.0.2.1"]);

    // It leaves while nobody looks: the next process still knows what was ours.
    corner.ingress("later", "isobath");
    corner
        .until_addresses("later", &["192.0.2.1", "lb.example.com"])
        .await;
    replica.stop().await;
    corner.ingress("later", "nginx");
    let mut replica = corner.replica("b", BY_ADDRESS).await;
    replica.until_leader().await;
    corner.until_addresses("later", &[]).await;
    assert_eq!(corner.addresses("web").await, ["192.0.2.1"]);
    assert_eq!(corner.addresses("other").await, ["192.0.2.1"]);

    // A write that is meant for the Ingress that had the name before is refused; the writer knows by these words.
    let late = json!({"metadata": {"uid": "another"}, "status": {"loadBalancer": null}});
    let late = api.patch_status("other", &nginx, &Patch::Merge(late)).await;
    let refused =
        |status: &kube::core::Status| status.code == 422 && status.message.contains("metadata.uid");
    assert!(
        matches!(&late, Err(kube::Error::Api(status)) if refused(status)),
        "{late:?}"
    );
    // Created anew under its name.
    corner.ingress("again", "isobath");
    corner
        .until_addresses("again", &["192.0.2.1", "lb.example.com"])
        .await;
    corner.kubectl(&["delete", "ingress", "again", "-n", &corner.shop], "");
    corner.ingress("again", "isobath");
    corner
        .until_addresses("again", &["192.0.2.1", "lb.example.com"])
        .await;
    replica.is_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_address_is_followed_and_stays_while_there_is_none() {
    let Some(corner) = Corner::new("service").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    let service = format!("{}/envoy", corner.home);
    let mut replica = corner.replica("a", &["--envoy-service", &service]).await;
    replica.until_leader().await;
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "envoy", "namespace": corner.home},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    let balance = |entries: Value| {
        let status = json!({"loadBalancer": {"ingress": entries}});
        corner
            .plane
            .patch_status(&corner.home, "service", "envoy", &status);
    };
    corner.kubectl(&["apply", "-f", "-"], &object.to_string());
    balance(json!([{"ip": "203.0.113.5"}]));
    corner.until_addresses("web", &["203.0.113.5"]).await;
    balance(json!([{"hostname": "lb.example.net"}, {"ip": "203.0.113.6"}]));
    corner
        .until_addresses("web", &["203.0.113.6", "lb.example.net"])
        .await;
    // Away and back: nothing is taken out of DNS meanwhile, and what is new arrives.
    corner.kubectl(&["delete", "service", "envoy", "-n", &corner.home], "");
    corner.kubectl(&["apply", "-f", "-"], &object.to_string());
    corner.ingress("second", "isobath");
    corner
        .until_addresses("second", &["203.0.113.6", "lb.example.net"])
        .await;
    assert_eq!(
        corner.addresses("web").await,
        ["203.0.113.6", "lb.example.net"]
    );
    balance(json!([{"ip": "203.0.113.7"}]));
    corner.until_addresses("web", &["203.0.113.7"]).await;
    replica.has_written(5).await;
    replica.is_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_a_ready_pod_are_published() {
    let Some(corner) = Corner::new("nodes").await else {
        return;
    };
    corner.grant(
        &[
            "base/rbac.yaml",
            "components/node-addresses/rbac-nodes.yaml",
        ],
        |_| false,
    );
    corner.ingress("web", "isobath");
    for (name, addresses) in [
        (
            "nodes-1",
            json!([{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "ExternalIP", "address": "203.0.113.1"}]),
        ),
        (
            "nodes-2",
            json!([{"type": "InternalIP", "address": "10.0.0.2"}]),
        ),
        (
            "nodes-3",
            json!([{"type": "InternalIP", "address": "10.0.0.3"}]),
        ),
    ] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        corner.kubectl(&["apply", "-f", "-"], &node.to_string());
        let status = json!({"addresses": addresses});
        corner.plane.patch_status("", "node", name, &status);
    }
    let pod = |name: &str, node: &str, ready: &str, app: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": corner.home, "labels": {"app": app, "pod-template-hash": name}},
            "spec": {"nodeName": node, "containers": [{"name": "envoy", "image": "envoy",
                "ports": [{"containerPort": 8080, "hostPort": 80}]}]}});
        corner.kubectl(&["apply", "-f", "-"], &pod.to_string());
        let status =
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
        corner
            .plane
            .patch_status(&corner.home, "pod", name, &status);
    };
    pod("a", "nodes-1", "True", "isobath");
    pod("b", "nodes-2", "True", "isobath");
    pod("c", "nodes-3", "False", "isobath");
    pod("d", "nodes-3", "True", "other");
    // No flag: the pod's host ports are enough of a hint.
    let mut replica = corner.replica("a", &[]).await;
    replica.until_leader().await;
    corner
        .until_addresses("web", &["10.0.0.2", "203.0.113.1"])
        .await;
    replica.is_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_rights_and_a_missing_service_are_no_end() {
    let Some(corner) = Corner::new("sources").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    let nowhere = format!("{}/nowhere", corner.home);
    for flags in [
        ["--ingress-status-from", "nodes"],
        ["--envoy-service", &nowhere],
    ] {
        let mut replica = corner.replica("a", &flags).await;
        replica.until_leader().await;
        if flags[1] == "nodes" {
            until("pods are forbidden", || async {
                replica
                    .metric("status_address_errors_total", "reason")
                    .contains_key("forbidden")
            })
            .await;
        }
        replica.is_alive();
        assert!(corner.addresses("web").await.is_empty());
        replica.stop().await;
    }
}
