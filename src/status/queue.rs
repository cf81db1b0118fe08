//! Which objects are to be looked at, and when: client-go's delaying work queue, without a clock of its own.
//!
//! An object is in it at most once, whatever happens to it meanwhile, so that any number of changes costs one
//! look. Of what is due the namespaces get one turn each, one after the other: a tenant with ten thousand objects
//! delays the others by one look. Also here: the pace at which looks may become calls.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::objects::NamespacedName;

/// Objects by the time at which they are due.
#[derive(Debug, Default)]
pub(super) struct Queue {
    at: BTreeMap<NamespacedName, Instant>,
    later: BTreeSet<(Instant, NamespacedName)>,
    /// By namespace, what was found to be due.
    due: BTreeMap<Arc<str>, BTreeSet<(Instant, NamespacedName)>>,
    /// The namespace that had the last turn.
    last: Arc<str>,
}

impl Queue {
    /// Adds an object that is due at `when`; one that is in already stays with the earlier time.
    pub(super) fn add(&mut self, key: NamespacedName, when: Instant) {
        if self.at.get(&key).is_some_and(|known| *known <= when) {
            return;
        }
        self.remove(&key);
        self.at.insert(key.clone(), when);
        self.later.insert((when, key));
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, key: &NamespacedName) {
        let Some(when) = self.at.remove(key) else {
            return;
        };
        let entry = (when, key.clone());
        if self.later.remove(&entry) {
            return;
        }
        if let Some(due) = self.due.get_mut(&key.namespace) {
            due.remove(&entry);
            if due.is_empty() {
                self.due.remove(&key.namespace);
            }
        }
    }

    /// Takes the object that is due longest in the next namespace that `may` have a turn, if any is.
    pub(super) fn pop(
        &mut self,
        now: Instant,
        may: impl Fn(&Arc<str>) -> bool,
    ) -> Option<NamespacedName> {
        while self.later.first().is_some_and(|(when, _)| *when <= now) {
            let (when, key) = self.later.pop_first()?;
            let due = self.due.entry(key.namespace.clone()).or_default();
            due.insert((when, key));
        }
        let last: &str = &self.last;
        let after = (Bound::Excluded(last), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Included(last));
        let namespaces = self.due.range::<str, _>(after);
        let namespaces = namespaces.chain(self.due.range::<str, _>(before));
        let (namespace, _) = namespaces.into_iter().find(|(name, _)| may(name))?;
        self.last = namespace.clone();
        let due = self.due.get_mut(&self.last)?;
        let (_, key) = due.pop_first()?;
        if due.is_empty() {
            self.due.remove(&self.last);
        }
        self.at.remove(&key);
        Some(key)
    }

    /// When the next object is due that was not yet when it was looked for last.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(when, _)| *when)
    }
}

/// A token bucket (as the GCRA): so many calls per second, a few more at once after a quiet time.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    tolerance: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// `per_second` and `burst` are at least 1.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            tolerance: interval * burst.saturating_sub(1),
            next: None,
        }
    }

    /// From when on the next call may be made.
    pub(super) fn ready(&self, now: Instant) -> Instant {
        let next = self.next.and_then(|next| next.checked_sub(self.tolerance));
        next.map_or(now, |at| at.max(now))
    }

    /// Takes the token of a call that is made now.
    pub(super) fn take(&mut self, now: Instant) {
        let next = self.next.map_or(now, |next| next.max(now));
        self.next = Some(next + self.interval);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn key(text: &str) -> NamespacedName {
        let (namespace, name) = text.split_once('/').unwrap();
        NamespacedName::new(namespace, name)
    }

    #[test]
    fn a_key_is_in_once_with_its_earliest_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queue = Queue::default();
        queue.add(key("n/a"), later);
        queue.add(key("n/a"), now);
        queue.add(key("n/b"), later);
        queue.add(key("n/b"), later + Duration::from_secs(1));
        queue.add(key("n/c"), now);
        queue.remove(&key("n/c"));
        queue.remove(&key("n/unknown"));
        let any = |_: &Arc<str>| true;
        assert_eq!(queue.pop(now, any), Some(key("n/a")));
        assert_eq!(queue.pop(now, any), None);
        assert_eq!(queue.next_due(), Some(later));
        assert_eq!(queue.pop(later, any), Some(key("n/b")));
        assert_eq!(queue.next_due(), None);
        // Found to be due, and taken out or added again all the same.
        for name in ["n/a", "n/b", "n/c"] {
            queue.add(key(name), now);
        }
        assert_eq!(queue.pop(now, any), Some(key("n/a")));
        queue.remove(&key("n/b"));
        queue.add(key("n/c"), later);
        assert_eq!(queue.pop(now, any), Some(key("n/c")));
        assert_eq!(queue.pop(later, any), None);
        assert!(queue.at.is_empty() && queue.due.is_empty());
    }

    #[test]
    fn namespaces_have_turns() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for name in ["b/1", "b/2", "b/3", "a/1", "a/2", "c/1"] {
            queue.add(key(name), now);
        }
        let mut order = Vec::new();
        while let Some(key) = queue.pop(now, |namespace| **namespace != *"c") {
            order.push(key.to_string());
        }
        assert_eq!(order, ["a/1", "b/1", "a/2", "b/2", "b/3"]);
        assert_eq!(queue.pop(now, |_| true), Some(key("c/1")));
    }

    #[test]
    fn the_pace_allows_a_burst_and_then_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 3);
        let waits: Vec<_> = (0..5)
            .map(|_| {
                let wait = pace.ready(now) - now;
                pace.take(now);
                wait.as_millis()
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        let later = now + Duration::from_secs(10);
        assert_eq!(pace.ready(later), later);
    }
}
