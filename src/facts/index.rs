//! A map from a key to the set of names filed under it.

use std::borrow::Borrow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// A multimap, sorted on both sides; a key without names does not exist.
#[derive(Clone, Debug)]
pub struct Index<K, V> {
    entries: BTreeMap<K, Values<V>>,
}

/// Most keys have one name. It stands in the entry itself: a set of one costs a node with room for eleven, which was a
/// tenth of all memory at 10,000 hosts (`make figures`).
#[derive(Clone, Debug)]
enum Values<V> {
    One(V),
    Many(BTreeSet<V>),
}

impl<V: Ord + Clone> Values<V> {
    fn insert(&mut self, value: V) {
        match self {
            Self::One(only) if *only == value => {}
            Self::One(only) => *self = Self::Many(BTreeSet::from([only.clone(), value])),
            Self::Many(values) => _ = values.insert(value),
        }
    }

    /// Returns whether none is left.
    fn remove(&mut self, value: &V) -> bool {
        match self {
            Self::One(only) => only == value,
            Self::Many(values) => {
                values.remove(value);
                values.is_empty()
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &V> {
        let (one, many) = match self {
            Self::One(only) => (Some(only), None),
            Self::Many(values) => (None, Some(values)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

impl<K: Ord, V: Ord + Clone> Index<K, V> {
    /// Files the name; returns whether the key is new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        match self.entries.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Values::One(value));
                true
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().insert(value);
                false
            }
        }
    }

    /// Takes the name away; returns whether the key is gone with it.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q, value: &V) -> bool
    where
        K: Borrow<Q>,
    {
        let Some(values) = self.entries.get_mut(key) else {
            return false;
        };
        let is_gone = values.remove(value);
        if is_gone {
            self.entries.remove(key);
        }
        is_gone
    }

    /// Files the name under the keys of `named` instead of those of `left`; what is in both stays as it is.
    pub fn refile(&mut self, left: &BTreeSet<K>, named: &BTreeSet<K>, value: &V)
    where
        K: Clone,
    {
        for key in left.difference(named) {
            self.remove(key, value);
        }
        for key in named.difference(left) {
            self.insert(key.clone(), value.clone());
        }
    }

    /// The names under the key, sorted.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> impl Iterator<Item = &V> + use<'_, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).into_iter().flat_map(Values::iter)
    }

    /// How many names are under the key.
    pub fn count<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map_or(0, |values| match values {
            Values::One(_) => 1,
            Values::Many(values) => values.len(),
        })
    }

    /// Makes it anew with every node full: one that was filled in order has nodes that are half empty.
    pub fn pack(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        let packed = entries.into_iter().map(|(key, values)| match values {
            Values::Many(values) => (key, Values::Many(values.into_iter().collect())),
            one => (key, one),
        });
        self.entries = packed.collect();
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
    pub fn range(
        &self,
        range: impl RangeBounds<K>,
    ) -> impl Iterator<Item = (&K, impl Iterator<Item = &V>)> {
        self.entries
            .range(range)
            .map(|(key, values)| (key, values.iter()))
    }
}
