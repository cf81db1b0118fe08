//! The listeners and hosts that are there because an object names them.
//!
//! What an Ingress claims it says by itself, and its hosts are an index of the store (`ingress`). What an object claims that
//! has to read others for it is made by a unit, and handed in here. Both are one list to whoever asks who claims a host.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Claimable, Front, Host, Spoken};
use crate::objects::{Kind, ObjectRef};

use super::Store;
use super::changes::Changes;
use super::claimed::{Age, ClaimsOf};
use super::fact::Fact;

impl Store {
    /// The object claims these from now on, and no others.
    pub fn claim(
        &mut self,
        object: &ObjectRef,
        claims: BTreeSet<Claimable>,
        changes: &mut Changes,
    ) {
        let metadata = self.metadata(object);
        let created = metadata.and_then(|metadata| metadata.created);
        let old = self.claimed.of(object);
        let new = ClaimsOf { created, claims };
        if old == new {
            return;
        }
        // Whoever claims what it did not, or does so no longer, is one more or less: nobody has to be looked at for that, be there
        // ten thousand others. Where it is older or younger now, it may be between others than before.
        let mut differ: Vec<Claimable> = old
            .claims
            .symmetric_difference(&new.claims)
            .cloned()
            .collect();
        let aged = old.claims.intersection(&new.claims).filter(|claim| {
            let is_ordered = !matches!(claim, Claimable::Attached(..) | Claimable::Reached(..));
            is_ordered && old.created != new.created
        });
        let aged = aged.map(|claim| (claim.clone(), self.claimants(claim)));
        let aged: Vec<_> = aged.collect();
        self.claimed.replace(object, &old, new);
        let moved = aged
            .into_iter()
            .filter(|(claim, before)| self.claimants(claim) != *before);
        differ.extend(moved.map(|(claim, _)| claim));
        for claim in differ {
            changes.fact(match &claim {
                Claimable::Listener(name) => Fact::Claimants(name),
                Claimable::Host(front, host) => Fact::Claims(front, host),
                Claimable::Attached(parent, listener) => Fact::AttachedRoutes(parent, listener),
                Claimable::Reached(service, _) => {
                    // Of many ways through one Gateway only the first and the last are news.
                    let is_new = !old.claims.contains(&claim);
                    if self.claimed.count(&claim) != usize::from(is_new) {
                        continue;
                    }
                    Fact::GatewaysReaching(service)
                }
            });
            changes.claims.push(claim);
        }
    }

    /// What is spoken on a claimed listener from now on; `None` where it is not there.
    pub fn listen(&mut self, listener: &Arc<str>, spoken: Option<Spoken>, changes: &mut Changes) {
        if self.claimed.listen(listener, spoken) != spoken {
            changes.fact(Fact::Spoken(listener));
        }
    }

    /// Whether anybody claims it.
    #[must_use]
    pub fn is_claimed(&self, claim: &Claimable) -> bool {
        let is_named = match claim {
            Claimable::Host(Front::Fleet, host) => self.names_host(host),
            _ => false,
        };
        is_named || self.claimed.contains(claim)
    }

    /// Whoever claims it, in whatever language, oldest first.
    pub(super) fn claimants(&self, claim: &Claimable) -> Vec<ObjectRef> {
        let claimed = self.claimed.claimants(claim);
        let mut claimants: Vec<((bool, Age), ObjectRef)> = claimed
            .map(|(age, object)| ((false, age), object))
            .collect();
        if let Claimable::Host(Front::Fleet, host) = claim {
            let ingresses = self.by_host.get(host);
            claimants.extend(ingresses.filter_map(|name| {
                let (is_other, seniority) = self.age_at(host, self.ingress(name)?);
                let (kind, name) = (Kind::Ingress, name.clone());
                Some(((is_other, (seniority, kind)), ObjectRef { kind, name }))
            }));
        }
        claimants.sort();
        claimants.into_iter().map(|(_, object)| object).collect()
    }

    /// The ages of those that claim a host of the fleet and are no Ingresses.
    pub(super) fn ages_of_others(&self, host: &Host) -> Vec<Age> {
        if self.claimed.is_empty() {
            return Vec::new();
        }
        let claim = Claimable::Host(Front::Fleet, host.clone());
        self.claimed.claimants(&claim).map(|(age, _)| age).collect()
    }
}
