//! The rights that `isobath rbac` prints are enough: a control plane that has no others serves the objects that they are for,
//! and writes what it has to. And they are no more: without any one of them it ends, or warns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::check::Transport;
use crate::control_plane::ADMIN;
use crate::installation::{ADDRESS, HOME, Installation, becomes, cluster_service, our_site, slice};
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::isobath::{BINARY, Isobath};
use crate::support::manifest::{Manifest, text};
use crate::support::network::{address, alone};
use crate::support::stand::Stand;

const ACCOUNT: &str = "small";

/// What is printed for these manifests.
fn rights(folder: &Path) -> String {
    let output = Command::new(BINARY)
        .args(["rbac", "--service-account", ACCOUNT, "--manifests"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The kubeconfig of the account.
fn kubeconfig(cluster: &Installation) -> PathBuf {
    cluster.kubectl(&["-n", HOME, "create", "serviceaccount", ACCOUNT], "");
    let token = cluster.kubectl(
        &["-n", HOME, "create", "token", ACCOUNT, "--duration=1h"],
        "",
    );
    let path = cluster.plane.dir().join("small-token");
    fs::write(&path, token.trim()).unwrap();
    let server = cluster.plane.address();
    cluster
        .plane
        .kubeconfig_with_token_file(ACCOUNT, server, &path)
}

/// What a Role of these documents allows, verb by verb: namespace, resource, verb.
fn verbs(documents: &[Value]) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut verbs = Vec::new();
    for role in documents.iter().filter(|it| it["kind"] == "Role") {
        let namespace = text(&role["metadata"]["namespace"]);
        for rule in role["rules"].as_array().unwrap() {
            let group = text(&rule["apiGroups"][0]);
            for resource in rule["resources"].as_array().unwrap() {
                for verb in rule["verbs"].as_array().unwrap() {
                    let resource = text(resource);
                    let (resource, part) = resource.split_once('/').unwrap_or((&resource, ""));
                    let resource = match &*group {
                        "" => resource.to_owned(),
                        group => format!("{resource}.{group}"),
                    };
                    let resource = format!("{resource}/{part}");
                    verbs.push((namespace.clone(), resource, text(verb)));
                }
            }
        }
    }
    verbs
}

#[test]
fn what_is_printed_is_enough() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let web = Backend::start_at("web", address(2)).await;
        let objects: Vec<Manifest> = vec![
            cluster_service("web").namespace("shop"),
            slice("web", web.address()).namespace("shop"),
            our_site("web", "web.test", "web:80").namespace("shop"),
        ];
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("all.yaml"), text(&objects)).unwrap();
        let printed = rights(folder.path());
        assert!(printed.contains("--watch-namespaces=shop,"), "{printed}");
        for namespace in ["shop", "other"] {
            cluster.kubectl(&["create", "namespace", namespace], "");
        }
        let kubeconfig = kubeconfig(&cluster);
        cluster.kubectl(&["apply", "-f", "-"], &printed);
        cluster.apply(&objects);
        let flags = [
            "--pod-name=pod",
            "--pod-namespace=isobath",
            "--watch-namespaces=shop",
            "--ingress-class=isobath",
            "--ingress-status-address",
            ADDRESS,
        ];
        let mut isobath = Isobath::of_cluster(&kubeconfig, &flags);
        isobath.restart().await;
        let stand = Stand::on(isobath).await;
        becomes(&stand, Transport::Http1, "web.test", "/", "web").await;
        eventually("the address is written", async || {
            let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
            let line = ["-n", "shop", "get", "ingress", "web", "-o", path];
            match cluster.kubectl(&line, "") {
                got if got == ADDRESS => Ok(()),
                got => Err(got),
            }
        })
        .await;
        // What is wrong is told, too.
        let broken = our_site("broken", "broken.test", "nowhere:80").namespace("shop");
        cluster.apply(&[broken]);
        eventually("an Event tells of it", async || {
            let events = cluster.kubectl(&["-n", "shop", "get", "events"], "");
            match events.contains("ServiceNotFound") {
                true => Ok(()),
                false => Err(events),
            }
        })
        .await;
        let log = stand.isobath.log();
        assert!(!log.contains("forbidden"), "{log}");
        // Each of them is asked for: it is of a kind that is read, or is written with above.
        let documents: Vec<Value> = serde_saphyr::from_multiple(&printed).unwrap();
        for (namespace, resource, verb) in verbs(&documents) {
            let account = format!("--as=system:serviceaccount:{HOME}:{ACCOUNT}");
            let (name, part) = resource.split_once('/').unwrap();
            let part = format!("--subresource={part}");
            let may = |namespace: &str| {
                let line = [
                    "-n", namespace, "auth", "can-i", &verb, name, &part, &account,
                ];
                cluster.plane.try_kubectl(ADMIN, &line, "").is_ok()
            };
            let is_of_lease = resource.starts_with("leases");
            // The Lease is named, and the question is not.
            assert!(
                may(&namespace) || is_of_lease,
                "{namespace} {resource} {verb}"
            );
            assert!(!may("other"), "{resource} {verb}");
        }
    });
}
