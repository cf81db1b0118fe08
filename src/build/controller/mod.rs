//! The one owner (I7): receives events, lets the builder work, publishes what it made.
//!
//! There is no hold-off: the controller takes what its channel holds, builds once, publishes, and goes back to
//! it. Nothing is published before every watched kind was listed (I5), and nothing that a reader does can hold
//! the controller up: it hands out finished values through watch channels, and who asks for more is answered between events,
//! for a tenth of the time at most ([`Questions`]; I9).

mod awaited;
mod metrics;
mod questions;

use std::sync::Arc;

use anyhow::bail;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

pub use awaited::{Awaited, Scope};
pub use metrics::Metrics;
pub use questions::{Ended, Questions, State};

use crate::build::Builder;
use crate::model::verdict::Statuses;
use crate::objects::Event;
use crate::process::admin::Heartbeat;
use crate::process::supervisor::Stop;
use crate::xds::Published;
use questions::Asked;

/// Most events that are taken in before a build: a flood must not keep what it brings from being served.
const BATCH: usize = 4096;

/// The controller's task.
#[derive(Debug)]
pub struct Controller {
    builder: Builder,
    awaited: Awaited,
    events: mpsc::Receiver<Event>,
    snapshots: watch::Sender<Option<Published>>,
    statuses: watch::Sender<Arc<Statuses>>,
    metrics: Metrics,
    heartbeat: Heartbeat,
    asked: Asked,
    /// How many snapshots have been published.
    published: u64,
}

/// The ends at which the controller's results are read.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The newest snapshot, `None` until the first is complete.
    pub snapshots: watch::Receiver<Option<Published>>,
    /// The newest verdicts.
    pub statuses: watch::Receiver<Arc<Statuses>>,
    /// For what is not published.
    pub questions: Questions,
}

impl Controller {
    /// A controller that publishes once everything that is awaited was listed.
    #[must_use]
    pub fn new(
        builder: Builder,
        awaited: Awaited,
        events: mpsc::Receiver<Event>,
        metrics: Metrics,
        heartbeat: Heartbeat,
    ) -> (Self, Outputs) {
        let snapshots = watch::Sender::new(None);
        let statuses = watch::Sender::new(Arc::new(Statuses::default()));
        let (questions, asked) = Questions::new();
        let outputs = Outputs {
            snapshots: snapshots.subscribe(),
            statuses: statuses.subscribe(),
            questions,
        };
        (
            Self {
                builder,
                awaited,
                events,
                snapshots,
                statuses,
                metrics,
                heartbeat,
                asked,
                published: 0,
            },
            outputs,
        )
    }

    /// Runs until the process stops.
    ///
    /// # Errors
    ///
    /// When the source is gone: without events there is nothing to control.
    pub async fn run(mut self, mut stop: Stop) -> anyhow::Result<()> {
        let mut batch = Vec::new();
        let mut alive = tokio::time::interval(Heartbeat::INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                received = self.events.recv_many(&mut batch, BATCH) => received,
                _ = alive.tick() => {
                    self.heartbeat.tick();
                    continue;
                }
                Some(question) = self.asked.next(), if self.published > 0 => {
                    let state = State { builder: &self.builder, snapshot: self.published };
                    self.asked.answer(question, state);
                    continue;
                }
            };
            if received == 0 {
                bail!("the source of events is gone");
            }
            for event in batch.drain(..) {
                self.awaited.see(&event);
                self.metrics.count_event(&event);
                self.builder.apply(event);
            }
            if self.awaited.is_done() {
                self.publish();
            }
            self.heartbeat.tick();
        }
    }

    fn publish(&mut self) {
        let start = Instant::now();
        let changed = self.builder.build();
        let end = Instant::now();
        self.metrics.observe_build(&self.builder, end - start);
        if changed {
            self.published += 1;
            let snapshot = self.builder.snapshot().clone();
            let snapshot = Arc::new(snapshot.numbered(self.published));
            self.snapshots
                .send_replace(Some(Published { snapshot, at: end }));
        }
        let statuses = self.builder.statuses();
        self.statuses.send_if_modified(|current| {
            let mut statuses = statuses.clone();
            statuses.snapshot = current.snapshot;
            if **current == statuses {
                return false;
            }
            // What they say is in this snapshot at the latest.
            statuses.snapshot = self.published;
            *current = Arc::new(statuses);
            true
        });
    }
}

#[cfg(test)]
mod tests;
