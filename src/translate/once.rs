//! Values that are made once, when they are first asked for, with what was read for them.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;

use crate::facts::FactId;

/// A value, its hash, and what was read for it.
pub struct Value<V> {
    /// It.
    pub value: Arc<V>,
    /// Its hash.
    pub hash: FactId,
    /// What was read.
    pub reads: Box<[FactId]>,
}

/// A table whose values are made when they are first asked for. The lock is held to find the place of a value, never
/// while one is made: making one may ask for others.
pub struct Once<K, V>(Mutex<Places<K, V>>);

type Places<K, V> = HashMap<K, Arc<OnceLock<Value<V>>>, RandomState>;

impl<K: Eq + Hash + Clone, V> Once<K, V> {
    fn place(&self, key: &K) -> Arc<OnceLock<Value<V>>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match places.get(key) {
            Some(place) => place.clone(),
            None => places.entry(key.clone()).or_default().clone(),
        }
    }

    /// The value of a key, made where it is not made yet, and its hash.
    pub fn get(&self, key: &K, make: impl FnOnce() -> Value<V>) -> (Arc<V>, FactId) {
        let place = self.place(key);
        let value = place.get_or_init(make);
        (value.value.clone(), value.hash)
    }

    /// A value made of facts that its reader has recorded itself.
    pub fn get_plain(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let value = self.get(key, || Value {
            value: Arc::new(make()),
            hash: FactId::of(&()),
            reads: Box::default(),
        });
        value.0
    }

    /// The hash of a value that was made.
    pub fn hash(&self, key: &K) -> FactId {
        let place = self.place(key);
        place
            .get()
            .map_or_else(|| FactId::of(&()), |value| value.hash)
    }

    /// All that were made, by what their keys come to.
    pub fn collect<D>(self, made: &mut Vec<(D, FactId, Box<[FactId]>)>, derived: impl Fn(K) -> D) {
        let places = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.extend(places.into_iter().filter_map(|(key, place)| {
            let value = place.get()?;
            Some((derived(key), value.hash, value.reads.clone()))
        }));
    }
}

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> fmt::Debug for Once<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}
