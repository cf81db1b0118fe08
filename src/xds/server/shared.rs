//! What the streams of all connections share.

use std::sync::Arc;

use tokio::sync::watch;

use super::memory_limit::MemoryLimit;
use crate::xds::stream::Timing;
use crate::xds::{Metrics, Published, Reports};

/// A clone for each connection.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) published: watch::Receiver<Option<Published>>,
    pub(super) timing: Timing,
    pub(super) identifier: Arc<str>,
    pub(super) metrics: Metrics,
    pub(super) reports: Reports,
    pub(super) memory_limit: MemoryLimit,
}
