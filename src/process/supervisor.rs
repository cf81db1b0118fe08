//! The work group: the first task to end ends them all (I8).
//!
//! Every long-lived task of the process is added here under a name, and nothing else spawns. When the first one ends,
//! the others are asked to stop, have a bounded time to do so, and the first one's result is the process's. A task
//! that fails is never restarted: Kubernetes restarts the process, and a restart rebuilds everything.

use std::collections::HashMap;
use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};

use crate::process::exit_code::FATAL;
use crate::process::log;

/// How long tasks may take to end once they are asked to. Half of kubelet's shortest usual grace period (10 s), so that
/// the last log lines are written before the kill.
pub const GRACE: Duration = Duration::from_secs(5);

/// When the process ends whatever its tasks do. One that computes sees no stop, and can't be aborted.
const BOUND: Duration = Duration::from_secs(6);

/// The signals that end the process in order.
pub const STOP: &[(&str, SignalKind)] = &[
    ("SIGTERM", SignalKind::terminate()),
    ("SIGINT", SignalKind::interrupt()),
];

/// The same for a program that a person starts at a terminal, which may be closed.
pub const TERMINAL: &[(&str, SignalKind)] = &[
    ("SIGTERM", SignalKind::terminate()),
    ("SIGINT", SignalKind::interrupt()),
    ("SIGHUP", SignalKind::hangup()),
    ("SIGQUIT", SignalKind::quit()),
];

/// The tasks of the process.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, Task>,
    stop: watch::Sender<bool>,
    /// The first end, where it came before [`Self::run`].
    ended: Option<End>,
    /// Dropped with this: what bounds the process's end knows by it that there is nothing left to bound.
    bounds: Vec<mpsc::Sender<()>>,
}

/// How a task ended.
type End = Result<(Id, anyhow::Result<()>), JoinError>;

/// What is known of a task beside its handle.
#[derive(Clone, Copy, Debug)]
struct Task {
    name: &'static str,
    /// Whether its end, when nobody asked for it, is an orderly end of the process.
    may_end: bool,
}

/// Tells a task that it should end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns when the process stops; at once when it already does. Safe to use in `select!`.
    pub async fn requested(&mut self) {
        // An error means that the supervisor is gone, which is a stop as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Runs a task that knows nothing of stopping, until it ends or the process stops.
    ///
    /// # Errors
    ///
    /// None: a task that ends unasked is the supervisor's to report.
    pub async fn or(mut self, task: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = self.requested() => {}
            () = task => {}
        }
        Ok(())
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// A group without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop: watch::Sender::new(false),
            ended: None,
            bounds: Vec::new(),
        }
    }

    /// The stop signal, for parts that are built before their task is added.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Adds a task that must run until it is asked to stop. If it ends earlier, even with `Ok`, the process fails.
    pub fn add<F>(&mut self, name: &'static str, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.spawn(name, false, task);
    }

    /// As [`Self::add`], on a thread and a runtime of its own: for what must neither wait for the event path nor make it
    /// wait. When it does not stop in time its thread is left behind, and ends with the process.
    pub fn add_thread<F>(
        &mut self,
        name: &'static str,
        task: impl FnOnce(Stop) -> F + Send + 'static,
    ) where
        F: Future<Output = anyhow::Result<()>> + 'static,
    {
        self.add(name, |stop| on_thread(name, || task(stop)));
    }

    /// Adds a task whose `Ok` is an orderly end of the process, for instance the one that waits for signals.
    pub fn add_finite<F>(&mut self, name: &'static str, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.spawn(name, true, task);
    }

    /// Adds the task that ends the process in order on one of these signals.
    ///
    /// A thread of its own sees them, and bounds the time from then on: the thread of the tasks may be in the middle of a
    /// long build.
    ///
    /// # Errors
    ///
    /// When the handlers can't be installed.
    pub fn add_signals(
        &mut self,
        signals: &'static [(&'static str, SignalKind)],
    ) -> anyhow::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build();
        let runtime = runtime.context("can't start the runtime of signals")?;
        // Installed here and not on the thread: a signal between the two would kill the process.
        let streams = {
            let _inside = runtime.enter();
            let listen = |(name, kind): &(&'static str, SignalKind)| {
                let stream = signal(*kind).with_context(|| format!("can't listen for {name}"))?;
                anyhow::Ok((*name, stream))
            };
            signals
                .iter()
                .map(listen)
                .collect::<anyhow::Result<Vec<_>>>()
        };
        let mut streams = match streams {
            Ok(streams) => streams,
            Err(error) => {
                // It may not be dropped on another runtime's thread.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (alive, ended) = mpsc::channel();
        self.bounds.push(alive);
        let (seen, signal) = oneshot::channel();
        let wait = move || {
            let any = streams.iter_mut().map(|(name, stream)| {
                Box::pin(async {
                    stream.recv().await;
                    *name
                })
            });
            let (signal, ..) = runtime.block_on(futures::future::select_all(any));
            tracing::info!(signal, "stopping");
            // Nobody listens any more when the process stops for another reason.
            let _ = seen.send(());
            bound(&ended, None);
        };
        let thread = std::thread::Builder::new().name("signals".into());
        thread
            .spawn(wait)
            .context("can't start the thread of signals")?;
        self.add_finite("signals", |mut stop| async move {
            tokio::select! {
                _ = signal => {}
                () = stop.requested() => {}
            }
            Ok(())
        });
        Ok(())
    }

    /// Waits for something without which the next tasks can't be made. `None`: a task ended first, for instance on a
    /// signal, and there is nothing left to do but [`Self::run`].
    pub async fn before<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => {
                self.ended = Some(ended);
                None
            }
            something = something => Some(something),
        }
    }

    /// Runs until the first task ends, then stops the others and waits for them, at most [`GRACE`]. Where a thread is
    /// not to be had back even then, the process ends from in here, with the same last line and exit code.
    ///
    /// # Errors
    ///
    /// The first task's reason, with its name.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let first = match self.ended.take() {
            Some(ended) => ended,
            None => {
                let first = self.tasks.join_next_with_id().await;
                first.ok_or_else(|| anyhow!("no task was started"))?
            }
        };
        let (task, result) = self.take(first);
        let result = match result {
            Ok(()) if task.may_end => Ok(()),
            Ok(()) => Err(anyhow!("task {} ended without being asked to", task.name)),
            Err(error) => Err(error.context(format!("task {} ended", task.name))),
        };
        self.stop.send_replace(true);
        self.bound(result.as_ref().err().map(|error| format!("{error:#}")));
        let is_orderly = result.is_ok();
        if tokio::time::timeout(GRACE, self.drain(is_orderly))
            .await
            .is_err()
        {
            let mut late: Vec<_> = self.names.values().map(|task| task.name).collect();
            late.sort_unstable();
            tracing::warn!(
                tasks = late.join(", "),
                "did not stop in time and are aborted"
            );
            self.tasks.shutdown().await;
        }
        result
    }

    fn spawn<F>(&mut self, name: &'static str, may_end: bool, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let id = self.tasks.spawn(task(self.stop())).id();
        self.names.insert(id, Task { name, may_end });
    }

    /// Bounds the time from now on to the end of [`Self::run`]; the process would have ended with this reason.
    fn bound(&mut self, reason: Option<String>) {
        let (alive, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("bound".into());
        match thread.spawn(move || bound(&ended, reason)) {
            Ok(_) => self.bounds.push(alive),
            Err(error) => tracing::warn!(%error, "nothing bounds the time that tasks take to stop"),
        }
    }

    /// Waits for the tasks that are left. Their results are not the process's. After an orderly stop they are not logged
    /// either: a task that ends later fails because the others are gone.
    async fn drain(&mut self, is_orderly: bool) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (task, Err(error)) = self.take(ended) else {
                continue;
            };
            let (task, error) = (task.name, format!("{error:#}"));
            if is_orderly {
                tracing::debug!(task, error, "failed while stopping");
            } else {
                tracing::warn!(task, error, "failed while stopping");
            }
        }
    }

    fn take(&mut self, ended: End) -> (Task, anyhow::Result<()>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            // Where the panic hook of `log` is installed no panic comes this far.
            Err(error) => (error.id(), Err(anyhow::Error::new(error))),
        };
        let unknown = Task {
            name: "unknown",
            may_end: false,
        };
        (self.names.remove(&id).unwrap_or(unknown), result)
    }
}

/// Waits until the supervisor is gone, for so long; then ends the process.
fn bound(ended: &mpsc::Receiver<()>, reason: Option<String>) {
    if ended.recv_timeout(BOUND) != Err(mpsc::RecvTimeoutError::Timeout) {
        return;
    }
    tracing::warn!("a task computes and does not stop in time: the process ends without it");
    let Some(reason) = reason else {
        std::process::exit(0);
    };
    log::fatal(&anyhow!(reason));
    std::process::exit(FATAL.into());
}

async fn on_thread<F>(
    name: &'static str,
    task: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let (ended, end) = oneshot::channel();
    let run = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build();
        let runtime = runtime.context("can't start its runtime");
        // Nobody waits for the result of one that was aborted.
        let _ = ended.send(runtime.and_then(|runtime| runtime.block_on(task())));
    };
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(run).context("can't start its thread")?;
    end.await.context("its thread is gone")?
}

#[cfg(test)]
mod tests;
