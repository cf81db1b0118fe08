//! What the Gateway API costs: changes of HTTPRoutes on one Gateway, in a small world and in a large one. Both run side by side
//! and take turns, as in `slope`. Statuses are written meanwhile, and belong to what a change costs.
//!
//! How long the statuses of all routes take needs a real API server: `tests/conformance/statuses.rs`.

mod changes;
mod objects;
mod proxy;
mod side;

use std::path::Path;

use anyhow::{Result, ensure};

use crate::plane::Setup;
use crate::report::{Report, Target, median, ms, summary};

use changes::{CHANGES, Change};
use side::{Side, Turn};

/// What five times the routes may add to the CPU of a change.
const MOST: f64 = 1.2;
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// HTTPRoutes on the one Gateway: in the small world, and in the large one
    #[arg(long, value_delimiter = ',', default_value = "1000,5000")]
    routes: Vec<usize>,
    /// How often each world takes its turn
    #[arg(long, default_value_t = 10)]
    turns: usize,
    /// Fail where five times the routes add more than this to the CPU of a change, and measure nothing else
    #[arg(long)]
    at_most: Option<f64>,
}

/// Measures all of it.
pub async fn run(
    report: &mut Report,
    args: &Args,
    isobath: &Path,
    envoy: Option<&Path>,
) -> Result<()> {
    let [small, large] = args.routes[..] else {
        anyhow::bail!("--routes takes two numbers");
    };
    let profile = isobath.parent().and_then(Path::file_name);
    report.notes.push(format!(
        "The binary is of cargo's profile {}, and so is what is absolute here.",
        profile.unwrap_or_default().display()
    ));
    let setups = [setup(isobath)?, setup(isobath)?];
    let mut small = Side::start(small, &setups[0]).await?;
    let mut large = Side::start(large, &setups[1]).await?;
    for side in [&small, &large] {
        let (now, most) = side.plane.child.memory();
        let at = Some(side.routes);
        report.add("start → ready", at, "ms", ms(side.plane.ready));
        report.add("RSS after start, statuses written", at, "MiB", now);
        report.add("RSS at most", at, "MiB", most);
    }
    for change in &CHANGES {
        let sides = [&mut small, &mut large];
        slope(report, args, sides, change, "without a client").await?;
    }
    if let Some(most) = args.at_most {
        for row in report.rows.iter().filter(|row| row.figure.ends_with(SLOPE)) {
            ensure!(
                row.ours <= most,
                "{}: {:.2}, more than {most}",
                row.figure,
                row.ours
            );
        }
        return Ok(());
    }
    for side in [&mut small, &mut large] {
        side.connect().await?;
    }
    for change in &CHANGES {
        slope(report, args, [&mut small, &mut large], change, "with one").await?;
    }
    if let Some(envoy) = envoy {
        (small.client, large.client) = (None, None);
        let planes = [(&small, &setups[0]), (&large, &setups[1])];
        proxy::measure(report, envoy, planes, args.turns).await?;
    }
    small.plane.child.alive()?;
    large.plane.child.alive()
}

fn setup(isobath: &Path) -> Result<Setup> {
    Ok(Setup {
        arguments: &["--ingress-status-address", "192.0.2.1"],
        ..Setup::new(isobath.to_owned())?
    })
}

/// How the rows end that `--at-most` looks at: what is sent is a whole table, and as long as that.
const SLOPE: &str = "large ÷ small, CPU without a client";

/// One change in both worlds, which take turns.
async fn slope(
    report: &mut Report,
    args: &Args,
    [small, large]: [&mut Side; 2],
    change: &Change,
    who: &str,
) -> Result<()> {
    const PER_TURN: usize = 20;
    let is_told = small.client.is_some();
    // The first turn brings both to the state from which changes go back and forth.
    small.turn(change, 0, 2).await?;
    large.turn(change, 0, 2).await?;
    let (mut turns, mut slopes) = ([vec![], vec![]], vec![]);
    for index in 0..args.turns {
        let first = 2 + index * PER_TURN;
        let of_small = small.turn(change, first, PER_TURN).await?;
        let of_large = large.turn(change, first, PER_TURN).await?;
        slopes.push((
            of_large.cpu / of_small.cpu,
            median(&of_large.times) / median(&of_small.times),
        ));
        turns[0].push(of_small);
        turns[1].push(of_large);
    }
    let name = change.name;
    for (side, turns) in [small, large].into_iter().zip(&turns) {
        let at = Some(side.routes);
        let times: Vec<f64> = turns.iter().flat_map(|turn| turn.times.clone()).collect();
        let times = summary(&times);
        let of = |of: fn(&Turn) -> f64| median(&turns.iter().map(of).collect::<Vec<_>>());
        report.add(&format!("{name}, CPU {who}"), at, "ms", of(|turn| turn.cpu));
        if !is_told {
            continue;
        }
        report.add(&format!("{name}, bytes"), at, "B", of(|turn| turn.bytes));
        report.add(&format!("{name} → client, p50"), at, "ms", times.p50);
        report.add(&format!("{name} → client, p99"), at, "ms", times.p99);
    }
    let (cpu, times): (Vec<_>, Vec<_>) = slopes.into_iter().unzip();
    report
        .add(
            &format!("{name}, large ÷ small, CPU {who}"),
            None,
            "×",
            median(&cpu),
        )
        .target(Target::AtMost(MOST));
    if !is_told {
        return Ok(());
    }
    report.add(
        &format!("{name} → client, large ÷ small, p50"),
        None,
        "×",
        median(&times),
    );
    Ok(())
}
