//! The files of a directory, found again and again, each directory watched before it is listed.
//!
//! Watches are set directory by directory: a recursive watch would miss what appears in a new directory between
//! its birth and its watch. Names that begin with a dot are passed over: editors keep their copies there, and
//! a mounted ConfigMap its versions (`..data`), which the names beside them link to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::problem::{ManifestError, Problem};

/// Directories can link into each other; no manifest is this deep.
const DEPTH_LIMIT: usize = 32;

/// What tells one version of a file from the next: device, inode, size, and both times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([i128; 5]);

impl Stamp {
    pub(super) fn new(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let time = |seconds: i64, nanoseconds: i64| {
            i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
        };
        Self([
            i128::from(metadata.dev()),
            i128::from(metadata.ino()),
            i128::from(metadata.size()),
            time(metadata.mtime(), metadata.mtime_nsec()),
            time(metadata.ctime(), metadata.ctime_nsec()),
        ])
    }
}

/// What one walk finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The manifest files.
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// Directories below the root that can't be read: what was in them is not known.
    pub(super) unreadable: Vec<Problem>,
}

/// A root directory and the watches below it; or a root that is one file.
pub(super) struct Tree {
    /// Absolute, as the paths of the watch's events are.
    root: PathBuf,
    /// What the root and its parent were at the last walk.
    standing: Standing,
    watcher: RecommendedWatcher,
    /// Each watched directory: another one can take its path.
    watched: BTreeMap<PathBuf, Identity>,
    /// The path that each is watched under. The kernel has one watch per directory, whatever the path.
    paths: BTreeMap<Identity, PathBuf>,
    /// Whether links lead to what is watched under another path too: events name one path only.
    aliased: bool,
}

/// Device and inode.
type Identity = (u64, u64);

/// A path's last two steps, by what is there.
type Standing = [Option<Identity>; 2];

impl Tree {
    pub(super) fn new(root: PathBuf, watcher: RecommendedWatcher) -> Self {
        Self {
            root,
            standing: Standing::default(),
            watcher,
            watched: BTreeMap::new(),
            paths: BTreeMap::new(),
            aliased: false,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether something else is at the root's path now than at the last walk. A folder further up can be moved away and
    /// another take its place, of which no watch tells.
    pub(super) fn has_moved(&self) -> bool {
        self.standing != self.standing()
    }

    fn standing(&self) -> Standing {
        use std::os::unix::fs::MetadataExt;
        let identity = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            // A file's own changes are events, and an editor that renames makes another one each time.
            let known = metadata.is_dir();
            Some(if known {
                (metadata.dev(), metadata.ino())
            } else {
                (0, 0)
            })
        };
        [identity(&self.root), self.root.parent().and_then(identity)]
    }

    /// Whether an event about a file may mean another file too.
    pub(super) fn is_aliased(&self) -> bool {
        self.aliased
    }

    /// Whether a path is that of a manifest, by its name.
    pub(super) fn is_manifest(path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let known = ["yaml", "yml", "json"];
        extension.is_some_and(|extension| {
            known
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        }) && !is_hidden(path)
    }

    /// The path was moved or removed, and the watches at and below it with it.
    pub(super) fn forget(&mut self, path: &Path) {
        let below: Vec<_> = self
            .watched
            .range(path.to_owned()..)
            .map(|(directory, _)| directory.clone())
            .take_while(|directory| directory.starts_with(path))
            .collect();
        for directory in below {
            self.unwatch(&directory);
        }
    }

    /// Walks the whole tree.
    pub(super) fn walk(&mut self) -> Result<Found, ManifestError> {
        let mut found = Found::default();
        let mut needed = BTreeSet::new();
        self.aliased = false;
        self.standing = self.standing();
        // The root itself can be removed, made anew, or be a link that is turned: its parent tells. Where the
        // parent can't be watched, that is all that is missing.
        let root = self.root.clone();
        if let Some(parent) = root.parent()
            && let Ok(identity) = self.watch(parent)
        {
            needed.insert(identity);
        }
        let mut open = Vec::new();
        match fs::metadata(&root) {
            Ok(metadata) if metadata.is_file() => {
                self.watch_target(&root, &mut needed);
                found.files.insert(root, Stamp::new(&metadata));
            }
            _ => open.push((root, Vec::new())),
        }
        while let Some((directory, ancestors)) = open.pop() {
            let result = self.list(&directory, ancestors, &mut found, &mut needed, &mut open);
            match result {
                Ok(()) => {}
                Err(Failure::Watch(cause)) => {
                    return Err(ManifestError::Unwatchable {
                        path: directory,
                        cause,
                    });
                }
                Err(Failure::Io(cause)) if directory == self.root => {
                    return Err(ManifestError::Unreadable {
                        path: directory,
                        cause,
                    });
                }
                // It went while we were walking, and an event says so.
                Err(Failure::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(Failure::Io(cause)) => {
                    let reason = format!("can't read the directory: {cause}");
                    found.unreadable.push(Problem::of_file(&directory, reason));
                }
            }
        }
        let stale: Vec<_> = self
            .watched
            .iter()
            .filter(|(_, identity)| !needed.contains(*identity))
            .map(|(directory, _)| directory.clone())
            .collect();
        for directory in stale {
            self.unwatch(&directory);
        }
        Ok(found)
    }

    fn list(
        &mut self,
        directory: &Path,
        mut ancestors: Vec<Identity>,
        found: &mut Found,
        needed: &mut BTreeSet<Identity>,
        open: &mut Vec<(PathBuf, Vec<Identity>)>,
    ) -> Result<(), Failure> {
        let identity = self.watch(directory)?;
        self.aliased |= !needed.insert(identity);
        if ancestors.contains(&identity) || ancestors.len() >= DEPTH_LIMIT {
            return Ok(());
        }
        ancestors.push(identity);
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            // Follows links; what a link leads to nowhere is not there.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                open.push((path, ancestors.clone()));
            } else if metadata.is_file() && Self::is_manifest(&path) {
                if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                    self.watch_target(&path, needed);
                }
                found.files.insert(path, Stamp::new(&metadata));
            }
        }
        Ok(())
    }

    /// Watches the directory that a linked file really is in, where that is possible.
    fn watch_target(&mut self, link: &Path, needed: &mut BTreeSet<Identity>) {
        if let Ok(target) = fs::canonicalize(link)
            && let Some(directory) = target.parent()
            && let Ok(identity) = self.watch(directory)
        {
            // Whether or not the walk comes by there.
            self.aliased |= self
                .paths
                .get(&identity)
                .is_some_and(|path| path != directory);
            needed.insert(identity);
        }
    }

    /// Watches a directory, if that one is not watched yet, and says which it is.
    fn watch(&mut self, directory: &Path) -> Result<Identity, Failure> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(directory)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        let identity = (metadata.dev(), metadata.ino());
        if self.watched.get(directory) == Some(&identity) {
            return Ok(identity);
        }
        self.unwatch(directory);
        if self.paths.contains_key(&identity) {
            return Ok(identity);
        }
        match self.watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(directory.to_owned(), identity);
                self.paths.insert(identity, directory.to_owned());
                Ok(identity)
            }
            Err(error) => Err(match error.kind {
                notify::ErrorKind::Io(cause) => Failure::Io(cause),
                notify::ErrorKind::PathNotFound => io::Error::from(io::ErrorKind::NotFound).into(),
                _ => Failure::Watch(error),
            }),
        }
    }

    fn unwatch(&mut self, directory: &Path) {
        if let Some(identity) = self.watched.remove(directory) {
            self.paths.remove(&identity);
            // The kernel may have dropped it already, with the directory.
            let _ = self.watcher.unwatch(directory);
        }
    }
}

enum Failure {
    Io(io::Error),
    Watch(notify::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
