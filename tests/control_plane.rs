//! The control plane for tests is what it says: real, with RBAC, and gone afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/control_plane.rs"]
mod control_plane;

use control_plane::{ADMIN, ControlPlane};

#[tokio::test]
async fn users_are_told_apart_and_the_server_comes_back() {
    let Some(mut plane) = ControlPlane::start().await else {
        return;
    };
    let version = plane.client(ADMIN).await.apiserver_version().await.unwrap();
    assert_eq!(version.minor, "36");

    let list = || {
        http::Request::get("/api/v1/services")
            .body(Vec::new())
            .unwrap()
    };
    let alice = plane.client("alice").await;
    let refused = alice.request_text(list()).await.unwrap_err();
    assert!(
        matches!(&refused, kube::Error::Api(status) if status.code == 403),
        "{refused}"
    );
    plane.grant(
        "alice",
        "[{apiGroups: [''], resources: [services], verbs: [list]}]",
    );
    // The authorizer watches the roles: a moment may pass.
    let mut granted = Err(refused);
    for _ in 0..1200 {
        granted = alice.request_text(list()).await;
        if granted.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    granted.unwrap();

    plane.kill_api_server();
    alice.request_text(list()).await.unwrap_err();
    plane.restart_api_server().await;
    alice.request_text(list()).await.unwrap();
    plane.start_controller_manager();
}
