//! smoke
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/fault_proxy.rs"]
mod fault_proxy;

use control_plane::*;
use isobath::source::kubernetes::*;

#[tokio::test]
async fn smoke() {
    let Some(plane) = ControlPlane::start().await else {
        return;
    };
    let args = Args {
        kubeconfig: Some(plane.kubeconfig(ADMIN)),
        context: None,
        watch_namespaces: vec![],
        start_jitter: Default::default(),
    };
    let source = Kubernetes::connect(&args, None).await.unwrap();
    println!("{:?}", source.watched());
    let (tx, mut rx) = tokio::sync::mpsc::channel(16);
    let t0 = std::time::Instant::now();
    let task = tokio::spawn(
        source
            .with_timing(Timing {
                watch: std::time::Duration::from_secs(2),
                watch_spread: Default::default(),
                ..Timing::default()
            })
            .run(tx),
    );
    let reader = tokio::spawn(async move {
        while let Some(e) = rx.recv().await {
            println!("{:?} {e:?}", t0.elapsed());
        }
    });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    plane.kubectl(
        ADMIN,
        &[
            "create",
            "service",
            "externalname",
            "foo",
            "--external-name=bar",
        ],
        "",
    );
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    drop(plane);
    println!("{:?}", task.await.unwrap().unwrap_err().to_string());
    println!("{:?}", t0.elapsed());
    reader.await.unwrap();
}
