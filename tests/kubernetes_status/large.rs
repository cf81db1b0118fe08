//! An Ingress that has no room for a status, and one with many problems, delay nobody.

use isobath::objects::{Kind, ObjectRef, Problem};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::corner::{BY_ADDRESS, Corner, RBAC, until};

/// So many Ingresses are as large as etcd takes them.
const LARGE: usize = 4;

/// An Ingress with one path of so many bytes.
fn ingress(name: &str, bytes: usize) -> Ingress {
    let path = format!("/{}", "a".repeat(bytes));
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"ingressClassName": "isobath", "rules": [{"http": {"paths": [
            {"path": path, "pathType": "Prefix", "backend": backend}]}}]},
    }))
    .unwrap()
}

/// The longest path with which the API server takes an Ingress, less some bytes.
async fn longest(api: &Api<Ingress>) -> usize {
    let (mut fits, mut too_large) = (1 << 20, 2 << 20);
    while too_large - fits > 32 {
        let middle = (fits + too_large) / 2;
        let tried = ingress("tried", middle);
        match api.create(&PostParams::default(), &tried).await {
            Ok(_) => {
                api.delete("tried", &DeleteParams::default()).await.unwrap();
                fits = middle;
            }
            Err(_) => too_large = middle,
        }
    }
    fits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_room_for_a_status_delays_nobody() {
    let Some(corner) = Corner::new("large").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    let api = corner.ingresses();
    let bytes = longest(&api).await;
    for n in 0..LARGE {
        let large = ingress(&format!("big-{n}"), bytes);
        api.create(&PostParams::default(), &large).await.unwrap();
    }
    let mut replica = corner.replica("a", BY_ADDRESS).await;
    replica.until_leader().await;
    until("no status is taken", || async {
        replica.writes("too_large") == LARGE as u64
    })
    .await;
    corner.ingress("web", "isobath");
    corner
        .until_addresses("web", &["192.0.2.1", "lb.example.com"])
        .await;
    // Its owner is told; and it is not tried over and over.
    let events: Api<Event> = Api::namespaced(corner.admin.clone(), &corner.shop);
    let not_written = ListParams::default().fields("reason=StatusNotWritten");
    until("all are told of", || async {
        events.list(&not_written).await.unwrap().items.len() == LARGE
    })
    .await;
    let list = events.list(&not_written).await.unwrap();
    let note = list.items[0].note.clone().unwrap();
    assert!(note.contains("make several of it"), "{note}");
    assert_eq!(replica.writes("too_large"), LARGE as u64);

    // Ten thousand problems of one object are eleven Events, and another's is told meanwhile.
    let uid = |name: &'static str| {
        let api = api.clone();
        async move { api.get(name).await.unwrap().uid().unwrap() }
    };
    let (of_big, of_web) = (uid("big-0").await, uid("web").await);
    let object = |name| ObjectRef::new(Kind::Ingress, corner.shop.as_str(), name);
    let mut problems: Vec<_> = (0..10_000)
        .map(|n| {
            let message = format!("Service {}/{n:05} does not exist", corner.shop);
            let problem = Problem::new(object("big-0"), "ServiceNotFound", message);
            (problem, of_big.as_str())
        })
        .collect();
    let missing = Problem::new(object("web"), "SecretNotFound", "text");
    problems.push((missing, &of_web));
    replica.problems(&problems);
    let told = || async {
        let mut told = [0; 3];
        for event in events.list(&ListParams::default()).await.unwrap().items {
            match event.reason.as_deref() {
                Some("ServiceNotFound") => told[0] += 1,
                Some("MoreProblems") => told[1] += 1,
                Some("SecretNotFound") => told[2] += 1,
                _ => {}
            }
        }
        told
    };
    until("all Events are there", || async {
        told().await == [10, 1, 1]
    })
    .await;
    let described = corner.kubectl(&["describe", "ingress", "big-0", "-n", &corner.shop], "");
    assert!(described.contains("9990 more problems: 9990 ServiceNotFound"));
    replica.is_alive();
}
