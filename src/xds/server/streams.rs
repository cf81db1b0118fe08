//! The streams of one connection, and how healthy that connection is: see [`super::eviction`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::xds::stream::Answers;

/// How long an answer may take before it counts as missing. Envoy holds its answer to CDS for 15 s where a cluster has no
/// endpoints (measured).
const LATE: Duration = Duration::from_secs(60);

/// How a connection is used, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// No request came on it.
    Silent,
    /// The client has answered no response.
    NeverAnswered,
    /// A response has waited longer than [`LATE`] for its answer.
    Late,
    /// The client answers.
    Good,
}

/// The streams of one connection that have had a request; every clone shows the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    open: Arc<Mutex<Open>>,
    closed: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    streams: BTreeMap<u64, Answers>,
}

/// One stream while it lives.
#[derive(Debug)]
pub(super) struct Counted {
    streams: Streams,
    number: u64,
}

impl Streams {
    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        !self.lock().streams.is_empty()
    }

    /// The health of the best of them.
    pub(super) fn health(&self, now: Instant) -> Health {
        let open = self.lock();
        let healths = open.streams.values().map(|answers| match answers {
            Answers {
                has_answered: false,
                ..
            } => Health::NeverAnswered,
            Answers {
                owes_since: Some(since),
                ..
            } if now.saturating_duration_since(*since) > LATE => Health::Late,
            _ => Health::Good,
        });
        healths.max().unwrap_or(Health::Silent)
    }

    /// One more, until the result is dropped.
    pub(super) fn enter(&self) -> Counted {
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        open.streams.insert(number, Answers::default());
        Counted {
            streams: self.clone(),
            number,
        }
    }

    /// The connection is to end, whatever its client does.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// When it is to end.
    pub(super) async fn closed(&self) {
        // The sender is here.
        let _ = self
            .closed
            .subscribe()
            .wait_for(|is_closed| *is_closed)
            .await;
    }

    /// Nothing panics while this is locked.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// What the client has answered by now.
    pub(super) fn answers(&self, answers: Answers) {
        self.streams.lock().streams.insert(self.number, answers);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.streams.lock().streams.remove(&self.number);
    }
}
