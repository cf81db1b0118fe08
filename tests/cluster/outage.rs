//! The API server is killed and comes back under traffic: no request notices, and nothing that changed meanwhile is
//! missed.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::check::Transport;
use crate::fault_proxy::Mode;
use crate::installation::{Installation, becomes, cluster_service, our_site, slice};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::Tls;
use crate::support::load::Load;
use crate::support::network::{address, alone};
use crate::support::stand::Stand;

#[test]
fn the_api_server_is_killed_under_traffic() {
    alone(async || {
        let Some(mut cluster) = Installation::start().await else {
            return;
        };
        let authority = Authority::new();
        let one = Backend::start_at("one", address(2)).await;
        let two = Backend::start_at("two", address(3)).await;
        cluster.apply(&[
            cluster_service("one"),
            cluster_service("two"),
            slice("one", one.address()),
            slice("two", two.address()),
            our_site("stays", "stays.test", "one:80").tls(&["stays.test"], "stays"),
            our_site("moves", "moves.test", "one:80"),
            our_site("goes", "goes.test", "one:80"),
            authority.leaf(&["stays.test"]).secret("stays"),
        ]);
        let mut stand = cluster.stand().await;
        let tls = Tls {
            trust: authority.trust(),
            ..Tls::sni("stays.test")
        };
        let mut targets = stand.http_traffic("stays.test");
        targets.extend(stand.https_traffic("stays.test", &tls));
        let load = Load::start(targets).await;
        let before = stand.envoy.modifications().await;

        cluster.plane.kill_api_server();
        for restart in 0..3 {
            let (status, last) = stand.isobath.ends().await;
            assert_eq!(status.code(), Some(1), "{last}");
            let (_, reason) = last.split_once("fatal: ").unwrap();
            // A watch that is cut says so; one that begins anew does not get as far as a list.
            assert!(
                reason.contains("the API server at https://")
                    && (reason.contains(" can't be reached: ") || reason.contains("can't reach ")),
                "{restart}: {reason}"
            );
            load.more(30).await;
            // What a supervisor would do.
            stand.isobath.spawn();
        }
        stand.isobath.ends().await;

        // It comes back, and things happen that nobody watches; a watch would be told of the version's end (410).
        cluster.plane.restart_api_server().await;
        cluster.delete("ingress", "goes");
        cluster.apply(&[
            our_site("moves", "moves.test", "two:80"),
            our_site("comes", "comes.test", "two:80"),
        ]);
        becomes(&stand, Transport::Http1, "goes.test", "/", "one").await;
        assert_eq!(stand.envoy.modifications().await, before);

        stand.isobath.restart().await;
        for (host, want) in [
            ("comes.test", "two"),
            ("moves.test", "two"),
            ("goes.test", "404"),
            ("stays.test", "one"),
        ] {
            becomes(&stand, Transport::Http1, host, "/", want).await;
        }
        load.more(30).await;
        let report = load.stop_without_failure().await;
        assert_eq!(report.closed, 0, "no connection is drained");
        let after = stand.envoy.modifications().await;
        for what in [
            "listener_manager.listener_modified",
            "cluster_manager.cluster_removed",
        ] {
            assert_eq!(after[what], before[what], "{what}");
        }
    });
}

/// How long a process is waited for that is to notice within 60 s. That it does so in time is a test of the source, whose
/// clock stands still while something works.
const NOTICED: Duration = Duration::from_secs(180);

/// With the real times: nothing passes between the two any more, and nothing ends.
#[test]
fn a_half_open_connection_is_noticed() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let web = Backend::start_at("web", address(2)).await;
        cluster.apply(&[
            cluster_service("web"),
            slice("web", web.address()),
            our_site("web", "web.test", "web:80"),
        ]);
        let proxy = cluster.proxy().await;
        let mut isobath = cluster.isobath_at(proxy.address(), "pod", &[]);
        isobath.restart().await;
        let mut stand = Stand::on(isobath).await;
        let load = Load::start(stand.http_traffic("web.test")).await;

        proxy.set_mode(Mode::BlackHole);
        let start = Instant::now();
        while stand.isobath.process().ended().is_none() {
            assert!(start.elapsed() < NOTICED, "not noticed");
            sleep(Duration::from_millis(100)).await;
        }
        let noticed = start.elapsed();
        let (status, last) = stand.isobath.ends().await;
        println!("ended after {noticed:?}: {last}");
        assert_eq!(status.code(), Some(1), "{last}");
        assert!(last.contains(" can't be reached: "), "{last}");

        proxy.heal();
        stand.isobath.restart().await;
        cluster.apply(&[our_site("new", "new.test", "web:80")]);
        becomes(&stand, Transport::Http1, "new.test", "/", "web").await;
        load.stop_without_failure().await;
    });
}
