//! What ten times the hosts add to the cost of one change: both sizes run side by side and take turns, so that a machine
//! that is slower for some seconds (a virtual one is, by half and more) is slower for both.

use std::time::Duration;

use anyhow::Result;

use crate::change::{Change, Turn, turn};
use crate::client::Client;
use crate::objects::World;
use crate::plane::{Plane, Setup};
use crate::report::{Report, Target, median};
use crate::stub::Stub;

const SMALL: usize = 1_000;
const LARGE: usize = 10_000;

struct Side {
    plane: Plane,
    client: Client,
}

impl Side {
    async fn start(hosts: usize, setup: &Setup) -> Result<Self> {
        let stub = Stub::start(World::new(hosts).all(), true).await;
        let plane = Plane::start(stub, setup).await?;
        let mut client = plane.client().await?;
        client.everything().await?;
        client.quiet(Duration::from_millis(300)).await;
        Ok(Self { plane, client })
    }

    async fn turn(&mut self, change: &Change<'_>, first: usize) -> Result<Turn> {
        let plane = &self.plane;
        turn(
            &plane.stub,
            &plane.child,
            &mut self.client,
            &[1],
            change,
            first,
        )
        .await
    }
}

/// Measures the changes, each of which must be one response.
pub async fn measure(report: &mut Report, setup: &Setup, changes: &[Change<'_>]) -> Result<()> {
    let mut small = Side::start(SMALL, setup).await?;
    let mut large = Side::start(LARGE, setup).await?;
    for change in changes {
        // The first turn brings both to the state from which changes go back and forth.
        small.turn(change, 0).await?;
        large.turn(change, 0).await?;
        let (mut cpu, mut time) = (Vec::new(), Vec::new());
        for index in 1..=change.turns {
            let first = index * change.per_turn;
            let small = small.turn(change, first).await?;
            let large = large.turn(change, first).await?;
            cpu.push(large.cpu / small.cpu);
            time.push(median(&large.times) / median(&small.times));
        }
        let name = format!("slope 10k ÷ 1k: {}", change.name);
        report
            .add(&format!("{name}, CPU"), None, "×", median(&cpu))
            .target(Target::AtMost(1.2));
        report.add(&format!("{name} → client, p50"), None, "×", median(&time));
    }
    Ok(())
}
