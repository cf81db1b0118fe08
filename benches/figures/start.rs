//! Cold start and rest: the time to ready beside a bare download, memory, and what it costs to do nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::child::Child;
use crate::client::Client;
use crate::objects::World;
use crate::plane::{Plane, Setup, isobath};
use crate::report::{Report, Target, median, ms};
use crate::stub::Stub;

/// Memory is read when nothing has come for this long.
pub const SETTLED: Duration = Duration::from_secs(1);

/// Starts the control plane with a world this many times; returns the last one.
pub async fn cold(
    report: &mut Report,
    world: &World,
    setup: &Setup,
    times: usize,
) -> Result<Plane> {
    let directory = tempfile::tempdir()?;
    let (mut ours, mut bare, mut ratios, mut cpu) = (vec![], vec![], vec![], vec![]);
    let mut stub = Stub::start(world.all(), true).await;
    let mut plane;
    loop {
        let mut download = Command::new(std::env::current_exe()?);
        download.args(["download", &stub.address.to_string()]);
        let took = Child::start(&mut download, &directory.path().join("log"))?
            .finished()
            .await?;
        plane = Plane::start(stub, setup).await?;
        ours.push(ms(plane.ready));
        bare.push(ms(took));
        ratios.push(ms(plane.ready) / ms(took));
        cpu.push(ms(plane.child.cpu()));
        if ours.len() == times {
            break;
        }
        stub = plane.stub;
    }
    let hosts = Some(world.hosts);
    report
        .add(
            "start → ready (null: bare download of the same lists)",
            hosts,
            "ms",
            median(&ours),
        )
        .against_with(median(&bare), median(&ratios))
        .target(Target::Ratio(1.5));
    report.add("CPU of a start", hosts, "ms", median(&cpu));
    sleep(SETTLED).await;
    let (now, most) = plane.child.memory();
    let row = report.add("RSS after start", hosts, "MiB", now);
    match world.hosts {
        1_000 => _ = row.target(Target::AtMost(40.0)),
        10_000 => _ = row.target(Target::AtMost(100.0)),
        100_000 => _ = row.target(Target::AtMost(600.0)),
        _ => {}
    }
    report.add("RSS at most, while starting", hosts, "MiB", most);
    Ok(plane)
}

/// The same from a server that knows lists in pages only.
pub async fn paged(report: &mut Report, world: &World, setup: &Setup) -> Result<()> {
    let plane = Plane::start(Stub::start(world.all(), false).await, setup).await?;
    report.add(
        "start → ready, lists in pages",
        Some(world.hosts),
        "ms",
        ms(plane.ready),
    );
    Ok(())
}

/// Nothing happens.
pub async fn idle(report: &mut Report, child: &Child, name: &str, hosts: Option<usize>) {
    const TIME: Duration = Duration::from_secs(5);
    let before = child.cpu();
    sleep(TIME).await;
    let share = (child.cpu() - before).as_secs_f64() / TIME.as_secs_f64() * 100.0;
    report
        .add(name, hosts, "% of a core", share)
        .target(Target::AtMost(0.1));
}

/// The binary itself, and a start without any object, from a directory of manifests.
pub async fn empty(report: &mut Report, setup: &Setup) -> Result<()> {
    const TIMES: usize = 9;
    #[allow(clippy::cast_precision_loss)]
    let size = std::fs::metadata(&setup.isobath)?.len() as f64 / f64::from(1 << 20);
    report.add("size of the binary, with its symbols", None, "MiB", size);
    let (mut accepted, mut memory) = (vec![], vec![]);
    for turn in 0..TIMES {
        let directory = tempfile::Builder::new().prefix("iso-").tempdir()?;
        let manifests = directory.path().join("manifests");
        std::fs::create_dir(&manifests)?;
        let source = ["--manifests".as_ref(), manifests.as_os_str()];
        let (mut child, _) = isobath(directory.path(), setup, &source)?;
        let socket = directory.path().join("xds.sock");
        let answered = loop {
            if let Ok(mut client) = Client::connect(&socket).await {
                client.next().await?;
                break child.started.elapsed();
            }
            child.alive()?;
            ensure!(child.started.elapsed() < Duration::from_secs(10), "no xDS");
            sleep(Duration::from_micros(500)).await;
        };
        accepted.push(ms(answered));
        sleep(Duration::from_millis(200)).await;
        memory.push(child.memory().0);
        if turn == TIMES - 1 {
            idle(report, &child, "idle CPU, no objects", None).await;
        }
    }
    report
        .add(
            "exec → first xDS response, no objects",
            None,
            "ms",
            median(&accepted),
        )
        .target(Target::AtMost(20.0));
    report
        .add("RSS, no objects", None, "MiB", median(&memory))
        .target(Target::AtMost(15.0));
    Ok(())
}

/// How long a burst of work takes, in milliseconds.
pub fn since(stamp: Instant, at: Instant) -> f64 {
    ms(at.saturating_duration_since(stamp))
}
