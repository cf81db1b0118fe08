//! What the page reads, and keeps: finished values, and what it saw last.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::build::controller::{Outputs, Questions};
use crate::xds::Reports;

use super::history::History;

/// How many may follow at a time.
pub(super) const FOLLOWERS: usize = 16;

/// What the page asks. A cheap handle.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) outputs: Outputs,
    pub(super) reports: Reports,
    pub(super) history: Arc<Mutex<History>>,
    pub(super) places: Arc<Semaphore>,
}

impl Page {
    /// The page of a control plane with these results, whose Envoys are reported here.
    #[must_use]
    pub fn new(outputs: Outputs, reports: Reports) -> Self {
        Self {
            outputs,
            reports,
            history: Arc::default(),
            places: Arc::new(Semaphore::new(FOLLOWERS)),
        }
    }

    /// Looks what has changed since the last look.
    pub(super) fn look(&self) {
        let published = self.outputs.snapshots.borrow().clone();
        let statuses = self.outputs.statuses.borrow().clone();
        if let Some(published) = published {
            self.history().look(&published, statuses);
        }
    }

    /// Nothing is called under this lock that could panic and leave it half done.
    pub(super) fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `/debug/changes`.
    pub(super) fn changes(&self) -> String {
        self.look();
        self.history().to_json().to_string()
    }

    pub(super) const fn questions(&self) -> &Questions {
        &self.outputs.questions
    }
}
