//! Who may write: leader election on one `coordination.k8s.io/v1` Lease, as a state machine without IO.
//!
//! The rules are those of client-go's `tools/leaderelection` (`tryAcquireOrRenew`):
//! - A lease is free when nobody holds it or when its record has not *changed* for its duration, measured on our
//!   own monotonic clock from when we first saw it. Nobody else's clock is believed, so skew does no harm.
//! - Every write names the version that was read; of two candidates the API server lets one through.
//! - A leader that has not renewed for the renew deadline is none any more, before anybody else can be one:
//!   the deadline counts from before the renewal was sent, the others' duration from after it was stored.
//!
//! One departure: a candidate that sees a living holder looks again after a spread time (up to the lease's
//! duration) instead of every two seconds, because there is one candidate per node.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// The three times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionTiming {
    /// How long the others wait after the last change before they take over. Whole seconds.
    pub lease_duration: Duration,
    /// How long a leader that can't renew goes on. Shorter than the lease duration.
    pub renew_deadline: Duration,
    /// Time between two tries.
    pub retry_period: Duration,
}

impl Default for ElectionTiming {
    /// client-go's: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// What to do next in one try.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the Lease; then [`Election::read`].
    Read,
    /// Create this Lease; then [`Election::wrote`], or [`Election::refused`].
    Create(Lease),
    /// Replace the Lease by this one, whose version must still be current; then as above.
    Replace(Lease),
    /// Somebody else holds it.
    Wait,
}

/// One candidate's view of the Lease.
#[derive(Debug)]
pub struct Election {
    name: String,
    namespace: String,
    identity: String,
    timing: ElectionTiming,
    /// The Lease as last seen, and when its record was first seen.
    observed: Option<(Lease, Instant)>,
    /// Whether `observed` has the version to write on.
    current: bool,
    /// When the last successful renewal was begun.
    renewed: Option<Instant>,
    /// Counts the looks, to spread them.
    looks: u64,
}

impl Election {
    /// A candidate, not yet leader. `identity` is unique among all processes.
    pub fn new(namespace: &str, name: &str, identity: &str, timing: ElectionTiming) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            timing,
            observed: None,
            current: false,
            renewed: None,
            looks: 0,
        }
    }

    /// Until when the candidate is leader if nothing further happens.
    #[must_use]
    pub fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|at| at + self.timing.renew_deadline)
    }

    /// Whether it is leader at this moment.
    #[must_use]
    pub fn leads(&self, now: Instant) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// Who holds the Lease as far as we know; `None` for nobody.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        let (lease, _) = self.observed.as_ref()?;
        holder_of(lease)
    }

    /// Begins a try.
    #[must_use]
    pub fn begin(&self, now: Instant, wall: Timestamp) -> Step {
        match &self.observed {
            // A leader renews on what it wrote last and reads only when that is refused.
            Some((lease, _)) if self.current && self.leads(now) => {
                Step::Replace(self.claim(lease, wall))
            }
            _ => Step::Read,
        }
    }

    /// The Lease was read; `None` where it does not exist.
    pub fn read(&mut self, now: Instant, wall: Timestamp, lease: Option<Lease>) -> Step {
        let Some(lease) = lease else {
            self.observed = None;
            return Step::Create(self.claim(&Lease::default(), wall));
        };
        let since = match &self.observed {
            Some((known, since)) if known.spec == lease.spec => *since,
            _ => now,
        };
        let mine = holder_of(&lease) == Some(&self.identity);
        let free = holder_of(&lease).is_none() || now >= since + duration_of(&lease, self.timing);
        let claim = (mine || free).then(|| self.claim(&lease, wall));
        if !mine {
            self.renewed = None;
        }
        self.observed = Some((lease, since));
        self.current = true;
        claim.map_or(Step::Wait, Step::Replace)
    }

    /// Our record was stored, asked for at `asked`, as this Lease.
    pub fn wrote(&mut self, asked: Instant, lease: Lease) {
        self.renewed = Some(asked);
        self.current = true;
        self.observed = Some((lease, asked));
    }

    /// The version was not current any more, or the try failed in another way: the next one reads first.
    pub fn refused(&mut self) {
        self.current = false;
    }

    /// Gives the Lease up; returns what to store so that others need not wait, where it is known to be ours.
    pub fn release(&mut self, wall: Timestamp) -> Option<Lease> {
        self.renewed = None;
        let (lease, _) = self.observed.take()?;
        if !self.current || holder_of(&lease) != Some(&self.identity) {
            return None;
        }
        let mut lease = lease;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.acquire_time = Some(MicroTime(wall));
        spec.renew_time = Some(MicroTime(wall));
        Some(lease)
    }

    /// How long to wait after a try that did not fail.
    pub fn pause(&mut self, now: Instant) -> Duration {
        let retry = self.timing.retry_period;
        if let Some(until) = self.leads_until()
            && now < until
        {
            return retry.min(until - now);
        }
        self.looks += 1;
        let seed = format!("{}/{}", self.identity, self.looks);
        // 16 bits of the hash as a fraction: enough to spread a fleet, and exact in a float.
        let fraction =
            f64::from(u16::try_from(xxh3_64(seed.as_bytes()) >> 48).unwrap_or(0)) / 65536.0;
        match &self.observed {
            Some((lease, since)) if holder_of(lease).is_some() => {
                let duration = duration_of(lease, self.timing);
                let spread = retry + duration.saturating_sub(retry).mul_f64(fraction);
                // Not longer than until it can be taken, less crowded than all at that moment.
                let expires = (*since + duration).saturating_duration_since(now);
                spread.min(expires + retry.mul_f64(fraction))
            }
            _ => retry.mul_f64(1.0 + fraction),
        }
    }

    fn claim(&self, lease: &Lease, wall: Timestamp) -> Lease {
        let mut claim = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..lease.metadata.clone()
            },
            spec: lease.spec.clone(),
        };
        let mine = holder_of(lease) == Some(&self.identity);
        let spec = claim.spec.get_or_insert_with(LeaseSpec::default);
        if !mine {
            spec.acquire_time = Some(MicroTime(wall));
            // A Lease that is created has changed hands never.
            if lease.metadata.resource_version.is_some() {
                spec.lease_transitions =
                    Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            } else {
                spec.lease_transitions = Some(0);
            }
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.renew_time = Some(MicroTime(wall));
        spec.lease_duration_seconds =
            Some(i32::try_from(self.timing.lease_duration.as_secs().max(1)).unwrap_or(i32::MAX));
        claim
    }
}

fn holder_of(lease: &Lease) -> Option<&str> {
    lease
        .spec
        .as_ref()?
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}

fn duration_of(lease: &Lease, timing: ElectionTiming) -> Duration {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(timing.lease_duration, Duration::from_secs)
}

#[cfg(test)]
mod records;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// An API server with one Lease in it and optimistic concurrency.
    #[derive(Default)]
    struct Server {
        lease: Option<Lease>,
        version: u64,
    }

    impl Server {
        fn write(&mut self, mut lease: Lease) -> Option<Lease> {
            let expected = self
                .lease
                .as_ref()
                .and_then(|l| l.metadata.resource_version.clone());
            if lease.metadata.resource_version != expected {
                return None;
            }
            self.version += 1;
            lease.metadata.resource_version = Some(self.version.to_string());
            self.lease = Some(lease.clone());
            Some(lease)
        }
    }

    fn attempt(election: &mut Election, server: &mut Server, now: Instant) {
        // A clock that only tells the writes apart, which is all that the rules need of it.
        let wall = Timestamp::from_second(i64::try_from(server.version).unwrap()).unwrap();
        let mut step = election.begin(now, wall);
        for _ in 0..4 {
            match step {
                Step::Read => step = election.read(now, wall, server.lease.clone()),
                Step::Wait => return,
                Step::Create(lease) | Step::Replace(lease) => match server.write(lease) {
                    Some(stored) => return election.wrote(now, stored),
                    None => {
                        election.refused();
                        step = Step::Read;
                    }
                },
            }
        }
        panic!("does not settle");
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn candidate(name: &str) -> Election {
        Election::new("isobath", "isobath", name, ElectionTiming::default())
    }

    fn transitions(server: &Server) -> i32 {
        let spec = server.lease.as_ref().unwrap().spec.as_ref().unwrap();
        spec.lease_transitions.unwrap()
    }

    #[test]
    fn the_first_one_leads_and_the_second_waits_until_it_is_silent() {
        let (mut a, mut b, mut server) = (candidate("a"), candidate("b"), Server::default());
        let start = Instant::now();
        attempt(&mut a, &mut server, start);
        attempt(&mut b, &mut server, start);
        assert!(a.leads(start) && !b.leads(start));
        assert_eq!(b.holder(), Some("a"));

        // Renewals keep b away for as long as they come.
        for n in 1..20 {
            let now = start + seconds(2 * n);
            attempt(&mut a, &mut server, now);
            attempt(&mut b, &mut server, now);
            assert!(a.leads(now) && !b.leads(now));
        }
        let last = start + seconds(38);
        // a is silent: it stops by itself after 10 s, b takes over after 15 s and not before.
        for (after, leader) in [(9, "a"), (10, ""), (14, ""), (15, "b")] {
            let now = last + seconds(after);
            attempt(&mut b, &mut server, now);
            assert_eq!(
                (a.leads(now), b.leads(now)),
                (leader == "a", leader == "b"),
                "{after}"
            );
        }
        assert_eq!(transitions(&server), 1);
        // a comes back and sees that it lost.
        let now = last + seconds(16);
        attempt(&mut a, &mut server, now);
        assert!(!a.leads(now) && b.leads(now));
    }

    #[test]
    fn a_leader_whose_version_is_stale_reads_and_yields() {
        let (mut a, mut server) = (candidate("a"), Server::default());
        let start = Instant::now();
        attempt(&mut a, &mut server, start);
        // Somebody else took it by hand.
        let mut lease = server.lease.clone().unwrap();
        lease.spec.as_mut().unwrap().holder_identity = Some("b".into());
        server.write(lease).unwrap();
        let now = start + seconds(2);
        attempt(&mut a, &mut server, now);
        assert!(!a.leads(now), "known at once, not after the deadline");
        assert_eq!(a.holder(), Some("b"));
    }

    #[test]
    fn of_two_that_see_it_free_one_wins() {
        let (mut a, mut b, mut server) = (candidate("a"), candidate("b"), Server::default());
        let now = Instant::now();
        let wall = Timestamp::UNIX_EPOCH;
        let Step::Create(of_a) = a.read(now, wall, None) else {
            panic!()
        };
        let Step::Create(of_b) = b.read(now, wall, None) else {
            panic!()
        };
        let stored = server.write(of_a).unwrap();
        a.wrote(now, stored);
        assert!(server.write(of_b).is_none());
        b.refused();
        attempt(&mut b, &mut server, now);
        assert!(a.leads(now) && !b.leads(now));
    }

    #[test]
    fn what_is_released_is_taken_at_once() {
        let (mut a, mut b, mut server) = (candidate("a"), candidate("b"), Server::default());
        let now = Instant::now();
        attempt(&mut a, &mut server, now);
        attempt(&mut b, &mut server, now);
        assert_eq!(b.release(Timestamp::UNIX_EPOCH), None, "only the holder");
        let released = a.release(Timestamp::UNIX_EPOCH).unwrap();
        assert!(!a.leads(now));
        server.write(released).unwrap();
        attempt(&mut b, &mut server, now);
        assert!(b.leads(now));
        assert_eq!(transitions(&server), 1);
    }

    #[test]
    fn a_renewal_without_answer_is_found_out_by_reading() {
        let (mut a, mut server) = (candidate("a"), Server::default());
        let start = Instant::now();
        attempt(&mut a, &mut server, start);
        // The server stored it, the answer was lost.
        let now = start + seconds(2);
        let Step::Replace(lease) = a.begin(now, Timestamp::UNIX_EPOCH) else {
            panic!()
        };
        server.write(lease).unwrap();
        a.refused();
        let now = start + seconds(4);
        attempt(&mut a, &mut server, now);
        assert_eq!(a.leads_until(), Some(now + seconds(10)));
        assert_eq!(transitions(&server), 0);
    }

    #[test]
    fn a_foreign_clock_and_a_broken_record_do_no_harm() {
        let mut b = candidate("b");
        let start = Instant::now();
        let lease = |holder: Option<&str>, seconds: Option<i32>| Lease {
            metadata: ObjectMeta {
                resource_version: Some("7".into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: holder.map(Into::into),
                // Years ago by our clock: the holder is alive all the same.
                renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
                lease_duration_seconds: seconds,
                ..LeaseSpec::default()
            }),
        };
        let wall = Timestamp::now();
        let held = lease(Some("a"), None);
        assert_eq!(b.read(start, wall, Some(held.clone())), Step::Wait);
        assert_eq!(
            b.read(start + seconds(14), wall, Some(held.clone())),
            Step::Wait
        );
        let late = b.read(start + seconds(15), wall, Some(held));
        assert!(matches!(late, Step::Replace(_)), "{late:?}");
        // No holder, no spec: free.
        let free = candidate("c").read(start, wall, Some(lease(None, Some(-1))));
        assert!(matches!(free, Step::Replace(_)), "{free:?}");
        let mut empty = lease(None, None);
        empty.spec = None;
        let free = candidate("c").read(start, wall, Some(empty));
        assert!(matches!(free, Step::Replace(_)), "{free:?}");
    }

    #[test]
    fn looks_are_spread_and_a_leader_renews_in_time() {
        let (mut a, mut server) = (candidate("a"), Server::default());
        let now = Instant::now();
        attempt(&mut a, &mut server, now);
        assert_eq!(a.pause(now), seconds(2));
        assert_eq!(
            a.pause(now + seconds(9)),
            seconds(1),
            "not past its deadline"
        );
        let mut pauses: Vec<_> = (0..100)
            .map(|n| {
                let mut b = candidate(&format!("b{n}"));
                attempt(&mut b, &mut server, now);
                b.pause(now)
            })
            .collect();
        pauses.sort();
        assert!(
            pauses[0] >= seconds(2) && pauses[99] <= seconds(15),
            "{pauses:?}"
        );
        assert!(pauses[90] - pauses[10] > seconds(8), "{pauses:?}");
    }
}
