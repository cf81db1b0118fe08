//! The Services that served Ingresses and HTTPProxies name as back ends.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::objects::NamespacedName;

use super::changes::Changes;
use super::fact::Fact;

/// Counts the objects that name each: what is wrong with a Service is told while somebody uses it.
#[derive(Debug, Default)]
pub struct NamedServices(HashMap<NamespacedName, u32, RandomState>);

impl NamedServices {
    /// One more object names it; returns whether it is the first.
    fn insert(&mut self, service: &NamespacedName) -> bool {
        if let Some(count) = self.0.get_mut(service) {
            *count += 1;
            return false;
        }
        self.0.insert(service.clone(), 1);
        true
    }

    /// One of them names it no longer; returns whether it was the last.
    fn remove(&mut self, service: &NamespacedName) -> bool {
        let Some(count) = self.0.get_mut(service) else {
            return false;
        };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            self.0.remove(service);
        }
        is_last
    }

    /// An object that named `left` names `named` now: notes the facts that differ.
    pub fn replace(
        &mut self,
        left: &BTreeSet<NamespacedName>,
        named: &BTreeSet<NamespacedName>,
        changes: &mut Changes,
    ) {
        for service in left.difference(named) {
            if self.remove(service) {
                changes.flip(Fact::ServiceNamed(service));
            }
        }
        for service in named.difference(left) {
            if self.insert(service) {
                changes.flip(Fact::ServiceNamed(service));
            }
        }
    }

    /// Whether any object names it.
    pub fn contains(&self, service: &NamespacedName) -> bool {
        self.0.contains_key(service)
    }
}
