//! Hosts move while Envoy has no control plane: the process is killed, or the connection is cut, for as long as the change
//! takes. When it is back, whoever asks for just these hosts notices nothing: what is gone is taken from Envoy after what
//! used it (I6), and a table loses a host after its scope has moved, though all that the control plane knows of either is
//! what Envoy claims.

use anyhow::{Result, ensure};

use crate::config_dump::agrees;
use crate::support::ads::Ads;
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::Tls;
use crate::support::envoy::Envoy;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::load::{Load, Report, Target};
use crate::support::manifest::{Manifest, service, site, slice};
use crate::support::relay::Relay;
use crate::support::stand::{self, Stand, apps};
use crate::{figures, rounds};

/// Certificates of each kind: chains, each with a table of its own.
const CERTIFICATES: usize = 10;
/// Under load, of each kind of host.
const LOADED: usize = 8;
/// Plain hosts and TLS hosts whose Service is renamed, TLS hosts whose Secret is, and TLS hosts that move to another Secret,
/// and so to another table, where both stay; the last kind with its Service renamed too.
const KINDS: usize = 5;

/// Altered chains are drained for so long, and hold their tables and secrets. Each kept connection has many requests in
/// that time, with one of which it is asked to close.
const DRAIN: [&str; 2] = ["--drain-time-s", "5"];

struct World {
    count: usize,
    authority: Authority,
    /// Two: what is renamed leads to the other one.
    backends: Vec<Backend>,
    fixed: Vec<Manifest>,
    _fixed: Vec<Backend>,
}

impl World {
    async fn new(count: usize) -> Self {
        let mut backends = Vec::new();
        for name in ["even", "odd"] {
            backends.push(Backend::start(name).await);
        }
        let (of_fixed, mut fixed) = apps(&["still"]).await;
        let authority = Authority::new();
        fixed.push(site("still", "still.test", "still:80"));
        for number in 0..CERTIFICATES {
            let name = format!("stays-{number}");
            fixed.push(authority.leaf(&["*.moves.test"]).secret(&name));
        }
        Self {
            count,
            authority,
            backends,
            fixed,
            _fixed: of_fixed,
        }
    }

    fn host(number: usize) -> String {
        format!("h-{number}.moves.test")
    }

    /// All objects of an edition. Nothing in it has a name of the edition before, but hosts and what is fixed.
    fn objects(&self, edition: usize) -> Vec<Manifest> {
        let mut all = self.fixed.clone();
        for number in 0..CERTIFICATES {
            let name = format!("moves-{number}-{edition}");
            all.push(self.authority.leaf(&["*.moves.test"]).secret(&name));
        }
        for number in 0..self.count {
            let (name, host) = (format!("h-{number}"), Self::host(number));
            let certificate = number / KINDS % CERTIFICATES;
            let renamed = format!("{name}-{edition}");
            let stays = |certificate: usize| Some(format!("stays-{}", certificate % CERTIFICATES));
            let (service_name, secret) = match number % KINDS {
                0 => (renamed, None),
                1 => (renamed, stays(certificate)),
                2 => (name.clone(), Some(format!("moves-{certificate}-{edition}"))),
                3 => (name.clone(), stays(certificate + edition)),
                _ => (renamed, stays(certificate + edition)),
            };
            let ingress = site(&name, &host, &format!("{service_name}:80"));
            all.push(match secret {
                None => ingress,
                Some(secret) => ingress.tls(&[&host], &secret),
            });
            let backend = &self.backends[edition % 2];
            all.extend([service(&service_name), slice(&service_name, backend)]);
        }
        all
    }

    /// Hosts of each kind, the last ones among them: they are the last to have moved.
    fn loaded(&self) -> impl Iterator<Item = usize> {
        let count = self.count;
        (0..KINDS)
            .flat_map(move |kind| {
                (0..LOADED).map(move |nth| {
                    let number = (count - 1) * nth / (LOADED - 1);
                    number / KINDS * KINDS + kind
                })
            })
            .filter(move |number| *number < count)
    }

    fn targets(&self, stand: &Stand) -> Vec<Target> {
        let numbers = self.loaded();
        numbers
            .flat_map(|number| {
                let host = Self::host(number);
                let tls = Tls {
                    trust: self.authority.trust(),
                    ..Tls::sni(&host)
                };
                match number % KINDS {
                    0 => stand.http_traffic(&host),
                    _ => stand.https_traffic(&host, &tls),
                }
            })
            .collect()
    }
}

/// Waits until a new client is served this edition.
async fn serves(stand: &Stand, edition: usize) {
    let of_edition = format!("h-0-{edition}");
    eventually(
        "the control plane has the change",
        async || -> Result<()> {
            let mut ads = Ads::connect(&stand.isobath.xds()).await?;
            ads.next().await?;
            let mut names = ads.held().keys().map(|(_, name)| name);
            ensure!(names.any(|name| name.contains(&of_edition)), "not yet");
            Ok(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_move_while_the_control_plane_is_away() {
    let (count, rounds) = (rounds(300, 4000), rounds(2, 8));
    let world = World::new(count).await;
    let isobath = Isobath::start(&world.objects(0)).await;
    let relay = Relay::start(isobath.directory(), &isobath.xds());
    let mut stand = Stand::behind(isobath, relay.socket(), &DRAIN).await;
    let load = Load::start(world.targets(&stand)).await;
    for edition in 1..=rounds {
        let is_killed = edition % 2 == 1;
        if is_killed {
            stand.isobath.kill().await;
        } else {
            relay.cut();
        }
        let objects = world.objects(edition);
        stand.isobath.write("manifests.yaml", &objects);
        load.more(50).await;
        if is_killed {
            stand.isobath.restart().await;
        } else {
            serves(&stand, edition).await;
            relay.mend();
        }
        load.reaches(world.backends[edition % 2].name()).await;
        let Report {
            requests, failures, ..
        } = load.report();
        figures(
            "absences",
            format!(
                "{count} hosts, edition {edition}, killed: {is_killed}: {requests} requests so far, {} failed",
                failures.len()
            ),
        );
        if !failures.is_empty() {
            break;
        }
        // What is gone has left Envoy.
        agrees(&stand).await;
    }
    load.stop_without_failure().await;
}

/// What the state of the world can't tell: a client that comes back does not say which clusters it has, and a whole
/// world that omits one takes it away at once. So hosts that moved meanwhile answer 503 until Envoy has the endpoints of
/// their new clusters and the new routes; how often is a figure. Hosts that did not move notice nothing, and a change
/// while the control plane is there is as good as with delta.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_world_forgets() {
    let world = World::new(rounds(60, 1000)).await;
    let isobath = Isobath::start(&world.objects(0)).await;
    let directory = isobath.directory();
    let bootstrap = stand::bootstrap(directory, &isobath.xds_address());
    let text = std::fs::read_to_string(&bootstrap).unwrap();
    assert!(text.contains("DELTA_GRPC"));
    std::fs::write(&bootstrap, text.replace("DELTA_GRPC", "GRPC")).unwrap();
    let (admin, log) = (directory.join("admin.sock"), directory.join("envoy.log"));
    let mut envoy = Envoy::start_with(&bootstrap, &admin, &log, &DRAIN);
    envoy.live().await;
    let mut stand = Stand { envoy, isobath };
    let still = Load::start(stand.http_traffic("still.test")).await;
    let reached = async |load: &Load, edition: usize| {
        load.reaches(world.backends[edition % 2].name()).await;
        let start = load.report().requests;
        load.more(start.min(200)).await;
    };

    let load = Load::start(world.targets(&stand)).await;
    stand.isobath.write("manifests.yaml", &world.objects(1));
    reached(&load, 1).await;
    load.stop_without_failure().await;

    let load = Load::start(world.targets(&stand)).await;
    stand.isobath.kill().await;
    stand.isobath.write("manifests.yaml", &world.objects(2));
    stand.isobath.restart().await;
    reached(&load, 2).await;
    for number in world.loaded() {
        let host = World::host(number);
        eventually("a host that moved is served", async || {
            let answer = stand.get(&host, "/").await?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        })
        .await;
    }
    let report = load.stop().await;
    figures(
        "the_state_of_the_world_forgets",
        format!("{} hosts: {report}", world.count),
    );
    still.stop_without_failure().await;
}
