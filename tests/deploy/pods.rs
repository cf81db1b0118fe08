//! What every pod keeps to, whichever the overlay.

use serde_json::{Value, json};

use crate::manifest::{OVERLAYS, Workload, list, read, rendered, strings, workloads};

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Every workload of every overlay.
fn each(check: impl Fn(&str, &Workload<'_>)) {
    let mut count = 0;
    for overlay in OVERLAYS {
        for workload in workloads(&rendered(overlay)) {
            check(&format!("{overlay}: {}", workload.name), &workload);
            count += 1;
        }
    }
    assert_eq!(count, OVERLAYS.len() + 1, "`deployment` has two");
}

#[test]
fn only_the_control_plane_gets_a_token() {
    each(|name, workload| {
        assert_eq!(
            workload.spec["automountServiceAccountToken"], false,
            "{name}"
        );
        let tokens: Vec<_> = list(&workload.spec["volumes"])
            .iter()
            .filter(|volume| volume.to_string().contains("serviceAccountToken"))
            .map(|volume| volume["name"].clone())
            .collect();
        for container in workload.containers() {
            let mounts = list(&container["volumeMounts"]);
            let has_token = mounts
                .iter()
                .any(|mount| tokens.contains(&mount["name"]) || mount["mountPath"] == TOKEN);
            assert_eq!(
                has_token,
                container["name"] == "isobath",
                "{name}: container {}",
                container["name"]
            );
        }
    });
}

#[test]
fn nothing_is_privileged() {
    each(|name, workload| {
        let pod = &workload.spec["securityContext"];
        assert_eq!(pod["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["runAsUser"], 65532, "{name}");
        assert_eq!(
            pod["seccompProfile"],
            json!({"type": "RuntimeDefault"}),
            "{name}"
        );
        for field in ["hostPID", "hostIPC", "shareProcessNamespace"] {
            assert!(workload.spec[field].is_null(), "{name}: {field}");
        }
        assert_eq!(
            workload.spec["hostNetwork"] == true,
            name.starts_with("hostnetwork:"),
            "{name}"
        );
        for volume in list(&workload.spec["volumes"]) {
            assert!(volume["hostPath"].is_null(), "{name}: {volume}");
            if let Some(folder) = volume.get("emptyDir") {
                assert!(
                    !folder["sizeLimit"].is_null(),
                    "{name}: {volume} has no bound"
                );
            }
        }
        for container in workload.containers() {
            // The very same, so that no user, capability or privilege differs: the sockets are of one user.
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                }),
                "{name}: {}",
                container["name"]
            );
            let resources = &container["resources"];
            for (kind, resource) in [
                ("requests", "cpu"),
                ("requests", "memory"),
                ("limits", "memory"),
            ] {
                assert!(
                    resources[kind][resource].is_string(),
                    "{name}: no {resource} in {kind}"
                );
            }
        }
    });
}

#[test]
fn ports_of_the_host_are_the_ones_that_are_announced() {
    each(|name, workload| {
        let mut ports: Vec<_> = workload
            .containers()
            .into_iter()
            .flat_map(|container| list(&container["ports"]))
            .filter_map(|port| Some((port["hostPort"].as_u64()?, port["containerPort"].as_u64()?)))
            .collect();
        ports.sort_unstable();
        let expected: &[(u64, u64)] = match name.split(':').next().unwrap() {
            "hostport" => &[(80, 8080), (443, 8443), (8002, 8002)],
            "hostnetwork" => &[(8002, 8002), (8003, 8003), (8080, 8080), (8443, 8443)],
            _ => &[],
        };
        assert_eq!(ports, expected, "{name}");
    });
}

#[test]
fn envoy_is_ready_by_its_own_word() {
    each(|name, workload| {
        let Some(envoy) = workload.container("envoy") else {
            assert!(name.contains("Deployment"), "{name}");
            return;
        };
        assert_eq!(
            envoy["readinessProbe"]["httpGet"],
            json!({"path": "/ready", "port": "envoy-stats"}),
            "{name}"
        );
        // A liveness probe would run the preStop hook of a container that goes on (kubernetes-faults 3.5).
        assert!(envoy["livenessProbe"].is_null(), "{name}");
        let Some(isobath) = workload.container("isobath") else {
            return;
        };
        assert_eq!(
            isobath["restartPolicy"], "Always",
            "{name}: a native sidecar"
        );
        assert!(
            isobath["readinessProbe"].is_null(),
            "{name}: a control plane in back-off would take its Envoy out of the Service"
        );
        assert_eq!(isobath["args"][0], "supervise", "{name}");
        assert_eq!(
            isobath["startupProbe"]["httpGet"]["path"], "/readyz",
            "{name}"
        );
        assert_eq!(
            isobath["livenessProbe"]["httpGet"]["path"], "/healthz",
            "{name}"
        );
        let probe = &isobath["livenessProbe"];
        let patience =
            probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
        assert!(
            patience >= 1800,
            "{name}: an outage of the API server must not restart it"
        );
        let first = &workload.spec["initContainers"][0];
        assert_eq!(first["name"], "isobath", "{name}: before Envoy");
    });
}

#[test]
fn times_and_sizes_go_together() {
    each(|name, workload| {
        let Some(envoy) = workload.container("envoy") else {
            return;
        };
        let grace = workload.spec["terminationGracePeriodSeconds"]
            .as_u64()
            .unwrap();
        let hook = strings(&envoy["lifecycle"]["preStop"]["exec"]["command"]);
        let timeout: u64 = flag(&hook, "--timeout")
            .trim_end_matches('s')
            .parse()
            .unwrap();
        let delay: u64 = flag(&hook, "--delay")
            .trim_end_matches('s')
            .parse()
            .unwrap();
        let args = strings(&envoy["args"]);
        let position = args.iter().position(|arg| arg == "--drain-time-s").unwrap();
        let drain: u64 = args[position + 1].parse().unwrap();
        assert!(
            timeout + 20 <= grace,
            "{name}: the kubelet kills before the drain ends"
        );
        assert!(
            delay + drain < timeout,
            "{name}: the drain is given up before Envoy closes"
        );
        let probe = &envoy["readinessProbe"];
        let notice =
            probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
        assert!(
            notice < delay,
            "{name}: nobody sees /ready fail before the drain begins"
        );

        let bootstrap = strings(&workload.container("bootstrap").unwrap()["args"]);
        let heap: u64 = flag(&bootstrap, "--envoy-max-heap-bytes").parse().unwrap();
        let limit = bytes(&envoy["resources"]["limits"]["memory"]);
        assert!(
            heap <= limit * 9 / 10 && heap >= limit / 2,
            "{name}: {heap} of {limit}"
        );
    });
}

#[test]
fn images_are_of_this_version_and_of_the_tested_envoy() {
    let envoy = read("Makefile")
        .lines()
        .find_map(|line| Some(line.strip_prefix("ENVOY_VERSION := ")?.trim().to_owned()))
        .expect("the Makefile pins Envoy");
    each(|name, workload| {
        for container in workload.containers() {
            let expected = if container["name"] == "envoy" {
                format!("envoyproxy/envoy:distroless-v{envoy}")
            } else {
                format!("isobath:{}", env!("CARGO_PKG_VERSION"))
            };
            assert_eq!(container["image"], expected.as_str(), "{name}");
        }
    });
}

#[test]
fn the_socket_is_where_both_look_for_it() {
    each(|name, workload| {
        if name.starts_with("deployment:") {
            return;
        }
        for container in ["isobath", "envoy"] {
            let container = workload.container(container).unwrap();
            assert!(
                list(&container["volumeMounts"])
                    .contains(&json!({"name": "run", "mountPath": "/run/isobath"})),
                "{name}: {}",
                container["name"]
            );
        }
        let run = list(&workload.spec["volumes"])
            .iter()
            .find(|volume| volume["name"] == "run")
            .unwrap();
        assert_eq!(run["emptyDir"]["medium"], "Memory", "{name}");
    });
}

fn flag(args: &[String], name: &str) -> String {
    args.iter()
        .find_map(|arg| Some(arg.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        .unwrap_or_else(|| panic!("no {name} in {args:?}"))
}

fn bytes(quantity: &Value) -> u64 {
    let quantity = quantity.as_str().unwrap();
    let (number, unit) = quantity.split_at(quantity.len() - 2);
    let unit = match unit {
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => panic!("{quantity}"),
    };
    number.parse::<u64>().unwrap() * unit
}
