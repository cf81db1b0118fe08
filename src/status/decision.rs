//! What has to be done to one Ingress, as a function of what is there and what we did: no IO, no clock.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::settle::{self, Memory};
use crate::model::verdict::IngressFacts;
use crate::objects::{LoadBalancerAddress, NamespacedName};

/// What has to be done to one Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Look again at this time.
    Later(Instant),
    /// Write these addresses.
    Publish(Arc<[LoadBalancerAddress]>),
    /// Take ours away.
    Withdraw,
}

/// What one term as leader knows of its own doings.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    written: Memory<Arc<[LoadBalancerAddress]>>,
    /// Every address published in this term.
    own: BTreeSet<LoadBalancerAddress>,
    /// Ingresses that were served and are not any more, from which nothing was taken away yet.
    leaving: HashSet<NamespacedName>,
}

impl Decisions {
    /// Addresses are published from now on.
    pub(super) fn publishing(&mut self, addresses: &[LoadBalancerAddress]) {
        self.own.extend(addresses.iter().cloned());
    }

    /// Every address published in this term.
    pub(super) const fn own(&self) -> &BTreeSet<LoadBalancerAddress> {
        &self.own
    }

    /// An Ingress has changed.
    pub(super) fn changed(
        &mut self,
        name: &NamespacedName,
        old: &IngressFacts,
        new: &IngressFacts,
    ) {
        if new.served || new.uid != old.uid {
            self.leaving.remove(name);
        } else if old.served {
            self.leaving.insert(name.clone());
        }
    }

    /// An Ingress is gone.
    pub(super) fn gone(&mut self, name: &NamespacedName) {
        self.written.forget(name);
        self.leaving.remove(name);
    }

    /// Whether this term saw the Ingress leave and took nothing away yet.
    pub(super) fn leaves(&self, name: &NamespacedName) -> bool {
        self.leaving.contains(name)
    }

    /// It was looked at, and what was ours is not there any more.
    pub(super) fn left(&mut self, name: &NamespacedName) {
        self.leaving.remove(name);
    }

    /// `addresses` were written to an Ingress that was known as `facts`; returns how often another has
    /// overwritten them before.
    pub(super) fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        addresses: Arc<[LoadBalancerAddress]>,
        at: Instant,
    ) -> u32 {
        let seen = sorted(&facts.load_balancer);
        self.written.wrote(name, &facts.uid, seen, addresses, at)
    }

    /// What has to be done to an Ingress now.
    pub(super) fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        publish: Option<&Arc<[LoadBalancerAddress]>>,
        now: Instant,
    ) -> Action {
        if !facts.served {
            self.written.forget(name);
            let ours = facts
                .load_balancer
                .iter()
                .any(|entry| self.own.contains(entry));
            if ours {
                return Action::Withdraw;
            }
            if !self.own.is_empty() {
                self.leaving.remove(name);
            }
            return Action::Nothing;
        }
        let Some(publish) = publish else {
            return Action::Nothing;
        };
        let seen = sorted(&facts.load_balancer);
        let wanted = publish.clone();
        match self.written.decide(name, &facts.uid, &seen, wanted, now) {
            settle::Action::Nothing => Action::Nothing,
            settle::Action::Later(when) => Action::Later(when),
            settle::Action::Write(addresses) => Action::Publish(addresses),
        }
    }
}

/// As addresses are published.
fn sorted(addresses: &[LoadBalancerAddress]) -> Arc<[LoadBalancerAddress]> {
    let mut sorted = addresses.to_vec();
    sorted.sort();
    sorted.into()
}

#[cfg(test)]
mod histories;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::time::Duration;

    use super::super::settle::Written;
    use super::*;

    fn list(addresses: &[&str]) -> Arc<[LoadBalancerAddress]> {
        let ip = |ip: &&str| LoadBalancerAddress::Ip((*ip).into());
        addresses.iter().map(ip).collect()
    }

    fn facts(served: bool, addresses: &[&str]) -> IngressFacts {
        IngressFacts {
            uid: "1".into(),
            served,
            load_balancer: list(addresses),
            ingress: None,
        }
    }

    #[test]
    fn what_is_there_is_not_written() {
        let (mut decisions, now) = (Decisions::default(), Instant::now());
        decisions.own = list(&["192.0.2.1", "192.0.2.2"]).iter().cloned().collect();
        let name = NamespacedName::new("shop", "web");
        let publish = list(&["192.0.2.1", "192.0.2.2"]);
        let mut check = |served, there: &[&str], publish: Option<&_>, expected| {
            assert_eq!(
                decisions.decide(&name, &facts(served, there), publish, now),
                expected
            );
        };
        let all = Some(&publish);
        check(true, &[], None, Action::Nothing);
        check(true, &["192.0.2.9"], None, Action::Nothing);
        check(true, &[], all, Action::Publish(publish.clone()));
        check(true, &["192.0.2.1", "192.0.2.2"], all, Action::Nothing);
        check(true, &["192.0.2.2", "192.0.2.1"], all, Action::Nothing);
        check(true, &["192.0.2.1"], all, Action::Publish(publish.clone()));
        check(
            true,
            &["192.0.2.1", "192.0.2.2", "192.0.2.9"],
            all,
            Action::Publish(publish.clone()),
        );
        check(false, &[], all, Action::Nothing);
        check(false, &["192.0.2.9"], all, Action::Nothing);
        check(false, &["192.0.2.9", "192.0.2.1"], all, Action::Withdraw);
    }

    #[test]
    fn what_was_written_is_not_written_again_until_another_interferes() {
        let (mut decisions, start) = (Decisions::default(), Instant::now());
        let name = NamespacedName::new("shop", "web");
        let publish = list(&["192.0.2.1"]);
        let wrote = |overwritten| Written {
            uid: "1".into(),
            before: list(&[]),
            wrote: publish.clone(),
            at: start,
            overwritten,
        };
        let mut check = |overwritten, there: &[&str], publish: &_, after, expected| {
            decisions.written.0.insert(name.clone(), wrote(overwritten));
            let now = start + Duration::from_secs(after);
            let action = decisions.decide(&name, &facts(true, there), Some(publish), now);
            assert_eq!(action, expected);
        };
        let later = |seconds| Action::Later(start + Duration::from_secs(seconds));
        let again = Action::Publish(publish.clone());
        // The watch has not brought it back yet.
        check(0, &[], &publish, 1, later(30));
        check(0, &[], &publish, 30, again.clone());
        check(0, &["192.0.2.1"], &publish, 1, later(30));
        check(0, &["192.0.2.1"], &publish, 30, Action::Nothing);
        // Our address changed meanwhile.
        let other = list(&["192.0.2.2"]);
        check(0, &[], &other, 1, Action::Publish(other.clone()));
        // Another wrote: again, ever more slowly.
        check(0, &["192.0.2.9"], &publish, 0, later(1));
        check(0, &["192.0.2.9"], &publish, 1, again.clone());
        check(3, &["192.0.2.9"], &publish, 7, later(8));
        check(3, &["192.0.2.9"], &publish, 8, again.clone());
        check(30, &["192.0.2.9"], &publish, 255, later(256));
        check(3, &["192.0.2.1"], &publish, 30, later(600));
    }
}
