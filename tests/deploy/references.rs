//! Names in the manifests lead somewhere.

use serde_json::Value;

use crate::manifest::{OVERLAYS, identity, list, objects, of_kind, read, rendered, workloads};

#[test]
fn selectors_select() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let labels: Vec<&Value> = workloads(&objects)
            .iter()
            .map(|workload| &workload.object["spec"]["template"]["metadata"]["labels"])
            .collect();
        let selects = |selector: &Value, labels: &Value| {
            selector
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, value)| labels[name] == *value)
        };
        for object in &objects {
            let selector = match object["kind"].as_str().unwrap() {
                "Service" => &object["spec"]["selector"],
                "DaemonSet" | "Deployment" | "PodDisruptionBudget" => {
                    &object["spec"]["selector"]["matchLabels"]
                }
                "NetworkPolicy" => &object["spec"]["podSelector"]["matchLabels"],
                _ => continue,
            };
            let hits = labels
                .iter()
                .filter(|labels| selects(selector, labels))
                .count();
            let all_pods = object["metadata"]["name"] == "isobath-metrics";
            let expected = if all_pods { labels.len() } else { 1 };
            assert_eq!(hits, expected, "{overlay}: {}", identity(object));
        }
    }
}

#[test]
fn ports_of_services_exist() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let ports: Vec<&Value> = workloads(&objects)
            .iter()
            .flat_map(|workload| workload.containers())
            .flat_map(|container| list(&container["ports"]))
            .collect();
        for service in of_kind(&objects, "Service") {
            for port in list(&service["spec"]["ports"]) {
                let target = &port["targetPort"];
                assert!(
                    ports
                        .iter()
                        .any(|port| port["name"] == *target || port["containerPort"] == *target),
                    "{overlay}: {}: {target}",
                    identity(service)
                );
            }
        }
        // In `deployment` the figures of both workloads have one policy each.
        for policy in of_kind(&objects, "NetworkPolicy") {
            for port in list(&policy["spec"]["ingress"])
                .iter()
                .flat_map(|rule| list(&rule["ports"]))
            {
                // Listeners of Gateways, at what the API server gives their Services.
                if port["endPort"].is_u64() {
                    assert_eq!(overlay, "gateway-services");
                    continue;
                }
                assert!(
                    ports
                        .iter()
                        .any(|known| known["containerPort"] == port["port"]),
                    "{overlay}: {}: {port}",
                    identity(policy)
                );
            }
        }
    }
}

/// The class that the manifests bring is ours, and not everybody's.
#[test]
fn the_class_is_ours_and_not_the_default() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let classes = of_kind(&objects, "IngressClass");
        assert_eq!(classes.len(), 1, "{overlay}");
        assert_eq!(classes[0]["metadata"]["name"], "isobath");
        assert_eq!(
            classes[0]["spec"]["controller"],
            isobath::objects::CONTROLLER
        );
        assert!(classes[0]["metadata"]["annotations"].is_null(), "{overlay}");
    }
}

#[test]
fn a_watched_namespace_gets_the_rights_of_the_whole_cluster() {
    let cluster = objects(&read("deploy/base/rbac.yaml"));
    let mut rules = of_kind(&cluster, "ClusterRole")[0]["rules"].clone();
    // Classes and the labels of namespaces are the cluster's: the Gateway API is not read there, nor what it alone names.
    let is_for_gateways = |rule: &Value| {
        rule["apiGroups"][0] == "gateway.networking.k8s.io"
            || rule["resources"][0] == "namespaces"
            || rule["resources"][0] == "configmaps"
    };
    let all = rules.as_array_mut().unwrap();
    all.retain(|rule| !is_for_gateways(rule));
    for rule in rules.as_array_mut().unwrap() {
        let resources = rule["resources"].as_array_mut().unwrap();
        resources.retain(|resource| resource != "ingressclasses");
    }
    let watched = objects(&read("deploy/overlays/namespaced/namespace/role.yaml"));
    assert_eq!(of_kind(&watched, "Role")[0]["rules"], rules);
    let namespaced = rendered("namespaced");
    for object in &namespaced {
        let kind = object["kind"].as_str().unwrap();
        assert!(!kind.starts_with("ClusterRole"), "{}", identity(object));
    }
}

/// deploy/README says of everything that the rights are for what it is.
#[test]
fn the_page_names_what_the_rights_are_for() {
    let readme = read("deploy/README.md");
    let start = readme.find("`base/rbac.yaml` is everything").unwrap();
    let paragraph = readme[start..].split("\n\n").next().unwrap();
    // In any order. A kind is named by its plural, as a singular may be a part of other words; there is one Lease.
    let words: Vec<String> = paragraph
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::to_ascii_lowercase)
        .collect();
    let rights = objects(&read("deploy/base/rbac.yaml"));
    let mut named = 0;
    for role in ["ClusterRole", "Role"] {
        for rule in list(&of_kind(&rights, role)[0]["rules"]) {
            for resource in list(&rule["resources"]) {
                let resource = resource.as_str().unwrap();
                let resource = resource.strip_suffix("/status").unwrap_or(resource);
                let is_it =
                    |word: &String| *word == resource || (resource == "leases" && word == "lease");
                assert!(words.iter().any(is_it), "{resource}");
                named += 1;
            }
            for verb in list(&rule["verbs"]) {
                let is_said = words.iter().any(|word| word == verb.as_str().unwrap());
                assert!(
                    is_said || ["create", "update"].iter().any(|it| *verb == **it),
                    "{verb}"
                );
            }
        }
    }
    assert!(named > 20, "{named}");
}

/// Who signs for the control plane is not who serves: the names in the manifests are those in the certificates.
#[test]
fn certificates_of_cert_manager_are_the_mounted_ones() {
    let issued = objects(&crate::manifest::kustomize(
        "overlays/deployment/cert-manager",
    ));
    let secrets: Vec<&Value> = of_kind(&issued, "Certificate")
        .iter()
        .map(|certificate| &certificate["spec"]["secretName"])
        .collect();
    let deployment = rendered("deployment");
    let mut mounted = 0;
    for workload in workloads(&deployment) {
        for volume in list(&workload.spec["volumes"]) {
            if let Some(secret) = volume.get("secret") {
                assert!(
                    secrets.contains(&&secret["secretName"]),
                    "{}",
                    workload.name
                );
                mounted += 1;
            }
        }
    }
    assert_eq!(mounted, 2);
}

/// By which ports outside Envoy is reached: those of Services, and of hosts. What Isobath takes for granted where no flag says
/// otherwise, a Gateway's listener on 80 or 443 relies on.
#[test]
fn ports_outside_are_those_of_listeners() {
    let mut found = 0;
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let workloads = workloads(&objects);
        let containers = workloads.iter().flat_map(|workload| workload.containers());
        let envoy = containers.filter(|container| container["name"] == "envoy");
        let ports: Vec<&Value> = envoy.flat_map(|it| list(&it["ports"])).collect();
        let has_flag = objects
            .iter()
            .any(|it| it.to_string().contains("ISOBATH_ENVOY_PORTS"));
        assert!(!has_flag, "{overlay}: this test has to read the flag");
        // Whoever uses the host's network has no other ports than the pod's: what is in front says how they are reached.
        let is_host_network = objects
            .iter()
            .any(|it| it.to_string().contains("\"hostNetwork\":true"));
        let services = of_kind(&objects, "Service");
        let of_services = services
            .into_iter()
            .filter(|service| service["metadata"]["name"] == "isobath-envoy")
            .flat_map(|service| list(&service["spec"]["ports"]))
            .map(|port| (port["port"].clone(), port["targetPort"].clone()));
        let of_hosts = ports
            .iter()
            .filter(|port| !is_host_network && port["hostPort"].is_u64());
        let of_hosts = of_hosts.map(|port| (port["hostPort"].clone(), port["name"].clone()));
        for (outside, name) in of_services.chain(of_hosts) {
            let port = ports.iter().find(|port| port["name"] == name);
            let pod = port.unwrap_or_else(|| panic!("{overlay}: {name}"))["containerPort"].as_u64();
            let expected = match name.as_str().unwrap() {
                "http" => (80, 8080),
                "https" => (443, 8443),
                _ => continue,
            };
            assert_eq!(
                (outside.as_u64(), pod),
                (Some(expected.0), Some(expected.1)),
                "{overlay}"
            );
            found += 1;
        }
    }
    assert!(found >= 8, "{found}");
}
