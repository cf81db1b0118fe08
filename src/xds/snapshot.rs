//! All resources at one moment.

use std::sync::Arc;

use imbl::OrdMap;

use super::{Resource, ResourceType};

/// All resources at one moment, by type and name. A persistent map: cloning is cheap, and two snapshots share
/// what did not change, so that their difference costs what changed (I4).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    resources: [OrdMap<Arc<str>, Arc<Resource>>; ResourceType::ALL.len()],
}

impl Snapshot {
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

    /// Puts a resource in, in the place of the one of its name.
    pub fn insert(&mut self, resource_type: ResourceType, resource: Arc<Resource>) {
        self.resources[resource_type as usize].insert(resource.name().clone(), resource);
    }

    /// Takes a resource out; returns whether it was there.
    pub fn remove(&mut self, resource_type: ResourceType, name: &str) -> bool {
        self.resources[resource_type as usize]
            .remove(name)
            .is_some()
    }
}
