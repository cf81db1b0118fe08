//! All resources at one moment.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::{Resource, ResourceType};

/// All resources at one moment, by type and name. A persistent map: cloning is cheap, and two snapshots share
/// what did not change, so that their difference costs what changed (I4).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    number: u64,
    resources: [OrdMap<Arc<str>, Arc<Resource>>; ResourceType::ALL.len()],
}

impl Snapshot {
    /// Which one of this process it is, counted from 1 as they are published; 0 before. No client is told: it is for who asks
    /// what was acknowledged.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The same snapshot, published as this one.
    #[must_use]
    pub fn numbered(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// The resources of one type by name.
    #[must_use]
    pub fn resources(&self, resource_type: ResourceType) -> &OrdMap<Arc<str>, Arc<Resource>> {
        &self.resources[resource_type as usize]
    }

    /// One resource.
    #[must_use]
    pub fn get(&self, resource_type: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.resources[resource_type as usize].get(name)
    }

    /// What differs from an older one, at the cost of what differs: names, and what they stand for now.
    pub fn differences<'a>(
        &'a self,
        old: &'a Self,
        resource_type: ResourceType,
    ) -> impl Iterator<Item = (&'a Arc<str>, Option<&'a Arc<Resource>>)> {
        let (old, new) = (old.resources(resource_type), self.resources(resource_type));
        old.diff(new).map(|difference| match difference {
            DiffItem::Add(name, resource)
            | DiffItem::Update {
                new: (name, resource),
                ..
            } => (name, Some(resource)),
            DiffItem::Remove(name, _) => (name, None),
        })
    }

    /// The same snapshot with these resources of one type, in the place of its own.
    #[must_use]
    pub fn with_all(
        &self,
        resource_type: ResourceType,
        resources: OrdMap<Arc<str>, Arc<Resource>>,
    ) -> Self {
        let mut snapshot = self.clone();
        snapshot.resources[resource_type as usize] = resources;
        snapshot
    }

    /// Makes its maps as small as they can be. Snapshots from before share nothing with it any more.
    pub fn pack(&mut self) {
        for resources in &mut self.resources {
            *resources = packed(resources);
        }
    }

    /// Puts a resource in, in the place of the one of its name.
    pub fn insert(&mut self, resource_type: ResourceType, resource: Arc<Resource>) {
        self.resources[resource_type as usize].insert(resource.name().clone(), resource);
    }

    /// Puts a resource in that has most of the parts of the one of its name.
    pub fn follow(&mut self, resource_type: ResourceType, resource: Resource) {
        let resource = match self.get(resource_type, resource.name()) {
            Some(before) => resource.after(before),
            None => resource,
        };
        self.insert(resource_type, Arc::new(resource));
    }

    /// Takes a resource out; returns whether it was there.
    pub fn remove(&mut self, resource_type: ResourceType, name: &str) -> bool {
        self.resources[resource_type as usize]
            .remove(name)
            .is_some()
    }
}

/// The same map with full nodes. One that was filled in order has half empty ones: a full node was split whenever its
/// last key came, and nothing came into its first half again. Every other key in order leaves such nodes, and the keys
/// between them then fill each up.
#[must_use]
pub fn packed<K: Ord + Clone, V: Clone>(map: &OrdMap<K, V>) -> OrdMap<K, V> {
    let every_other = |first| map.iter().skip(first).step_by(2);
    let entries = every_other(0).chain(every_other(1));
    entries
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
