//! A rehearsal of deploy/README, "What happens when things fail": the API server is gone, and the pod stays ready.
//!
//! The commands are the manifest's own; paths and ports are the test's.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::control_plane::{ADMIN, ControlPlane};
use crate::manifest::{rendered, strings, workloads};
use crate::support::client::{self, Version};
use crate::support::envoy;
use crate::support::eventually::eventually;
use crate::support::port::Port;
use crate::support::process::Process;

/// Restarts to see before the API server comes back.
const RESTARTS: usize = 3;

#[tokio::test]
async fn a_control_plane_in_back_off_leaves_the_pod_ready() {
    let Some(mut plane) = ControlPlane::start().await else {
        return;
    };
    let folder = tempfile::Builder::new().prefix("iso-").tempdir().unwrap();
    let objects = rendered("hostport");
    let all = workloads(&objects);
    let pod = &all[0];
    let local = |text: &String| {
        let folder = folder.path().display();
        text.replace("/shared/", &format!("{folder}/"))
            .replace("/run/isobath/", &format!("{folder}/"))
            .replace("/usr/local/bin/isobath", env!("CARGO_BIN_EXE_isobath"))
            .replace("$(POD_NAME)", "pod-1")
    };
    let arguments = |container: &str| -> Vec<String> {
        let container = pod.container(container).unwrap();
        strings(&container["args"]).iter().map(local).collect()
    };
    let [admin, metrics, http, https, stats] = [(); 5].map(|()| Port::take());
    let isobath = |container: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
        command.args(arguments(container));
        command
    };
    assert!(isobath("bootstrap").status().unwrap().success());
    let mut sidecar = isobath("isobath");
    sidecar
        .env("ISOBATH_KUBECONFIG", plane.kubeconfig(ADMIN))
        .env("ISOBATH_ADMIN_ADDRESS", admin.address().to_string())
        .env("ISOBATH_METRICS_ADDRESS", metrics.address().to_string())
        .env("ISOBATH_ENVOY_HTTP_ADDRESS", http.address().to_string())
        .env("ISOBATH_ENVOY_HTTPS_ADDRESS", https.address().to_string())
        .env("ISOBATH_ENVOY_STATS_ADDRESS", stats.address().to_string());
    let log = |name: &str| folder.path().join(name);
    let mut sidecar = Process::start("the sidecar", &mut sidecar, &log("isobath.log"));
    let mut data_plane = Command::new(envoy::binary());
    data_plane
        .args(arguments("envoy"))
        .args(["--concurrency", "2"]);
    let mut data_plane = Process::start("Envoy", &mut data_plane, &log("envoy.log"));

    // The kubelet's probes, as the manifest has them.
    let started = async || answers(metrics.address(), "/readyz").await;
    let ready = async || answers(stats.address(), "/ready").await;
    eventually("the sidecar has started", started).await;
    eventually("Envoy is ready", ready).await;

    plane.kill_api_server();
    let outage = Instant::now();
    let restarts = |log: &Path| {
        let text = std::fs::read_to_string(log).unwrap();
        text.matches("is restarted").count()
    };
    while restarts(&log("isobath.log")) < RESTARTS {
        ready().await.expect("Envoy is ready all the time");
        sidecar.assert_running();
        data_plane.assert_running();
        assert!(
            outage.elapsed() < Duration::from_secs(120),
            "the control plane does not notice"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    plane.restart_api_server().await;
    let mut last = String::new();
    while let Err(error) = started().await {
        last = format!("{error:#}");
        ready().await.expect("Envoy is ready all the time");
        assert!(outage.elapsed() < Duration::from_secs(240), "{last}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        !last.is_empty(),
        "it was not ready while it was in back-off"
    );
    sidecar.assert_running();
    // Envoy has its control plane again, and took nothing amiss.
    let admin = folder.path().join("admin.sock");
    eventually("Envoy is connected", async || {
        let connected = envoy::stats(&admin, "control_plane.connected_state").await?;
        ensure!(connected.values().any(|value| *value == 1), "{connected:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let refused = envoy::stats(&admin, "update_rejected").await.unwrap();
    assert!(refused.values().all(|count| *count == 0), "{refused:?}");
}

async fn answers(address: std::net::SocketAddr, path: &str) -> anyhow::Result<()> {
    let answer = client::get(address, Version::H1, None, "probe", path).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    Ok(())
}
