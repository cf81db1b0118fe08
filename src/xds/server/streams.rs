//! How many streams of a connection have had a request: a connection without one is nobody's yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count of one connection; every clone shows the same. It guards no other memory, hence the order of its accesses
/// does not matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<AtomicUsize>);

/// Counts one stream while it lives.
#[derive(Debug)]
pub(super) struct Counted(Streams);

impl Streams {
    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// One more, until the result is dropped.
    pub(super) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
