//! One unit of a resource: encoded bytes, what they need, and whose they are.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

use super::ResourceType;

/// A resource that another one needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its name.
    pub name: Arc<str>,
}

/// What the key of a part ends with that says of what is elsewhere: before it stands the key that a part of this very thing would have.
/// It gives way to that one, while its resource keeps what it is about to lose, or has what is another's.
pub const ELSEWHERE: &str = ">elsewhere";

/// The key of what is said of a thing that is elsewhere, by the key that it would have here.
#[must_use]
pub fn elsewhere(key: &str) -> Arc<str> {
    format!("{key}{ELSEWHERE}").into()
}

/// One unit of a resource: a virtual host of a table, a filter chain of a listener, or a whole cluster,
/// assignment or secret. A refusal is contained per part.
#[derive(Clone)]
pub struct Part {
    /// Encoded fields of the resource's message. Fields of a message concatenate: that is protobuf's own rule.
    pub bytes: Encoded,
    /// What it needs to work.
    pub references: Arc<[Reference]>,
    /// The objects it was made from, as logs and metrics name them; empty for parts that no object owns.
    pub owners: Arc<[Arc<str>]>,
}

impl fmt::Debug for Part {
    /// Length only: the bytes of a secret hold a private key (I10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("length", &self.bytes.len())
            .field("references", &self.references)
            .field("owners", &self.owners)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.owners == other.owners
    }
}

/// Encoded bytes: those of a part's own, then a tail that many parts have in common and that is kept once for all of
/// them. Five kilobytes of every filter chain depend on the operator's flags alone; with a certificate for each fifth
/// host they were a tenth of all memory (`make figures`).
///
/// No `Debug`: the bytes of a secret hold a private key (I10).
#[derive(Clone)]
pub struct Encoded {
    own: Arc<[u8]>,
    tail: Arc<[u8]>,
}

impl Encoded {
    /// Bytes that end with the tail.
    #[must_use]
    pub fn with_tail(own: impl Into<Arc<[u8]>>, tail: Arc<[u8]>) -> Self {
        Self {
            own: own.into(),
            tail,
        }
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len() + self.tail.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash of the bytes, wherever the tail begins.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.hash_into(&mut hasher);
        hasher.digest()
    }

    /// The same in more bits, and another one for each seed.
    pub(super) fn hash_with(&self, seed: u64) -> u128 {
        if self.tail.is_empty() {
            return xxh3_128_with_seed(&self.own, seed);
        }
        let mut hasher = Xxh3::with_seed(seed);
        self.hash_into(&mut hasher);
        hasher.digest128()
    }

    /// All bytes in one piece, which is a copy only where there is a tail.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.tail.is_empty() {
            Bytes::from_owner(self.own.clone())
        } else {
            [&*self.own, &*self.tail].concat().into()
        }
    }

    fn iter(&self) -> impl Iterator<Item = &u8> {
        self.own.iter().chain(&*self.tail)
    }

    pub(super) fn hash_into(&self, hasher: &mut Xxh3) {
        hasher.update(&self.own);
        hasher.update(&self.tail);
    }

    pub(super) fn put_into(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.own);
        buffer.put_slice(&self.tail);
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for Encoded {
    fn from(own: T) -> Self {
        Self::with_tail(own, Arc::default())
    }
}

impl PartialEq for Encoded {
    fn eq(&self, other: &Self) -> bool {
        if self.own.len() == other.own.len() {
            let same_tail = Arc::ptr_eq(&self.tail, &other.tail) || self.tail == other.tail;
            return same_tail && self.own == other.own;
        }
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
