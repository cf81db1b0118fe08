//! Names of resources that do not exist, remembered because a client named them: a set that knows how many bytes they are
//! together, so that they can be bounded. Nothing in here knows what the names stand for.

use std::collections::BTreeSet;
use std::sync::Arc;

/// A set of names and the sum of their lengths.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: BTreeSet<Arc<str>>,
    /// Of all names, in bytes.
    bytes: usize,
}

impl Names {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many there are, and how long they are together, in bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.names.len(), self.bytes)
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter()
    }

    /// Puts a name in.
    pub fn insert(&mut self, name: Arc<str>) {
        let length = name.len();
        if self.names.insert(name) {
            self.bytes += length;
        }
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) {
        if self.names.remove(name) {
            self.bytes -= name.len();
        }
    }

    /// Takes all of them out.
    pub fn take(&mut self) -> BTreeSet<Arc<str>> {
        self.bytes = 0;
        std::mem::take(&mut self.names)
    }
}
