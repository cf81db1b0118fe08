//! A TLS host is added after every kill, and every host there is answers a new handshake: what came after a restart
//! finds the secrets that were there before it.

use std::time::Duration;

use anyhow::ensure;

use crate::support::certificate::Authority;
use crate::support::client::{Tls, Version, get};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::load::Load;
use crate::support::manifest::site;
use crate::support::stand::{Stand, apps};
use crate::support::xds_proxy::XdsProxy;
use crate::{config_source, figures, is_long, rounds};

/// Which Isobath comes after the one that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    /// The same.
    Same,
    /// One whose references have other bytes than those of the one before.
    Other,
}

/// Longer than Envoy waits for a secret before it serves a chain without.
const WAIT: Duration = Duration::from_secs(20);

async fn check(build: Build) {
    let rounds = rounds(3, 50);
    let authority = Authority::new();
    let (_backends, mut manifests) = apps(&["web"]).await;
    let mut hosts: Vec<String> = (0..4)
        .map(|number| format!("first-{number}.test"))
        .collect();
    for host in &hosts {
        manifests.push(site(host, host, "web:80").tls(&[host], host));
        manifests.push(authority.leaf(&[host]).secret(host));
    }
    let isobath = Isobath::start(&manifests).await;
    let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
    let mut stand = Stand::behind(isobath, proxy.socket(), &[]).await;
    let trusting = |name: &str| Tls {
        trust: authority.trust(),
        ..Tls::sni(name)
    };
    // New connections throughout. Kept ones are drained when another build alters their chain.
    let targets = hosts.iter().map(|host| {
        let mut of_host = stand.https_traffic(host, &trusting(host));
        of_host.swap_remove(2)
    });
    let load = Load::start(targets).await;
    let mut handshakes = 0;
    for round in 0..rounds {
        let updates = "listener_manager.listener_in_place_updated";
        let updated = stand.envoy.stat(updates).await;
        stand.isobath.kill().await;
        if build == Build::Other {
            let build = u16::try_from(round + 1).unwrap();
            proxy.rewrite(move |type_url, _, bytes| config_source::rewrite(build, type_url, bytes));
        }
        stand.isobath.restart().await;
        let host = format!("added-{round}.test");
        let added = [
            site(&host, &host, "web:80").tls(&[&host], &host),
            authority.leaf(&[&host]).secret(&host),
        ];
        stand.isobath.write(&format!("{host}.yaml"), &added);
        let https = stand.isobath.https();
        eventually("the new host is served", async || {
            let answer = get(https, Version::H2, Some(&trusting(&host)), &host, "/").await?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        })
        .await;
        hosts.push(host);
        if is_long() {
            tokio::time::sleep(WAIT).await;
        } else {
            // A chain that still waits for its secret would be served without it 15 s later.
            eventually("nothing is awaited", async || {
                let waiting = "^listener_manager.total_(listeners_warming|filter_chains_warming)$";
                let waiting = stand.envoy.stats(waiting).await?;
                ensure!(!waiting.is_empty() && waiting.values().all(|count| *count == 0));
                Ok(())
            })
            .await;
        }
        assert!(
            stand.envoy.stat(updates).await > updated,
            "a chain was added"
        );
        for host in &hosts {
            let answer = get(https, Version::H1, Some(&trusting(host)), host, "/").await;
            let status = answer.map(|answer| answer.status);
            let status =
                status.unwrap_or_else(|error| panic!("{host} in round {round}: {error:#}"));
            assert_eq!(status, 200, "{host} in round {round}");
            handshakes += 1;
        }
        let mut timeouts = stand.envoy.stats("init_fetch_timeout$").await.unwrap();
        assert!(!timeouts.is_empty(), "Envoy counts them");
        timeouts.retain(|_, count| *count > 0);
        assert!(timeouts.is_empty(), "round {round}: {timeouts:?}");
    }
    let report = load.stop_without_failure().await;
    figures(
        "additions",
        format!(
            "{build:?} build: {rounds} kills and hosts, {handshakes} handshakes beside {report}"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_added_after_every_kill() {
    check(Build::Same).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_added_by_another_build() {
    check(Build::Other).await;
}
