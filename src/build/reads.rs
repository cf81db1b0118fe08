//! Who has read what: from a fact that differs to the units that are to be made again.
//!
//! There are some five units for each host, and each reads a handful of facts, so what is kept of them is packed: a unit's
//! key is held once, and whatever refers to the unit holds the four bytes of its place.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::facts::FactId;
use crate::translate::{Derived, Made};

use super::readers::{Id, Readers};
use super::unit::Unit;

/// The facts that each unit has read, and the units that have read each fact.
#[derive(Debug, Default)]
pub struct Reads {
    readers: Readers,
    /// Unit → its place in `entries`, which holds the key that is compared.
    ids: HashTable<Id>,
    keys: RandomState,
    entries: Vec<Entry>,
    free: Vec<Id>,
    /// What derived units came to, by the fact that they do.
    derived: HashMap<FactId, (Derived, FactId), RandomState>,
    /// Facts that nobody reads any more.
    unread: Vec<FactId>,
}

#[derive(Debug)]
struct Entry {
    unit: Unit,
    /// Sorted, each once.
    reads: Box<[FactId]>,
}

impl Reads {
    /// How many reads are recorded.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.readers.count()
    }

    /// The bytes that they take, about: what is reserved in the tables, less what keys share with others.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.readers.bytes()
            + self.readers.count() * size_of::<FactId>()
            + self.ids.capacity() * (size_of::<Id>() + 1)
            + self.entries.capacity() * size_of::<Entry>()
            + self.derived.capacity() * (size_of::<(FactId, (Derived, FactId))>() + 1)
    }

    /// The units that have read a fact.
    pub fn readers(&self, fact: FactId) -> impl Iterator<Item = &Unit> {
        let ids = self.readers.of(fact);
        ids.filter_map(|id| Some(&self.entries.get(index(id))?.unit))
    }

    /// What a derived unit came to when it was made last.
    pub fn value(&self, derived: &Derived) -> Option<FactId> {
        self.derived.get(&derived.fact()).map(|(_, value)| *value)
    }

    /// The unit has read these facts, sorted and each once, and no others.
    pub fn record(&mut self, unit: &Unit, reads: Box<[FactId]>) {
        if reads.is_empty() {
            self.forget(unit);
            return;
        }
        let id = self.id(unit);
        let Some(entry) = self.entries.get_mut(index(id)) else {
            return;
        };
        if entry.reads == reads {
            return;
        }
        let old = std::mem::replace(&mut entry.reads, reads);
        let reads = &entry.reads;
        // What is read still is never without readers in between.
        for fact in reads.iter().filter(|fact| old.binary_search(fact).is_err()) {
            self.readers.add(*fact, id);
        }
        for fact in old.iter().filter(|fact| reads.binary_search(fact).is_err()) {
            if self.readers.remove(*fact, id) {
                self.unread.push(*fact);
            }
        }
    }

    /// The unit is no more.
    pub fn forget(&mut self, unit: &Unit) {
        let entries = &self.entries;
        let is_it = |id: &Id| entries.get(index(*id)).is_some_and(|e| e.unit == *unit);
        let found = self.ids.find_entry(self.keys.hash_one(unit), is_it);
        let Ok(found) = found else {
            return;
        };
        let (id, _) = found.remove();
        let Some(entry) = self.entries.get_mut(index(id)) else {
            return;
        };
        for fact in std::mem::take(&mut entry.reads) {
            self.remove(fact, id);
        }
        self.free.push(id);
    }

    /// Keeps what was derived and is read, and forgets what nobody reads.
    pub fn keep(&mut self, mut made: Vec<Made>) {
        // From high to low: what reads a unit is recorded before it is asked who does.
        made.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        for (derived, value, reads) in made {
            let fact = derived.fact();
            if self.readers.contains(fact) {
                self.record(&Unit::Derived(Box::new(derived.clone())), reads);
                self.derived.insert(fact, (derived, value));
            }
        }
        while let Some(fact) = self.unread.pop() {
            if !self.readers.contains(fact)
                && let Some((derived, _)) = self.derived.remove(&fact)
            {
                self.forget(&Unit::Derived(Box::new(derived)));
            }
        }
    }

    /// Makes room for so many units, which else is made again and again while they come.
    pub fn reserve(&mut self, units: usize) {
        let (keys, entries) = (&self.keys, &self.entries);
        self.ids.reserve(units, |id| hash(keys, entries, *id));
        self.entries.reserve(units);
        self.readers.reserve(units);
    }

    /// Makes the tables as small as they can be.
    pub fn pack(&mut self) {
        self.readers.pack();
        let (keys, entries) = (&self.keys, &self.entries);
        self.ids.shrink_to_fit(|id| hash(keys, entries, *id));
        self.entries.shrink_to_fit();
        self.derived.shrink_to_fit();
    }

    fn id(&mut self, unit: &Unit) -> Id {
        let (keys, entries) = (&self.keys, &self.entries);
        let key = keys.hash_one(unit);
        let is_it = |id: &Id| entries.get(index(*id)).is_some_and(|e| e.unit == *unit);
        if let Some(id) = self.ids.find(key, is_it) {
            return *id;
        }
        // A pod would be out of memory long before there are more than an id can name.
        let next = Id::try_from(entries.len()).unwrap_or(Id::MAX);
        let id = self.free.pop().unwrap_or(next);
        self.ids
            .insert_unique(key, id, |id| hash(keys, entries, *id));
        let entry = Entry {
            unit: unit.clone(),
            reads: Box::default(),
        };
        match self.entries.get_mut(index(id)) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        id
    }

    fn remove(&mut self, fact: FactId, id: Id) {
        if self.readers.remove(fact, id) {
            self.unread.push(fact);
        }
    }
}

fn index(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn hash(keys: &RandomState, entries: &[Entry], id: Id) -> u64 {
    let entry = entries.get(index(id));
    entry.map_or(0, |entry| keys.hash_one(&entry.unit))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Front, Host};

    fn fact(name: u32) -> FactId {
        FactId::of(&name)
    }

    fn unit(name: &str) -> Unit {
        Unit::Host(Front::Fleet, Host::new(name))
    }

    fn reads(facts: &[u32]) -> Box<[FactId]> {
        let mut reads: Vec<_> = facts.iter().map(|name| fact(*name)).collect();
        reads.sort_unstable();
        reads.into()
    }

    #[test]
    fn whoever_reads_is_found_until_it_reads_no_more() {
        let mut all = Reads::default();
        let check = |all: &Reads, name, expected: &[&str]| {
            let readers: BTreeSet<_> = all.readers(fact(name)).cloned().collect();
            let expected: BTreeSet<_> = expected.iter().map(|name| unit(name)).collect();
            assert_eq!(readers, expected, "fact {name}");
        };
        all.record(&unit("a"), reads(&[1, 2]));
        all.record(&unit("b"), reads(&[2, 3]));
        check(&all, 1, &["a"]);
        check(&all, 2, &["a", "b"]);
        all.record(&unit("a"), reads(&[3]));
        check(&all, 1, &[]);
        check(&all, 2, &["b"]);
        check(&all, 3, &["a", "b"]);
        assert_eq!(all.count(), 3);
        all.forget(&unit("b"));
        // Its place is another's.
        all.record(&unit("c"), reads(&[1]));
        check(&all, 1, &["c"]);
        check(&all, 2, &[]);
        check(&all, 3, &["a"]);
        all.record(&unit("a"), reads(&[]));
        all.record(&unit("c"), reads(&[]));
        assert_eq!((all.count(), all.ids.len()), (0, 0));
    }

    /// Whatever grows finds what it has, and what is forgotten leaves no room behind once it is packed.
    #[test]
    fn many_units_come_and_go() {
        let mut all = Reads::default();
        let units: Vec<Unit> = (0..1000).map(|n| unit(&format!("{n}.test"))).collect();
        for round in 0..2_u32 {
            for (n, unit) in (0..).zip(&units) {
                all.record(unit, reads(&[n, n + 1, 5000 + round]));
            }
            assert_eq!(
                (all.count(), all.ids.len(), all.entries.len()),
                (3000, 1000, 1000)
            );
            for (n, unit) in (0..).zip(&units).skip(1) {
                let readers: Vec<_> = all.readers(fact(n)).collect();
                assert_eq!(readers.len(), 2);
                assert!(readers.contains(&unit), "{unit:?}");
            }
            assert_eq!(all.readers(fact(5000 + round)).count(), 1000);
            all.pack();
        }
        let full = all.bytes();
        for unit in &units {
            all.forget(unit);
        }
        assert_eq!((all.count(), all.ids.len(), all.free.len()), (0, 0, 1000));
        all.pack();
        let left = all.bytes() - all.entries.capacity() * size_of::<Entry>();
        assert!(left < full / 10, "{left} of {full}");
    }

    #[test]
    fn what_is_derived_lives_while_it_is_read() {
        let mut all = Reads::default();
        let wildcard = || Host::new("*.test");
        let (source, on_http) = (Derived::Source(wildcard()), Derived::OnHttp(wildcard()));
        let made = || {
            vec![
                (source.clone(), fact(7), reads(&[1])),
                (on_http.clone(), fact(8), Box::from([source.fact()])),
            ]
        };
        all.keep(made());
        assert_eq!(all.value(&source), None, "nobody reads it");
        all.record(&unit("a.test"), Box::from([source.fact()]));
        all.keep(made());
        assert_eq!(all.value(&source), Some(fact(7)));
        assert_eq!(all.value(&on_http), None);
        // What one reads is another's to be read, whichever was made first.
        all.record(&unit("b.test"), Box::from([on_http.fact()]));
        all.keep(made());
        assert_eq!(all.value(&on_http), Some(fact(8)));
        let readers: Vec<_> = all.readers(source.fact()).cloned().collect();
        let of_both = [unit("a.test"), Unit::Derived(Box::new(on_http.clone()))];
        assert!(readers.len() == 2 && of_both.iter().all(|unit| readers.contains(unit)));
        // It stays for one of them.
        all.forget(&unit("b.test"));
        all.keep(Vec::new());
        assert_eq!(all.value(&on_http), None);
        assert_eq!(all.value(&source), Some(fact(7)));
        all.forget(&unit("a.test"));
        all.keep(Vec::new());
        assert_eq!(all.value(&source), None);
        assert_eq!((all.count(), all.ids.len()), (0, 0));
    }
}
