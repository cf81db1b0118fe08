//! What the file system says has happened, boiled down to what has to be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;

use super::tree::Tree;

/// Everything that happened since it was last asked for. It is as large as the number of paths, never as the
/// number of events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Whether the tree has to be walked: something happened that is not just new content of a file.
    pub(super) tree: bool,
    /// Files with new content.
    pub(super) files: BTreeMap<PathBuf, Touch>,
    /// Paths that were moved or removed.
    pub(super) removed: BTreeSet<PathBuf>,
    /// The watch itself failed.
    pub(super) failure: Option<String>,
}

/// What happened to a file last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// Somebody is writing to it.
    Writing,
    /// It was written and closed, or moved here as a whole.
    Done,
}

impl Touched {
    /// Adds one event. With `any`, files of any name count, not only those that are named as manifests are.
    pub(super) fn add(&mut self, event: notify::Result<Event>, any: bool) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.failure.get_or_insert_with(|| error.to_string());
                return;
            }
        };
        if event.need_rescan() {
            self.tree = true;
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.touch(event, Touch::Done, any)
            }
            // Reading, which we do ourselves.
            EventKind::Access(_) => {}
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
                self.touch(event, Touch::Writing, any)
            }
            EventKind::Create(CreateKind::File) => {
                // It may be a link, which is whole from the start: the walk sees that.
                self.tree = true;
                self.touch(event, Touch::Writing, any);
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                self.tree = true;
                self.touch(event, Touch::Done, any);
            }
            // The two halves came before.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => self.tree = true,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
                self.tree = true;
                for path in event.paths {
                    self.files.remove(&path);
                    self.removed.insert(path);
                }
            }
            _ => self.tree = true,
        }
    }

    fn touch(&mut self, event: Event, touch: Touch, any: bool) {
        for path in event.paths {
            if any || Tree::is_manifest(&path) {
                self.files.insert(path, touch);
            }
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Gathers events between two looks. The lock is held for single insertions only.
#[derive(Clone, Debug)]
pub(super) struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The absolute path of the directory of manifests, or of the one file.
    root: PathBuf,
    /// Whether it is one file. It may be a link to any of its neighbours.
    is_file: bool,
    touched: Mutex<Touched>,
    wake: Notify,
}

impl Inbox {
    /// An inbox for what is at an absolute path, and for its parent. (The watch names absolute paths.)
    pub(super) fn new(root: &Path) -> Self {
        Self(Arc::new(Shared {
            root: root.to_owned(),
            is_file: root.is_file(),
            touched: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Adds one event and wakes whoever waits.
    pub(super) fn put(&self, event: notify::Result<Event>) {
        if let Ok(event) = &event
            && !event.paths.is_empty()
            && event.paths.iter().all(|path| self.is_neighbour(path))
        {
            return;
        }
        let mut touched = self.lock();
        touched.add(event, self.0.is_file);
        if !touched.is_empty() {
            self.0.wake.notify_one();
        }
    }

    /// Whether the path stands beside the directory: its parent is watched for the directory's sake only.
    fn is_neighbour(&self, path: &Path) -> bool {
        !self.0.is_file && path != self.0.root && path.parent() == self.0.root.parent()
    }

    /// Takes everything that has happened.
    pub(super) fn take(&self) -> Touched {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until something has happened.
    pub(super) async fn changed(&self) {
        self.0.wake.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Touched> {
        self.0
            .touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
