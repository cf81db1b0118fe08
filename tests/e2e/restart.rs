//! The control plane ends, in order or not, and comes back: Envoy and its clients do not notice. `tests/soak` does it
//! many times.

use std::process::Command;

use crate::check::apps;
use crate::support::client::{Connection, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::{BINARY, Isobath};
use crate::support::load::Load;
use crate::support::manifest::{Manifest, site};
use crate::support::process::Process;
use crate::support::stand::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_moves_nothing() {
    let (mut stand, load, backends) = Stand::under_traffic().await;
    let before = stand.envoy.modifications().await;
    for (round, in_order) in [true, false].into_iter().enumerate() {
        if in_order {
            let status = stand.isobath.terminate().await;
            assert_eq!(status.code(), Some(0), "SIGTERM ends it in order");
        } else {
            stand.isobath.kill().await;
        }
        load.more(30).await;
        stand.isobath.restart().await;
        stand.fence(&backends[3], round % 2 == 0).await;
        load.more(30).await;
        assert_eq!(
            stand.envoy.modifications().await,
            before,
            "SIGTERM: {in_order}"
        );
    }
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0, "no connection is drained");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_meanwhile_is_served_after_the_restart() {
    let (_backends, base) = apps(&["one", "two"]).await;
    let with = |rules: &[Manifest]| [&base[..], rules].concat();
    let objects = with(&[
        site("stays", "stays.test", "one:80"),
        site("moves", "moves.test", "one:80"),
        site("goes", "goes.test", "one:80"),
    ]);
    let mut stand = Stand::start(&objects).await;
    let load = Load::start(stand.http_traffic("stays.test")).await;
    stand.isobath.kill().await;
    stand.isobath.write(
        "manifests.yaml",
        &with(&[
            site("stays", "stays.test", "one:80"),
            site("moves", "moves.test", "two:80"),
            site("comes", "comes.test", "two:80"),
        ]),
    );
    load.more(10).await;
    // Without a control plane Envoy serves what it knows.
    assert_eq!(stand.get("moves.test", "/").await.unwrap().backend(), "one");
    stand.isobath.restart().await;
    for (host, want) in [
        ("comes.test", "two"),
        ("moves.test", "two"),
        ("goes.test", "404"),
    ] {
        eventually(&format!("{host} answers {want}"), async || {
            let transport = crate::check::Transport::Http1;
            match crate::check::answer(&stand, transport, host, "/").await {
                got if got == want => Ok(()),
                got => Err(got),
            }
        })
        .await;
    }
    load.stop_without_failure().await;
}

/// The other half of the pair: a new Envoy gets everything from a control plane that has run for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_envoy_gets_everything() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let mut isobath = Isobath::start(&manifests).await;
    for _ in 0..3 {
        let mut stand = Stand::on(isobath).await;
        assert_eq!(stand.get("web.test", "/").await.unwrap().backend(), "web");
        stand.envoy.process().assert_running();
        isobath = stand.part();
    }
    isobath.process().assert_running();
}

/// Envoy started first waits for the control plane, and then is LIVE with all of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_came_first() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let mut isobath = Isobath::prepare(&[]);
    isobath.write("manifests.yaml", &manifests);
    let directory = isobath.directory();
    let bootstrap = crate::support::stand::bootstrap(directory, &isobath.xds_address());
    let admin = directory.join("admin.sock");
    let log = directory.join("envoy.log");
    let mut envoy = crate::support::envoy::Envoy::start(&bootstrap, &admin, &log);
    eventually("Envoy's admin answers", async || envoy.get("/ready").await).await;
    isobath.restart().await;
    envoy.live().await;
    let stand = Stand { isobath, envoy };
    assert_eq!(stand.get("web.test", "/").await.unwrap().backend(), "web");
}

/// A node is emptied: `isobath drain` asks every connection to close, and no request is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_loses_no_request() {
    let (stand, load, _backends) = Stand::under_traffic().await;
    // Who says nothing more is not told to go, and is waited for.
    let mut silent = Connection::open(stand.isobath.http(), Version::H1, None)
        .await
        .unwrap();
    assert_eq!(silent.get("plain.test", "/").await.unwrap().status, 200);
    let mut command = Command::new(BINARY);
    command
        .args(["drain", "--delay", "300ms", "--timeout", "600s"])
        .arg("--admin-socket")
        .arg(stand.envoy.admin());
    let output = stand.isobath.directory().join("drain.log");
    let mut drain = Process::start("isobath drain", &mut command, &output);
    // The six connections that were to be kept.
    eventually("kept connections are asked to close", async || {
        let closed = load.report().closed;
        anyhow::ensure!(closed >= 6, "{closed}");
        Ok(())
    })
    .await;
    // Who has not heard of it yet is served as before.
    load.more(100).await;
    drain.assert_running();
    drop(silent);
    load.stop_without_failure().await;
    assert_eq!(drain.end().await.code(), Some(0), "{}", drain.output());
}
