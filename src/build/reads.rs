//! Who has read what: from a fact that differs to the units that are to be made again.

use std::collections::{BTreeSet, HashMap};

use crate::facts::FactId;
use crate::translate::{Derived, Made};

use super::unit::Unit;

/// The facts that each unit has read, and the units that have read each fact.
#[derive(Debug, Default)]
pub struct Reads {
    readers: HashMap<FactId, Readers>,
    ids: HashMap<Unit, Id>,
    entries: Vec<Entry>,
    free: Vec<Id>,
    /// What derived units came to, by the fact that they do.
    derived: HashMap<FactId, (Derived, FactId)>,
    /// Facts that nobody reads any more.
    unread: Vec<FactId>,
    count: usize,
}

/// A place in [`Reads::entries`]. Units are told by it four bytes at a time.
type Id = u32;

#[derive(Debug)]
struct Entry {
    unit: Unit,
    /// Sorted, each once.
    reads: Box<[FactId]>,
}

/// The readers of one fact. Most have one.
#[derive(Debug)]
enum Readers {
    One(Id),
    #[expect(
        clippy::box_collection,
        reason = "a fact with one reader, as most are, takes 16 bytes instead of 32"
    )]
    Many(Box<BTreeSet<Id>>),
}

impl Reads {
    /// How many reads are recorded.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The bytes that they take, about: what is reserved in the tables, less what keys share with others.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tables = self.readers.capacity() * (size_of::<(FactId, Readers)>() + 1)
            + self.ids.capacity() * (size_of::<(Unit, Id)>() + 1)
            + self.entries.capacity() * size_of::<Entry>()
            + self.derived.capacity() * (size_of::<(FactId, (Derived, FactId))>() + 1);
        let many = self.readers.values().map(|readers| match readers {
            Readers::One(_) => 0,
            Readers::Many(ids) => size_of::<BTreeSet<Id>>() + ids.len() * 2 * size_of::<Id>(),
        });
        tables + self.count * size_of::<FactId>() + many.sum::<usize>()
    }

    /// The units that have read a fact.
    pub fn readers(&self, fact: FactId) -> impl Iterator<Item = &Unit> {
        let (one, many) = match self.readers.get(&fact) {
            None => (None, None),
            Some(Readers::One(id)) => (Some(id), None),
            Some(Readers::Many(ids)) => (None, Some(ids.iter())),
        };
        let ids = one.into_iter().chain(many.into_iter().flatten());
        ids.filter_map(|id| Some(&self.entries.get(usize_of(*id))?.unit))
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
        let Some(entry) = self.entries.get_mut(usize_of(id)) else {
            return;
        };
        if entry.reads == reads {
            return;
        }
        let old = std::mem::replace(&mut entry.reads, reads.clone());
        // What is read still is never without readers in between.
        for fact in reads.iter().filter(|fact| old.binary_search(fact).is_err()) {
            self.add(*fact, id);
        }
        for fact in old.iter().filter(|fact| reads.binary_search(fact).is_err()) {
            self.remove(*fact, id);
        }
    }

    /// The unit is no more.
    pub fn forget(&mut self, unit: &Unit) {
        let Some(id) = self.ids.remove(unit) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(usize_of(id)) else {
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
            if self.readers.contains_key(&fact) {
                self.record(&Unit::Derived(Box::new(derived.clone())), reads);
                self.derived.insert(fact, (derived, value));
            }
        }
        while let Some(fact) = self.unread.pop() {
            if !self.readers.contains_key(&fact)
                && let Some((derived, _)) = self.derived.remove(&fact)
            {
                self.forget(&Unit::Derived(Box::new(derived)));
            }
        }
    }

    /// Makes the tables as small as they can be.
    pub fn pack(&mut self) {
        self.readers.shrink_to_fit();
        self.ids.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    fn id(&mut self, unit: &Unit) -> Id {
        if let Some(id) = self.ids.get(unit) {
            return *id;
        }
        let entry = Entry {
            unit: unit.clone(),
            reads: Box::default(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.entries.get_mut(usize_of(id)) {
                    *place = entry;
                }
                id
            }
            None => {
                self.entries.push(entry);
                // A pod would be out of memory long before there are so many.
                Id::try_from(self.entries.len() - 1).unwrap_or(Id::MAX)
            }
        };
        self.ids.insert(unit.clone(), id);
        id
    }

    fn add(&mut self, fact: FactId, id: Id) {
        self.count += 1;
        match self.readers.get_mut(&fact) {
            None => {
                self.readers.insert(fact, Readers::One(id));
            }
            Some(Readers::Many(ids)) => {
                ids.insert(id);
            }
            Some(readers) => {
                if let Readers::One(only) = *readers {
                    *readers = Readers::Many(Box::new(BTreeSet::from([only, id])));
                }
            }
        }
    }

    fn remove(&mut self, fact: FactId, id: Id) {
        self.count -= 1;
        let is_unread = match self.readers.get_mut(&fact) {
            None => false,
            Some(Readers::One(only)) => *only == id,
            Some(Readers::Many(ids)) => {
                ids.remove(&id);
                ids.is_empty()
            }
        };
        if is_unread {
            self.readers.remove(&fact);
            self.unread.push(fact);
        }
    }
}

fn usize_of(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;

    fn fact(name: u32) -> FactId {
        FactId::of(&name)
    }

    fn unit(name: &str) -> Unit {
        Unit::Host(Host::new(name))
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
        assert_eq!((all.count(), all.readers.len(), all.ids.len()), (0, 0, 0));
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
        all.forget(&unit("a.test"));
        all.keep(Vec::new());
        assert_eq!(all.value(&source), None);
        assert_eq!((all.count(), all.ids.len()), (0, 0));
    }
}
