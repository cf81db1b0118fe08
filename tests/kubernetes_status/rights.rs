//! Without a right there is a warning, and everything else goes on.

use isobath::objects::{Kind, ObjectRef, Problem};
use serde_json::{Value, json};

use crate::corner::{BY_ADDRESS, Corner, RBAC, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_right_it_warns_and_goes_on() {
    let Some(corner) = Corner::new("rights").await else {
        return;
    };
    corner.ingress("web", "isobath");
    let resource = |rule: &Value| rule["resources"][0].as_str().unwrap().to_owned();
    let problem = |corner: &Corner| {
        let object = ObjectRef::new(Kind::Ingress, corner.shop.as_str(), "web");
        Problem::new(object, "SecretNotFound", "Secret shop/web does not exist")
    };
    // Without the Lease nobody leads; nothing is written, nothing ends.
    corner.grant(RBAC, |rule| resource(rule) == "leases");
    let mut replica = corner.replica("a", BY_ADDRESS).await;
    until("the lease is forbidden", || async {
        replica
            .metric("lease_errors_total", "reason")
            .contains_key("forbidden")
    })
    .await;
    replica.is_alive();
    assert!(corner.addresses("web").await.is_empty());
    replica.kill().await;

    // Without one of the two, the other works.
    corner.grant(RBAC, |rule| resource(rule) == "events");
    let mut replica = corner.replica("b", BY_ADDRESS).await;
    replica.until_leader().await;
    replica.problems(&[(problem(&corner), "")]);
    corner
        .until_addresses("web", &["192.0.2.1", "lb.example.com"])
        .await;
    until("Events are forbidden", || async {
        replica.events("forbidden") > 0
    })
    .await;
    replica.is_alive();
    replica.stop().await;

    corner.grant(RBAC, |rule| resource(rule) == "ingresses/status");
    corner.ingress("second", "isobath");
    let mut replica = corner.replica("c", BY_ADDRESS).await;
    replica.until_leader().await;
    replica.problems(&[(problem(&corner), "")]);
    until("the Event is written", || async {
        replica.events("ok") == 1
    })
    .await;
    until("status is forbidden", || async {
        replica.writes("forbidden") > 0
    })
    .await;
    replica.is_alive();

    replica.stop().await;

    // Without the right to look, nothing is taken away.
    let looks = |rule: &Value| resource(rule) == "ingresses" && rule["verbs"] == json!(["get"]);
    corner.grant(RBAC, looks);
    let mut replica = corner.replica("d", BY_ADDRESS).await;
    corner
        .until_addresses("second", &["192.0.2.1", "lb.example.com"])
        .await;
    corner.ingress("second", "nginx");
    until("looking is forbidden", || async {
        replica.writes("forbidden") > 0
    })
    .await;
    assert_eq!(
        corner.addresses("second").await,
        ["192.0.2.1", "lb.example.com"]
    );
    replica.is_alive();

    // With all rights it is made good, without a restart.
    corner.grant(RBAC, |_| false);
    corner.until_addresses("second", &[]).await;
    replica.is_alive();
}
