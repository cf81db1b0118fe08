//! How long it takes until each of many HTTPRoutes has its status: `make figures ARGS=gateway`, with fewer of them in CI.

use std::time::Instant;

use anyhow::ensure;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::json;

use crate::control_plane::ADMIN;
use crate::suite::Suite;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::network::alone;
use crate::world::World;

#[test]
fn of_all_routes_are_written() {
    alone(async || {
        let Some(suite) = Suite::find() else {
            return;
        };
        let Some(world) = World::start(&suite, "standard").await else {
            return;
        };
        let count = match std::env::var_os("ISOBATH_SOAK") {
            Some(_) => 5000,
            None => 100,
        };
        let kubeconfig = world.install();
        let kubectl = |line: &[&str], stdin: &str| world.plane.kubectl(ADMIN, line, stdin);
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {
                "gatewayClassName": "isobath",
                "listeners": [{"name": "http", "protocol": "HTTP", "port": 80,
                    "allowedRoutes": {"namespaces": {"from": "All"}}}],
            },
        });
        kubectl(&["create", "-f", "-"], &gateway.to_string());
        // A hundred to a namespace: no more than a few of one namespace are written at a time.
        for first in (0..count).step_by(100) {
            let namespace = format!("team-{first}");
            kubectl(&["create", "namespace", &namespace], "");
            let routes = (first..first + 100).map(|number| {
                json!({
                    "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                    "metadata": {"name": format!("web-{number}"), "namespace": namespace},
                    "spec": {
                        "parentRefs": [{"name": "edge", "namespace": "default"}],
                        "hostnames": [format!("web-{number}.test")],
                        "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
                    },
                })
            });
            let list =
                json!({"apiVersion": "v1", "kind": "List", "items": routes.collect::<Vec<_>>()});
            kubectl(&["create", "-f", "-"], &list.to_string());
        }
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let client = world.plane.client(ADMIN).await;
        let all: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
        let arguments = ["--pod-name=pod", "--pod-namespace=isobath"];
        let mut isobath = Isobath::of_cluster(&kubeconfig, &arguments);
        let began = Instant::now();
        isobath.restart().await;
        let ready = began.elapsed();
        eventually("each route has its status", async || {
            // Each look costs the API server as much as a thousand writes.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let routes = all.list(&ListParams::default()).await?;
            let told = |route: &&DynamicObject| {
                let parents = route.data["status"]["parents"].as_array();
                parents.is_some_and(|parents| !parents.is_empty())
            };
            let told = routes.iter().filter(told).count();
            ensure!(told == count, "{told} of {count}");
            Ok::<_, anyhow::Error>(())
        })
        .await;
        println!(
            "{count} routes: ready after {ready:.1?}, all statuses {:.1?} after the start",
            began.elapsed()
        );
    });
}
