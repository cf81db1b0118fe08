//! Objects from a directory of YAML and JSON, for whoever has no cluster: development, tests, a lone Envoy.
//!
//! The directory is read recursively, each file of any number of documents (`kind: List` too), and watched. On a
//! change only the files concerned are read again, and only objects that differ are sent on. Objects are validated
//! by the API server's rules for new ones ([`Rules::Create`]), so a manifest that is fine here is fine in a cluster.
//!
//! Folders hold other things too: what is no object of Kubernetes is passed over and named. A file that was meant for us
//! (it says `kind: Ingress`, or another kind that is read) and can't be parsed ends the start, with its place and the
//! reason. One that breaks later keeps its last good objects, is reported the same way, and everything else goes on: this
//! is the one place of Isobath where history counts (invariant I1), and it is never true after a restart. Of an object
//! in two files the first path's is served, the other reported.
//!
//! The root can be one file, which is followed like a directory, or `-`, standard input, which is read once.
//!
//! A file is looked at when its writer has closed it, at once; there is no hold-off. Three things are waited for,
//! because editors do them on the way to a save and serving them would be an outage: a file that
//! is empty or gone (for [`GONE_FOR_GOOD`]), and one that is written to and not closed (for [`STILL_WRITING`]).
//!
//! Nothing in here may ever quote a file's content: it may be a Secret's.

mod content;
mod custom_fields;
mod fields;
mod file;
mod foreign;
mod inspect;
mod merge;
mod parse;
mod problem;
mod reader;
mod spans;
mod touched;
mod tree;
mod unknown_fields;
mod yaml;

use std::convert::Infallible;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use imbl::OrdMap;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use self::inspect::Inspection;
pub use self::parse::{Document, Documents, ParseError, parse_documents};
use self::problem::MEANWHILE;
pub use self::problem::{ManifestError, Origin, Problem, rule};
use self::reader::{FileTimeouts, Reader};
pub use self::reader::{GONE_FOR_GOOD, STILL_WRITING};
use self::touched::Inbox;
use crate::objects::{Event, Object, ObjectRef};

#[cfg(doc)]
use crate::objects::Rules;

/// The root that is standard input.
pub const STANDARD_INPUT: &str = "-";

/// So many files that are passed over are named at a time: somebody's `node_modules` has thousands.
const PASSED_OVER: usize = 10;

/// A directory of manifests, read and watched.
pub struct Manifests {
    reader: Reader,
    inbox: Inbox,
    problems: watch::Sender<Arc<[Problem]>>,
    origins: watch::Sender<Origins>,
    count: Gauge,
}

/// Where each object stands.
pub type Origins = OrdMap<ObjectRef, Origin>;

impl Manifests {
    /// Reads all of a directory, or a file, after its watch is set: what changes from here on, [`Manifests::run`] sees.
    /// [`STANDARD_INPUT`], and what is neither file nor directory (a pipe), are read to their end and no more.
    ///
    /// # Errors
    ///
    /// The root can't be read or watched, or a file that was meant for us is no manifest (the first one by path).
    pub fn load(root: &Path) -> Result<Self, ManifestError> {
        if root == Path::new(STANDARD_INPUT) {
            let input = io::stdin();
            if input.is_terminal() {
                tracing::info!("reading manifests from standard input; Ctrl-D ends them");
            }
            return Self::of_text(Path::new("standard input"), file::read_once(input.lock()));
        }
        let unreadable = |cause| ManifestError::Unreadable {
            path: root.to_owned(),
            cause,
        };
        let metadata = fs::metadata(root).map_err(unreadable)?;
        if !metadata.is_dir() && !metadata.is_file() {
            let input = fs::File::open(root).map_err(unreadable)?;
            return Self::of_text(root, file::read_once(input));
        }
        Self::load_with(root, FileTimeouts::default())
    }

    fn of_text(
        name: &Path,
        text: Result<zeroize::Zeroizing<String>, String>,
    ) -> Result<Self, ManifestError> {
        let text = text.map_err(|why| ManifestError::Broken(Problem::of_file(name, why)))?;
        let reader = Reader::of_text(name, &text)?;
        Ok(Self::with_reader(reader, Inbox::new(name)))
    }

    fn load_with(root: &Path, timeouts: FileTimeouts) -> Result<Self, ManifestError> {
        let root = absolute(root).map_err(|cause| ManifestError::Unreadable {
            path: root.to_owned(),
            cause,
        })?;
        let inbox = Inbox::new(&root);
        let mut reader = Reader::new(&root, inbox.clone(), timeouts)?;
        reader.start(Instant::now())?;
        Ok(Self::with_reader(reader, inbox))
    }

    fn with_reader(reader: Reader, inbox: Inbox) -> Self {
        let problems = reader.problems();
        let count = Gauge::default();
        count.set(as_gauge(problems.len()));
        Self {
            origins: watch::Sender::new(reader.origins().clone()),
            reader,
            inbox,
            problems: watch::Sender::new(problems.into()),
            count,
        }
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

    /// Where each object stands, now and later: for every object that was sent, and never later than it.
    #[must_use]
    pub fn origins(&self) -> watch::Receiver<Origins> {
        self.origins.subscribe()
    }

    /// Adds the metric of problems; `registry` brings the prefix `isobath_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "manifest_problems",
            "What is wrong with files: they can't be parsed, objects are elsewhere already, fields or kinds are unknown; the log says which",
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
            origins,
            count,
        } = self;
        let objects = reader.objects().count();
        tracing::info!(objects, files = reader.files(), "read the manifests");
        report(&[], &problems.borrow());
        say(&mut reader);
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
            origins.send_replace(reader.origins().clone());
            say(&mut reader);
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

/// The path as the watch's events name it: files are known by their paths, and one must not have two. The last step is
/// kept as it is, since it may be a link that is turned one day; `..` is no name and is resolved.
fn absolute(root: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(root)?;
    if !absolute
        .components()
        .any(|step| step == Component::ParentDir)
    {
        return Ok(absolute);
    }
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => Ok(fs::canonicalize(parent)?.join(name)),
        _ => fs::canonicalize(root),
    }
}

/// Logs what is new and what is over. Both lists are sorted.
fn report(known: &[Problem], found: &[Problem]) {
    let is_in = |list: &[Problem], problem: &&Problem| list.binary_search(*problem).is_ok();
    for problem in found.iter().filter(|problem| !is_in(known, problem)) {
        tracing::warn!("{problem}");
    }
    for problem in known.iter().filter(|problem| !is_in(found, problem)) {
        let problem = problem.to_string();
        tracing::info!("put right: {}", problem.trim_end_matches(MEANWHILE));
    }
}

/// Logs what is told once.
fn say(reader: &mut Reader) {
    for problem in reader.take_notices() {
        tracing::warn!("{problem}");
    }
    let passed_over = reader.take_passed_over();
    for problem in passed_over.iter().take(PASSED_OVER) {
        tracing::info!("{problem}");
    }
    if let Some(more) = passed_over.len().checked_sub(PASSED_OVER + 1) {
        tracing::info!(
            "passed over: {} more files without objects of Kubernetes",
            more + 1
        );
    }
}

#[cfg(test)]
mod tests;
