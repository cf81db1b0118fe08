//! What events have changed.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::model::Claimable;
use crate::objects::{Kind, NamespacedName, ObjectRef};

use super::fact::{Fact, FactId};
use super::objects::Stored;

/// What differs from when it was taken last. A unit is named by its key: what is claimed, an object that is there.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Facts that differ; `None` while nobody has read any, when looking for them would serve nobody.
    facts: Option<HashSet<FactId, RandomState>>,
    /// Listeners and hosts of which others are the claimants now, in no order; some may be here twice.
    pub claims: Vec<Claimable>,
    /// The same of objects that differ, their status included.
    pub objects: Vec<ObjectRef>,
}

impl Changes {
    /// Nothing has changed, and nothing was read.
    #[must_use]
    pub fn unread() -> Self {
        Self {
            facts: None,
            claims: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// Nothing has changed since facts were read.
    #[must_use]
    pub fn read() -> Self {
        Self {
            facts: Some(HashSet::default()),
            ..Self::unread()
        }
    }

    /// The facts that differ, in no order.
    pub fn facts(&self) -> impl Iterator<Item = FactId> {
        self.facts.iter().flatten().copied()
    }

    /// Whether facts that differ are looked for.
    pub(super) fn are_facts_read(&self) -> bool {
        self.facts.is_some()
    }

    /// Another object is wrong as a whole, or is so no longer.
    pub(super) fn invalid(&mut self, object: &ObjectRef) {
        match object.kind {
            Kind::Secret => {
                self.fact(Fact::SecretNames(&object.name));
                self.fact(Fact::Authorities(&object.name));
                self.fact(Fact::Revocations(&object.name));
                self.fact(Fact::Credentials(&object.name));
            }
            Kind::Service => self.fact(Fact::Service(&object.name)),
            Kind::ConfigMap => self.fact(Fact::ConfigMapAuthorities(&object.name)),
            _ => {}
        }
        self.objects.push(object.clone());
    }

    /// An object differs.
    pub(super) fn object<T: Stored>(&mut self, name: &NamespacedName) {
        self.objects.push(ObjectRef {
            kind: T::KIND,
            name: name.clone(),
        });
    }

    /// A fact that is true or not is the other way round now. Twice, and it is as it was: one object may stop naming what
    /// another begins to name.
    pub(super) fn flip(&mut self, fact: Fact<'_>) {
        if let Some(facts) = &mut self.facts {
            let fact = fact.id();
            if !facts.remove(&fact) {
                facts.insert(fact);
            }
        }
    }

    pub(super) fn fact(&mut self, fact: Fact<'_>) {
        if let Some(facts) = &mut self.facts {
            facts.insert(fact.id());
        }
    }
}
