//! Fact → the units that have read it.
//!
//! Most facts have one reader, some have a few, and one of a Secret that all hosts share has all of them. Each kind takes
//! what it needs: 13 bytes for the first.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::facts::FactId;

/// A unit, as a number.
pub type Id = u32;

/// How many readers are kept as a list. Adding to one costs its length.
const FEW: usize = 32;

/// The readers of every fact that has one.
#[derive(Debug, Default)]
pub struct Readers {
    /// Of facts with one reader.
    one: HashTable<One>,
    /// Of facts with several.
    several: HashMap<FactId, Several, RandomState>,
    count: usize,
}

/// Aligned to four bytes, so that no table has padding between them.
#[derive(Clone, Copy, Debug)]
struct One {
    fact: [u32; 2],
    reader: Id,
}

/// Two or more, each once.
#[derive(Debug)]
enum Several {
    Few(Box<[Id]>),
    #[expect(
        clippy::box_collection,
        reason = "a list of a few, as most are, takes 16 bytes instead of 24"
    )]
    Many(Box<BTreeSet<Id>>),
}

impl One {
    fn is(&self, fact: FactId) -> bool {
        self.fact == fact.halves()
    }

    fn hash(&self) -> u64 {
        FactId::from_halves(self.fact).hash()
    }
}

impl Readers {
    /// How many readers all facts have together.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether somebody reads the fact.
    pub fn contains(&self, fact: FactId) -> bool {
        self.one.find(fact.hash(), |one| one.is(fact)).is_some() || self.several.contains_key(&fact)
    }

    /// The bytes that are reserved, about.
    pub fn bytes(&self) -> usize {
        let lists = self.several.values().map(|several| match several {
            Several::Few(ids) => size_of_val(&**ids),
            // What a tree takes of which every node is two thirds full.
            Several::Many(ids) => size_of::<BTreeSet<Id>>() + ids.len() * 2 * size_of::<Id>(),
        });
        self.one.capacity() * (size_of::<One>() + 1)
            + self.several.capacity() * (size_of::<(FactId, Several)>() + 1)
            + lists.sum::<usize>()
    }

    /// The readers of a fact, in order.
    pub fn of(&self, fact: FactId) -> impl Iterator<Item = Id> {
        let one = self.one.find(fact.hash(), |one| one.is(fact));
        let (few, many) = match self.several.get(&fact) {
            None => (None, None),
            Some(Several::Few(ids)) => (Some(ids), None),
            Some(Several::Many(ids)) => (None, Some(ids)),
        };
        let several = few
            .into_iter()
            .flatten()
            .chain(many.into_iter().flat_map(|ids| ids.iter()));
        one.map(|one| &one.reader)
            .into_iter()
            .chain(several)
            .copied()
    }

    /// A unit that did not read the fact does.
    pub fn add(&mut self, fact: FactId, id: Id) {
        self.count += 1;
        if let Some(several) = self.several.get_mut(&fact) {
            several.add(id);
            return;
        }
        let found = self.one.entry(fact.hash(), |one| one.is(fact), One::hash);
        match found {
            Entry::Vacant(vacant) => {
                let fact = fact.halves();
                vacant.insert(One { fact, reader: id });
            }
            Entry::Occupied(occupied) => {
                let (One { reader, .. }, _) = occupied.remove();
                let both = Several::Few(Box::from([reader.min(id), reader.max(id)]));
                self.several.insert(fact, both);
            }
        }
    }

    /// A unit that read the fact does so no more. Returns whether nobody is left.
    pub fn remove(&mut self, fact: FactId, id: Id) -> bool {
        self.count -= 1;
        if let Ok(found) = self.one.find_entry(fact.hash(), |one| one.is(fact)) {
            found.remove();
            return true;
        }
        let Some(several) = self.several.get_mut(&fact) else {
            return false;
        };
        if let Some(reader) = several.remove(id) {
            self.several.remove(&fact);
            let fact = fact.halves();
            let last = One { fact, reader };
            self.one.insert_unique(last.hash(), last, One::hash);
        }
        false
    }

    /// Makes room for so many facts.
    pub fn reserve(&mut self, facts: usize) {
        self.one.reserve(facts, One::hash);
    }

    /// Makes the tables as small as they can be.
    pub fn pack(&mut self) {
        self.one.shrink_to_fit(One::hash);
        self.several.shrink_to_fit();
    }
}

impl Several {
    fn add(&mut self, id: Id) {
        match self {
            Self::Few(ids) if ids.len() < FEW => {
                let mut longer = std::mem::take(ids).into_vec();
                let place = longer.partition_point(|other| *other < id);
                longer.insert(place, id);
                *ids = longer.into_boxed_slice();
            }
            Self::Few(ids) => {
                let all = ids.iter().copied().chain([id]);
                *self = Self::Many(Box::new(all.collect()));
            }
            Self::Many(ids) => {
                ids.insert(id);
            }
        }
    }

    /// Returns the one that is left, if it is one.
    fn remove(&mut self, id: Id) -> Option<Id> {
        match self {
            Self::Few(ids) => {
                let left: Vec<Id> = ids.iter().copied().filter(|other| *other != id).collect();
                *ids = left.into_boxed_slice();
                match **ids {
                    [last] => Some(last),
                    _ => None,
                }
            }
            Self::Many(ids) => {
                ids.remove(&id);
                // Half of what makes it a tree, so that one reader that comes and goes does not turn it each time.
                if ids.len() <= FEW / 2 {
                    *self = Self::Few(ids.iter().copied().collect());
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_come_and_go() {
        let (fact, other) = (FactId::of(&1), FactId::of(&2));
        for most in [1, 2, 3, 32, 33, 34, 200] {
            let mut readers = Readers::default();
            readers.add(other, 7);
            let check = |readers: &Readers, expected: &[Id]| {
                let found: Vec<Id> = readers.of(fact).collect();
                assert_eq!(found, expected, "of {most}");
                assert_eq!(readers.count(), expected.len() + 1, "of {most}");
                assert_eq!(readers.contains(fact), !expected.is_empty(), "of {most}");
                assert_eq!(readers.of(other).collect::<Vec<_>>(), [7]);
            };
            // From the last to the first, and away from the middle.
            let mut expected: Vec<Id> = (0..most).collect();
            for (place, id) in expected.iter().rev().enumerate() {
                readers.add(fact, *id);
                check(&readers, &expected[expected.len() - 1 - place..]);
            }
            readers.pack();
            while !expected.is_empty() {
                let gone = expected.remove(expected.len() / 2);
                assert_eq!(readers.remove(fact, gone), expected.is_empty());
                check(&readers, &expected);
            }
        }
    }
}
