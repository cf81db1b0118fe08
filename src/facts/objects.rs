//! The objects of one kind, found by the name that each of them holds.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::objects::{EndpointSlice, Ingress, NamespacedName, Secret, Service};

/// A map from a name to the object of that name. The name is in the object and nowhere else: a key of two shared
/// texts beside a pointer would be four fifths of the table, of which a third is always empty.
#[derive(Debug)]
pub struct Objects<T: Named>(HashSet<ByName<T>>);

impl<T: Named> Default for Objects<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Named> Objects<T> {
    /// The object of that name.
    pub fn get(&self, name: &NamespacedName) -> Option<&Arc<T>> {
        self.0.get(name).map(|ByName(object)| object)
    }

    /// Puts an object in the place of the one of its name.
    pub fn insert(&mut self, object: Arc<T>) {
        self.0.replace(ByName(object));
    }

    /// Takes the object of that name out.
    pub fn remove(&mut self, name: &NamespacedName) {
        self.0.remove(name);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &NamespacedName> {
        self.0.iter().map(|ByName(object)| object.name())
    }
}

/// An object that holds its name.
pub trait Named {
    /// Its name.
    fn name(&self) -> &NamespacedName;
}

macro_rules! named {
    ($($kind:ty),*) => {
        $(impl Named for $kind {
            fn name(&self) -> &NamespacedName {
                &self.metadata.name
            }
        })*
    };
}

named!(EndpointSlice, Ingress, Secret, Service);

/// An object as its name: hashed and compared by nothing else.
#[derive(Debug)]
struct ByName<T>(Arc<T>);

impl<T: Named> Hash for ByName<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl<T: Named> PartialEq for ByName<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl<T: Named> Eq for ByName<T> {}

impl<T: Named> Borrow<NamespacedName> for ByName<T> {
    fn borrow(&self) -> &NamespacedName {
        self.0.name()
    }
}
