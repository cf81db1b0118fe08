//! What objects claim, and what came of the listeners that they claim.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Claimable, Spoken};
use crate::objects::gateway_api::MOST_ANCESTORS;
use crate::objects::{Kind, NamespacedName, ObjectRef};

use super::Index;

/// The claims of objects, as their units have made them, in both directions.
#[derive(Debug, Default)]
pub struct Claimed {
    of: BTreeMap<ObjectRef, ClaimsOf>,
    by: Index<Claimable, ObjectRef>,
    /// What is spoken on the listeners that are there because somebody claims them.
    spoken: BTreeMap<Arc<str>, Spoken>,
}

/// What one object claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimsOf {
    /// When it was created.
    pub created: Option<jiff::Timestamp>,
    /// Its claims.
    pub claims: BTreeSet<Claimable>,
}

/// The order in which claims rank: of the oldest object first, then by namespace, name and kind.
pub type Age = ((bool, Option<jiff::Timestamp>, NamespacedName), Kind);

impl Claimed {
    /// What an object claims.
    pub fn of(&self, object: &ObjectRef) -> ClaimsOf {
        self.of.get(object).cloned().unwrap_or_default()
    }

    /// An object that claimed `old` claims `new`.
    pub fn replace(&mut self, object: &ObjectRef, old: &ClaimsOf, new: ClaimsOf) {
        self.by.refile(&old.claims, &new.claims, object);
        match new.claims.is_empty() {
            true => self.of.remove(object),
            false => self.of.insert(object.clone(), new),
        };
    }

    /// Whether nobody claims anything.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether an object claims it.
    pub fn contains(&self, claim: &Claimable) -> bool {
        self.by.contains_key(claim)
    }

    /// Whoever claims it, in no order.
    pub fn claimants(&self, claim: &Claimable) -> impl Iterator<Item = (Age, ObjectRef)> {
        self.by.get(claim).map(|object| {
            let created = self.of.get(object).and_then(|claims| claims.created);
            let seniority = (created.is_none(), created, object.name.clone());
            ((seniority, object.kind), object.clone())
        })
    }

    /// How many routes are attached to a listener of an object.
    pub fn attached(&self, parent: &ObjectRef, listener: &str) -> usize {
        let claim = Claimable::Attached(parent.clone(), listener.into());
        self.by.count(&claim)
    }

    /// The first Gateways with routes to a Service, sorted: as many as a status has room for.
    pub fn reaching(&self, service: &NamespacedName) -> BTreeSet<ObjectRef> {
        let first = ObjectRef::new(Kind::Gateway, "", "");
        let from = self.by.range(Claimable::Reached(service.clone(), first)..);
        let gateways = from.map_while(|(claim, _)| match claim {
            Claimable::Reached(of, gateway) if of == service => Some(gateway.clone()),
            _ => None,
        });
        gateways.take(MOST_ANCESTORS).collect()
    }

    /// How many objects claim it.
    pub fn count(&self, claim: &Claimable) -> usize {
        self.by.count(claim)
    }

    /// What is spoken on a claimed listener; `None` where it is not there.
    pub fn spoken(&self, listener: &str) -> Option<Spoken> {
        self.spoken.get(listener).copied()
    }

    /// The same from now on; returns what it was.
    pub fn listen(&mut self, listener: &Arc<str>, spoken: Option<Spoken>) -> Option<Spoken> {
        match spoken {
            Some(spoken) => self.spoken.insert(listener.clone(), spoken),
            None => self.spoken.remove(listener),
        }
    }
}
