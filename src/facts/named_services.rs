//! The Services that served Ingresses and HTTPProxies name as back ends.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::objects::NamespacedName;

/// Counts the objects that name each: what is wrong with a Service is told while somebody uses it.
#[derive(Debug, Default)]
pub struct NamedServices(HashMap<NamespacedName, u32, RandomState>);

impl NamedServices {
    /// One more object names it; returns whether it is the first.
    pub fn insert(&mut self, service: &NamespacedName) -> bool {
        if let Some(count) = self.0.get_mut(service) {
            *count += 1;
            return false;
        }
        self.0.insert(service.clone(), 1);
        true
    }

    /// One of them names it no longer; returns whether it was the last.
    pub fn remove(&mut self, service: &NamespacedName) -> bool {
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

    /// Whether any object names it.
    pub fn contains(&self, service: &NamespacedName) -> bool {
        self.0.contains_key(service)
    }
}
