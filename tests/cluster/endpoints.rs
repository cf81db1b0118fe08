//! Real EndpointSlices: kube-controller-manager makes them from a Service and its Pods. What a kubelet would say about
//! the Pods the test says.

use std::net::SocketAddr;

use serde_json::json;

use crate::check::Transport;
use crate::installation::{Installation, becomes, cluster_service, our_site};
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::Manifest;
use crate::support::network::{address, alone};

#[test]
fn slices_of_the_controller_manager() {
    alone(async || {
        let Some(mut cluster) = Installation::start().await else {
            return;
        };
        cluster.plane.start_controller_manager();
        let one = Backend::start_at("one", address(2)).await;
        let two = Backend::start_at("two", address(3)).await;
        let mut service = cluster_service("web");
        service.0["spec"]["selector"] = json!({"app": "web"});
        service.0["spec"]["ports"][0]["targetPort"] = "http".into();
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}});
        cluster.apply(&[
            service,
            our_site("web", "web.test", "web:80"),
            Manifest(node),
        ]);
        let stand = cluster.stand().await;
        becomes(&stand, Transport::Http1, "web.test", "/", "503").await;

        cluster.apply(&[pod("one", one.address())]);
        becomes(&stand, Transport::Http1, "web.test", "/", "503").await;
        says(&cluster, "one", one.address(), true);
        becomes(&stand, Transport::Http1, "web.test", "/", "one").await;

        // A second pod, in a slice of its own, as its port is another.
        let load = Load::start(stand.http_traffic("web.test")).await;
        cluster.apply(&[pod("two", two.address())]);
        says(&cluster, "two", two.address(), true);
        load.reaches("two").await;
        let slices = cluster.kubectl(&["get", "endpointslices", "-o", "name"], "");
        assert_eq!(slices.lines().count(), 2, "{slices}");

        // The first is not ready any more: nothing new reaches it, and nothing fails.
        says(&cluster, "one", one.address(), false);
        eventually("only the second is reached", async || {
            let before = one.requests();
            load.more(50).await;
            match one.requests() - before {
                0 => Ok(()),
                more => Err(format!("{more} requests")),
            }
        })
        .await;
        load.stop_without_failure().await;

        // No endpoint is left.
        for name in ["one", "two"] {
            let line = ["delete", "pod", name, "--grace-period=0", "--force"];
            cluster.kubectl(&line, "");
        }
        becomes(&stand, Transport::Http1, "web.test", "/", "503").await;
    });
}

/// A pod whose port `http` is where the back end listens.
fn pod(name: &str, backend: SocketAddr) -> Manifest {
    Manifest(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "default", "name": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "node", "containers": [{
            "name": "web", "image": "web", "ports": [{"name": "http", "containerPort": backend.port()}]}]},
    }))
}

/// What the kubelet says of a pod.
fn says(cluster: &Installation, name: &str, backend: SocketAddr, ready: bool) {
    let ready = if ready { "True" } else { "False" };
    let ip = backend.ip();
    let status = json!({
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": ready}]});
    cluster.plane.patch_status("default", "pod", name, &status);
}
