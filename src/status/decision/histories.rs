//! What one term remembers of its own writes: for how long, of which Ingress, and what it forgets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::super::settle::SETTLED;
use super::*;

const OURS: &str = "192.0.2.1";
const THEIRS: &str = "198.51.100.7";

fn list(addresses: &[&str]) -> Arc<[LoadBalancerAddress]> {
    let ip = |ip: &&str| LoadBalancerAddress::Ip((*ip).into());
    addresses.iter().map(ip).collect()
}

fn facts(uid: &str, served: bool, addresses: &[&str]) -> IngressFacts {
    IngressFacts {
        uid: uid.into(),
        served,
        load_balancer: list(addresses),
        ingress: None,
    }
}

/// A term that publishes [`OURS`], and the one Ingress that it knows.
struct Term {
    decisions: Decisions,
    name: NamespacedName,
    start: Instant,
}

impl Term {
    fn new() -> Self {
        let mut decisions = Decisions::default();
        decisions.publishing(&list(&[OURS]));
        Self {
            decisions,
            name: NamespacedName::new("shop", "web"),
            start: Instant::now(),
        }
    }

    /// The action so many seconds after the start.
    fn decide(&mut self, after: u64, facts: &IngressFacts, publish: &[&str]) -> Action {
        let now = self.start + Duration::from_secs(after);
        self.decisions
            .decide(&self.name, facts, Some(&list(publish)), now)
    }

    /// Writes at the start; returns how often another has overwritten it.
    fn wrote(&mut self, facts: &IngressFacts, addresses: &[&str]) -> u32 {
        self.decisions
            .wrote(&self.name, facts, list(addresses), self.start)
    }

    fn changed(&mut self, old: &IngressFacts, new: &IngressFacts) {
        self.decisions.changed(&self.name, old, new);
    }

    fn leaves(&self) -> bool {
        self.decisions.leaves(&self.name)
    }
}

/// What was written to an Ingress that left since says nothing of it when it is back: its addresses were taken away.
#[test]
fn what_was_written_is_forgotten_with_the_class() {
    let mut term = Term::new();
    let (empty, gone) = (facts("1", true, &[]), facts("1", false, &[]));
    term.wrote(&empty, &[OURS]);
    assert_eq!(term.decide(1, &gone, &[OURS]), Action::Nothing);
    let again = Action::Publish(list(&[OURS]));
    assert_eq!(term.decide(2, &empty, &[OURS]), again);
}

/// The same when it was deleted.
#[test]
fn what_was_written_is_forgotten_with_the_object() {
    let mut term = Term::new();
    let empty = facts("1", true, &[]);
    term.wrote(&empty, &[OURS]);
    term.decisions.gone(&term.name);
    let again = Action::Publish(list(&[OURS]));
    assert_eq!(term.decide(1, &empty, &[OURS]), again);
}

/// An Ingress that was created anew under the old name was never written to.
#[test]
fn what_was_written_is_of_one_object() {
    let mut term = Term::new();
    term.wrote(&facts("1", true, &[]), &[OURS]);
    let later = Action::Later(term.start + SETTLED);
    assert_eq!(term.decide(1, &facts("1", true, &[]), &[OURS]), later);
    let again = Action::Publish(list(&[OURS]));
    assert_eq!(term.decide(1, &facts("2", true, &[]), &[OURS]), again);
    // Settled, there is nothing of the first to be remembered either.
    let settled = facts("2", true, &[OURS]);
    assert_eq!(term.decide(1, &settled, &[OURS]), Action::Nothing);
}

/// Another writes over our address on one Ingress, again and again. Only that is a quarrel: an address of ours that
/// changed is none, and neither is an Ingress that was created anew.
#[test]
fn a_quarrel_is_about_one_object_and_one_address() {
    let mut term = Term::new();
    let theirs = facts("1", true, &[THEIRS]);
    let counts: Vec<u32> = (0..3).map(|_| term.wrote(&theirs, &[OURS])).collect();
    assert_eq!(counts, [0, 1, 2]);
    assert_eq!(term.wrote(&theirs, &["192.0.2.2"]), 0);
    assert_eq!(term.wrote(&theirs, &["192.0.2.2"]), 1);
    assert_eq!(term.wrote(&facts("2", true, &[THEIRS]), &["192.0.2.2"]), 0);
}

/// An Ingress leaves while this term looks, and is taken care of once.
#[test]
fn leaving_is_seen_and_is_over_some_time() {
    let (served, left) = (facts("1", true, &[OURS]), facts("1", false, &[OURS]));
    let leave = || {
        let mut term = Term::new();
        assert!(!term.leaves());
        term.changed(&served, &left);
        assert!(term.leaves());
        term
    };
    // Its addresses were taken away.
    let mut term = leave();
    assert_eq!(term.decide(0, &left, &[OURS]), Action::Withdraw);
    assert!(term.leaves(), "until it is done");
    term.decisions.left(&term.name);
    assert!(!term.leaves());
    // Another took them away: what that one writes next is not ours.
    let mut term = leave();
    let bare = facts("1", false, &[]);
    assert_eq!(term.decide(0, &bare, &[OURS]), Action::Nothing);
    assert!(!term.leaves());
    // It is back.
    let mut term = leave();
    term.changed(&left, &served);
    assert!(!term.leaves());
    // It is gone, or another one has its name.
    let mut term = leave();
    term.decisions.gone(&term.name);
    assert!(!term.leaves());
    let mut term = leave();
    term.changed(&left, &facts("2", false, &[OURS]));
    assert!(!term.leaves());
    // One that changes while it is another's never left.
    let mut term = Term::new();
    term.changed(&facts("1", false, &[]), &left);
    assert!(!term.leaves());
    // The one that was served is not the one that is there.
    term.changed(&served, &facts("2", false, &[OURS]));
    assert!(!term.leaves());
}

/// As long as it is not known what is ours, nothing is known to be taken away.
#[test]
fn leaving_waits_for_an_address() {
    let mut term = Term {
        decisions: Decisions::default(),
        ..Term::new()
    };
    let bare = facts("1", false, &[]);
    term.changed(&facts("1", true, &[OURS]), &bare);
    assert_eq!(term.decide(0, &bare, &[]), Action::Nothing);
    assert!(term.leaves());
}
