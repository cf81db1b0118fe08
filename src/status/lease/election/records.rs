//! What is written into the Lease, and when a candidate looks at it: each field as others read it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn candidate(name: &str) -> Election {
    Election::new("isobath", "isobath", name, ElectionTiming::default())
}

/// The Lease as the API server stores it.
fn stored(mut lease: Lease, version: &str) -> Lease {
    lease.metadata.resource_version = Some(version.to_owned());
    lease
}

fn to_write(step: Step) -> Lease {
    match step {
        Step::Create(lease) | Step::Replace(lease) => lease,
        step => panic!("{step:?}"),
    }
}

/// Makes `election` the leader at this time, by this clock.
fn leads(election: &mut Election, now: Instant, second: i64) -> Lease {
    let lease = stored(to_write(election.read(now, at(second), None)), "1");
    election.wrote(now, lease.clone());
    lease
}

fn spec(lease: &Lease) -> &LeaseSpec {
    lease.spec.as_ref().unwrap()
}

#[test]
fn every_field_is_set_by_whom_it_should_be() {
    let start = Instant::now();
    let mut a = candidate("a");
    let first = leads(&mut a, start, 100);
    let expected = LeaseSpec {
        holder_identity: Some("a".into()),
        lease_duration_seconds: Some(15),
        acquire_time: Some(MicroTime(at(100))),
        renew_time: Some(MicroTime(at(100))),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    };
    assert_eq!(spec(&first), &expected);
    let metadata = &first.metadata;
    assert_eq!(metadata.name.as_deref(), Some("isobath"));
    assert_eq!(metadata.namespace.as_deref(), Some("isobath"));

    // A renewal leaves the time at which it was acquired.
    let renewed = to_write(a.begin(start + seconds(2), at(102)));
    let expected = LeaseSpec {
        renew_time: Some(MicroTime(at(102))),
        ..expected
    };
    assert_eq!(spec(&renewed), &expected);
    assert_eq!(renewed.metadata.resource_version.as_deref(), Some("1"));

    // Another takes it over when it has not changed for its duration.
    let mut b = candidate("b");
    let renewed = stored(renewed, "2");
    assert_eq!(
        b.read(start, at(102), Some(renewed.clone())),
        Step::Wait,
        "it is alive"
    );
    let taken = to_write(b.read(start + seconds(15), at(117), Some(renewed)));
    let expected = LeaseSpec {
        holder_identity: Some("b".into()),
        acquire_time: Some(MicroTime(at(117))),
        renew_time: Some(MicroTime(at(117))),
        lease_transitions: Some(1),
        ..expected
    };
    assert_eq!(spec(&taken), &expected);
    assert_eq!(taken.metadata.resource_version.as_deref(), Some("2"));
}

/// Others, client-go's included, need not wait for the end of a term that is over: nobody holds it, and it lasts a
/// second only.
#[test]
fn what_is_released_is_short() {
    let start = Instant::now();
    let mut a = candidate("a");
    leads(&mut a, start, 100);
    let released = a.release(at(107)).unwrap();
    let expected = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        acquire_time: Some(MicroTime(at(107))),
        renew_time: Some(MicroTime(at(107))),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    };
    assert_eq!(spec(&released), &expected);
    assert_eq!(released.metadata.resource_version.as_deref(), Some("1"));
    assert_eq!(a.release(at(108)), None, "once");
}

/// After a refusal the version that is known may not be the newest: then nothing is released, or the release could be
/// one of what another has acquired since.
#[test]
fn what_may_be_another_s_is_not_released() {
    let start = Instant::now();
    let mut a = candidate("a");
    leads(&mut a, start, 100);
    a.refused();
    assert!(a.leads(start + seconds(2)), "its term goes on");
    assert_eq!(a.release(at(102)), None);
}

/// Who is about to be able to take the Lease does not sleep past that moment, however long its spread pause would be.
#[test]
fn the_look_comes_when_it_can_be_taken() {
    let start = Instant::now();
    let held = leads(&mut candidate("a"), start, 100);
    for n in 0..100 {
        let mut b = candidate(&format!("b{n}"));
        assert_eq!(b.read(start, at(100), Some(held.clone())), Step::Wait);
        let now = start + seconds(13);
        let pause = b.pause(now);
        // Two seconds are left of fifteen; candidates are spread over the two seconds after that.
        assert!(pause <= seconds(4), "{n}: {pause:?}");
        assert!(pause >= seconds(2), "{n}: {pause:?}");
        // It may be taken by now: a look is due at once, and not all at one moment.
        let pause = b.pause(start + seconds(60));
        assert!(pause <= seconds(2), "{n}: {pause:?}");
    }
}

/// Nobody holds it, or it was never read: what is waited for is short, and not the same for all.
#[test]
fn who_sees_no_holder_tries_again_soon() {
    let now = Instant::now();
    for n in 0..100 {
        let name = format!("b{n}");
        let (mut blind, mut sees) = (candidate(&name), candidate(&name));
        let free = Lease {
            spec: Some(LeaseSpec::default()),
            ..Lease::default()
        };
        to_write(sees.read(now, at(100), Some(stored(free, "1"))));
        sees.refused();
        for election in [&mut blind, &mut sees] {
            let pause = election.pause(now);
            assert!((seconds(2)..seconds(4)).contains(&pause), "{n}: {pause:?}");
        }
    }
}

/// A candidate does not look at the same distance each time, or two that meet once would meet for ever.
#[test]
fn the_looks_of_one_candidate_are_spread() {
    let start = Instant::now();
    let held = leads(&mut candidate("a"), start, 100);
    let mut b = candidate("b");
    assert_eq!(b.read(start, at(100), Some(held)), Step::Wait);
    let mut pauses: Vec<_> = (0..10).map(|_| b.pause(start)).collect();
    pauses.sort();
    pauses.dedup();
    assert_eq!(pauses.len(), 10, "{pauses:?}");
}

/// At its deadline a leader is none any more, and looks as others do.
#[test]
fn a_term_that_is_over_is_not_renewed_at_once() {
    let start = Instant::now();
    let mut a = candidate("a");
    leads(&mut a, start, 100);
    assert_eq!(a.pause(start + seconds(9)), seconds(1));
    assert!(a.pause(start + seconds(10)) >= seconds(2));
}
