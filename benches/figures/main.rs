//! What Isobath costs beside what nobody can go below: `make figures`.
//!
//! The release binary runs as a child against a stub API server, and so does a null control plane that answers with
//! recorded bytes; both are looked at by the same bare xDS client, in turns of one run. Figures of different machines
//! do not compare, their ratios do. `make figures ARGS='compare --than OTHER'` plays another binary in the place of null.
//!
//! What misses its target, and what limits it (`perf record` on two cores, 10,000 hosts unless said):
//!
//! - A start takes 16 times the bare copy of the same bytes. The lists are there after two fifths of it, with both cores
//!   at work: an object is decoded and checked in 4 µs, half of which is JSON. The rest is the first build. Less than half
//!   of that can be shared by threads; what is left is filing each host, cluster and assignment by name in ordered maps.
//! - The CPU of a path edit of a TLS host, and of an event at 10 and 100 a second, depends on the pace of the machine:
//!   where null needs 0.08 ms for an event in a row they keep the target, where it needs 0.1 they do not. Between two
//!   events the caches are others', and we touch more of them than null; at 1,000 a second the same event costs a quarter.
//! - A thousand clients: null needs more than the target for its thousand writes, acknowledgements and wake-ups. Of our
//!   CPU a quarter is the kernel's and a sixth the state machine's; the rest is HTTP/2, hyper and tokio, and flat.

#![allow(dead_code, reason = "each scenario reads what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod change;
mod chart;
mod child;
mod client;
mod compare;
mod download;
mod envoy;
mod gateway;
mod load;
mod null;
mod objects;
mod plane;
mod proxy;
mod raw;
mod reads;
mod report;
mod slope;
mod start;
mod stub;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser as _;
use isobath::xds::Variant;

use change::Change;
use client::Client;
use null::Script;
use objects::{Endpoints, Kind, World, endpoint_slice, ingress};
use plane::Setup;
use report::{Report, Target};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints the figures.
#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    /// Worlds to measure everything in, in hosts
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    sizes: Vec<usize>,
    /// Worlds to measure only a start in
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    starts: Vec<usize>,
    /// Leave out all but these: start, change, slope, load, fan-out, proxy, empty
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where figures.md, figures.json and figures.svg go
    #[arg(long, default_value = "target/figures")]
    output: PathBuf,
    /// The binary to measure
    #[arg(long, default_value = env!("CARGO_BIN_EXE_isobath"))]
    isobath: PathBuf,
    /// The Envoy to measure with
    #[arg(long, env = "ISOBATH_TEST_ENVOY")]
    envoy: Option<PathBuf>,
    /// What cargo says to every bench, behind all else
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(clap::Subcommand)]
enum Role {
    /// Be the null control plane
    Null(null::Args),
    /// Be the bare download
    Download { api: SocketAddr },
    /// Measure what a change costs Envoy under each way to tell it
    Envoy(envoy::Args),
    /// Measure the binary beside an older one, in turns
    Compare(compare::Args),
    /// Measure what changes of HTTPRoutes cost, and what five times the routes add to it
    Gateway(gateway::Args),
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Null(args)) => return null::run(args).await,
        Some(Role::Download { api }) => return download::run(api).await,
        Some(Role::Envoy(_) | Role::Compare(_) | Role::Gateway(_)) | None => {}
    }
    let wanted = |name: &str| cli.only.is_empty() || cli.only.iter().any(|only| only == name);
    let mut report = Report {
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: machine(),
        ..Report::default()
    };
    // A thousand clients on each side; children inherit it.
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard)?;
    if let Some(Role::Envoy(args)) = &cli.role {
        envoy::run(&mut report, cli.envoy.as_deref(), args).await?;
        return finish(&report, &cli.output.join("envoy"));
    }
    if let Some(Role::Gateway(args)) = &cli.role {
        gateway::run(&mut report, args, &cli.isobath, cli.envoy.as_deref()).await?;
        return finish(&report, &cli.output.join("gateway"));
    }
    let setup = Setup::new(cli.isobath.clone())?;
    if let Some(Role::Compare(args)) = &cli.role {
        compare::run(&mut report, args, &setup, &cli.sizes, &cli.starts).await?;
        return finish(&report, &cli.output.join("compare"));
    }
    if wanted("empty") {
        start::empty(&mut report, &setup).await?;
    }
    for hosts in &cli.sizes {
        size(&mut report, *hosts, &setup, cli.envoy.as_deref(), &wanted).await?;
    }
    if wanted("start") {
        for hosts in &cli.starts {
            let world = World::new(*hosts);
            start::cold(&mut report, &world, &setup, 1).await?;
            reads::count(&mut report, &world)?;
        }
    }
    if wanted("change") || wanted("slope") {
        slopes(&mut report, &setup).await?;
    }
    report.slope("RSS after start");
    if cli.envoy.is_none() {
        report.notes.push(
            "No Envoy was named (ISOBATH_TEST_ENVOY): the figures with one are left out.".into(),
        );
    }
    finish(&report, &cli.output)
}

fn finish(report: &Report, output: &std::path::Path) -> Result<()> {
    report.write(output)?;
    std::fs::write(output.join("figures.svg"), chart::svg(report))?;
    println!("{}", report.table());
    println!("also as JSON and SVG in {}", output.display());
    Ok(())
}

/// Everything at one size.
async fn size(
    report: &mut Report,
    hosts: usize,
    setup: &Setup,
    envoy: Option<&std::path::Path>,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let world = World::new(hosts);
    let mut plane = start::cold(report, &world, setup, if wanted("start") { 5 } else { 1 }).await?;
    if wanted("start") {
        start::paged(report, &world, setup).await?;
        reads::count(report, &world)?;
    }
    let mut client = plane.client().await?;
    let initial = client.everything().await?;
    if wanted("start") {
        start::idle(report, &plane.child, "idle CPU, one client", Some(hosts)).await;
    }
    if wanted("change") {
        changes(report, &world, &plane, &mut client, &initial).await?;
    }
    let mut script = Script::new(Variant::Delta, &initial);
    if wanted("load") || wanted("fan-out") {
        for serial in [0x70_0001, 0x70_0002] {
            client.quiet(Duration::from_millis(50)).await;
            let slice = endpoint_slice(3, Endpoints::Serial(serial));
            plane.stub.apply(slice);
            script.answer(&[client.next().await?]);
        }
    }
    if wanted("load") {
        let mut limit = load::Limit::start(&script).await?;
        for (rate, seconds) in [(10, 3), (100, 3), (1000, 5)] {
            let time = Duration::from_secs(seconds);
            let at = (rate, time);
            load::churn(report, &world, &plane, &mut client, &mut limit, at).await?;
        }
        load::roll(report, &world, &plane, &mut client, &mut limit).await?;
        drop(limit);
        load::nothing(report, &world, &mut plane, &mut client).await?;
        if hosts >= 10_000 {
            load::flood(report, &world, &mut plane, &mut client).await?;
        }
    }
    if wanted("proxy")
        && let Some(envoy) = envoy
    {
        proxy::measure(report, envoy, &world, &plane, setup).await?;
    }
    if wanted("fan-out") && hosts <= 1000 {
        load::fan_out(report, &world, &plane, &script).await?;
    }
    plane.child.alive()
}

const PLAIN: Change<'static> = Change {
    name: "",
    variant: Variant::Delta,
    kind: Kind::Ingress,
    make: &|_| Vec::new(),
    record_all: false,
    turns: 10,
    per_turn: 50,
    cpu: None,
    bytes: None,
    p50: None,
    p99: None,
};

const ENDPOINTS: Change<'static> = Change {
    name: "endpoint change",
    kind: Kind::EndpointSlice,
    make: &|serial| {
        let serial = [10, 11][serial % 2];
        vec![endpoint_slice(500, Endpoints::Serial(serial))]
    },
    ..PLAIN
};

const PATH: Change<'static> = Change {
    name: "path of a TLS host",
    make: &|serial| vec![ingress(500, ["/a", "/b"][serial % 2])],
    ..PLAIN
};

/// What these cost at one size and at ten times that.
async fn slopes(report: &mut Report, setup: &Setup) -> Result<()> {
    let of = [ENDPOINTS, PATH].map(|change| Change {
        turns: 20,
        per_turn: 20,
        ..change
    });
    slope::measure(report, setup, &of).await
}

/// One object changes.
async fn changes(
    report: &mut Report,
    world: &World,
    plane: &plane::Plane,
    client: &mut Client,
    initial: &[client::Arrival],
) -> Result<()> {
    let hosts = world.hosts;
    let path = |serial: usize| vec![ingress(501, ["/a", "/b"][serial % 2])];
    let rotated = |serial: usize| vec![world.secret(500, serial + 1)];
    let added = |serial: usize| world.host(200_001 + serial * 5, Endpoints::Serial(1));
    let plain = Change {
        make: &path,
        ..PLAIN
    };
    let of = [
        Change {
            cpu: Some(Target::AtMost(0.2)),
            bytes: Some(Target::AtMost(1024.0)),
            p50: (hosts == 10_000).then_some(Target::Ratio(1.5)),
            p99: (hosts == 10_000).then_some(Target::Ratio(3.0)),
            ..ENDPOINTS
        },
        Change {
            cpu: Some(Target::AtMost(0.2)),
            bytes: Some(Target::AtMost(1024.0)),
            ..PATH
        },
        Change {
            name: "certificate rotated",
            kind: Kind::Secret,
            make: &rotated,
            bytes: Some(Target::AtMost(2048.0)),
            ..plain
        },
        Change {
            name: "path of a plain host (port-80 table)",
            make: &path,
            turns: 4,
            per_turn: 20,
            ..plain
        },
        Change {
            name: "new plain host (port-80 table)",
            make: &added,
            record_all: true,
            turns: 1,
            per_turn: 20,
            ..plain
        },
    ];
    for change in &of {
        change::measure(report, hosts, plane, client, initial, change).await?;
    }
    let mut client = Client::connect_by(&plane.socket(), Variant::Sotw).await?;
    let initial = client.everything().await?;
    let change = Change {
        name: "endpoint change, state of the world",
        variant: Variant::Sotw,
        turns: 4,
        ..ENDPOINTS
    };
    change::measure(report, hosts, plane, &mut client, &initial, &change).await
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split_once(": ")
            .map(|(_, model)| model)
    });
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{cpus} × {}, load average at start {load}",
        model.unwrap_or("unknown CPU")
    )
}
