//! Which object may be written now, and what follows from the answer: what the writers of addresses and of Events
//! share.
//!
//! **A pause belongs to the object whose write failed.** An Ingress that can't be written, or whose admission webhook
//! hangs, must not keep an address from anybody else's: namespaces have turns ([`Queue`]), several calls are under way
//! at once, few of them in one namespace, and each object has a back-off of its own.
//!
//! | answer | what follows |
//! |---|---|
//! | 404; 403 in a namespace that is being deleted | nothing: the object is gone |
//! | 403 | the namespace waits: rights and quotas are given by namespace |
//! | 409 | the object waits: it has changed meanwhile |
//! | 408, 5xx, none in time | the object waits: webhooks and conversions fail for one object as often as for all |
//! | 401, 429, no connection | everything waits: it is this client that is unwelcome, or nobody is there |
//! | 413, or etcd's word for it as 500; any other 4xx | nothing: the same write will not be taken another time |
//! | what is there is somebody else's | nothing, as with these |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::time::Instant;
use tracing::debug;

use super::queue::{Pace, Queue};
use crate::objects::NamespacedName;
use crate::status::api_call::{Failure, Outage};

/// No call may take longer. A call that was cut is made again, so this is not short for a slow API server.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Calls that are under way at one time.
const UNDER_WAY: usize = 8;

/// Calls that are under way at one time in one namespace: a webhook that hangs there leaves the rest to the others.
const UNDER_WAY_IN_NAMESPACE: usize = 2;

/// How often a pause is doubled: an object waits 1 s to 256 s, a namespace without the right 30 s to 240 s.
const OBJECT_DOUBLINGS: u32 = 8;
const NAMESPACE_DOUBLINGS: u32 = 3;
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that the API server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// How often something is written, with which result (`ok`, or why not).
pub(super) type Results = Family<[(&'static str, &'static str); 1], Counter>;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Look at this object now.
    Of(NamespacedName),
    /// Nothing before this time, an end of a call, or news.
    Wait(Option<Instant>),
}

/// What becomes of an object whose write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is gone.
    Gone,
    /// It will have another turn.
    Again,
    /// Its turn does not come again by itself.
    Final,
}

/// The writes of one kind, of one term as leader.
pub(super) struct Writes {
    queue: Queue,
    pace: Pace,
    outage: Outage,
    results: Results,
    /// The objects whose call is under way, and whether they are to be looked at again after it.
    under_way: BTreeMap<NamespacedName, bool>,
    in_namespace: BTreeMap<Arc<str>, usize>,
    /// How often in a row the write of an object failed.
    failing: BTreeMap<NamespacedName, u32>,
    /// Namespaces in which a write was forbidden: until when that is believed, and how often in a row.
    forbidden: BTreeMap<Arc<str>, (Instant, u32)>,
    /// Set from a failure that stops everything to the next answer: until when nothing is called.
    held: Option<Instant>,
    backoff: DefaultBackoff,
}

impl Writes {
    /// `activity` is what the log calls it.
    pub(super) fn new(
        activity: impl Into<Cow<'static, str>>,
        pace: Pace,
        results: Results,
    ) -> Self {
        Self {
            queue: Queue::default(),
            pace,
            outage: Outage::with(activity),
            results,
            under_way: BTreeMap::new(),
            in_namespace: BTreeMap::new(),
            failing: BTreeMap::new(),
            forbidden: BTreeMap::new(),
            held: None,
            backoff: DefaultBackoff::default(),
        }
    }

    /// Gives an object a turn at `when`. Where its call is under way it has one right after that.
    pub(super) fn add(&mut self, key: &NamespacedName, when: Instant) {
        match self.under_way.get_mut(key) {
            Some(again) => *again = true,
            None => self.queue.add(key.clone(), when),
        }
    }

    /// Forgets an object.
    pub(super) fn remove(&mut self, key: &NamespacedName) {
        self.queue.remove(key);
        self.failing.remove(key);
        if let Some(again) = self.under_way.get_mut(key) {
            *again = false;
        }
    }

    /// Whose turn it is.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        // While the server is unreachable one call probes it.
        let most = if self.held.is_some() { 1 } else { UNDER_WAY };
        if self.under_way.len() >= most {
            return Turn::Wait(None);
        }
        let ready = self.pace.ready(now).max(self.held.unwrap_or(now));
        if ready > now {
            return Turn::Wait(Some(ready));
        }
        let in_namespace = &self.in_namespace;
        let may = |namespace: &Arc<str>| {
            let calls = in_namespace.get(namespace).copied().unwrap_or_default();
            calls < UNDER_WAY_IN_NAMESPACE
        };
        match self.queue.pop(now, may) {
            Some(key) => Turn::Of(key),
            None => Turn::Wait(self.queue.next_due()),
        }
    }

    /// Takes the call for an object whose turn it is, if its namespace may be written to; else the object waits.
    pub(super) fn begin(&mut self, key: &NamespacedName, now: Instant) -> bool {
        if let Some((until, _)) = self.forbidden.get(&key.namespace)
            && now < *until
        {
            self.queue.add(key.clone(), *until);
            return false;
        }
        self.pace.take(now);
        self.under_way.insert(key.clone(), false);
        let calls = self.in_namespace.entry(key.namespace.clone());
        *calls.or_default() += 1;
        true
    }

    /// The call went well, and made a change or found that there is none to be made.
    pub(super) fn went_well(&mut self, key: &NamespacedName, result: &'static str, now: Instant) {
        self.end(key, now);
        self.count(result);
        self.failing.remove(key);
        self.forbidden.remove(&key.namespace);
        self.answered(now);
        if self.failing.is_empty() && self.forbidden.is_empty() && self.held.is_none() {
            self.outage.over();
        }
    }

    /// The call failed.
    pub(super) fn failed(&mut self, key: &NamespacedName, failure: &Failure, now: Instant) -> Fate {
        self.end(key, now);
        self.count(failure.label());
        let (code, message) = match failure {
            Failure::Refused { code, message, .. } => (Some(*code), message.as_str()),
            Failure::TimedOut(_) => (Some(408), ""),
            Failure::Broken(_) => (None, ""),
            Failure::Declined(_) => {
                self.answered(now);
                self.failing.remove(key);
                return Fate::Final;
            }
        };
        match code {
            None | Some(401 | 429) => {
                self.outage.failed(key, failure);
                self.hold(failure, now);
                self.queue.add(key.clone(), now);
                return Fate::Again;
            }
            _ => self.answered(now),
        }
        match code {
            Some(404) => Fate::Gone,
            Some(403) if message.contains("being terminated") => Fate::Gone,
            Some(403) => {
                self.outage.failed(key, failure);
                let until = self.forbid(&key.namespace, now);
                self.queue.add(key.clone(), until);
                Fate::Again
            }
            Some(409) => {
                debug!(object = %key, error = %failure, "it has changed; looking again");
                let pause = self.pause(key);
                self.queue.add(key.clone(), now + pause);
                Fate::Again
            }
            Some(408 | 500..) if !failure.is_too_large() => {
                self.outage.failed(key, failure);
                let pause = self.pause(key);
                self.queue.add(key.clone(), now + pause);
                Fate::Again
            }
            _ => {
                self.failing.remove(key);
                Fate::Final
            }
        }
    }

    fn end(&mut self, key: &NamespacedName, now: Instant) {
        if self.under_way.remove(key) == Some(true) {
            self.queue.add(key.clone(), now);
        }
        if let Some(calls) = self.in_namespace.get_mut(&key.namespace) {
            *calls -= 1;
            if *calls == 0 {
                self.in_namespace.remove(&key.namespace);
            }
        }
    }

    /// The server is there; unless this is the answer to a call that was under way before it turned out not to be.
    fn answered(&mut self, now: Instant) {
        if self.held.is_none_or(|until| until <= now) {
            self.held = None;
            self.backoff.reset();
        }
    }

    fn hold(&mut self, failure: &Failure, now: Instant) {
        let asked = match failure {
            Failure::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let mut until = now + asked.min(LONGEST_ASKED);
        // Calls that were under way when the first one failed say nothing new.
        match self.held.filter(|held| *held > now) {
            Some(held) => until = until.max(held),
            None => until = until.max(now + self.backoff.next().unwrap_or(FORBIDDEN_PAUSE)),
        }
        self.held = Some(until);
    }

    fn pause(&mut self, key: &NamespacedName) -> Duration {
        let failures = self.failing.entry(key.clone()).or_default();
        let pause = Duration::from_secs(1 << (*failures).min(OBJECT_DOUBLINGS));
        *failures += 1;
        pause
    }

    fn forbid(&mut self, namespace: &Arc<str>, now: Instant) -> Instant {
        let entry = self.forbidden.entry(namespace.clone());
        let (until, times) = entry.or_insert((now, 0));
        // As above: two calls may have been under way.
        if *until <= now {
            *until = now + FORBIDDEN_PAUSE * (1 << (*times).min(NAMESPACE_DOUBLINGS));
            *times += 1;
        }
        *until
    }

    fn count(&self, result: &'static str) {
        self.results.get_or_create(&[("result", result)]).inc();
    }
}

/// Returns at this time; never without one.
pub(super) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn refused(code: u16) -> Failure {
        Failure::Refused {
            code,
            message: "no".into(),
            retry_after: None,
        }
    }

    /// Lets the object `a/x` fail `times` times; returns the pause after the last, and when `b/y` has its turn then.
    fn check(failure: &Failure, times: usize) -> (Option<u64>, u64) {
        let (a, b) = (NamespacedName::new("a", "x"), NamespacedName::new("b", "y"));
        let pace = Pace::new(1000, 1000);
        let mut writes = Writes::new("testing", pace, Results::default());
        let mut now = Instant::now();
        writes.add(&a, now);
        for turn in 1..=times {
            let due = |writes: &mut Writes, mut now| loop {
                match writes.turn(now) {
                    Turn::Of(_) => return Some(now),
                    Turn::Wait(when) => now = when?,
                }
            };
            now = due(&mut writes, now).unwrap();
            assert!(writes.begin(&a, now));
            writes.failed(&a, failure, now);
            if turn == times {
                let failed = now;
                writes.add(&b, now);
                let other = due(&mut writes, now).unwrap();
                assert!(writes.begin(&b, other));
                writes.went_well(&b, "ok", other);
                let again = due(&mut writes, other.max(failed));
                let seconds = |at: Instant| (at - failed).as_secs();
                return (again.map(seconds), seconds(other));
            }
        }
        unreachable!("it fails at least once");
    }

    #[test]
    fn a_pause_is_the_objects() {
        let timed_out = Failure::TimedOut(CALL_LIMIT);
        for failure in [refused(500), refused(503), refused(408), timed_out] {
            assert_eq!(check(&failure, 1), (Some(1), 0), "{failure}");
            assert_eq!(check(&failure, 5), (Some(16), 0), "{failure}");
            assert_eq!(check(&failure, 20), (Some(256), 0), "{failure}");
        }
        assert_eq!(check(&refused(409), 2), (Some(2), 0));
        for code in [400, 404, 405, 413, 415, 422] {
            assert_eq!(check(&refused(code), 1), (None, 0), "{code}");
        }
        let by_etcd = Failure::Refused {
            code: 500,
            message: "etcdserver: request is too large".into(),
            retry_after: None,
        };
        assert_eq!(check(&by_etcd, 1), (None, 0));
    }

    #[test]
    fn what_is_the_clients_stops_everything() {
        let asked = Failure::Refused {
            code: 429,
            message: "slower".into(),
            retry_after: Some(Duration::from_secs(40)),
        };
        let (_, other) = check(&asked, 1);
        assert_eq!(other, 40);
        for failure in [refused(401), refused(429), Failure::Broken("gone".into())] {
            let (_, other) = check(&failure, 10);
            assert!((1..=60).contains(&other), "{failure}: {other}");
        }
        let for_ever = Failure::Refused {
            code: 429,
            message: "never".into(),
            retry_after: Some(Duration::from_secs(u32::MAX.into())),
        };
        assert_eq!(check(&for_ever, 1).1, LONGEST_ASKED.as_secs());
    }

    #[test]
    fn a_namespace_without_the_right_waits_and_no_other() {
        let now = Instant::now();
        let pace = Pace::new(1000, 1000);
        let mut writes = Writes::new("testing", pace, Results::default());
        let key = |name: &str| NamespacedName::new("a", name);
        let mut expected = now;
        for seconds in [30, 60, 120, 240, 240] {
            let at = expected;
            assert!(writes.begin(&key("x"), at) && writes.begin(&key("y"), at));
            for name in ["x", "y"] {
                assert_eq!(writes.failed(&key(name), &refused(403), at), Fate::Again);
            }
            expected += Duration::from_secs(seconds);
            assert!(!writes.begin(&key("z"), expected - Duration::from_millis(1)));
            assert!(writes.begin(&NamespacedName::new("b", "x"), at));
            writes.went_well(&NamespacedName::new("b", "x"), "ok", at);
        }
        let going = Failure::Refused {
            code: 403,
            message: "namespace a is being terminated".into(),
            retry_after: None,
        };
        assert!(writes.begin(&key("x"), expected));
        assert_eq!(writes.failed(&key("x"), &going, expected), Fate::Gone);
    }

    #[test]
    fn few_calls_are_under_way_in_one_namespace() {
        let now = Instant::now();
        let pace = Pace::new(1000, 1000);
        let mut writes = Writes::new("testing", pace, Results::default());
        for namespace in 0..10 {
            for name in 0..10 {
                let key = NamespacedName::new(namespace.to_string(), name.to_string());
                writes.add(&key, now);
            }
        }
        let mut begun = Vec::new();
        while let Turn::Of(key) = writes.turn(now) {
            assert!(writes.begin(&key, now));
            begun.push(key);
        }
        assert_eq!(begun.len(), UNDER_WAY);
        // All of one namespace hang: the others go on without it.
        let hanging: Vec<_> = begun.iter().map(|key| key.namespace.clone()).collect();
        writes.went_well(&begun[7], "ok", now);
        while let Turn::Of(key) = writes.turn(now) {
            assert!(writes.begin(&key, now));
            let calls = writes.in_namespace[&key.namespace];
            assert!(calls <= UNDER_WAY_IN_NAMESPACE, "{key}");
            if !hanging.contains(&key.namespace) {
                writes.went_well(&key, "ok", now);
            }
        }
    }

    #[test]
    fn what_changes_while_its_call_is_under_way_has_another_turn() {
        let now = Instant::now();
        let mut writes = Writes::new("testing", Pace::new(1000, 1000), Results::default());
        let [changed, gone] = ["changed", "gone"].map(|name| NamespacedName::new("a", name));
        for key in [&changed, &gone] {
            writes.add(key, now);
            assert_eq!(writes.turn(now), Turn::Of(key.clone()));
            assert!(writes.begin(key, now));
            writes.add(key, now);
        }
        writes.remove(&gone);
        writes.went_well(&changed, "ok", now);
        assert_eq!(writes.failed(&gone, &refused(404), now), Fate::Gone);
        assert_eq!(writes.turn(now), Turn::Of(changed.clone()));
        assert!(writes.begin(&changed, now));
        writes.went_well(&changed, "ok", now);
        assert_eq!(writes.turn(now), Turn::Wait(None));
    }
}
