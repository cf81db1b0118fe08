//! What `components/http3` adds to each overlay, and that it adds nothing else.

use std::fs;

use serde_json::{Value, json};

use crate::manifest::{
    OVERLAYS, deploy, identity, kustomize, list, objects, of_kind, rendered, workloads,
};

/// A workload that is no business of ours, beside an overlay.
fn another() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "isobath"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {
                    "initContainers": [{"name": "first", "image": "agent", "env": []}],
                    "containers": [{"name": "agent", "image": "agent", "env": [], "ports": []}],
                },
            },
        },
    })
}

/// An overlay with its component and [`another`], as somebody would write it.
fn with_component(overlay: &str) -> Vec<Value> {
    let component = match overlay {
        "hostport" => "http3-hostport",
        _ => "http3",
    };
    // Kustomize takes no absolute path, and none is there to the other root on every machine.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = folder.path().canonicalize().unwrap();
    let up = "../".repeat(root.components().count() - 1);
    let to = deploy().canonicalize().unwrap();
    let to = format!("{up}{}", to.strip_prefix("/").unwrap().display());
    let text = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("{to}/overlays/{overlay}"), "another.yaml"],
        "components": [format!("{to}/components/{component}")],
    });
    fs::write(root.join("kustomization.yaml"), text.to_string()).unwrap();
    fs::write(root.join("another.yaml"), another().to_string()).unwrap();
    objects(&kustomize(root.to_str().unwrap()))
}

/// What the objects of an overlay lack that these have. Anything else that differs fails.
fn added(before: &Value, after: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            assert!(old.keys().eq(new.keys()), "{at}");
            for (key, value) in old {
                added(value, &new[key], &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let mut rest = new.iter();
            for (index, value) in old.iter().enumerate() {
                // Patches put what they add before or behind.
                let next = rest.find(|it| {
                    let is_same = it["name"] == value["name"] || *it == value;
                    if !is_same {
                        found.push((at.to_owned(), (*it).clone()));
                    }
                    is_same
                });
                let next = next.unwrap_or_else(|| panic!("{at}/{index} is gone"));
                added(value, next, &format!("{at}/{index}"), found);
            }
            found.extend(rest.map(|it| (at.to_owned(), it.clone())));
        }
        (before, after) => assert_eq!(before, after, "{at}"),
    }
}

#[test]
fn the_port_is_open_wherever_the_way_leads() {
    for overlay in OVERLAYS {
        let (before, mut after) = (rendered(overlay), with_component(overlay));
        let place = after
            .iter()
            .position(|it| identity(it) == identity(&another()));
        assert_eq!(after.remove(place.unwrap()), another(), "{overlay}");
        let names = |all: &[Value]| all.iter().map(identity).collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after), "{overlay}");
        let mut found = Vec::new();
        for (before, after) in before.iter().zip(&after) {
            added(before, after, &identity(before), &mut found);
        }
        let pod = "spec/template/spec";
        let (plane, flagged) = match overlay {
            "deployment" => ("Deployment isobath/isobath", "containers"),
            _ => ("DaemonSet isobath/isobath", "initContainers"),
        };
        let envoy = match overlay {
            "deployment" => "DaemonSet isobath/isobath-envoy",
            _ => "DaemonSet isobath/isobath",
        };
        let mut port = json!({"name": "https-udp", "containerPort": 8443, "protocol": "UDP"});
        if overlay == "hostport" {
            port["hostPort"] = json!(443);
        }
        let mut expected = vec![
            (
                format!("{plane}/{pod}/{flagged}/0/env"),
                json!({"name": "ISOBATH_ENVOY_HTTP3", "value": "true"}),
            ),
            (format!("{envoy}/{pod}/containers/0/ports"), port),
        ];
        let policies = of_kind(&before, "NetworkPolicy");
        if policies
            .iter()
            .any(|it| it["metadata"]["name"] == "isobath")
        {
            let at = "NetworkPolicy isobath/isobath/spec/ingress/0/ports".to_owned();
            expected.push((at, json!({"port": 8443, "protocol": "UDP"})));
        }
        let services = of_kind(&before, "Service");
        if services
            .iter()
            .any(|it| it["metadata"]["name"] == "isobath-envoy")
        {
            let at = "Service isobath/isobath-envoy/spec/ports".to_owned();
            let port = json!({
                "name": "https-udp", "port": 443, "targetPort": "https-udp", "protocol": "UDP",
            });
            expected.push((at, port));
        }
        let sorted = |mut all: Vec<(String, Value)>| {
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        assert_eq!(sorted(found), sorted(expected), "{overlay}");
        // The flag is the control plane's, the port Envoy's, of the same number as over TCP.
        for workload in workloads(&after) {
            for container in workload.containers() {
                let has = |field: &str, name: &str| {
                    let all = list(&container[field]);
                    all.iter().any(|it| it["name"] == name)
                };
                let name = &container["name"];
                let plane = name == "isobath" && has("env", "ISOBATH_POD_NAME");
                assert_eq!(has("env", "ISOBATH_ENVOY_HTTP3"), plane, "{overlay} {name}");
                assert_eq!(has("ports", "https-udp"), name == "envoy", "{overlay}");
            }
        }
    }
}

#[test]
fn no_component_is_forgotten() {
    let readme = crate::manifest::read("deploy/README.md");
    let folder = fs::read_dir(deploy().join("components")).unwrap();
    for entry in folder {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // One name may begin another's.
        let path = format!("components/{name}");
        let mut behind = readme.split(&path).skip(1);
        let is_whole = |rest: &str| !rest.starts_with(|it: char| it == '-' || it.is_alphanumeric());
        assert!(behind.any(is_whole), "{name}");
    }
}
