//! A real API server takes every manifest, and refuses what the Pod Security level of the namespace forbids.

use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::manifest::{OVERLAYS, identity, kustomize, objects, read, rendered, workloads};

const STRICT: [&str; 5] = [
    "apply",
    "--server-side",
    "--force-conflicts",
    "--validate=strict",
    "-f",
];

const ACCOUNT: &str = "system:serviceaccount:isobath:isobath";

/// One control plane for all of it: the overlays are applied one after another, as an operator who changes his mind
/// would.
#[tokio::test]
async fn every_overlay_applies_and_keeps_to_its_level() {
    let Some(plane) = ControlPlane::start().await else {
        return;
    };
    for overlay in OVERLAYS {
        let text = read(format!("deploy/rendered/{overlay}.yaml"));
        let applied = apply(&plane, &text);
        let objects = rendered(overlay);
        assert_eq!(
            applied.lines().count(),
            objects.len(),
            "{overlay}:\n{applied}"
        );
        // The other ways of `kubectl apply` too: again, and from the client's side.
        plane.kubectl(ADMIN, &["apply", "--validate=strict", "-f", "-"], &text);
        unknown_fields_are_refused(&plane, &objects);
        pods_are_admitted(&plane, overlay, &objects);
        rights(&plane, overlay);
        remove(&plane, &objects);
    }
}

fn apply(plane: &ControlPlane, text: &str) -> String {
    plane.kubectl(ADMIN, &[&STRICT[..], &["-"]].concat(), text)
}

fn refused(plane: &ControlPlane, object: &Value) -> String {
    plane
        .try_kubectl(
            ADMIN,
            &[&STRICT[..], &["-", "--dry-run=server"]].concat(),
            &object.to_string(),
        )
        .expect_err("this must be refused")
}

/// That the check above can fail at all, for each kind.
fn unknown_fields_are_refused(plane: &ControlPlane, objects: &[Value]) {
    for object in objects {
        let mut object = object.clone();
        object["metadata"]["isobathUnknown"] = json!("x");
        let reason = refused(plane, &object);
        assert!(
            reason.contains("isobathUnknown"),
            "{}: {reason}",
            identity(&object)
        );
    }
}

/// Pods are what the Pod Security admission looks at.
fn pods_are_admitted(plane: &ControlPlane, overlay: &str, objects: &[Value]) {
    for workload in workloads(objects) {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": workload.object["spec"]["template"]["metadata"],
            "spec": workload.spec,
        });
        pod["metadata"]["name"] = json!("probe");
        pod["metadata"]["namespace"] = json!("isobath");
        apply(plane, &pod.to_string());
        plane.kubectl(
            ADMIN,
            &["delete", "pod", "probe", "-n", "isobath", "--now"],
            "",
        );
        let restricted = !matches!(overlay, "hostport" | "hostnetwork");
        let namespace = plane.kubectl(ADMIN, &["get", "namespace", "isobath", "-o", "json"], "");
        let namespace: Value = serde_json::from_str(&namespace).unwrap();
        let level = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        assert_eq!(level == "restricted", restricted, "{overlay}: {level}");
        if restricted {
            pod["spec"]["containers"][0]["ports"][0]["hostPort"] = json!(80);
            let reason = refused(plane, &pod);
            assert!(
                reason.contains("violates PodSecurity"),
                "{overlay}: {reason}"
            );
        }
    }
}

/// What the ServiceAccount may do, and what it may not.
fn rights(plane: &ControlPlane, overlay: &str) {
    let namespaced = overlay == "namespaced";
    let by_nodes = matches!(overlay, "hostport" | "hostnetwork");
    for (verb, resource, namespace, allowed) in [
        ("list", "secrets", "shop", !namespaced),
        ("list", "secrets", "default", true),
        ("watch", "endpointslices.discovery.k8s.io", "default", true),
        (
            "patch",
            "ingresses.networking.k8s.io/status",
            "default",
            true,
        ),
        ("list", "ingressclasses.networking.k8s.io", "", !namespaced),
        (
            "update",
            "leases.coordination.k8s.io/isobath",
            "isobath",
            true,
        ),
        ("list", "services/isobath-envoy", "isobath", true),
        ("get", "nodes", "", by_nodes),
        ("list", "pods", "isobath", by_nodes),
        ("list", "pods", "default", false),
        ("get", "secrets", "default", false),
        ("update", "secrets", "default", false),
        ("update", "ingresses.networking.k8s.io", "default", false),
        ("create", "pods", "isobath", false),
        (
            "update",
            "leases.coordination.k8s.io/other",
            "isobath",
            false,
        ),
    ] {
        let place = if namespace.is_empty() {
            vec!["--all-namespaces"]
        } else {
            vec!["-n", namespace]
        };
        let (resource, part) = match resource.strip_suffix("/status") {
            Some(resource) => (resource, "--subresource=status"),
            None => (resource, "--subresource="),
        };
        let line = [
            vec!["auth", "can-i", verb, resource, part, "--as", ACCOUNT],
            place,
        ]
        .concat();
        // `no` is also an exit code. Roles reach the authorizer by a watch, so a moment may pass.
        let answer = || plane.try_kubectl(ADMIN, &line, "").is_ok();
        let right = (0..100).any(|_| {
            let right = answer() == allowed;
            if !right {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            right
        });
        assert!(
            right,
            "{overlay}: {verb} {resource} in {namespace:?} must be {allowed}"
        );
    }
}

/// All but the namespace, whose end nobody here would bring about.
fn remove(plane: &ControlPlane, objects: &[Value]) {
    let items: Vec<&Value> = objects
        .iter()
        .filter(|object| object["kind"] != "Namespace")
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    plane.kubectl(ADMIN, &["delete", "-f", "-"], &list.to_string());
}

/// What is shipped beside needs kinds that a cluster may not have; here are their definitions.
#[tokio::test]
async fn what_needs_other_kinds_applies_where_they_exist() {
    let Some(plane) = ControlPlane::start().await else {
        return;
    };
    plane.kubectl(ADMIN, &["create", "namespace", "isobath"], "");
    let mut definitions: Vec<_> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/crds"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
    definitions.sort();
    for definition in &definitions {
        let text = std::fs::read_to_string(definition).unwrap();
        apply(&plane, &text);
    }
    plane.kubectl(
        ADMIN,
        &[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ],
        "",
    );
    for folder in ["overlays/deployment/cert-manager", "monitoring"] {
        let text = kustomize(folder);
        apply(&plane, &text);
        unknown_fields_are_refused(&plane, &objects(&text));
    }
}
