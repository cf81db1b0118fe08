//! The files of a directory, found again and again, each directory watched before it is listed.
//!
//! Watches are set directory by directory: a recursive watch would miss what appears in a new directory between
//! its birth and its watch. Names that begin with a dot are passed over: editors keep their copies there, and
//! a mounted ConfigMap its versions (`..data`), which the names beside them link to.
//!
//! What links lead to is looked at last, and once, however many of them there are and whatever is in the tree anyway:
//! thirty directories with two links each to the next would otherwise be a thousand million.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::problem::{ManifestError, Problem};

/// No manifest is this deep.
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
    /// `None` for a tree that is looked at once.
    watcher: Option<RecommendedWatcher>,
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

fn identity_of(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// A walk under way. Depths count the directories from the root.
#[derive(Default)]
struct Walk {
    found: Found,
    /// Directories whose watch is needed.
    needed: BTreeSet<Identity>,
    /// Directories that were listed, and files that were found.
    directories: BTreeSet<Identity>,
    files: BTreeSet<Identity>,
    /// Directories that are to be listed.
    open: Vec<(PathBuf, usize)>,
    /// Links that are to be followed when nothing else is left, so that what is in the tree is known by its own path. The
    /// first path by name comes first: the same tree is found in the same way.
    links: BTreeMap<PathBuf, usize>,
}

impl Tree {
    pub(super) fn new(root: PathBuf, watcher: Option<RecommendedWatcher>) -> Self {
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
        let mut walk = Walk::default();
        self.aliased = false;
        self.standing = self.standing();
        // The root itself can be removed, made anew, or be a link that is turned: its parent tells. Where the
        // parent can't be watched, that is all that is missing.
        let root = self.root.clone();
        if let Some(parent) = root.parent()
            && let Ok(identity) = self.watch(parent)
        {
            walk.needed.insert(identity);
        }
        match fs::metadata(&root) {
            Ok(metadata) if metadata.is_file() => {
                self.watch_target(&root, &mut walk.needed);
                walk.found.files.insert(root, Stamp::new(&metadata));
            }
            _ => walk.open.push((root, 0)),
        }
        loop {
            let (path, result) = if let Some((directory, depth)) = walk.open.pop() {
                let result = self.list(&directory, depth, &mut walk);
                (directory, result)
            } else if let Some((link, depth)) = walk.links.pop_first() {
                let result = self.follow(&link, depth, &mut walk);
                (link, result)
            } else {
                break;
            };
            match result {
                Ok(()) => {}
                Err(Failure::Watch(cause)) => {
                    return Err(ManifestError::Unwatchable { path, cause });
                }
                Err(Failure::Io(cause)) if path == self.root => {
                    return Err(ManifestError::Unreadable { path, cause });
                }
                // It went while we were walking, and an event says so.
                Err(Failure::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(Failure::Io(cause)) => {
                    let reason = format!("can't read the directory: {cause}");
                    let problem = Problem::of_file(&path, reason);
                    walk.found.unreadable.push(problem);
                }
            }
        }
        let Walk { found, needed, .. } = walk;
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

    fn list(&mut self, directory: &Path, depth: usize, walk: &mut Walk) -> Result<(), Failure> {
        let identity = self.watch(directory)?;
        walk.needed.insert(identity);
        if depth >= DEPTH_LIMIT || !walk.directories.insert(identity) {
            return Ok(());
        }
        // Events name the path of the watch, which may be an older one.
        self.aliased |= self
            .paths
            .get(&identity)
            .is_none_or(|path| path != directory);
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_symlink() {
                walk.links.insert(path, depth + 1);
            } else if kind.is_dir() {
                walk.open.push((path, depth + 1));
            } else if kind.is_file()
                && Self::is_manifest(&path)
                && let Ok(metadata) = entry.metadata()
            {
                walk.files.insert(identity_of(&metadata));
                walk.found.files.insert(path, Stamp::new(&metadata));
            }
        }
        Ok(())
    }

    /// Looks at what a link leads to, unless that was looked at; what it leads to nowhere is not there.
    fn follow(&mut self, link: &Path, depth: usize, walk: &mut Walk) -> Result<(), Failure> {
        let Ok(metadata) = fs::metadata(link) else {
            return Ok(());
        };
        let identity = identity_of(&metadata);
        if metadata.is_dir() && !walk.directories.contains(&identity) {
            return self.list(link, depth, walk);
        }
        if metadata.is_file() && Self::is_manifest(link) && walk.files.insert(identity) {
            self.watch_target(link, &mut walk.needed);
            walk.found
                .files
                .insert(link.to_owned(), Stamp::new(&metadata));
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
        let metadata = fs::metadata(directory)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        let identity = identity_of(&metadata);
        if self.watched.get(directory) == Some(&identity) {
            return Ok(identity);
        }
        self.unwatch(directory);
        if self.paths.contains_key(&identity) {
            return Ok(identity);
        }
        let watched = match &mut self.watcher {
            Some(watcher) => watcher.watch(directory, RecursiveMode::NonRecursive),
            None => Ok(()),
        };
        match watched {
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
            if let Some(watcher) = &mut self.watcher {
                // The kernel may have dropped it already, with the directory.
                let _ = watcher.unwatch(directory);
            }
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
