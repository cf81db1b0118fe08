//! Each right that `deploy/base` gives is taken away in turn: without one that it reads with the process ends and names
//! the kind, without one that it writes with it warns and serves on.

use std::path::PathBuf;

use anyhow::ensure;
use isobath::objects::Kind;
use serde_json::{Value, json};

use crate::check::Transport;
use crate::contour;
use crate::control_plane::ControlPlane;
use crate::installation::{
    ADDRESS, HOME, Installation, becomes, cluster_service, documents, our_site, slice,
};
use crate::support::ads::{Ads, RDS};
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::load::Load;
use crate::support::network::{address, alone};

/// What is written, the verb without which it can't be, and the counter that says so. Not in here: the patch of an
/// Event, which is first made after half an hour (`status/tests.rs`), and that of the status of Contour's objects
/// (`kubernetes_status/conditions.rs`).
const WRITTEN: [(&str, &str, &str); 6] = [
    ("ingresses", "get", "status_writes_total{result"),
    ("ingresses/status", "patch", "status_writes_total{result"),
    ("events", "create", "event_writes_total{result"),
    ("leases", "create", "lease_errors_total{reason"),
    ("leases", "get", "lease_errors_total{reason"),
    ("leases", "update", "lease_errors_total{reason"),
];

/// The rules of the ClusterRole or Role, less what `without` selects by resource and verb.
fn rules(kind: &str, without: impl Fn(&str, &str) -> bool) -> String {
    let mut rules = Vec::new();
    for role in documents("rbac").iter().filter(|role| role["kind"] == kind) {
        for rule in role["rules"].as_array().unwrap() {
            for resource in texts(&rule["resources"]) {
                let mut verbs = texts(&rule["verbs"]);
                verbs.retain(|verb| !without(resource, verb));
                if verbs.is_empty() {
                    continue;
                }
                let mut rule = rule.clone();
                rule["resources"] = json!([resource]);
                rule["verbs"] = json!(verbs);
                rules.push(rule);
            }
        }
    }
    Value::Array(rules).to_string()
}

fn texts(list: &Value) -> Vec<&str> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap()).collect()
}

/// A user with all rights but those, whose home is a namespace of that name.
fn user(plane: &ControlPlane, name: &str, without: impl Fn(&str, &str) -> bool + Copy) -> PathBuf {
    plane.grant(name, &rules("ClusterRole", without));
    plane.grant_in(name, name, &rules("Role", without));
    plane.kubeconfig(name)
}

/// The kinds that are read, where of custom ones only Contour's are installed.
fn is_read(kind: &Kind) -> bool {
    !kind.is_of_gateway_api()
}

/// The kinds that are read only where a CRD is there are read as well.
fn install_custom_kinds(cluster: &Installation, definitions: &str) {
    cluster.kubectl(&["apply", "--server-side", "-f", "-"], definitions);
    let custom = Kind::ALL.into_iter().filter(|kind| kind.is_custom());
    for kind in custom.filter(is_read) {
        let crd = format!("crd/{}.{}", kind.plural(), kind.group());
        cluster.wait_established(&crd);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_to_read_it_ends_and_without_one_to_write_it_warns() {
    let (Some(cluster), Some(definitions)) = (Installation::start().await, contour::definitions())
    else {
        return;
    };
    install_custom_kinds(&cluster, &definitions);
    for kind in Kind::ALL.into_iter().filter(is_read) {
        let resource = kind.plural();
        let name = format!("no-{resource}");
        cluster.kubectl(&["create", "namespace", &name], "");
        // A kind is read with list and watch; to get an Ingress is the status writer's.
        let kubeconfig = user(&cluster.plane, &name, |of, verb| {
            of == resource && verb != "get"
        });
        let mut isobath = Isobath::of_cluster(&kubeconfig, &[]);
        isobath.spawn();
        let (status, last) = isobath.ends().await;
        assert_eq!(status.code(), Some(1), "{last}");
        let line = format!("list-watch of {kind}: the API server answered 403: {resource}");
        assert!(last.contains(&line), "{last}");
    }
    for (resource, verb, counter) in WRITTEN {
        writes_on(&cluster, resource, verb, counter).await;
    }
}

/// It warns, counts, and serves what is new.
async fn writes_on(cluster: &Installation, resource: &str, verb: &str, counter: &str) {
    let name = format!("{verb}-{}", resource.replace('/', "-"));
    cluster.kubectl(&["create", "namespace", &name], "");
    let kubeconfig = user(&cluster.plane, &name, |of, missing| {
        of == resource && missing == verb
    });
    let web = |host: &str| our_site("web", host, "nowhere:80").namespace(&name);
    cluster.apply(&[web("one.test")]);
    let flags = [
        "--watch-namespaces",
        &name,
        "--pod-name",
        &name,
        "--pod-namespace",
        &name,
        "--ingress-status-address",
        ADDRESS,
    ];
    let mut isobath = Isobath::of_cluster(&kubeconfig, &flags);
    isobath.restart().await;
    let mut ads = Ads::connect(&isobath.xds()).await.unwrap();
    ads.everything().await.unwrap();
    let count = async |series: &str| {
        let metrics = isobath.metrics().await;
        metrics.get(series).copied().unwrap_or(0.0)
    };
    if (resource, verb) == ("ingresses", "get") {
        // It looks before it takes an address away.
        eventually("the address is written", async || {
            let written = count("isobath_status_writes_total{result=\"ok\"}").await;
            ensure!(written > 0.0, "{written}");
            Ok(())
        })
        .await;
        cluster.apply(&[web("one.test").class("another")]);
    }
    let forbidden = format!("isobath_{counter}=\"forbidden\"}}");
    eventually(&forbidden, async || {
        let forbidden = count(&forbidden).await;
        ensure!(forbidden > 0.0, "{forbidden}");
        Ok(())
    })
    .await;
    assert!(
        isobath.log().contains("traffic is not affected"),
        "{}",
        isobath.log()
    );
    // The others of the three go on where they can: nobody leads without the Lease.
    let others = match resource {
        "leases" => &[][..],
        "events" => &["isobath_status_writes_total{result=\"ok\"}"],
        _ => &["isobath_event_writes_total{result=\"ok\"}"],
    };
    for other in others {
        eventually(other, async || {
            let written = count(other).await;
            ensure!(written > 0.0, "{written}");
            Ok(())
        })
        .await;
    }
    cluster.apply(&[web("two.test")]);
    while !String::from_utf8_lossy(&ads.held()[&(RDS.to_owned(), "http".to_owned())].1)
        .contains("two.test")
    {
        ads.next().await.unwrap();
    }
    isobath.process().assert_running();
}

/// Beside a data plane: the right is gone, the control plane ends, Envoy serves what it had.
#[test]
fn envoy_keeps_what_it_had() {
    alone(async || {
        let (Some(cluster), Some(definitions)) =
            (Installation::start().await, contour::definitions())
        else {
            return;
        };
        install_custom_kinds(&cluster, &definitions);
        let web = Backend::start_at("web", address(2)).await;
        cluster.apply(&[
            cluster_service("web"),
            slice("web", web.address()),
            our_site("web", "web.test", "web:80"),
        ]);
        let mut stand = cluster.stand().await;
        let load = Load::start(stand.http_traffic("web.test")).await;
        let before = stand.envoy.modifications().await;
        for kind in Kind::ALL.into_iter().filter(is_read) {
            let resource = kind.plural();
            set_rules(
                &cluster,
                &rules("ClusterRole", |of, verb| of == resource && verb != "get"),
            );
            may(&cluster, "watch", resource, false).await;
            stand.isobath.kill().await;
            stand.isobath.spawn();
            let (status, last) = stand.isobath.ends().await;
            assert_eq!(status.code(), Some(1), "{last}");
            assert!(last.contains(&format!("list-watch of {kind}: ")), "{last}");
            load.more(30).await;

            set_rules(&cluster, &rules("ClusterRole", |_, _| false));
            may(&cluster, "watch", resource, true).await;
            stand.isobath.restart().await;
        }
        // What is new is served again.
        cluster.apply(&[our_site("new", "new.test", "web:80")]);
        becomes(&stand, Transport::Http1, "new.test", "/", "web").await;
        let report = load.stop_without_failure().await;
        assert_eq!(report.closed, 0, "no connection is drained");
        let after = stand.envoy.modifications().await;
        assert_eq!(
            after["listener_manager.listener_modified"],
            before["listener_manager.listener_modified"]
        );
    });
}

/// Replaces the rules of the ClusterRole `isobath`.
fn set_rules(cluster: &Installation, rules: &str) {
    let role = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: isobath}}, rules: {rules}}}"
    );
    cluster.kubectl(&["replace", "-f", "-"], &role);
}

/// Waits until the authorizer, which watches the roles, has learnt of it.
async fn may(cluster: &Installation, verb: &str, resource: &str, allowed: bool) {
    let account = format!("system:serviceaccount:{HOME}:isobath");
    let admin = crate::control_plane::ADMIN;
    eventually(&format!("{verb} {resource}: {allowed}"), async || {
        let line = [
            "auth",
            "can-i",
            verb,
            resource,
            "--all-namespaces",
            "--as",
            &account,
        ];
        let may = cluster.plane.try_kubectl(admin, &line, "").is_ok();
        ensure!(may == allowed, "{may}");
        Ok(())
    })
    .await;
}
