//! Reads what has changed, when it has settled.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::merge::{Content, Merge};
use super::parse::{Document, ParseError, parse_documents};
use super::problem::{ManifestError, Problem};
use super::touched::{Inbox, Touch, Touched};
use super::tree::{Found, Stamp, Tree};
use super::{GONE_FOR_GOOD, STILL_WRITING};
use crate::k8s::{Event, Kind, Object, Rules, decode_versioned};

/// Larger files are no manifests.
const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// The one owner of the files' state. It blocks on the file system.
pub(super) struct Reader {
    tree: Tree,
    merge: Merge,
    /// The files of the tree, with the version that was read last.
    known: BTreeMap<PathBuf, Option<Stamp>>,
    /// Files that are looked at only when nothing happens to them until then.
    waiting: BTreeMap<PathBuf, Wait>,
    /// Directories that can't be read.
    unreadable: Vec<Problem>,
    patience: Patience,
    /// Kinds of objects that were ignored, and logged.
    ignored: BTreeSet<(String, String)>,
}

/// How long files are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// That are gone or empty.
    pub(super) gone: Duration,
    /// That are written to.
    pub(super) writing: Duration,
}

impl Default for Patience {
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
    pub(super) fn new(
        directory: &Path,
        inbox: Inbox,
        patience: Patience,
    ) -> Result<Self, ManifestError> {
        let handler = move |event| inbox.put(event);
        let watcher = notify::recommended_watcher(handler).map_err(|cause| {
            let path = directory.to_owned();
            ManifestError::Unwatchable { path, cause }
        })?;
        Ok(Self {
            tree: Tree::new(directory.to_owned(), watcher),
            merge: Merge::default(),
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            unreadable: Vec::new(),
            patience,
            ignored: BTreeSet::new(),
        })
    }

    /// Reads everything for the first time, when nothing may be wrong.
    pub(super) fn start(&mut self, now: Instant) -> Result<(), ManifestError> {
        let found = self.tree.walk()?;
        let (dirty, _) = self.compare(found, now);
        if let Some(problem) = self.unreadable.first() {
            return Err(ManifestError::Broken(problem.clone()));
        }
        for path in dirty {
            self.read(&path, true, now);
            if let Some(problem) = self.merge.broken(&path) {
                return Err(ManifestError::Broken(problem.clone()));
            }
        }
        Ok(())
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
        self.waiting.values().map(|wait| wait.until).min()
    }

    /// Looks at what was touched and at what is due, and says what has changed.
    pub(super) fn refresh(&mut self, touched: Touched, now: Instant) -> anyhow::Result<Vec<Event>> {
        if let Some(failure) = touched.failure {
            let root = self.tree.root().display();
            anyhow::bail!("the watch of the manifests in {root} failed: {failure}");
        }
        for path in &touched.removed {
            self.tree.forget(path);
        }
        let mut walk = touched.tree || (self.tree.is_aliased() && !touched.files.is_empty());
        let mut dirty = BTreeSet::new();
        for (path, touch) in touched.files {
            if touch == Touch::Done || is_link(&path) {
                self.waiting.remove(&path);
                // One of another directory: a link of ours may lead there.
                walk |= !self.known.contains_key(&path);
                dirty.insert(path);
            } else {
                let until = now + self.patience.writing;
                self.waiting.insert(path, Wait { until, gone: false });
            }
        }
        let due = self.take_due(now);
        let mut gone = Vec::new();
        if walk {
            match self.tree.walk() {
                Ok(found) => {
                    let (changed, missing) = self.compare(found, now);
                    dirty.extend(changed);
                    gone = missing;
                }
                Err(ManifestError::Unreadable { path, cause }) => {
                    let reason = format!("can't read the manifests: {cause}");
                    self.unreadable = vec![Problem::of_file(&path, reason)];
                }
                Err(error) => return Err(error.into()),
            }
        }
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
                let until = now + self.patience.gone;
                self.waiting
                    .insert(path.clone(), Wait { until, gone: true });
                missing.push(path.clone());
            }
        }
        (dirty, missing)
    }

    /// Reads one file. `settled` says that nothing more is waited for.
    fn read(&mut self, path: &Path, settled: bool, now: Instant) -> Vec<Event> {
        let (stamp, text) = match load(path) {
            Ok(loaded) => loaded,
            Err(Unread::Missing) if settled => {
                self.known.remove(path);
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
        match self.parse(path, &text) {
            Ok(content) => self.merge.put(path, content),
            Err(error) => self.merge.break_file(path, Problem::at(path, error)),
        }
    }

    fn wait(&mut self, path: &Path, gone: bool, now: Instant) -> Vec<Event> {
        let until = now + self.patience.gone;
        self.waiting.insert(path.to_owned(), Wait { until, gone });
        self.merge.set_gone(path, gone)
    }

    fn parse(&mut self, path: &Path, text: &str) -> Result<Content, ParseError> {
        let documents = parse_documents(path, text)?;
        let mut content = Content::default();
        for document in &documents.objects {
            let object = object(document)?;
            let reference = object.reference();
            let Entry::Vacant(vacant) = content.objects.entry(reference) else {
                let error = ParseError {
                    line: document.line,
                    column: 1,
                    reason: format!(
                        "{} is in this file before, and the first one counts",
                        object.reference()
                    ),
                };
                content.repeated.push(Problem::at(path, error));
                continue;
            };
            vacant.insert(object);
        }
        for (api_version, kind) in documents.ignored {
            self.ignore(path, api_version, kind);
        }
        Ok(content)
    }

    /// Logs a kind of object that Isobath does not read, once.
    fn ignore(&mut self, path: &Path, api_version: String, kind: String) {
        let file = path.display();
        if Kind::ALL.iter().any(|known| known.name() == kind) {
            if self.ignored.insert((api_version.clone(), kind.clone())) {
                tracing::warn!(%file, "{kind} objects of {api_version} are ignored: Isobath does not read that version");
            }
        } else if self.ignored.insert((api_version.clone(), kind.clone())) {
            tracing::debug!(%file, "{kind} objects of {api_version} are ignored");
        }
    }
}

fn object(document: &Document) -> Result<Object, ParseError> {
    decode_versioned(document.kind, &document.json, Rules::Create)
        .map(|decoded| decoded.object)
        .map_err(|error| ParseError {
            line: document.line,
            column: 1,
            reason: format!("{} can't be used: {error}", document.kind),
        })
}

enum Unread {
    Missing,
    Broken(Option<Stamp>, String),
}

fn load(path: &Path) -> Result<(Stamp, Zeroizing<String>), Unread> {
    let unread = |stamp| {
        move |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unread::Missing,
            _ => Unread::Broken(stamp, format!("can't read it: {error}")),
        }
    };
    let metadata = fs::metadata(path).map_err(unread(None))?;
    if !metadata.is_file() {
        return Err(Unread::Missing);
    }
    let stamp = Stamp::new(&metadata);
    if metadata.len() > SIZE_LIMIT {
        return Err(Unread::Broken(
            Some(stamp),
            "it is larger than 64 MiB".to_owned(),
        ));
    }
    let bytes = fs::read(path)
        .map(Zeroizing::new)
        .map_err(unread(Some(stamp)))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok((stamp, Zeroizing::new(text.to_owned()))),
        Err(_) => Err(Unread::Broken(
            Some(stamp),
            "it is not UTF-8 text".to_owned(),
        )),
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}
