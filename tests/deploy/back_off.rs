//! A rehearsal of deploy/README, "What happens when things fail": the API server is gone, and the pod stays ready.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::control_plane::{ADMIN, ControlPlane};
use crate::local_pod::LocalPod;
use crate::support::envoy;
use crate::support::eventually::eventually;

/// Restarts to see before the API server comes back.
const RESTARTS: usize = 3;

#[tokio::test]
async fn a_control_plane_in_back_off_leaves_the_pod_ready() {
    let Some(mut plane) = ControlPlane::start().await else {
        return;
    };
    let mut pod = LocalPod::start(&[("ISOBATH_KUBECONFIG", plane.kubeconfig(ADMIN))]).await;

    plane.kill_api_server();
    let outage = Instant::now();
    while pod.sidecar.output().matches("is restarted").count() < RESTARTS {
        pod.ready().await.expect("Envoy is ready all the time");
        pod.sidecar.assert_running();
        pod.envoy.assert_running();
        assert!(
            outage.elapsed() < Duration::from_secs(120),
            "the control plane does not notice"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        pod.started().await.is_err(),
        "it is ready while it is in back-off"
    );
    plane.restart_api_server().await;
    while let Err(error) = pod.started().await {
        let last = format!("{error:#}");
        pod.ready().await.expect("Envoy is ready all the time");
        assert!(outage.elapsed() < Duration::from_secs(240), "{last}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pod.sidecar.assert_running();
    // Envoy has its control plane again, and took nothing amiss.
    eventually("Envoy is connected", async || {
        let connected = envoy::stats(&pod.admin_socket(), "control_plane.connected_state").await?;
        ensure!(connected.values().any(|value| *value == 1), "{connected:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let refused = envoy::stats(&pod.admin_socket(), "update_rejected").await;
    let refused = refused.unwrap();
    assert!(refused.values().all(|count| *count == 0), "{refused:?}");
}
