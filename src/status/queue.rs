//! Which objects are to be looked at, and when: client-go's delaying work queue, without a clock of its own.
//!
//! An object is in it at most once, whatever happens to it meanwhile, so that any number of changes costs one
//! look. Also here: the pace at which looks may become calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// Keys by the time at which they are due.
#[derive(Debug)]
pub(super) struct Queue<K> {
    due: BTreeSet<(Instant, K)>,
    at: BTreeMap<K, Instant>,
}

impl<K: Ord + Clone> Queue<K> {
    pub(super) const fn new() -> Self {
        Self {
            due: BTreeSet::new(),
            at: BTreeMap::new(),
        }
    }

    /// Adds a key that is due at `when`; one that is in already stays with the earlier time.
    pub(super) fn add(&mut self, key: K, when: Instant) {
        if let Some(known) = self.at.get(&key).copied() {
            if known <= when {
                return;
            }
            self.due.remove(&(known, key.clone()));
        }
        self.at.insert(key.clone(), when);
        self.due.insert((when, key));
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(known) = self.at.remove(key) {
            self.due.remove(&(known, key.clone()));
        }
    }

    /// Takes the key that is due longest, if any is.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        let (when, _) = self.due.first()?;
        if *when > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }

    /// When the next key is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(when, _)| *when)
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

    /// Takes a token; says from when on the call may be made.
    pub(super) fn take(&mut self, now: Instant) -> Instant {
        let next = self.next.map_or(now, |next| next.max(now));
        self.next = Some(next + self.interval);
        next.checked_sub(self.tolerance)
            .map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_key_is_in_once_with_its_earliest_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queue = Queue::new();
        queue.add("a", later);
        queue.add("a", now);
        queue.add("b", later);
        queue.add("b", later + Duration::from_secs(1));
        queue.add("c", now);
        queue.remove(&"c");
        queue.remove(&"unknown");
        assert_eq!(queue.pop(now), Some("a"));
        assert_eq!(queue.pop(now), None);
        assert_eq!(queue.next_due(), Some(later));
        assert_eq!(queue.pop(later), Some("b"));
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn the_pace_allows_a_burst_and_then_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 3);
        let waits: Vec<_> = (0..5).map(|_| (pace.take(now) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        let later = now + Duration::from_secs(10);
        assert_eq!(pace.take(later), later);
    }
}
