//! The manifests give the right to read exactly the kinds that are read.

use std::collections::BTreeSet;
use std::process::Command;

use isobath::objects::Kind;
use serde_json::{Value, json};

use crate::manifest::{OVERLAYS, list, objects, read as text_of, rendered};

/// What a role lets list or watch, with the verbs.
fn read(role: &Value) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut read = BTreeSet::new();
    for rule in list(&role["rules"]) {
        let verbs: Vec<_> = list(&rule["verbs"]).iter().map(text).collect();
        if !verbs.iter().any(|verb| verb == "list" || verb == "watch") {
            continue;
        }
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                read.insert((text(group), text(resource), verbs.join(",")));
            }
        }
    }
    read
}

#[test]
fn every_kind_may_be_listed_and_watched_and_nothing_else() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        // Others are of the tools that wait for a pod.
        let roles = objects.iter().filter(|object| {
            ["ClusterRole", "Role"].contains(&object["kind"].as_str().unwrap())
                && ["isobath", "isobath-watched"]
                    .contains(&object["metadata"]["name"].as_str().unwrap())
        });
        let granted: Vec<_> = roles.map(read).filter(|read| !read.is_empty()).collect();
        let is_namespaced = overlay == "namespaced";
        let kinds = Kind::ALL
            .into_iter()
            .filter(|kind| !is_namespaced || kind.is_namespaced() && !kind.is_of_gateway_api());
        let expected: BTreeSet<_> = kinds
            .map(|kind| {
                let (group, plural) = (kind.group(), kind.plural());
                (group.to_owned(), plural.to_owned(), "list,watch".to_owned())
            })
            .collect();
        assert!(!granted.is_empty(), "{overlay}");
        for granted in granted {
            assert_eq!(granted, expected, "{overlay}");
        }
    }
}

/// Everything that a role allows: group, resource, verb.
fn allowed(role: &Value) -> BTreeSet<(String, String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        let texts = list(value).iter().map(|it| it.as_str().unwrap().to_owned());
        texts.collect()
    };
    let mut all = BTreeSet::new();
    for rule in list(&role["rules"]) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    all.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    all
}

/// The roles that `isobath rbac` prints for objects of these kinds, by kind, namespace and name.
fn printed(kinds: &[Kind]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let manifests = kinds.iter().map(|kind| {
        let (group, name) = (kind.api_version(), kind.name());
        let metadata = match kind.is_namespaced() {
            true => json!({"name": "a", "namespace": "shop"}),
            false => json!({"name": "a"}),
        };
        let spec = spec_of(*kind);
        format!(
            "---\n{}\n",
            json!({"apiVersion": group, "kind": name, "metadata": metadata, "spec": spec})
        )
    });
    std::fs::write(
        folder.path().join("all.yaml"),
        manifests.collect::<String>(),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
        .args(["rbac", "--manifests"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    objects(&String::from_utf8(output.stdout).unwrap())
}

/// The least that makes an object of the kind one.
fn spec_of(kind: Kind) -> Value {
    match kind {
        Kind::HttpProxy => json!({"virtualhost": {"fqdn": "a.test"}, "routes": []}),
        Kind::GatewayClass => json!({"controllerName": "isobath.dev/gateway-controller"}),
        Kind::Gateway => json!({"gatewayClassName": "a", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"},
        ]}),
        _ => json!({}),
    }
}

/// Where the Gateway API is, what is printed is the ClusterRole of the manifests, for the kinds that there are; without it a Role
/// in each namespace, and none for the cluster.
#[test]
fn printed_rights_are_those_of_the_manifests() {
    let base = objects(&text_of("deploy/base/rbac.yaml"));
    let of_kind = |all: &[Value], kind: &str| -> Vec<Value> {
        let of_kind = all.iter().filter(|it| it["kind"] == kind);
        of_kind.cloned().collect()
    };
    let [whole] = &of_kind(&base, "ClusterRole")[..] else {
        panic!("one ClusterRole: {base:?}");
    };
    let with = [
        Kind::Ingress,
        Kind::HttpProxy,
        Kind::GatewayClass,
        Kind::Gateway,
    ];
    let all = printed(&with);
    let [role] = &of_kind(&all, "ClusterRole")[..] else {
        panic!("one ClusterRole: {all:?}");
    };
    assert_eq!(of_kind(&all, "ClusterRoleBinding").len(), 1);
    // The Lease is in the namespace of the installation in any case.
    let roles = of_kind(&all, "Role");
    assert_eq!(roles.len(), 1, "{roles:?}");
    assert_eq!(
        roles[0]["metadata"],
        json!({"name": "isobath-lease", "namespace": "isobath"})
    );
    // What is written of kinds of which there is no object is not in it.
    let writes = |(_, resource, verb): &&(String, String, String)| {
        let plural = resource.split('/').next().unwrap();
        let is_there = with.iter().any(|kind| kind.plural() == plural) || plural == "events";
        ["list", "watch"].contains(&&**verb) || is_there
    };
    let expected: BTreeSet<_> = allowed(whole).iter().filter(writes).cloned().collect();
    assert_eq!(allowed(role), expected);
    assert!(expected.len() < allowed(whole).len());

    let all = printed(&[Kind::Ingress, Kind::HttpProxy]);
    assert_eq!(of_kind(&all, "ClusterRole"), Vec::<Value>::new());
    assert_eq!(of_kind(&all, "ClusterRoleBinding"), Vec::<Value>::new());
    let roles = of_kind(&all, "Role");
    let places = roles.iter().map(|role| &role["metadata"]["namespace"]);
    assert_eq!(places.collect::<Vec<_>>(), ["shop", "isobath"]);
    let gateway = Kind::Gateway.group();
    let of_namespace = expected.iter().filter(|(group, resource, _)| {
        let of_cluster = ["ingressclasses", "namespaces", "configmaps"];
        group != gateway && !of_cluster.contains(&&**resource)
    });
    let of_namespace: BTreeSet<_> = of_namespace.cloned().collect();
    assert_eq!(allowed(&roles[0]), of_namespace);
}
