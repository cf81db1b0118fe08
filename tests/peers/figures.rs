//! What a change costs both, side by side, at a thousand HTTPProxies.
//!
//! Changes are made by turns, so that the machine is the same to both. CPU is that of the controller's threads, less what it takes
//! in as much time without a change; bytes are what its Envoy gets. Contour may ask its API server as often as it likes: by
//! its defaults it would write a thousand statuses for minutes.

use std::fs;
use std::time::{Duration, Instant};

use futures::future::join;
use serde_json::{Value, json};

use crate::side::{Name, Setup, Side};
use crate::support::client::{self, Version};
use crate::support::network::alone;
use crate::worlds::CONTOUR_FLAGS;

const PROXIES: usize = 1000;
const CHANGES: usize = 20;
/// Between two changes: what follows from one (statuses, for instance) is over.
const REST: Duration = Duration::from_secs(1);
/// What a change may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn proxy(number: usize, service: &str) -> Value {
    let name = format!("p{number}");
    json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"namespace": "hp", "name": name},
        "spec": {
            "virtualhost": {"fqdn": format!("{name}.test")},
            "routes": [
                {"conditions": [{"prefix": "/"}], "services": [{"name": service, "port": 80}]},
                {"conditions": [{"prefix": "/static"}], "services": [{"name": "c", "port": 80}]},
            ],
        },
    })
}

/// The slice of a Service of two, of which one answers at a time.
fn moving(side: &Side, backend: &str) -> Value {
    let address = side.rig.backends[backend].addresses[0];
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": "hp", "name": "moving", "labels": {"kubernetes.io/service-name": "moving"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": address.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
    })
}

/// What is measured of one side.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu: Duration,
    bytes: u64,
}

fn used(side: &Side) -> Used {
    let mut cpu = 0;
    for task in fs::read_dir(format!("/proc/{}/task", side.pid())).unwrap() {
        // A thread may end at any time; then it is over.
        let stat = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        cpu += stat
            .split(' ')
            .next()
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
    }
    Used {
        cpu: Duration::from_nanos(cpu),
        bytes: side.counted.as_ref().unwrap().bytes(),
    }
}

/// Resident memory of a controller, in MiB.
fn resident(side: &Side) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", side.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024.0
}

/// Applies one object and waits until a host is answered by this back end.
async fn served(side: &Side, object: &Value, host: &str, backend: &str) -> Duration {
    let start = Instant::now();
    side.cluster.apply(object).await;
    loop {
        let answer = client::get(side.http(), Version::H1, None, host, "/").await;
        if answer.is_ok_and(|answer| answer.backend() == backend) {
            return start.elapsed();
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{:?}: {host} is not {backend}",
            side.name
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What one change costs.
struct Cost {
    p50: Duration,
    cpu: Duration,
    bytes: u64,
}

async fn costs(
    sides: [&Side; 2],
    object: impl Fn(&Side, usize) -> (Value, String, &'static str),
) -> [Cost; 2] {
    let changes = u32::try_from(CHANGES).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    let before = sides.map(used);
    let start = Instant::now();
    for change in 0..CHANGES {
        for (side, times) in sides.into_iter().zip(&mut times) {
            let (object, host, backend) = object(side, change);
            times.push(served(side, &object, &host, backend).await);
            tokio::time::sleep(REST).await;
        }
    }
    let (lasted, after) = (start.elapsed(), sides.map(used));
    // As long again without a change.
    tokio::time::sleep(lasted).await;
    let idle = sides.map(used);
    let cost = |side: usize| {
        let mut times = times[side].clone();
        times.sort();
        let [busy, rest] = [(before, after), (after, idle)].map(|(from, to)| Used {
            cpu: to[side].cpu.saturating_sub(from[side].cpu),
            bytes: to[side].bytes - from[side].bytes,
        });
        Cost {
            p50: times[times.len() / 2],
            cpu: busy.cpu.saturating_sub(rest.cpu) / changes,
            bytes: busy.bytes.saturating_sub(rest.bytes) / u64::from(changes),
        }
    };
    [cost(0), cost(1)]
}

#[test]
#[ignore = "make peers ARGS=figures"]
fn figures_side_by_side() {
    alone(async || {
        let setup = Setup {
            flags: &[],
            configuration: json!({}),
            contour_flags: CONTOUR_FLAGS,
            names: &[],
            classes: &[],
            counts: true,
        };
        let sides = join(
            Side::start(Name::Isobath, &setup),
            Side::start(Name::Contour, &setup),
        );
        let (Some(mut ours), Some(mut theirs)) = sides.await else {
            return;
        };
        let objects = |side: &Side| -> Vec<Value> {
            let mut objects: Vec<Value> = (0..PROXIES).map(|number| proxy(number, "a")).collect();
            let port = json!({"name": "http", "port": 80, "targetPort": "http"});
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "hp", "name": "moving"},
                "spec": {"ports": [port]},
            });
            objects.extend([service, moving(side, "a"), proxy(PROXIES, "moving")]);
            objects
        };
        for side in [&mut ours, &mut theirs] {
            let objects = objects(side);
            side.cluster.apply_all(&objects).await;
            side.settle(&objects).await;
        }
        tokio::time::sleep(REST * 5).await;
        let sides = [&ours, &theirs];
        let memory = sides.map(resident);
        let routes = costs(sides, |_, change| {
            (proxy(change, "b"), format!("p{change}.test"), "b")
        });
        let routes = routes.await;
        let endpoints = costs(sides, |side, change| {
            let backend = if change % 2 == 0 { "b" } else { "a" };
            (moving(side, backend), format!("p{PROXIES}.test"), backend)
        });
        let endpoints = endpoints.await;
        let bytes = |costs: &[Cost; 2]| [costs[0].bytes, costs[1].bytes];
        let [of_routes, of_endpoints] = [bytes(&routes), bytes(&endpoints)];
        print(
            memory,
            &[
                ("a route of one HTTPProxy", routes),
                ("endpoints of one Service", endpoints),
            ],
        );
        // Times and memory are the machine's to say; what is written is not.
        // An update of endpoints is four bytes more than Contour's 278.
        for (what, [ours, theirs], more) in
            [("a route", of_routes, 0), ("endpoints", of_endpoints, 8)]
        {
            assert!(
                ours <= theirs + more,
                "{what}: {ours} bytes, and {theirs} of Contour's"
            );
        }
    });
}

fn print(memory: [f64; 2], costs: &[(&str, [Cost; 2])]) {
    let line = |what: &str, unit: &str, [ours, theirs]: [f64; 2]| {
        let ratio = ours / theirs;
        println!("| {what} | {ours:.2} {unit} | {theirs:.2} {unit} | {ratio:.3} |");
    };
    println!(
        "at {PROXIES} HTTPProxies, {CHANGES} changes of each kind in turns; Isobath: {}",
        binary()
    );
    println!("| figure | Isobath | Contour | Isobath ÷ Contour |\n|---|---|---|---|");
    line("resident memory of the controller", "MiB", memory);
    for (what, costs) in costs {
        let of = |cost: fn(&Cost) -> f64| [cost(&costs[0]), cost(&costs[1])];
        line(
            &format!("{what}: change to served, p50"),
            "ms",
            of(|it| it.p50.as_secs_f64() * 1e3),
        );
        line(
            &format!("{what}: CPU of the controller"),
            "ms",
            of(|it| it.cpu.as_secs_f64() * 1e3),
        );
        #[expect(clippy::cast_precision_loss, reason = "shown with two places")]
        line(
            &format!("{what}: bytes to Envoy"),
            "KiB",
            of(|it| it.bytes as f64 / 1024.0),
        );
    }
}

fn binary() -> String {
    let other = std::env::var("ISOBATH_TEST_BINARY");
    other.unwrap_or_else(|_| {
        format!(
            "the tests' build, debug assertions {}",
            cfg!(debug_assertions)
        )
    })
}
