//! Two of them on one API server: one writes. It is killed, and the other takes over.

use std::time::{Duration, Instant};

use crate::installation::{ADDRESS, Installation, our_site};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;

/// A Lease lasts 15 s after its last renewal, and others look every 2 to 15 s.
const TAKEN_OVER: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn one_writes_and_when_it_is_killed_the_other_does() {
    let Some(cluster) = Installation::start().await else {
        return;
    };
    let mut first = cluster.isobath("first", &[]);
    first.restart().await;
    eventually("the first leads", async || leads(&first).await).await;
    let mut second = cluster.isobath("second", &[]);
    second.restart().await;

    let names: Vec<String> = (0..20).map(|n| format!("web-{n}")).collect();
    let sites = names
        .iter()
        .map(|name| our_site(name, &format!("{name}.test"), "nowhere:80"));
    cluster.apply(&sites.collect::<Vec<_>>());
    written(&cluster, 20).await;
    // An address and an Event for each, and not one more by either of them.
    has_written(&first, 20.0).await;
    assert_eq!(writes(&second).await, (0.0, 0.0));

    first.kill().await;
    let start = Instant::now();
    while let Err(reason) = leads(&second).await {
        assert!(start.elapsed() < TAKEN_OVER, "{reason}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.apply(&[our_site("last", "last.test", "nowhere:80")]);
    written(&cluster, 21).await;
    // It found the others written, and their Events told.
    has_written(&second, 1.0).await;

    // The one that was killed is back, and waits.
    first.restart().await;
    leads(&first).await.unwrap_err();
    assert_eq!(writes(&first).await, (0.0, 0.0));
}

async fn leads(isobath: &Isobath) -> Result<(), String> {
    let metrics = isobath.metrics().await;
    match metrics.get("isobath_leader") {
        Some(leads) if *leads > 0.0 => Ok(()),
        other => Err(format!("isobath_leader is {other:?}")),
    }
}

/// Waits until so many Ingresses have an address and an Event.
async fn written(cluster: &Installation, count: usize) {
    eventually(&format!("{count} are written"), async || {
        let listed = cluster.kubectl(&["get", "ingresses"], "");
        let events = cluster.kubectl(&["get", "events", "-o", "name"], "");
        let have = (listed.matches(ADDRESS).count(), events.lines().count());
        match have == (count, count) {
            true => Ok(()),
            false => Err(format!("{have:?}")),
        }
    })
    .await;
}

/// Waits until it has counted so many of both, and sees that there are not more. Whoever asks the API server sees an
/// object before its writer has the answer, and that is when it counts.
async fn has_written(isobath: &Isobath, times: f64) {
    eventually("the writes are counted", async || {
        match writes(isobath).await {
            (addresses, events) if addresses >= times && events >= times => Ok(()),
            fewer => Err(format!("{fewer:?}")),
        }
    })
    .await;
    assert_eq!(writes(isobath).await, (times, times));
}

/// How often it has written an address, and an Event.
async fn writes(isobath: &Isobath) -> (f64, f64) {
    let metrics = isobath.metrics().await;
    let count = |name: &str| {
        let series = format!("isobath_{name}_writes_total{{result=\"ok\"}}");
        metrics.get(&series).copied().unwrap_or(0.0)
    };
    (count("status"), count("event"))
}
