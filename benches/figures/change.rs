//! One object changes while nothing else happens: time to the client, CPU, bytes. Ours and null take turns.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use isobath::xds::Variant;
use tokio::time::sleep;

use crate::child::Child;
use crate::client::{Arrival, Client};
use crate::null::Script;
use crate::objects::{Kind, Object};
use crate::plane::{Null, Plane};
use crate::report::{Report, Target, median, ms, summary};
use crate::start::since;
use crate::stub::Stub;

/// Between two changes: both processes come to rest.
const PAUSE: Duration = Duration::from_millis(2);

/// A kind of change.
pub struct Change<'a> {
    pub name: &'a str,
    /// Who is told.
    pub variant: Variant,
    /// The kind whose line the null control plane answers.
    pub kind: Kind,
    /// The n-th change. Even ones are alike for the client, and so are odd ones, unless each is recorded.
    pub make: &'a dyn Fn(usize) -> Vec<Object>,
    /// What is recorded for null: two changes, or all of them, and then null takes its one turn last.
    pub record_all: bool,
    pub turns: usize,
    pub per_turn: usize,
    pub cpu: Option<Target>,
    pub bytes: Option<Target>,
    pub p50: Option<Target>,
    pub p99: Option<Target>,
}

/// What one turn showed.
pub struct Turn {
    pub times: Vec<f64>,
    /// Milliseconds for each change.
    pub cpu: f64,
    pub bytes: f64,
}

/// Measures a change.
pub async fn measure(
    report: &mut Report,
    hosts: usize,
    plane: &Plane,
    client: &mut Client,
    initial: &[Arrival],
    change: &Change<'_>,
) -> Result<()> {
    let mut script = Script::new(change.variant, initial);
    let mut serial = 0;
    let mut sizes = Vec::new();
    let recorded = if change.record_all {
        change.per_turn
    } else {
        2
    };
    let mut ours = Vec::new();
    let before = plane.child.cpu();
    for _ in 0..recorded {
        let stamp = plane.stub.apply_all((change.make)(serial));
        serial += 1;
        let mut arrivals = vec![client.next().await?];
        arrivals.extend(client.quiet(Duration::from_millis(60)).await);
        let last = arrivals.last().map_or(stamp, |arrival| arrival.at);
        ours.push(since(stamp, last));
        sizes.push(arrivals.len());
        script.answer(&arrivals);
    }
    #[allow(clippy::cast_precision_loss)]
    let recording_cpu = ms(plane.child.cpu() - before) / recorded as f64;
    let null = Null::start(&script, change.kind).await?;
    let mut null_client = Client::connect_by(&null.socket(), change.variant).await?;
    null_client.everything().await?;

    let (mut turns, mut null_turns) = (Vec::new(), Vec::new());
    if change.record_all {
        let turn = turn(&null.stub, &null.child, &mut null_client, &sizes, change, 0).await?;
        #[allow(clippy::cast_precision_loss)]
        let bytes = turn.bytes;
        null_turns.push(turn);
        turns.push(Turn {
            times: ours,
            cpu: recording_cpu,
            bytes,
        });
    } else {
        for _ in 0..change.turns {
            turns.push(turn(&plane.stub, &plane.child, client, &sizes, change, serial).await?);
            null_turns.push(
                turn(
                    &null.stub,
                    &null.child,
                    &mut null_client,
                    &sizes,
                    change,
                    serial,
                )
                .await?,
            );
            serial += change.per_turn + change.per_turn % 2;
        }
    }
    add_rows(report, hosts, change, &turns, &null_turns);
    Ok(())
}

/// The rows of a change, each beside that of null.
fn add_rows(
    report: &mut Report,
    hosts: usize,
    change: &Change<'_>,
    turns: &[Turn],
    null_turns: &[Turn],
) {
    let all = |turns: &[Turn]| {
        summary(
            &turns
                .iter()
                .flat_map(|turn| turn.times.clone())
                .collect::<Vec<_>>(),
        )
    };
    let (ours, null) = (all(turns), all(null_turns));
    let pairs = || turns.iter().zip(null_turns);
    let halves: Vec<f64> = pairs()
        .map(|(a, b)| summary(&a.times).p50 / summary(&b.times).p50)
        .collect();
    let (name, hosts) = (change.name, Some(hosts));
    let row = report.add(&format!("{name} → client, p50"), hosts, "ms", ours.p50);
    row.against_with(null.p50, median(&halves));
    change.p50.map(|target| row.target(target));
    let row = report.add(&format!("{name} → client, p99"), hosts, "ms", ours.p99);
    row.against(null.p99);
    change.p99.map(|target| row.target(target));
    let cpu = |turns: &[Turn]| median(&turns.iter().map(|turn| turn.cpu).collect::<Vec<_>>());
    let ratios: Vec<f64> = pairs().map(|(a, b)| a.cpu / b.cpu).collect();
    let row = report.add(&format!("{name}, CPU"), hosts, "ms", cpu(turns));
    row.against_with(cpu(null_turns), median(&ratios));
    change.cpu.map(|target| row.target(target));
    let bytes: Vec<f64> = turns.iter().map(|turn| turn.bytes).collect();
    let row = report.add(&format!("{name}, bytes"), hosts, "B", median(&bytes));
    change.bytes.map(|target| row.target(target));
}

/// Makes a change some times; each has as many responses as `sizes` says.
pub async fn turn(
    stub: &Stub,
    child: &Child,
    client: &mut Client,
    sizes: &[usize],
    change: &Change<'_>,
    first: usize,
) -> Result<Turn> {
    let mut times = Vec::new();
    let (cpu, received) = (child.cpu(), client.received());
    for index in 0..change.per_turn {
        let serial = first + index;
        let mut objects = (change.make)(serial);
        // Null counts the lines of one kind and looks at none.
        objects.sort_by_key(|object| object.kind == change.kind);
        let stamp = stub.apply_all(objects);
        let mut last: Option<Instant> = None;
        for _ in 0..sizes[serial % sizes.len()] {
            last = Some(client.next().await?.at);
        }
        times.extend(last.map(|at| since(stamp, at)));
        sleep(PAUSE).await;
    }
    let extra = client.quiet(Duration::from_millis(20)).await;
    ensure!(
        extra.is_empty(),
        "{}: {} responses too many",
        change.name,
        extra.len()
    );
    #[allow(clippy::cast_precision_loss)]
    let events = change.per_turn as f64;
    #[allow(clippy::cast_precision_loss)]
    Ok(Turn {
        times,
        cpu: ms(child.cpu() - cpu) / events,
        bytes: (client.received() - received) as f64 / events,
    })
}
