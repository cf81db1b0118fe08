//! What is made: the units, in the order in which they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Front, Host};
use crate::objects::{NamespacedName, ObjectRef};
use crate::translate::Derived;

/// Units that are to be made, each once, in their order.
#[derive(Debug, Default)]
pub struct Units {
    /// They come before all others, and while they are made more of them come.
    derived: BTreeSet<Box<Derived>>,
    /// The last one is the first.
    sorted: Vec<Unit>,
    /// In no order: sorting many at once costs a fraction of filing each.
    new: Vec<Unit>,
}

impl Units {
    /// One more, if it is none of them.
    pub fn insert(&mut self, unit: Unit) {
        match unit {
            Unit::Derived(derived) => _ = self.derived.insert(derived),
            other => self.new.push(other),
        }
    }

    /// Takes the first unit, if it is of this kind.
    pub fn take_first<T>(&mut self, key: impl Fn(Unit) -> Result<T, Unit>) -> Option<T> {
        let first = match self.derived.pop_first() {
            Some(derived) => Unit::Derived(derived),
            None => self.pop()?,
        };
        match key(first) {
            Ok(key) => Some(key),
            Err(Unit::Derived(derived)) => {
                self.derived.insert(derived);
                None
            }
            Err(other) => {
                self.sorted.push(other);
                None
            }
        }
    }

    /// Takes the units of one kind, in their order; it is the first kind, if there is any.
    pub fn take<T>(&mut self, key: impl Fn(Unit) -> Result<T, Unit>) -> Vec<T> {
        let taken = std::iter::from_fn(|| self.take_first(&key)).collect();
        if self.sorted.is_empty() {
            // A start has a hundred thousand, and what it makes is to have their memory.
            self.sorted = Vec::new();
        }
        taken
    }

    /// The first one of those that are not derived.
    fn pop(&mut self) -> Option<Unit> {
        if !self.new.is_empty() {
            self.sorted.append(&mut self.new);
            self.sorted.sort_by(|one, other| other.cmp(one));
            self.sorted.dedup();
        }
        self.sorted.pop()
    }

    /// How many there are, those counted twice that were put in twice.
    pub fn len(&self) -> usize {
        self.derived.len() + self.sorted.len() + self.new.len()
    }
}

impl Extend<Unit> for Units {
    fn extend<T: IntoIterator<Item = Unit>>(&mut self, units: T) {
        units.into_iter().for_each(|unit| self.insert(unit));
    }
}

/// A unit, by its key. A unit reads what sorts before its kind, so that making them in this order is enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// What others read.
    Derived(Box<Derived>),
    /// A host that somebody names, on all listeners of its front.
    Host(Front, Host),
    /// A cluster that some unit names.
    Cluster(Arc<str>),
    /// The endpoints of such a cluster.
    Endpoints(Arc<str>),
    /// The certificate of a Secret that some host is served with.
    Secret(NamespacedName),
    /// What is to be said of an object by itself.
    Object(ObjectRef),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> Unit {
        Unit::Cluster(name.into())
    }

    fn names(units: &mut Units) -> Vec<Arc<str>> {
        units.take(|unit| match unit {
            Unit::Cluster(name) => Ok(name),
            other => Err(other),
        })
    }

    /// Takes the first unit, if it is this one.
    fn first(units: &mut Units, of: &Unit) -> bool {
        let is_it = |unit: Unit| if unit == *of { Ok(()) } else { Err(unit) };
        units.take_first(is_it).is_some()
    }

    /// What comes in while others are made is made in its turn, and nothing twice.
    #[test]
    fn units_come_in_their_order_each_once() {
        let mut units = Units::default();
        let host = || Unit::Host(Front::Fleet, Host::new("a.test"));
        let derived = |name: &str| Unit::Derived(Box::new(Derived::Source(Host::new(name))));
        units.extend([
            cluster("b"),
            host(),
            derived("b"),
            cluster("a"),
            cluster("b"),
        ]);
        assert!(names(&mut units).is_empty(), "others are first");
        assert!(!first(&mut units, &host()) && first(&mut units, &derived("b")));
        units.extend([derived("c"), derived("a"), derived("c")]);
        assert!(!first(&mut units, &derived("c")) && first(&mut units, &derived("a")));
        assert!(first(&mut units, &derived("c")) && first(&mut units, &host()));
        units.insert(cluster("aa"));
        units.insert(Unit::Endpoints("a".into()));
        assert_eq!(names(&mut units), ["a", "aa", "b"].map(Arc::from));
        assert_eq!(units.len(), 1, "the endpoints");
    }
}
