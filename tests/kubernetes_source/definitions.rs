//! CustomResourceDefinitions that are installed later, deleted, and installed again at a version that nobody reads.

use std::sync::Arc;

use isobath::objects::Kind;
use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::rig::{Rig, Run};

fn custom() -> Vec<Kind> {
    let all = Kind::ALL.into_iter();
    let of_contour = |kind: &Kind| kind.is_custom() && !kind.is_of_gateway_api();
    all.filter(of_contour).collect()
}

/// A definition of a kind at one version, without a schema.
fn definition(kind: Kind, version: &str) -> Value {
    let (plural, group, name) = (kind.plural(), kind.group(), kind.name());
    let scope = match kind.is_namespaced() {
        true => "Namespaced",
        false => "Cluster",
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // Groups of Kubernetes ask for it.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": name.to_lowercase(), "kind": name, "listKind": format!("{name}List")},
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                "subresources": {"status": {}},
            }],
        },
    })
}

fn read(kind: Kind) -> &'static str {
    kind.api_version().split_once('/').unwrap().1
}

fn apply(rig: &Rig, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let line = ["-n", rig.namespace, "apply", "-f", "-"];
    rig.plane.kubectl(ADMIN, &line, &list.to_string());
}

fn install(rig: &Rig, kinds: &[Kind], version: impl Fn(Kind) -> &'static str) {
    let definitions: Vec<_> = kinds
        .iter()
        .map(|kind| definition(*kind, version(*kind)))
        .collect();
    apply(rig, &definitions);
}

fn uninstall(rig: &Rig, kinds: &[Kind]) {
    let names = kinds
        .iter()
        .map(|kind| format!("{}.{}", kind.plural(), kind.group()));
    let names: Vec<_> = names.collect();
    let mut line = vec!["delete", "crd"];
    line.extend(names.iter().map(|name| &**name));
    rig.plane.kubectl(ADMIN, &line, "");
}

async fn until_listed(run: &mut Run, kinds: &[Kind], times: usize) {
    for kind in kinds {
        let what = format!("{kind} listed {times} times");
        run.until(&what, |mirror| mirror.lists(*kind) >= times)
            .await;
    }
}

/// All custom kinds alike. The source goes on through all of it.
#[tokio::test]
async fn kinds_come_and_go() {
    let Some(plane) = ControlPlane::start().await else {
        return;
    };
    let rig = Rig::on(Arc::new(plane), "crd").await;
    let custom = custom();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "authority"},
        "data": {"ca.crt": ""},
    });
    apply(&rig, &[secret]);
    let source = rig.source().await;
    assert!(source.watched().iter().all(|(kind, _)| !kind.is_custom()));
    let mut run = Run::start(source);
    run.until_listed().await;
    assert!(run.mirror.names(Kind::Secret).is_empty());

    install(&rig, &custom, read);
    until_listed(&mut run, &custom, 1).await;
    // The Secrets that the new kinds may name came with them.
    assert_eq!(run.mirror.names(Kind::Secret).len(), 1);
    // Lists of others are not made again.
    assert_eq!(run.mirror.lists(Kind::Service), 1);

    // What can't be decoded is data, and a watch says it as a list does.
    let kind = Kind::TlsCertificateDelegation;
    let delegation = |name: &str, spec: Value| json!({"apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": name}, "spec": spec});
    let good = json!({"delegations": [{"secretName": "a", "targetNamespaces": ["*"]}]});
    let both = [delegation("good", good), delegation("bad", json!("what"))];
    apply(&rig, &both);
    run.until("delegations", |mirror| {
        mirror.names(kind) == ["!bad", "good"]
    })
    .await;
    apply(&rig, &[delegation("good", json!("what"))]);
    run.until("good went bad", |mirror| {
        mirror.names(kind) == ["!bad", "!good"]
    })
    .await;

    uninstall(&rig, &custom);
    until_listed(&mut run, &custom, 2).await;
    for kind in &custom {
        assert!(run.mirror.names(*kind).is_empty(), "{kind}");
    }
    rig.create_service("still-here").await;
    run.until("a service", |mirror| {
        mirror.names(Kind::Service) == ["still-here"]
    })
    .await;

    // At a version that nobody reads it counts as absent.
    install(&rig, &custom, |_| "v9");
    let asked = rig.proxy.count(|uri| uri.ends_with("/v9"));
    run.until_seen("the other version", || {
        rig.proxy.count(|uri| uri.ends_with("/v9")) > asked + 1
    })
    .await;
    for kind in &custom {
        assert_eq!(run.mirror.lists(*kind), 2, "{kind}");
    }
    uninstall(&rig, &custom);
    install(&rig, &custom, read);
    until_listed(&mut run, &custom, 3).await;
    apply(&rig, &both);
    run.until("delegations again", |mirror| {
        mirror.names(kind) == ["!bad", "good"]
    })
    .await;
}

/// One whose definitions are there from the first is part of the first set of objects.
#[tokio::test]
async fn kinds_that_are_there_are_awaited() {
    let Some(plane) = ControlPlane::start().await else {
        return;
    };
    let rig = Rig::on(Arc::new(plane), "crd").await;
    let custom = custom();
    install(&rig, &custom, read);
    // The API server takes a moment to serve them.
    let mut watched = Vec::new();
    for _ in 0..1200 {
        watched = rig.source().await.watched();
        if custom
            .iter()
            .all(|kind| watched.iter().any(|(it, _)| it == kind))
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let watched: std::collections::BTreeSet<_> = watched.into_iter().collect();
    let mut run = rig.run().await;
    run.until("all lists", |mirror| mirror.listed == watched)
        .await;
    assert_eq!(run.mirror.lists(Kind::Secret), 1);
}
