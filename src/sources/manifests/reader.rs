//! Reads what has changed, when it has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imbl::OrdMap;
use tokio::time::Instant;

use super::content::{self, Extent, Notices};
use super::file::{self, Unread};
use super::foreign;
use super::merge::Merge;
use super::problem::{MEANWHILE, ManifestError, Origin, Problem};
use super::touched::{Inbox, Touch, Touched};
use super::tree::{Found, Stamp, Tree};
use crate::objects::{Event, Object, ObjectRef};

/// How long a file is gone or empty before its objects are: an editor that saves by renaming takes a few milliseconds.
pub const GONE_FOR_GOOD: Duration = Duration::from_millis(250);

/// How long after the last write a file is read that its writer keeps open.
pub const STILL_WRITING: Duration = Duration::from_secs(1);

/// How often it is looked whether the root is still what it was.
const STANDING: Duration = Duration::from_secs(2);

/// The one owner of the files' state. It blocks on the file system.
pub(super) struct Reader {
    /// `None` for what is read once.
    tree: Option<Tree>,
    merge: Merge,
    /// The files of the tree, with the version that was read last.
    known: BTreeMap<PathBuf, Option<Stamp>>,
    /// Files that are looked at only when nothing happens to them until then.
    waiting: BTreeMap<PathBuf, Wait>,
    /// Directories that can't be read.
    unreadable: Vec<Problem>,
    /// The root is not there: when that is told, since it can be for a moment only, and how.
    missing: Option<(Instant, Problem)>,
    timeouts: FileTimeouts,
    /// When the root is looked at, whatever happens.
    look: Option<Instant>,
    /// What is logged once.
    notices: Notices,
    /// Files that hold something else than objects, and why they don't.
    skipped: BTreeMap<PathBuf, String>,
    /// The new ones among them, for whoever tells.
    passed_over: Vec<Problem>,
    /// Why a start can't go on: the first file that was meant for us and can't be read.
    refusal: Option<Problem>,
}

/// How long files are waited for before they are read or forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileTimeouts {
    /// That are gone or empty.
    pub(super) gone: Duration,
    /// That are written to.
    pub(super) writing: Duration,
}

impl Default for FileTimeouts {
    fn default() -> Self {
        Self {
            gone: GONE_FOR_GOOD,
            writing: STILL_WRITING,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Instant,
    gone: bool,
}

impl Reader {
    /// Of a directory, or one file, at an absolute path.
    pub(super) fn new(
        root: &Path,
        inbox: Inbox,
        timeouts: FileTimeouts,
    ) -> Result<Self, ManifestError> {
        let handler = move |event| inbox.put(event);
        let watcher = notify::recommended_watcher(handler).map_err(|cause| {
            let path = root.to_owned();
            ManifestError::Unwatchable { path, cause }
        })?;
        let tree = Tree::new(root.to_owned(), Some(watcher));
        Ok(Self::with_tree(Some(tree), timeouts))
    }

    /// Of a text that never changes, by a name for messages.
    pub(super) fn of_text(name: &Path, text: &str) -> Result<Self, ManifestError> {
        let mut reader = Self::with_tree(None, FileTimeouts::default());
        reader.take(name, text);
        match reader.refusal.take() {
            Some(problem) => Err(ManifestError::Broken(problem)),
            None => Ok(reader),
        }
    }

    fn with_tree(tree: Option<Tree>, timeouts: FileTimeouts) -> Self {
        Self {
            tree,
            merge: Merge::default(),
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            unreadable: Vec::new(),
            missing: None,
            timeouts,
            look: None,
            notices: Notices::default(),
            skipped: BTreeMap::new(),
            passed_over: Vec::new(),
            refusal: None,
        }
    }

    /// Reads everything for the first time, when nothing that is meant for us may be unreadable.
    pub(super) fn start(&mut self, now: Instant) -> Result<(), ManifestError> {
        let Some(tree) = &mut self.tree else {
            return Ok(());
        };
        let found = tree.walk()?;
        self.look = Some(now + STANDING);
        let (dirty, _) = self.compare(found, now);
        for path in dirty {
            self.read(&path, true, now);
            if let Some(problem) = self.refusal.take() {
                return Err(ManifestError::Broken(problem));
            }
        }
        Ok(())
    }

    /// How many files have been found.
    pub(super) fn files(&self) -> usize {
        self.known.len()
    }

    /// Where each object stands.
    pub(super) fn origins(&self) -> &OrdMap<ObjectRef, Origin> {
        self.merge.origins()
    }

    /// What is passed over since the last call, to be told once.
    pub(super) fn take_passed_over(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.passed_over)
    }

    /// What is to be told once of objects, since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<Problem> {
        self.notices.take()
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.merge.objects()
    }

    pub(super) fn replaces(&self) -> Vec<Event> {
        self.merge.replaces()
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.merge.problems();
        problems.extend(self.unreadable.iter().cloned());
        problems.sort();
        problems
    }

    /// When [`Reader::refresh`] has something to do even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.values().map(|wait| wait.until);
        let missing = self.missing.iter().map(|(until, _)| *until);
        let missing = missing.filter(|_| self.unreadable.is_empty());
        waiting.chain(missing).chain(self.look).min()
    }

    /// Looks at what was touched and at what is due, and says what has changed.
    pub(super) fn refresh(&mut self, touched: Touched, now: Instant) -> anyhow::Result<Vec<Event>> {
        let Some(tree) = &mut self.tree else {
            return Ok(Vec::new());
        };
        if let Some(failure) = touched.failure {
            let root = tree.root().display();
            anyhow::bail!("the watch of the manifests in {root} failed: {failure}");
        }
        for path in &touched.removed {
            tree.forget(path);
        }
        self.look = Some(now + STANDING);
        let mut walk = touched.tree
            || (tree.is_aliased() && !touched.files.is_empty())
            || self.missing.is_some()
            || tree.has_moved();
        let mut dirty = BTreeSet::new();
        for (path, touch) in touched.files {
            if touch == Touch::Done || is_link(&path) {
                self.waiting.remove(&path);
                // One of another directory: a link of ours may lead there.
                walk |= !self.known.contains_key(&path);
                dirty.insert(path);
            } else {
                let until = now + self.timeouts.writing;
                self.waiting.insert(path, Wait { until, gone: false });
            }
        }
        let due = self.take_due(now);
        let (found, gone) = if walk {
            self.walk(now)?
        } else {
            Default::default()
        };
        dirty.extend(found);
        dirty.retain(|path| self.known.contains_key(path) && !due.contains(path));
        let mut changes = Vec::new();
        for path in dirty {
            changes.extend(self.read(&path, false, now));
        }
        // After those that came: a file that was moved takes its objects along.
        for path in gone {
            changes.extend(self.merge.set_gone(&path, true));
        }
        for path in due {
            if self.known.contains_key(&path) {
                changes.extend(self.read(&path, true, now));
            }
        }
        Ok(changes)
    }

    /// Walks the tree: the files to read, and those that are not there.
    fn walk(&mut self, now: Instant) -> Result<(BTreeSet<PathBuf>, Vec<PathBuf>), ManifestError> {
        let Some(tree) = &mut self.tree else {
            return Ok(Default::default());
        };
        match tree.walk() {
            Ok(found) => {
                self.missing = None;
                Ok(self.compare(found, now))
            }
            Err(ManifestError::Unreadable { path, cause }) => {
                let reason = format!("can't read the manifests: {cause}{MEANWHILE}");
                let until = now + self.timeouts.gone;
                let problem = Problem::of_file(&path, reason);
                let (until, problem) = self.missing.get_or_insert((until, problem));
                if *until <= now {
                    self.unreadable = vec![problem.clone()];
                }
                Ok(Default::default())
            }
            Err(error) => Err(error),
        }
    }

    fn take_due(&mut self, now: Instant) -> BTreeSet<PathBuf> {
        let due = self.waiting.iter().filter(|(_, wait)| wait.until <= now);
        let due: BTreeSet<_> = due.map(|(path, _)| path.clone()).collect();
        for path in &due {
            self.waiting.remove(path);
        }
        due
    }

    /// What a walk found, against what is known: the files to read, and those that are not there.
    fn compare(&mut self, found: Found, now: Instant) -> (BTreeSet<PathBuf>, Vec<PathBuf>) {
        self.unreadable = found.unreadable;
        let mut dirty = BTreeSet::new();
        for (path, stamp) in &found.files {
            let read = self.known.entry(path.clone()).or_default();
            match self.waiting.get(path) {
                Some(wait) if !wait.gone => {}
                _ if *read == Some(*stamp) => {
                    // It was moved away and back. Reading it again says that it is here.
                    if self.waiting.remove(path).is_some() {
                        dirty.insert(path.clone());
                    }
                }
                _ => {
                    self.waiting.remove(path);
                    dirty.insert(path.clone());
                }
            }
        }
        let mut missing = Vec::new();
        for path in self.known.keys() {
            let unknown = self
                .unreadable
                .iter()
                .any(|problem| path.starts_with(&problem.path));
            if found.files.contains_key(path) || unknown {
                continue;
            }
            let waits = self.waiting.get(path).is_some_and(|wait| wait.gone);
            if !waits {
                let until = now + self.timeouts.gone;
                self.waiting
                    .insert(path.clone(), Wait { until, gone: true });
                missing.push(path.clone());
            }
        }
        (dirty, missing)
    }

    /// Reads one file. `settled` says that nothing more is waited for.
    fn read(&mut self, path: &Path, settled: bool, now: Instant) -> Vec<Event> {
        let (stamp, text) = match file::load(path) {
            Ok(loaded) => loaded,
            Err(Unread::Missing) if settled => {
                self.known.remove(path);
                self.skipped.remove(path);
                return self.merge.remove(path);
            }
            Err(Unread::Missing) => return self.wait(path, true, now),
            Err(Unread::Broken(stamp, reason)) => {
                self.known.insert(path.to_owned(), stamp);
                return self.merge.break_file(path, Problem::of_file(path, reason));
            }
        };
        if !settled && text.trim().is_empty() && self.merge.has_objects(path) {
            // Cut to nothing before it is written anew, or emptied for good.
            return self.wait(path, false, now);
        }
        self.known.insert(path.to_owned(), Some(stamp));
        self.take(path, &text)
    }

    /// Takes in a file's text.
    fn take(&mut self, path: &Path, text: &str) -> Vec<Event> {
        match content::of(path, text, Extent::First, &mut self.notices) {
            Ok(content) if content.is_foreign && self.merge.has_objects(path) => {
                // Whoever edits a manifest has it in this state for a moment.
                let reason = content
                    .skipped
                    .map_or_else(String::new, |skipped| skipped.reason);
                let problem =
                    Problem::of_file(path, format!("it holds no object any more: {reason}"));
                self.merge.break_file(path, problem)
            }
            Ok(content) => {
                self.skip(path, content.skipped);
                self.merge.put(path, content.content)
            }
            Err(error) => {
                let problem = Problem::at(path, error);
                self.refusal.get_or_insert_with(|| problem.clone());
                self.merge.break_file(path, problem)
            }
        }
    }

    /// Names a file, or a part of one, that is passed over: once, for as long as it is for the same reason.
    fn skip(&mut self, path: &Path, skipped: Option<Problem>) {
        let Some(skipped) = skipped else {
            self.skipped.remove(path);
            return;
        };
        if self.skipped.get(path) == Some(&skipped.reason) {
            return;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let advice = foreign::of_file(&name).map(|advice| format!(": {advice}"));
        self.passed_over.push(Problem {
            reason: format!(
                "passed over: {}{}",
                skipped.reason,
                advice.unwrap_or_default()
            ),
            ..skipped.clone()
        });
        self.skipped.insert(path.to_owned(), skipped.reason);
    }

    fn wait(&mut self, path: &Path, gone: bool, now: Instant) -> Vec<Event> {
        let until = now + self.timeouts.gone;
        self.waiting.insert(path.to_owned(), Wait { until, gone });
        self.merge.set_gone(path, gone)
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}
