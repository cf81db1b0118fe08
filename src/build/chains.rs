//! The filter chains of a listener, and the names that lead to them, while they are kept up to date.

use std::sync::Arc;

use imbl::OrdMap;

use crate::envoy::filter_chain::CHAINS;
use crate::xds::Part;

use super::parts::replace;

/// Parts of a listener by their keys.
#[derive(Debug, Default)]
pub struct Chains {
    parts: OrdMap<Arc<str>, Arc<Part>>,
    touched: bool,
}

impl Chains {
    /// Has the part, in the place of the one of its key.
    pub fn put(&mut self, part: (Arc<str>, Part)) {
        self.touched |= replace(&mut self.parts, None, Some(part));
    }

    /// Has no part of the key.
    pub fn remove(&mut self, key: &str) {
        self.touched |= self.parts.remove(key).is_some();
    }

    /// Something else about the listener differs.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Whether anything differs since the last call.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// All of them.
    pub fn parts(&self) -> OrdMap<Arc<str>, Arc<Part>> {
        self.parts.clone()
    }

    /// Whether a name can lead anywhere.
    pub fn has_chains(&self) -> bool {
        let next = self.parts.get_next(CHAINS);
        next.is_some_and(|(key, _)| key.starts_with(CHAINS))
    }
}
