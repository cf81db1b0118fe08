//! The same changes with real Envoys: what they cost these, and how long they take until requests show them, while steady
//! traffic on the hosts that change must not fail.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tokio::time::sleep;

use crate::objects::{Endpoints, Object, endpoint_slice, host_name};
use crate::plane::Setup;
use crate::proxy::{Running, start_envoy, wait_for};
use crate::report::{Report, Target, median, ms, summary};
use crate::traffic::{Backend, Probe, Steady, Traffic};

use super::changes::{CHANGED, CHANGES, Change};
use super::objects::{Route, neighbour, of_route, route};
use super::side::{Side, WRITTEN};

/// The route that goes and comes: without traffic, for it answers 404 meanwhile.
const DETACHED: usize = CHANGED + 10;
/// The first of those that are new, above all that there are.
const FIRST_NEW: usize = 1_000_000;
/// Between two changes that nobody waits for: Envoy has taken one before the next comes, else it takes both at once.
const PACE: Duration = Duration::from_millis(250);
/// After one that requests show.
const REST: Duration = Duration::from_millis(25);
/// How often what requests show is measured, of each change.
const SEEN: usize = 40;

/// An Envoy of one world.
struct Proxy<'a> {
    side: &'a Side,
    setup: &'a Setup,
    envoy: Running,
}

/// Measures in both worlds.
pub async fn measure(
    report: &mut Report,
    envoy: &Path,
    planes: [(&Side, &Setup); 2],
    turns: usize,
) -> Result<()> {
    let backends = [Backend::start("a").await?, Backend::start("b").await?];
    let mut proxies = Vec::new();
    for (side, setup) in planes {
        // Its own Service leads to one back end, its neighbour's to the other.
        for host in [CHANGED, DETACHED] {
            side.plane.stub.apply_all(vec![
                endpoint_slice(host, Endpoints::At(backends[0].address)),
                endpoint_slice(neighbour(host), Endpoints::At(backends[1].address)),
            ]);
        }
        let (running, live) = start_envoy(envoy, side.plane.socket(), setup.stats).await?;
        let at = Some(side.routes);
        report.add("Envoy started → LIVE", at, "ms", live);
        sleep(Duration::from_secs(2)).await;
        report.add("RSS of Envoy", at, "MiB", running.child.memory().0);
        proxies.push(Proxy {
            side,
            setup,
            envoy: running,
        });
    }
    for change in &CHANGES {
        silent(report, &proxies, change, turns, &backends).await?;
    }
    for proxy in &mut proxies {
        proxy.under_traffic(report, &backends).await?;
        proxy.envoy.child.alive()?;
    }
    Ok(())
}

/// What a change costs both processes when nobody asks.
async fn silent(
    report: &mut Report,
    proxies: &[Proxy<'_>],
    change: &Change,
    turns: usize,
    backends: &[Backend; 2],
) -> Result<()> {
    const PER_TURN: usize = 10;
    let mut costs = [[vec![], vec![]], [vec![], vec![]]];
    for turn in 0..turns {
        for (proxy, costs) in proxies.iter().zip(&mut costs) {
            let idle = proxy.cpu_of(async { sleep(WRITTEN).await }).await;
            let busy = proxy.cpu_of(async {
                for serial in 0..PER_TURN {
                    let objects = (change.make)(DETACHED, turn * PER_TURN + serial);
                    proxy.side.plane.stub.apply_all(objects);
                    sleep(PACE).await;
                }
                sleep(WRITTEN).await;
            });
            let busy = busy.await;
            for (costs, (busy, idle)) in costs.iter_mut().zip(busy.into_iter().zip(idle)) {
                // A second for itself is what it needs for its statistics and for our pings.
                #[allow(clippy::cast_precision_loss)]
                costs.push((busy.0 - idle.0 / idle.1 * busy.1) / PER_TURN as f64);
            }
        }
    }
    for (process, name) in ["of Isobath with Envoy", "of Envoy"]
        .into_iter()
        .enumerate()
    {
        let of = |at: usize| median(&costs[at][process]);
        for (at, proxy) in proxies.iter().enumerate() {
            let routes = Some(proxy.side.routes);
            report.add(
                &format!("{}, CPU {name}", change.name),
                routes,
                "ms",
                of(at),
            );
        }
        let slope = format!("{}, large ÷ small, CPU {name}", change.name);
        report.add(&slope, None, "×", of(1) / of(0));
    }
    // It is where it was.
    for proxy in proxies {
        let backend = &backends[0];
        let objects = vec![
            endpoint_slice(DETACHED, Endpoints::At(backend.address)),
            route(
                DETACHED,
                Route {
                    generation: 1_000_000,
                    ..Route::PLAIN
                },
            ),
        ];
        proxy.side.plane.stub.apply_all(objects);
    }
    sleep(WRITTEN).await;
    Ok(())
}

impl Proxy<'_> {
    /// The CPU of both processes while this runs, and for how long that was: in milliseconds.
    async fn cpu_of(&self, what: impl Future<Output = ()>) -> [(f64, f64); 2] {
        let children = [&self.side.plane.child, &self.envoy.child];
        let before = children.map(|child| ms(child.cpu()));
        let began = Instant::now();
        what.await;
        let took = ms(began.elapsed());
        [0, 1].map(|at| (ms(children[at].cpu()) - before[at], took))
    }

    /// How long it takes until requests show a change, while others use the same host.
    async fn under_traffic(&self, report: &mut Report, backends: &[Backend; 2]) -> Result<()> {
        let (http, at) = (self.setup.http, Some(self.side.routes));
        let stub = &self.side.plane.stub;
        let (mut probe, mut errors) = (Probe::new(http), 0);
        let name = host_name(CHANGED);
        stub.apply(route(CHANGED, Route::PLAIN));
        let ok = |status: u16, _: &[u8]| status == 200;
        wait_for(&mut probe, &name, ok, &mut errors).await?;
        let traffic: Vec<_> = (0..3)
            .map(|_| Traffic::start(Steady::Plain(Probe::new(http)), name.clone()))
            .collect();
        for seen in &SHOWN {
            let times = seen.times(stub, &mut probe, backends, &mut errors).await?;
            let times = summary(&times);
            report.add(
                &format!("{} → a request, p50", seen.name),
                at,
                "ms",
                times.p50,
            );
            report.add(
                &format!("{} → a request, p99", seen.name),
                at,
                "ms",
                times.p99,
            );
        }
        let times = self.new_routes(&mut probe, backends, &mut errors).await?;
        let times = summary(&times);
        report.add("new route → 200, p50", at, "ms", times.p50);
        report.add("new route → 200, p99", at, "ms", times.p99);
        let mut requests = 0;
        for traffic in traffic {
            let (sent, failed) = traffic.end().await?;
            requests += sent;
            errors += failed;
        }
        let name = format!("errors in {requests} requests meanwhile");
        #[allow(clippy::cast_precision_loss)]
        report
            .add(&name, at, "", errors as f64)
            .target(Target::AtMost(0.0));
        Ok(())
    }

    /// Of routes that are new: each is written when what it leads to is taken in, for kinds come by watches of their own.
    async fn new_routes(
        &self,
        probe: &mut Probe,
        backends: &[Backend; 2],
        errors: &mut u64,
    ) -> Result<Vec<f64>> {
        let plane = &self.side.plane;
        let mut times = Vec::new();
        for index in 0..SEEN / 2 {
            let host = FIRST_NEW + index * 2;
            let name = host_name(host);
            let (status, _) = probe.get(&name).await?;
            ensure!(
                status == 404,
                "a route that is not there yet answers {status}"
            );
            let mut objects = of_route(neighbour(host), Endpoints::At(backends[1].address));
            objects.pop();
            objects.extend(of_route(host, Endpoints::At(backends[0].address)));
            let new = objects.pop().context("a route without objects")?;
            let (events, others) = (plane.events().await?, objects.len() as u64);
            plane.stub.apply_all(objects);
            while plane.events().await? < events + others {
                sleep(Duration::from_millis(1)).await;
            }
            let stamp = plane.stub.apply(new);
            let ok = |status: u16, _: &[u8]| status == 200;
            let at = wait_for(probe, &name, ok, errors).await?;
            times.push(ms(at - stamp));
            sleep(REST).await;
        }
        Ok(times)
    }
}

/// A change that requests show.
struct Seen {
    name: &'static str,
    host: usize,
    make: fn(usize, &[Backend; 2]) -> Object,
    /// What the answer to a request says after it, of even ones and of odd ones; nothing: that there is no such route.
    shows: [&'static [u8]; 2],
}

/// The same changes as without requests.
const SHOWN: [Seen; 4] = [
    Seen {
        name: "route change",
        host: CHANGED,
        make: |serial, _| {
            let edition = ["one", "two"][serial % 2];
            let generation = serial + 2;
            route(
                CHANGED,
                Route {
                    edition,
                    generation,
                    ..Route::PLAIN
                },
            )
        },
        shows: [b"aone", b"atwo"],
    },
    Seen {
        name: "weight change",
        host: CHANGED,
        make: |serial, _| {
            let weights = [[0, 1], [1, 0]][serial % 2];
            let generation = serial + 2;
            route(
                CHANGED,
                Route {
                    weights,
                    generation,
                    ..Route::PLAIN
                },
            )
        },
        shows: [b"b", b"a"],
    },
    Seen {
        name: "endpoint change",
        host: CHANGED,
        make: |serial, backends| {
            let backend = &backends[(serial + 1) % 2];
            endpoint_slice(CHANGED, Endpoints::At(backend.address))
        },
        shows: [b"b", b"a"],
    },
    Seen {
        name: "detach or attach of a route",
        host: DETACHED,
        make: |serial, _| {
            let attached = serial % 2 == 1;
            let generation = serial + 2;
            route(
                DETACHED,
                Route {
                    attached,
                    generation,
                    ..Route::PLAIN
                },
            )
        },
        shows: [b"", b"a"],
    },
];

impl Seen {
    async fn times(
        &self,
        stub: &crate::stub::Stub,
        probe: &mut Probe,
        backends: &[Backend; 2],
        errors: &mut u64,
    ) -> Result<Vec<f64>> {
        let name = host_name(self.host);
        let mut times = Vec::new();
        for serial in 0..SEEN {
            let shows = self.shows[serial % 2];
            let stamp = stub.apply((self.make)(serial, backends));
            let is_shown = |status: u16, body: &[u8]| match shows {
                [] => status == 404,
                _ => status == 200 && body == shows,
            };
            let at = wait_for(probe, &name, is_shown, errors).await?;
            times.push(ms(at - stamp));
            sleep(REST).await;
        }
        // Back to where the next one begins.
        stub.apply(route(
            self.host,
            Route {
                generation: 1_000_000,
                ..Route::PLAIN
            },
        ));
        let plain = |_: u16, body: &[u8]| body == Bytes::from_static(b"a");
        wait_for(probe, &name, plain, errors).await?;
        Ok(times)
    }
}
