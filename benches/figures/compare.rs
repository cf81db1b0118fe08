//! Two binaries beside each other, an older one and the one that is measured: every figure of both in turns of one run, so
//! that a machine that is slower for some seconds is slower for both.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use isobath::xds::ResourceType;
use tokio::time::sleep;

use crate::client::Client;
use crate::load::{reach_all, subscribed};
use crate::objects::{Endpoints, Object, World, endpoint_slice, ingress};
use crate::plane::{Plane, Setup};
use crate::report::{Report, Target, median, ms, summary};
use crate::start::{SETTLED, since};
use crate::stub::Stub;

/// What nothing may cost more than, in terms of the older one.
const MOST: Target = Target::Ratio(1.05);

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The binary to compare with
    #[arg(long)]
    than: PathBuf,
    /// How often each takes its turn
    #[arg(long, default_value_t = 10)]
    turns: usize,
    /// How many clients at a time; 0 leaves them out
    #[arg(long, default_value_t = 1000)]
    clients: usize,
}

/// A figure of both, turn by turn.
#[derive(Default)]
struct Pairs {
    ours: Vec<f64>,
    other: Vec<f64>,
}

impl Pairs {
    fn add(&self, report: &mut Report, name: &str, hosts: usize, unit: &'static str, most: Target) {
        let ratios: Vec<f64> = self
            .ours
            .iter()
            .zip(&self.other)
            .map(|(a, b)| a / b)
            .collect();
        report
            .add(name, Some(hosts), unit, median(&self.ours))
            .against_with(median(&self.other), median(&ratios))
            .target(most);
    }
}

/// One of the two, with a client that holds everything.
struct Side {
    plane: Plane,
    client: Client,
}

impl Side {
    async fn start(world: &World, setup: &Setup) -> Result<Self> {
        let plane = Plane::start(Stub::start(world.all(), true).await, setup).await?;
        let mut client = plane.client().await?;
        client.everything().await?;
        client.quiet(Duration::from_millis(300)).await;
        Ok(Self { plane, client })
    }

    /// Makes changes; median of the times to the last response, and CPU of each, in milliseconds.
    async fn turn(&mut self, change: &Change<'_>, first: usize) -> Result<(f64, f64)> {
        let cpu = self.plane.child.cpu();
        let mut times = Vec::new();
        for serial in first..first + change.per_turn {
            let stamp = self.plane.stub.apply_all((change.make)(serial));
            let mut last = self.client.next().await?;
            while last.resource_type != change.ends_with {
                last = self.client.next().await?;
            }
            times.push(since(stamp, last.at));
            sleep(Duration::from_millis(2)).await;
        }
        self.client.quiet(Duration::from_millis(50)).await;
        #[allow(clippy::cast_precision_loss)]
        let cpu = ms(self.plane.child.cpu() - cpu) / change.per_turn as f64;
        Ok((summary(&times).p50, cpu))
    }
}

/// A kind of change, and the type of the last response that it causes.
struct Change<'a> {
    name: &'a str,
    make: &'a dyn Fn(usize) -> Vec<Object>,
    ends_with: ResourceType,
    per_turn: usize,
}

/// Measures both binaries in worlds of these sizes, and their memory in those of `starts`.
pub async fn run(
    report: &mut Report,
    args: &Args,
    setup: &Setup,
    sizes: &[usize],
    starts: &[usize],
) -> Result<()> {
    let other = Setup {
        isobath: args.than.clone(),
        ..setup.clone()
    };
    report.other = "the older one";
    for hosts in sizes {
        let world = World::new(*hosts);
        start(report, &world, [setup, &other], 5, Target::Ratio(0.6)).await?;
        changes(report, &world, [setup, &other], args.turns).await?;
        if args.clients > 0 && *hosts <= 1000 {
            fan_out(report, &world, [setup, &other], args.clients).await?;
        }
    }
    for hosts in starts {
        let target = Target::Ratio(0.6);
        start(report, &World::new(*hosts), [setup, &other], 1, target).await?;
    }
    Ok(())
}

async fn start(
    report: &mut Report,
    world: &World,
    setups: [&Setup; 2],
    turns: usize,
    most: Target,
) -> Result<()> {
    let (mut ready, mut cpu, mut memory) = (Pairs::default(), Pairs::default(), Pairs::default());
    for _ in 0..turns {
        for (at, setup) in setups.into_iter().enumerate() {
            let plane = Plane::start(Stub::start(world.all(), true).await, setup).await?;
            let used = ms(plane.child.cpu());
            sleep(SETTLED).await;
            let figures = [ms(plane.ready), used, plane.child.memory().0];
            for (pairs, figure) in [&mut ready, &mut cpu, &mut memory].into_iter().zip(figures) {
                [&mut pairs.ours, &mut pairs.other][at].push(figure);
            }
        }
    }
    ready.add(report, "start → ready", world.hosts, "ms", most);
    cpu.add(report, "CPU of a start", world.hosts, "ms", most);
    memory.add(report, "RSS after start", world.hosts, "MiB", MOST);
    Ok(())
}

async fn changes(
    report: &mut Report,
    world: &World,
    [ours, other]: [&Setup; 2],
    turns: usize,
) -> Result<()> {
    let mut sides = [
        Side::start(world, ours).await?,
        Side::start(world, other).await?,
    ];
    let path = |host: usize| move |serial: usize| vec![ingress(host, ["/a", "/b"][serial % 2])];
    let (of_plain, of_tls) = (path(501), path(500));
    let endpoints = |serial: usize| {
        let serial = [10, 11][serial % 2];
        vec![endpoint_slice(500, Endpoints::Serial(serial))]
    };
    let rotated = |serial: usize| vec![world.secret(500, serial + 1)];
    let added = |serial: usize| world.host(200_001 + serial * 5, Endpoints::Serial(1));
    let change = |name, make, ends_with, per_turn| Change {
        name,
        make,
        ends_with,
        per_turn,
    };
    for change in [
        change(
            "endpoint change",
            &endpoints as _,
            ResourceType::Endpoint,
            50,
        ),
        change("path of a TLS host", &of_tls as _, ResourceType::Route, 50),
        change(
            "certificate rotated",
            &rotated as _,
            ResourceType::Secret,
            50,
        ),
        change(
            "path of a plain host",
            &of_plain as _,
            ResourceType::Route,
            10,
        ),
        change("new plain host", &added as _, ResourceType::Route, 5),
    ] {
        let (mut times, mut cpu) = (Pairs::default(), Pairs::default());
        // The first turn brings both to the state from which changes go back and forth.
        for turn in 0..=turns {
            for (at, side) in sides.iter_mut().enumerate() {
                let (time, used) = side.turn(&change, turn * change.per_turn).await?;
                if turn > 0 {
                    [&mut times.ours, &mut times.other][at].push(time);
                    [&mut cpu.ours, &mut cpu.other][at].push(used);
                }
            }
        }
        let name = change.name;
        times.add(
            report,
            &format!("{name} → client, p50"),
            world.hosts,
            "ms",
            MOST,
        );
        cpu.add(report, &format!("{name}, CPU"), world.hosts, "ms", MOST);
    }
    Ok(())
}

async fn fan_out(
    report: &mut Report,
    world: &World,
    setups: [&Setup; 2],
    count: usize,
) -> Result<()> {
    let (mut times, mut cpu, mut memory) = (Pairs::default(), Pairs::default(), Pairs::default());
    let mut sides = Vec::new();
    for setup in setups {
        let plane = Plane::start(Stub::start(world.all(), true).await, setup).await?;
        let mut clients = Vec::new();
        let began = Instant::now();
        while clients.len() < count {
            clients.push(subscribed(&plane.socket()).await?);
            ensure!(
                began.elapsed() < Duration::from_secs(300),
                "clients take too long"
            );
        }
        sides.push((plane, clients));
    }
    for _ in 0..5 {
        for (at, (plane, clients)) in sides.iter_mut().enumerate() {
            let before = plane.child.cpu();
            let reached = reach_all(&plane.stub, clients).await?;
            #[allow(clippy::cast_precision_loss)]
            let used = ms(plane.child.cpu() - before) / reached.len() as f64;
            let figures = [summary(&reached).p50, used, plane.child.memory().0];
            for (pairs, figure) in [&mut times, &mut cpu, &mut memory].into_iter().zip(figures) {
                [&mut pairs.ours, &mut pairs.other][at].push(figure);
            }
        }
    }
    let name = format!("one endpoint to {count} clients");
    times.add(report, &format!("{name}, p50"), world.hosts, "ms", MOST);
    cpu.add(report, &format!("{name}, CPU"), world.hosts, "ms", MOST);
    memory.add(
        report,
        &format!("{count} clients, RSS"),
        world.hosts,
        "MiB",
        MOST,
    );
    Ok(())
}
