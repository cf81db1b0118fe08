//! ListenerSets in the store, by the Gateways that they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{ListenerSet, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for ListenerSet {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        if old.as_ref().map(|it| it.spec()) != new.as_ref().map(|it| it.spec()) {
            changes.fact(Fact::ListenerSet(name));
        }
        let of = |set: &Option<Arc<Self>>| -> BTreeSet<NamespacedName> {
            set.iter().filter_map(|set| set.gateway()).collect()
        };
        let [left, named] = [of(&old), of(&new)];
        let age = |set: &Option<Arc<Self>>| set.as_ref().map(|it| it.metadata.created);
        if left != named || age(&old) != age(&new) {
            for gateway in left.union(&named) {
                changes.fact(Fact::ListenerSets(gateway));
            }
        }
        store.sets_by_gateway.refile(&left, &named, name);
        store.tables.put(name, new);
    }
}

impl Store {
    /// One ListenerSet.
    #[must_use]
    pub fn listener_set(&self, name: &NamespacedName) -> Option<&Arc<ListenerSet>> {
        self.tables.of().get(name)
    }

    /// The names of the ListenerSets that name a Gateway, oldest first.
    pub(super) fn listener_sets(&self, gateway: &NamespacedName) -> Vec<NamespacedName> {
        let names = self.sets_by_gateway.get(gateway);
        let mut sets: Vec<_> = names.filter_map(|name| self.listener_set(name)).collect();
        sets.sort_by_cached_key(|set| set.metadata.seniority());
        let sets = sets.into_iter();
        sets.map(|set| set.metadata.name.clone()).collect()
    }
}
