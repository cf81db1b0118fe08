//! What is made: the units, in the order in which they are.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Claimable, Front, Host};
use crate::objects::{NamespacedName, ObjectRef};
use crate::translate::{CredentialsKey, Derived, TrustBundleKey};

use super::used_secrets::SecretKey;

/// Units that are to be made, each once, in their order.
#[derive(Debug, Default)]
pub struct Units {
    /// Those that come before all others: while they are made more of them come.
    first: BTreeSet<Unit>,
    /// The last one is the first.
    sorted: Vec<Unit>,
    /// In no order: sorting many at once costs a fraction of filing each.
    new: Vec<Unit>,
}

impl Units {
    /// One more, if it is none of them.
    pub fn insert(&mut self, unit: Unit) {
        match unit {
            first if first.is_first() => _ = self.first.insert(first),
            other => self.new.push(other),
        }
    }

    /// Takes the first unit, if it is of this kind.
    pub fn take_first<T>(&mut self, key: impl Fn(Unit) -> Result<T, Unit>) -> Option<T> {
        let first = match self.first.pop_first() {
            Some(first) => first,
            None => self.pop()?,
        };
        match key(first) {
            Ok(key) => Some(key),
            Err(first) if first.is_first() => {
                self.first.insert(first);
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

    /// The first one of those that do not come before all others.
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
        self.first.len() + self.sorted.len() + self.new.len()
    }
}

impl Extend<Unit> for Units {
    fn extend<T: IntoIterator<Item = Unit>>(&mut self, units: T) {
        units.into_iter().for_each(|unit| self.insert(unit));
    }
}

/// A unit, by its key. A unit reads what sorts before its kind, so that making them in this order is enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// What others read: claims, where it stands below them, or what is made after these.
    Derived(Box<Derived>),
    /// What an object claims.
    Claims(ObjectRef),
    /// A listener that somebody claims.
    Listener(Arc<str>),
    /// A host that somebody names, on all listeners of its front.
    Host(Front, Host),
    /// A cluster that some unit names.
    Cluster(Arc<str>),
    /// The endpoints of such a cluster.
    Endpoints(Arc<str>),
    /// The certificate of a Secret that some host is served with, or some cluster shows.
    Secret(NamespacedName),
    /// Authorities that a listener or a cluster names.
    TrustBundle(Box<TrustBundleKey>),
    /// Passwords that a route asks for.
    Credentials(Box<CredentialsKey>),
    /// What is to be said of an object by itself.
    Object(ObjectRef),
}

impl Unit {
    const PLACE_OF_HOSTS: u8 = 4;

    /// Whether it is made before hosts. While such a unit is made more of them come, each at its place.
    fn is_first(&self) -> bool {
        self.place() < Self::PLACE_OF_HOSTS
    }

    /// The place of its kind.
    fn place(&self) -> u8 {
        match self {
            Self::Derived(derived) if derived.is_below_claims() => 0,
            Self::Claims(_) => 1,
            Self::Listener(_) => 2,
            Self::Derived(_) => 3,
            Self::Host(..) => Self::PLACE_OF_HOSTS,
            Self::Cluster(_) => 5,
            Self::Endpoints(_) => 6,
            Self::Secret(_) => 7,
            Self::TrustBundle(_) => 8,
            Self::Credentials(_) => 9,
            Self::Object(_) => 10,
        }
    }
}

impl Ord for Unit {
    fn cmp(&self, other: &Self) -> Ordering {
        let within = || match (self, other) {
            (Self::Derived(one), Self::Derived(other)) => one.cmp(other),
            (Self::Host(front, host), Self::Host(other, at)) => (front, host).cmp(&(other, at)),
            (Self::Secret(one), Self::Secret(other)) => one.cmp(other),
            (Self::TrustBundle(one), Self::TrustBundle(other)) => one.cmp(other),
            (Self::Credentials(one), Self::Credentials(other)) => one.cmp(other),
            (Self::Claims(one), Self::Claims(other)) | (Self::Object(one), Self::Object(other)) => {
                one.cmp(other)
            }
            (Self::Listener(one), Self::Listener(other))
            | (Self::Cluster(one), Self::Cluster(other))
            | (Self::Endpoints(one), Self::Endpoints(other)) => one.cmp(other),
            // Of two kinds, which have two places.
            _ => Ordering::Equal,
        };
        self.place().cmp(&other.place()).then_with(within)
    }
}

impl PartialOrd for Unit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<SecretKey> for Unit {
    fn from(secret: SecretKey) -> Self {
        match secret {
            SecretKey::Certificate(name) => Self::Secret(name),
            SecretKey::Bundle(key) => Self::TrustBundle(Box::new(key)),
            SecretKey::Credentials(key) => Self::Credentials(Box::new(key)),
        }
    }
}

impl Unit {
    /// What is there because it is claimed, or is made again whenever somebody more claims it, or somebody less. `None` for what only
    /// those ask for who read it.
    pub fn of_claim(claim: Claimable) -> Option<Self> {
        match claim {
            Claimable::Listener(name) => Some(Self::Listener(name)),
            Claimable::Host(front, host) => Some(Self::Host(front, host)),
            // It says how many there are.
            Claimable::Attached(parent, _) => Some(Self::Object(parent)),
            Claimable::Reached(..) => None,
        }
    }
}
