//! Endpoints come, terminate and go, two hundred changes a second, as they do while Deployments roll: no request
//! fails, and nothing but endpoints is on the wire.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config_dump::agrees;
use crate::random::Random;
use crate::support::backend::Backend;
use crate::support::client::Version;
use crate::support::eventually::PATIENCE;
use crate::support::isobath::Isobath;
use crate::support::load::{Load, Target};
use crate::support::manifest::{Manifest, endpoint_slice, service, site};
use crate::support::port::Port;
use crate::support::stand::Stand;
use crate::{figures, is_long, rounds};

const SERVICES: usize = 20;
/// Small ones, so that reading their files costs little: this is not about manifests.
const SLICES_PER_SERVICE: usize = 20;
const SLICES: usize = SERVICES * SLICES_PER_SERVICE;
const CHANGES_PER_SECOND: u32 = 200;
/// From the signal to a Pod's end, as `terminationGracePeriodSeconds` has it.
const TERMINATION: Duration = Duration::from_secs(5);

/// A Pod that has a request so shortly before its end may have one at its end.
const QUIET: Duration = Duration::from_millis(500);

/// One Pod: it serves until it is dropped.
struct Endpoint {
    backend: Backend,
    is_terminating: bool,
}

/// All Pods, by the slice that they are in.
struct Fleet {
    slices: Vec<Vec<Endpoint>>,
    /// How many each slice has had.
    born: Vec<usize>,
    port: Port,
    /// Slice and address of those that terminate, and since when.
    terminating: VecDeque<(Instant, usize, SocketAddr)>,
    /// Slices that lack one.
    lacking: VecDeque<usize>,
    /// The longest time from a change to the last request that went where it should not any more.
    slowest: Duration,
}

impl Fleet {
    async fn new(size: usize) -> Self {
        let mut fleet = Self {
            slices: (0..SLICES).map(|_| Vec::new()).collect(),
            born: vec![0; SLICES],
            port: Port::take(),
            terminating: VecDeque::new(),
            lacking: VecDeque::new(),
            slowest: Duration::ZERO,
        };
        for number in 0..size {
            fleet.add(number % SLICES).await;
        }
        fleet
    }

    /// A Pod starts. Its address has been another one's before only long ago.
    async fn add(&mut self, slice: usize) {
        let number = self.born[slice];
        self.born[slice] += 1;
        let octet = |number: usize| u8::try_from(number).unwrap();
        let ip = Ipv4Addr::new(
            127,
            octet(1 + slice / 200 + 2 * (number / 250 % 100)),
            octet(slice % 200),
            octet(1 + number % 250),
        );
        let address = (ip, self.port.address().port()).into();
        let backend =
            Backend::at(&format!("service-{}", slice / SLICES_PER_SERVICE), address).await;
        // Some request is always under way.
        backend.delay(Duration::from_millis(5));
        self.slices[slice].push(Endpoint {
            backend,
            is_terminating: false,
        });
    }

    /// What the EndpointSlice says.
    fn manifest(&self, slice: usize) -> Manifest {
        let name = format!("service-{}", slice / SLICES_PER_SERVICE);
        let port = self.port.address().port();
        let mut manifest = endpoint_slice(&format!("slice-{slice}"), &name, "", &[], port, true);
        let endpoints = self.slices[slice].iter().map(|endpoint| {
            json!({
                "addresses": [endpoint.backend.address().ip().to_string()],
                "conditions": {
                    "ready": !endpoint.is_terminating,
                    "serving": true,
                    "terminating": endpoint.is_terminating,
                },
            })
        });
        manifest.0["endpoints"] = Value::Array(endpoints.collect());
        manifest
    }

    fn write(&self, isobath: &Isobath, slice: usize) {
        isobath.write(&format!("slice-{slice}.yaml"), &[self.manifest(slice)]);
    }

    /// One change: a Pod ends, or another takes its place, or one is told to end. `false` where nothing could change.
    async fn change(&mut self, isobath: &Isobath, random: &mut Random) -> bool {
        let due = self.terminating.front();
        if due.is_some_and(|(since, ..)| since.elapsed() >= TERMINATION) {
            let (since, slice, address) = self.terminating.pop_front().unwrap();
            let endpoints = &mut self.slices[slice];
            let position = endpoints
                .iter()
                .position(|it| it.backend.address() == address);
            let position = position.unwrap();
            let last = endpoints[position].backend.last();
            let late = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(since));
            self.slowest = self.slowest.max(late);
            if last.is_some_and(|last| last.elapsed() < QUIET) {
                // The machine is so slow that five seconds do not do: this is about lost requests, not about that.
                self.terminating.push_back((since, slice, address));
                return false;
            }
            // It ends before anybody hears that it has.
            drop(endpoints.swap_remove(position));
            self.write(isobath, slice);
        } else if let Some(slice) = self.lacking.pop_front() {
            self.add(slice).await;
            self.write(isobath, slice);
        } else {
            let slice = random.below(SLICES);
            let mut ready = self.slices[slice]
                .iter_mut()
                .filter(|it| !it.is_terminating);
            // None is left where a slice has been unlucky: then it gets one more.
            if let Some(endpoint) = ready.next() {
                endpoint.is_terminating = true;
                let address = endpoint.backend.address();
                self.terminating.push_back((Instant::now(), slice, address));
                self.write(isobath, slice);
            }
            self.lacking.push_back(slice);
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_come_and_go() {
    let seconds = rounds(8, 300);
    let size = if is_long() { 2000 } else { 800 };
    let mut fleet = Fleet::new(size).await;
    let mut isobath = Isobath::prepare(&[]);
    let mut base = Vec::new();
    for number in 0..SERVICES {
        let name = format!("service-{number}");
        base.push(site(&name, &format!("{name}.test"), &format!("{name}:80")));
        base.push(service(&name));
    }
    isobath.write("manifests.yaml", &base);
    (0..SLICES).for_each(|slice| fleet.write(&isobath, slice));
    isobath.restart().await;
    let mut stand = Stand::on(isobath).await;
    let targets = (0..SERVICES).flat_map(|number| {
        let target = |version, reconnect| Target {
            address: stand.isobath.http(),
            version,
            tls: None,
            host: format!("service-{number}.test"),
            path: "/".to_owned(),
            headers: &[],
            reconnect,
        };
        [
            target(Version::H1, number.is_multiple_of(4)),
            target(Version::H2, false),
        ]
    });
    let load = Load::paced(Duration::from_millis(40), targets).await;
    agrees(&stand).await;
    let modifications = stand.envoy.modifications().await;
    let pushes = async || -> BTreeMap<String, f64> {
        let mut metrics = stand.isobath.metrics().await;
        metrics.retain(|name, _| name.starts_with("isobath_xds_pushes_total"));
        metrics
    };
    let before = pushes().await;
    let resources = "isobath_xds_pushed_resources_total{type=\"eds\"}";
    let resources_before = stand.isobath.metrics().await[resources];

    let mut random = Random::new(5);
    let start = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / CHANGES_PER_SECOND);
    let mut changes = 0_u64;
    while start.elapsed() < Duration::from_secs(u64::try_from(seconds).unwrap()) {
        ticks.tick().await;
        changes += u64::from(fleet.change(&stand.isobath, &mut random).await);
    }
    let rate = changes as f64 / start.elapsed().as_secs_f64();
    let report = load.stop_without_failure().await;

    // Before anybody else asks for anything.
    let after = pushes().await;
    let resources = stand.isobath.metrics().await[resources] - resources_before;
    let moved: BTreeMap<&String, f64> = after
        .iter()
        .map(|(name, value)| (name, value - before[name]))
        .filter(|(_, growth)| *growth > 0.0)
        .collect();
    let retries = stand
        .envoy
        .stats("^cluster\\..*\\.upstream_rq_retry$")
        .await;
    let retries: u64 = retries.unwrap().values().sum();
    figures(
        "endpoints",
        format!(
            "{changes} changes ({rate:.0}/s) among {size} endpoints, {} terminating at the end, the last request after {:.1?} of it, {moved:?} with \
             {resources} assignments, {retries} retries, {report}",
            fleet.terminating.len(),
            fleet.slowest,
        ),
    );
    let eds = "isobath_xds_pushes_total{type=\"eds\"}".to_owned();
    assert!(
        moved.keys().eq([&&eds]),
        "only endpoints on the wire: {moved:?}"
    );
    assert_eq!(report.closed, 0);
    assert!(fleet.slowest < PATIENCE, "who terminates gets no requests");
    agrees(&stand).await;
    assert_eq!(stand.envoy.modifications().await, modifications);
    stand.isobath.process().assert_running();
}
