//! What is kept of each host.

use std::collections::BTreeMap;

use crate::model::{Front, Host};

/// By front and host. There are few fronts, so the name of one is not kept with every host.
#[derive(Debug)]
pub struct ByFront<T>(BTreeMap<Front, BTreeMap<Host, T>>);

impl<T> Default for ByFront<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> ByFront<T> {
    /// Takes out what is kept of a host.
    pub fn remove(&mut self, front: &Front, host: &Host) -> Option<T> {
        let hosts = self.0.get_mut(front)?;
        let kept = hosts.remove(host);
        if hosts.is_empty() {
            self.0.remove(front);
        }
        kept
    }

    /// Keeps something of a host.
    pub fn insert(&mut self, front: &Front, host: &Host, kept: T) {
        let hosts = match self.0.get_mut(front) {
            Some(hosts) => hosts,
            None => self.0.entry(front.clone()).or_default(),
        };
        hosts.insert(host.clone(), kept);
    }

    /// The fronts that have hosts.
    pub fn fronts(&self) -> impl Iterator<Item = &Front> {
        self.0.keys()
    }

    /// The hosts of a front.
    pub fn hosts(&self, front: &Front) -> impl Iterator<Item = &Host> {
        self.0.get(front).into_iter().flat_map(BTreeMap::keys)
    }

    /// The hosts of a front, with what is kept of each.
    pub fn kept(&self, front: &Front) -> impl Iterator<Item = (&Host, &T)> {
        self.0.get(front).into_iter().flatten()
    }

    /// How many hosts a front has.
    pub fn count(&self, front: &Front) -> usize {
        self.0.get(front).map_or(0, BTreeMap::len)
    }

    /// Makes its maps as small as they can be.
    pub fn pack(&mut self) {
        for hosts in self.0.values_mut() {
            *hosts = std::mem::take(hosts).into_iter().collect();
        }
    }
}
