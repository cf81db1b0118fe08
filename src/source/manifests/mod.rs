//! Objects from a directory of YAML and JSON, for whoever has no cluster: development, tests, a lone Envoy.
//!
//! The directory is read recursively, each file of any number of documents (`kind: List` too), and watched. On a
//! change only the files concerned are read again, and only objects that differ are sent on. Objects are judged
//! by the API server's rules for new ones ([`Rules::Create`]), so a manifest that is fine here is fine in a cluster.
//!
//! A file that can't be parsed ends the start, with its place and the reason. One that breaks later keeps its last
//! good objects, is reported the same way, and everything else goes on: this is the one place of Isobath where
//! history counts (invariant I1), and it is never true after a restart. Of an object in two files the first
//! path's is served, the other reported.
//!
//! A file is looked at when its writer has closed it, at once; there is no hold-off. Three things are waited for,
//! because editors do them on the way to a save and serving them would be an outage: a file that
//! is empty or gone (for [`GONE_FOR_GOOD`]), and one that is written to and not closed (for [`STILL_WRITING`]).
//!
//! Nothing in here may ever quote a file's content: it may be a Secret's.

mod merge;
mod parse;
mod problem;
mod reader;
mod touched;
mod tree;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use self::parse::{Document, Documents, ParseError, parse_documents};
pub use self::problem::{ManifestError, Problem};
use self::reader::{Patience, Reader};
use self::touched::Inbox;
use crate::k8s::{Event, Object};

#[cfg(doc)]
use crate::k8s::Rules;

/// How long a file is gone or empty before its objects are: an editor that saves by renaming takes a few milliseconds.
pub const GONE_FOR_GOOD: Duration = Duration::from_millis(250);

/// How long after the last write a file is read that its writer keeps open.
pub const STILL_WRITING: Duration = Duration::from_secs(1);

/// A directory of manifests, read and watched.
pub struct Manifests {
    reader: Reader,
    inbox: Inbox,
    problems: watch::Sender<Arc<[Problem]>>,
    count: Gauge,
}

impl Manifests {
    /// Reads all of the directory, after its watch is set: what changes from here on, [`Manifests::run`] sees.
    ///
    /// # Errors
    ///
    /// The directory can't be read or watched, or one of its files is no manifest (the first one by path).
    pub fn load(directory: &Path) -> Result<Self, ManifestError> {
        Self::load_patiently(directory, Patience::default())
    }

    fn load_patiently(directory: &Path, patience: Patience) -> Result<Self, ManifestError> {
        let inbox = Inbox::new(directory);
        let mut reader = Reader::new(directory, inbox.clone(), patience)?;
        reader.start(Instant::now())?;
        let problems = reader.problems();
        report(&[], &problems);
        let count = Gauge::default();
        count.set(as_gauge(problems.len()));
        Ok(Self {
            reader,
            inbox,
            problems: watch::Sender::new(problems.into()),
            count,
        })
    }

    /// The objects as they stand, sorted by kind and name.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.reader.objects()
    }

    /// What is wrong with files, sorted by path, now and later. Objects that are wrong are not among it: they are
    /// events like any other. Each problem is logged once, here.
    #[must_use]
    pub fn problems(&self) -> watch::Receiver<Arc<[Problem]>> {
        self.problems.subscribe()
    }

    /// Adds the metric of problems; `registry` brings the prefix `isobath_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "manifest_problems",
            "Files that can't be parsed and objects that another file has already; the log says which",
            self.count.clone(),
        );
    }

    /// Sends the complete list of each kind, then every change: what one look at the files found is one batch.
    ///
    /// # Errors
    ///
    /// The watch fails, or nobody receives events any more. It never ends otherwise.
    pub async fn run(self, events: mpsc::Sender<Event>) -> anyhow::Result<Infallible> {
        let Self {
            mut reader,
            inbox,
            problems,
            count,
        } = self;
        let mut changes = reader.replaces();
        loop {
            if !changes.is_empty() {
                let sent = events.send(Event::Batch(changes)).await;
                sent.context("nobody receives the objects of the manifests any more")?;
            }
            wait(&inbox, reader.deadline()).await;
            let touched = inbox.take();
            let read = move || {
                let changes = reader.refresh(touched, Instant::now());
                (reader, changes)
            };
            let (returned, result) = tokio::task::spawn_blocking(read)
                .await
                .context("the reader of the manifests failed")?;
            reader = returned;
            changes = result?;
            let found = reader.problems();
            count.set(as_gauge(found.len()));
            problems.send_if_modified(|known| {
                let changed = **known != *found;
                if changed {
                    report(known, &found);
                    *known = found.into();
                }
                changed
            });
        }
    }
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn wait(inbox: &Inbox, deadline: Option<Instant>) {
    match deadline {
        None => inbox.changed().await,
        Some(deadline) => {
            tokio::select! {
                () = inbox.changed() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }
}

/// Logs what is new and what is over. Both lists are sorted.
fn report(known: &[Problem], found: &[Problem]) {
    let is_in = |list: &[Problem], problem: &&Problem| list.binary_search(*problem).is_ok();
    for problem in found.iter().filter(|problem| !is_in(known, problem)) {
        tracing::warn!(file = %problem.path.display(), "{problem}");
    }
    for problem in known.iter().filter(|problem| !is_in(found, problem)) {
        tracing::info!(file = %problem.path.display(), "no longer: {problem}");
    }
}

#[cfg(test)]
mod tests;
