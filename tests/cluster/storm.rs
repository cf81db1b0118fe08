//! A namespace is deleted with all that is in it, hundreds of objects a second. Others are served as before, and
//! nothing is built but for an event. (That what waits is built at once is a test of the controller: how much waits here is
//! the machine's affair.)

use anyhow::ensure;

use crate::check::Transport;
use crate::installation::{Installation, becomes, cluster_service, our_site, slice};
use crate::support::ads::Ads;
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::text;
use crate::support::network::{address, alone};
use crate::support::stand::Stand;

/// How many Ingresses, Services and EndpointSlices the namespace has.
const OF_EACH: usize = 80;

#[test]
fn a_namespace_is_deleted() {
    alone(async || {
        let Some(mut cluster) = Installation::start().await else {
            return;
        };
        cluster.plane.start_controller_manager();
        let web = Backend::start_at("web", address(2)).await;
        cluster.apply(&[
            cluster_service("web"),
            slice("web", web.address()),
            our_site("web", "web.test", "web:80"),
        ]);
        let stand = cluster.stand().await;
        let load = Load::start(stand.http_traffic("web.test")).await;
        cluster.kubectl(&["create", "namespace", "storm"], "");
        let mut objects = Vec::new();
        for n in 0..OF_EACH {
            let (name, host) = (format!("web-{n}"), format!("{n}.storm.test"));
            objects.push(cluster_service(&name).namespace("storm"));
            objects.push(slice(&name, web.address()).namespace("storm"));
            objects.push(our_site(&name, &host, &format!("{name}:80")).namespace("storm"));
        }
        cluster.kubectl(&["create", "-f", "-"], &text(&objects));
        for n in [0, OF_EACH - 1] {
            becomes(
                &stand,
                Transport::Http1,
                &format!("{n}.storm.test"),
                "/",
                "web",
            )
            .await;
        }
        let before = Counted::of(&stand).await;

        // Returns when the last object is gone.
        cluster.kubectl(&["delete", "namespace", "storm"], "");
        let socket = stand.isobath.xds();
        eventually("nothing is left of it", async || {
            let mut ads = Ads::connect(&socket).await?;
            let served = ads.everything().await?;
            let left = served.keys().find(|(_, name)| name.contains("storm"));
            ensure!(left.is_none(), "{left:?}");
            Ok(())
        })
        .await;
        becomes(&stand, Transport::Http1, "0.storm.test", "/", "404").await;
        // Hosts go with their Ingresses: Services and slices, on watches of their own, may come later.
        let (events, builds) = eventually("each deleted object was an event", async || {
            let after = Counted::of(&stand).await;
            let events = after.events - before.events;
            ensure!(events >= 3.0 * OF_EACH as f64, "{events} events");
            Ok((events, after.builds - before.builds))
        })
        .await;
        println!("{events} events, {builds} snapshots");
        assert!(builds <= events, "{builds} snapshots for {events} events");
        let report = load.stop_without_failure().await;
        assert_eq!(report.closed, 0, "no connection is drained");
    });
}

struct Counted {
    events: f64,
    builds: f64,
}

impl Counted {
    async fn of(stand: &Stand) -> Self {
        let metrics = stand.isobath.metrics().await;
        let sum = |prefix: &str| {
            let series = metrics.iter().filter(|(name, _)| name.starts_with(prefix));
            series.map(|(_, value)| value).sum()
        };
        Self {
            events: sum("isobath_events_total"),
            builds: sum("isobath_build_seconds_count"),
        }
    }
}
