//! A map from a key to the set of names filed under it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// A multimap, sorted on both sides; a key without names does not exist.
#[derive(Clone, Debug)]
pub struct Index<K, V> {
    entries: BTreeMap<K, BTreeSet<V>>,
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

impl<K: Ord, V: Ord> Index<K, V> {
    /// Files the name; returns whether the key is new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let values = self.entries.entry(key).or_default();
        let is_new = values.is_empty();
        values.insert(value);
        is_new
    }

    /// Takes the name away; returns whether the key is gone with it.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q, value: &V) -> bool
    where
        K: Borrow<Q>,
    {
        let Some(values) = self.entries.get_mut(key) else {
            return false;
        };
        values.remove(value);
        let is_gone = values.is_empty();
        if is_gone {
            self.entries.remove(key);
        }
        is_gone
    }

    /// The names under the key, sorted.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> impl Iterator<Item = &V> + use<'_, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).into_iter().flatten()
    }

    /// Whether anything is filed under the key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// The entries of a range of keys.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &BTreeSet<V>)> {
        self.entries.range(range)
    }
}
