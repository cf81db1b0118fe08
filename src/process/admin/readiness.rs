//! What must have happened before the process is ready, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The parts that are pending. Ready means none is.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<Arc<str>, usize>>>);

/// A part that is pending until its token is [`done`](Self::done). Hand it to the task that does the work. A token that
/// is dropped instead stays pending: its task has failed, and a process on its way out must not call itself ready.
#[derive(Debug)]
#[must_use = "a part whose token is dropped is pending for ever"]
pub struct Pending {
    readiness: Readiness,
    name: Arc<str>,
}

impl Readiness {
    /// Not ready before `first` is done. There is no way to make an empty one, which would be ready before anybody had
    /// said what to wait for.
    pub fn new(first: impl Into<Arc<str>>) -> (Self, Pending) {
        let readiness = Self(Arc::default());
        let pending = readiness.add(first);
        (readiness, pending)
    }

    /// Adds a part. To be called while another part is still pending.
    pub fn add(&self, name: impl Into<Arc<str>>) -> Pending {
        let name = name.into();
        self.change(|parts| *parts.entry(name.clone()).or_default() += 1);
        Pending {
            readiness: self.clone(),
            name,
        }
    }

    /// The names of the pending parts, sorted. Empty: ready.
    #[must_use]
    pub fn pending(&self) -> Vec<Arc<str>> {
        self.change(|parts| parts.keys().cloned().collect())
    }

    /// The lock is held for one map operation; a poisoned one is as good as any, since no operation leaves a part.
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<Arc<str>, usize>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pending {
    /// The part is done.
    pub fn done(self) {
        let left = self.readiness.change(|parts| {
            if let Some(count) = parts.get_mut(&self.name) {
                *count -= 1;
                if *count == 0 {
                    parts.remove(&self.name);
                }
            }
            parts.keys().cloned().collect::<Vec<_>>()
        });
        if left.is_empty() {
            tracing::info!(done = &*self.name, "ready");
        } else {
            // Seven lines of a start that takes milliseconds; what a slow one waits for is on /readyz.
            tracing::debug!(
                done = &*self.name,
                pending = left.join(", "),
                "not ready yet"
            );
        }
    }
}

/// What keeps a process that has started from being ready, asked at each probe: it must answer at once.
#[derive(Clone)]
pub struct Unserved(Arc<dyn Fn() -> Vec<String> + Send + Sync>);

impl Unserved {
    /// Takes what gives the sentences, none when all is served.
    pub fn new(sentences: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(sentences))
    }

    /// The sentences of now.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        (self.0)()
    }
}

impl Default for Unserved {
    /// Nothing, ever.
    fn default() -> Self {
        Self::new(Vec::new)
    }
}

impl fmt::Debug for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unserved").field(&self.sentences()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_nothing_is_pending() {
        let (readiness, start) = Readiness::new("start");
        let services = readiness.add("services");
        let more_services = readiness.add("services");
        let check = |expected: &[&str]| {
            let pending = readiness.pending();
            assert_eq!(
                pending.iter().map(|name| &**name).collect::<Vec<_>>(),
                expected
            );
        };
        check(&["services", "start"]);
        start.done();
        check(&["services"]);
        services.done();
        check(&["services"]);
        more_services.done();
        check(&[]);
    }

    #[test]
    fn what_is_dropped_stays_pending() {
        let (readiness, start) = Readiness::new("start");
        drop(start);
        assert_eq!(readiness.pending(), ["start".into()]);
    }
}
