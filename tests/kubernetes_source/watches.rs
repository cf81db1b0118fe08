//! Watches that end, are cut, fall silent or are told that their version is gone.

use std::sync::Arc;

use isobath::objects::Kind;

use crate::control_plane::{ADMIN, ControlPlane};
use crate::fault_proxy::{Cut, Fault, Mode};
use crate::rig::{Rig, Run, status};

/// The kinds that are watched here.
const NAMESPACED: [Kind; 4] = [
    Kind::Ingress,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Secret,
];

/// 20 watches end in their time. Nobody exits, nobody lists again, and nothing is lost.
#[tokio::test]
async fn twenty_ends_are_no_end() {
    let Some(rig) = Rig::new("ends").await else {
        return;
    };
    let mut run = rig.run().await;
    run.until_listed().await;
    let watches = rig.requests("services");
    for round in 0..20 {
        run.until_seen("a watch", || rig.proxy.count(&watches) > round)
            .await;
        rig.create_service(&format!("service-{round}")).await;
    }
    run.until("20 services", |mirror| {
        mirror.names(Kind::Service).len() == 20
    })
    .await;
    run.until_seen("a watch", || rig.proxy.count(&watches) > 20)
        .await;
    for kind in NAMESPACED {
        assert_eq!(run.mirror.lists(kind), 1, "{kind}");
    }
    // Lists are consistent reads: a cache that lags behind is never asked.
    assert_eq!(rig.proxy.count(|uri| uri.contains("resourceVersion=0")), 0);
    assert_eq!(
        rig.proxy
            .count(|uri| uri.contains("allowWatchBookmarks=true")),
        rig.proxy.count(|uri| uri.contains("watch=true"))
    );
}

/// Connections are closed or reset, in the middle of whatever it is. The watches go on at once.
#[tokio::test]
async fn cuts_are_no_end() {
    let Some(rig) = Rig::new("cuts").await else {
        return;
    };
    let mut run = rig.run().await;
    run.until_listed().await;
    for round in 0..10 {
        rig.proxy.cut(if round % 2 == 0 {
            Cut::Close
        } else {
            Cut::Reset
        });
        // All watches stand again before the next cut: a request whose connection breaks twice is an end.
        let name = format!("round-{round}");
        rig.create_one_of_each(&name).await;
        run.until(&name, |mirror| {
            NAMESPACED.into_iter().all(|kind| {
                let mut names = mirror.names(kind).into_iter();
                names.any(|seen| seen.trim_start_matches('!') == name)
            })
        })
        .await;
    }
    // An end in mid-line: what was sent of the line is nothing, and comes again.
    rig.proxy
        .on(1, rig.requests("services"), Fault::Truncate(100));
    rig.create_service("in-mid-line").await;
    run.until("in-mid-line", |mirror| {
        mirror.names(Kind::Service).contains(&"in-mid-line")
    })
    .await;
    assert_eq!(run.mirror.lists(Kind::Service), 1);
}

/// The version is gone, and an object was deleted in the gap: no ghost is left of it.
#[tokio::test]
async fn gone_versions_leave_no_ghosts() {
    let Some(mut plane) = ControlPlane::start().await else {
        return;
    };
    plane.kubectl(ADMIN, &["create", "namespace", "before"], "");
    // A server that has just started remembers nothing from before.
    plane.restart_api_server().await;
    let rig = Rig::on(Arc::new(plane), "gone").await;
    rig.create_service("stays").await;
    for (round, gone) in [
        // The real thing: the server does not remember version 1.
        Fault::RewriteUri(Arc::new(|uri| {
            let (before, _) = uri.split_once("resourceVersion=").unwrap();
            format!("{before}resourceVersion=1")
        })),
        // Some versions of the API server say it as an HTTP status.
        status(410, "too old resource version"),
    ]
    .into_iter()
    .enumerate()
    {
        let (ghost, newcomer) = (format!("ghost-{round}"), format!("newcomer-{round}"));
        rig.create_service(&ghost).await;
        let mut run = rig.run().await;
        run.until_listed().await;
        assert!(run.mirror.names(Kind::Service).contains(&ghost.as_str()));

        rig.proxy.set_mode(Mode::BlackHole);
        rig.delete_service(&ghost).await;
        rig.create_service(&newcomer).await;
        let services = rig.requests("services");
        rig.proxy.on(
            usize::MAX,
            move |uri| services(uri) && !uri.contains("sendInitialEvents"),
            gone,
        );
        rig.proxy.cut(Cut::Reset);
        rig.proxy.set_mode(Mode::Pass);
        run.until("the second list", |mirror| mirror.lists(Kind::Service) == 2)
            .await;
        rig.proxy.heal();
        let names = run.mirror.names(Kind::Service);
        assert!(!names.contains(&ghost.as_str()), "{names:?}");
        assert!(names.contains(&newcomer.as_str()), "{names:?}");
        assert!(names.contains(&"stays"), "{names:?}");
        assert!(run.mirror.deleted.is_empty(), "{:?}", run.mirror.deleted);
    }
}

/// Nothing passes, nothing ends. It is noticed when the watch should have ended; if the server is there
/// again by then, the watch goes on, else the source ends. (When: see the module's own tests, whose clock stands still
/// while something works.)
#[tokio::test]
async fn black_holes() {
    let Some(rig) = Rig::new("black-hole").await else {
        return;
    };
    let mut run = rig.run().await;
    run.until_listed().await;
    // The open connections fall silent, new ones pass.
    rig.proxy.cut(Cut::Silence);
    rig.create_service("unseen").await;
    run.until("unseen", |mirror| {
        mirror.names(Kind::Service).contains(&"unseen")
    })
    .await;

    rig.proxy.set_mode(Mode::BlackHole);
    let (error, _) = run.end().await;
    let error = error.to_string();
    assert!(
        error.contains(" in namespace black-hole: the API server at https://")
            && error.contains(" can't be reached: "),
        "{error}"
    );
}

/// The crash-only rule: the API server is killed. The source ends and says why.
#[tokio::test]
async fn a_killed_api_server_is_the_end() {
    let Some(mut plane) = ControlPlane::start().await else {
        return;
    };
    let kubeconfig = plane.kubeconfig(ADMIN);
    let args = crate::rig::args(kubeconfig);
    let mut run = Run::start(crate::rig::source(&args).await);
    run.until_listed().await;
    plane.kill_api_server();
    let (error, _) = run.end().await;
    let text = error.to_string();
    let start = format!(
        "list-watch of {}: the API server at https://127.0.0.1:",
        error.kind
    );
    let end = "/ can't be reached: client error (Connect): tcp connect error: Connection refused (os error 111)";
    assert!(text.starts_with(&start) && text.ends_with(end), "{text}");

    // What the supervisor does: once more, from nothing.
    plane.restart_api_server().await;
    let mut run = Run::start(crate::rig::source(&args).await);
    run.until_listed().await;
}
