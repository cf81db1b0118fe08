//! Of several replicas one writes, and another takes over.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, ResourceExt as _};

use crate::corner::{BY_ADDRESS, Corner, RBAC, WITHIN};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_replicas_writes_and_the_other_takes_over() {
    let Some(corner) = Corner::new("replicas").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    // Every version of every Ingress that the API server ever had.
    let mut versions = Api::<Ingress>::namespaced(corner.admin.clone(), &corner.shop)
        .watch(&kube::api::WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    let mut a = corner.replica("a", BY_ADDRESS).await;
    a.until_leader().await;
    let mut b = corner.replica("b", BY_ADDRESS).await;
    for n in 0..20 {
        corner.ingress(&format!("web-{n}"), "isobath");
    }
    for n in 0..20 {
        corner
            .until_addresses(&format!("web-{n}"), &["192.0.2.1", "lb.example.com"])
            .await;
    }
    a.has_written(20).await;
    assert_eq!(b.writes("ok"), 0);
    assert!(*a.leads.borrow() && !*b.leads.borrow());

    a.kill().await;
    b.until_leader().await;
    corner.ingress("last", "isobath");
    corner
        .until_addresses("last", &["192.0.2.1", "lb.example.com"])
        .await;
    b.has_written(1).await;

    // A released lease is taken over, too.
    let mut c = corner.replica("c", BY_ADDRESS).await;
    b.is_alive();
    b.stop().await;
    c.until_leader().await;
    corner.ingress("very-last", "isobath");
    corner
        .until_addresses("very-last", &["192.0.2.1", "lb.example.com"])
        .await;
    c.has_written(1).await;

    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    while seen.get("very-last") != Some(&2) {
        let event = tokio::time::timeout(WITHIN, versions.next()).await.unwrap();
        if let kube::api::WatchEvent::Added(object) | kube::api::WatchEvent::Modified(object) =
            event.unwrap().unwrap()
        {
            *seen.entry(object.name_any()).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 22);
    assert!(
        seen.values().all(|versions| *versions == 2),
        "created, written once: {seen:?}"
    );
}
