//! What is left out on a stream, of one type. A change costs what has changed, however much is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::ordmap::DiffItem;

use super::unit::Unit;
use crate::xds::Resource;

/// A unit that a client refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the client said, bounded; a fixed text for secrets.
    pub reason: Arc<str>,
    /// The objects that the unit was made from.
    pub owners: Arc<[Arc<str>]>,
}

/// A unit that is left out from now on, or that is not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedChange {
    /// The resource.
    pub name: Arc<str>,
    /// The part of it; `None` is its head.
    pub key: Option<Arc<str>>,
    /// Why it is, or was.
    pub refusal: Refusal,
    /// Whether it is left out now.
    pub is_left_out: bool,
}

/// A unit within its resource: the part's key and the hash of its bytes. Other bytes are sent again.
type Id = (Option<Arc<str>>, u64);

/// What was refused of one resource.
#[derive(Debug, Default)]
struct RefusedParts {
    /// There can be two heads, that of the resource and that of its placeholder.
    refusals: BTreeMap<Id, Refusal>,
    rest: Option<Rest>,
}

/// A form of a resource of which parts were refused.
#[derive(Debug)]
struct Rest {
    of: Arc<Resource>,
    /// The same less these parts.
    resource: Arc<Resource>,
}

impl RefusedParts {
    fn is_refused(&self, key: &Arc<str>, resource: &Resource) -> bool {
        let unit = |hash| (Some(key.clone()), hash);
        let mut of_key = self.refusals.range(unit(0)..=unit(u64::MAX)).peekable();
        of_key.peek().is_some() && {
            let part = resource.parts().get(key);
            let hash = part.map(|part| part.bytes.hash());
            of_key.any(|((_, refused), _)| Some(*refused) == hash)
        }
    }

    /// `resource` less what is refused of it, and the keys of the parts that had to be looked at.
    fn rest(&self, resource: &Arc<Resource>) -> (Arc<Resource>, Vec<Arc<str>>) {
        let (mut parts, altered) = match &self.rest {
            Some(rest) if Arc::ptr_eq(&rest.of, resource) => {
                return (rest.resource.clone(), Vec::new());
            }
            Some(rest) => {
                let difference = rest.of.parts().diff(resource.parts());
                let key = |item| match item {
                    DiffItem::Add(key, _)
                    | DiffItem::Remove(key, _)
                    | DiffItem::Update { new: (key, _), .. } => Arc::clone(key),
                };
                let altered: Vec<Arc<str>> = difference.map(key).collect();
                (rest.resource.parts().clone(), altered)
            }
            None => {
                let keys = self.refusals.keys().filter_map(|(key, _)| key.clone());
                (resource.parts().clone(), keys.collect())
            }
        };
        for key in &altered {
            match resource.parts().get(key) {
                Some(part) if !self.is_refused(key, resource) => {
                    parts.insert(key.clone(), part.clone());
                }
                _ => {
                    parts.remove(key);
                }
            }
        }
        let (name, head) = (resource.name().clone(), resource.head().clone());
        let rest = Resource::composite(name, head, parts).after(resource);
        (Arc::new(rest), altered)
    }

    /// The resource has this form now: returns the refused parts that it does not have any more, and how many parts were
    /// looked at.
    fn follow(&mut self, resource: &Arc<Resource>) -> (Vec<(Id, Refusal)>, usize) {
        let (rest, altered) = self.rest(resource);
        let mut gone = Vec::new();
        for key in &altered {
            let hash = resource.parts().get(key).map(|part| part.bytes.hash());
            let unit = |hash| (Some(key.clone()), hash);
            let of_key = self.refusals.range(unit(0)..=unit(u64::MAX));
            let other = of_key.filter(|((_, refused), _)| Some(*refused) != hash);
            gone.extend(other.map(|(id, refusal)| (id.clone(), refusal.clone())));
        }
        for (id, _) in &gone {
            self.refusals.remove(id);
        }
        self.rest = Some(Rest {
            of: resource.clone(),
            resource: rest,
        });
        (gone, altered.len())
    }

    fn heads(&self) -> impl Iterator<Item = (&Id, &Refusal)> {
        self.refusals
            .iter()
            .take_while(|((key, _), _)| key.is_none())
    }
}

/// The units of one type that are left out on a stream.
#[derive(Debug, Default)]
pub struct Refused {
    units: BTreeMap<Arc<str>, RefusedParts>,
    /// What has changed since [`take_changes`](Self::take_changes) was called last.
    changes: Vec<RefusedChange>,
}

impl Refused {
    /// A resource less the parts of it that were refused; `None` if none was.
    #[must_use]
    pub fn rest(&self, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
        let units = self.units.get(resource.name())?;
        units.rest.as_ref()?;
        Some(units.rest(resource).0)
    }

    /// All of them, by resource and part.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Option<&Arc<str>>, &Refusal)> {
        self.units.iter().flat_map(|(name, units)| {
            let refusals = units.refusals.iter();
            refusals.map(move |((key, _), refusal)| (name, key.as_ref(), refusal))
        })
    }

    /// Whether a whole resource is left out, as it is now.
    #[must_use]
    pub fn whole(&self, resource: &Resource) -> bool {
        self.units.get(resource.name()).is_some_and(|units| {
            let head = (None, resource.head().bytes.hash());
            units.refusals.contains_key(&head)
        })
    }

    /// The whole resources among them, without a look at the parts of any.
    pub fn whole_ones(&self) -> impl Iterator<Item = (&Arc<str>, &Refusal)> {
        self.units
            .iter()
            .flat_map(|(name, units)| units.heads().map(move |(_, refusal)| (name, refusal)))
    }

    /// What has changed since this was called last, in order.
    pub fn take_changes(&mut self) -> Vec<RefusedChange> {
        std::mem::take(&mut self.changes)
    }

    /// Leaves a unit of a resource out.
    pub fn insert(&mut self, unit: &Unit, of: &Arc<Resource>, refusal: Refusal) {
        let units = self.units.entry(unit.name.clone()).or_default();
        let id = (unit.key.clone(), unit.hash);
        let before = units.refusals.insert(id.clone(), refusal.clone());
        let mut gone: Vec<(Id, Refusal)> = before
            .map(|before| (id.clone(), before))
            .into_iter()
            .collect();
        if let Some(key) = &unit.key {
            gone.extend(units.follow(of).0);
            if let Some(rest) = &mut units.rest {
                rest.resource = Arc::new(rest.resource.without(key));
            }
        }
        self.forgotten(&unit.name, gone);
        self.changes.push(change(&unit.name, id, refusal, true));
    }

    /// Forgets what no longer has the refused bytes; returns how many units were looked at.
    pub fn prune(&mut self, name: &Arc<str>, resource: Option<&Arc<Resource>>) -> usize {
        let Some(units) = self.units.get_mut(name) else {
            return 0;
        };
        let Some(resource) = resource else {
            let gone = self.units.remove(name).unwrap_or_default().refusals;
            let count = gone.len();
            self.forgotten(name, gone);
            return count;
        };
        let head = resource.head().bytes.hash();
        let heads: Vec<(Id, Refusal)> = units
            .heads()
            .map(|(id, refusal)| (id.clone(), refusal.clone()))
            .collect();
        let mut count = heads.len();
        let mut gone = heads;
        gone.retain(|((_, hash), _)| *hash != head);
        for (id, _) in &gone {
            units.refusals.remove(id);
        }
        if units.rest.is_some() {
            let (of_parts, looked_at) = units.follow(resource);
            gone.extend(of_parts);
            count += looked_at;
        }
        if units.refusals.is_empty() {
            self.units.remove(name);
        }
        self.forgotten(name, gone);
        count
    }

    fn forgotten(&mut self, name: &Arc<str>, units: impl IntoIterator<Item = (Id, Refusal)>) {
        let units = units.into_iter();
        self.changes
            .extend(units.map(|(id, refusal)| change(name, id, refusal, false)));
    }
}

fn change(name: &Arc<str>, id: Id, refusal: Refusal, is_left_out: bool) -> RefusedChange {
    RefusedChange {
        name: name.clone(),
        key: id.0,
        refusal,
        is_left_out,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use imbl::OrdMap;

    use super::*;
    use crate::xds::Part;

    const PARTS: usize = 5000;

    fn part(bytes: &str) -> Part {
        Part {
            bytes: bytes.as_bytes().into(),
            references: Arc::new([]),
            owners: Arc::new([]),
        }
    }

    fn key(number: usize) -> Arc<str> {
        format!("k{number:04}").into()
    }

    fn with(of: &Resource, number: usize, bytes: Option<&str>) -> Arc<Resource> {
        let mut parts = of.parts().clone();
        match bytes {
            Some(bytes) => parts.insert(key(number), Arc::new(part(bytes))),
            None => parts.remove(&key(number)),
        };
        Arc::new(Resource::composite(
            of.name().clone(),
            of.head().clone(),
            parts,
        ))
    }

    /// A table of `PARTS`, every second of which is refused.
    fn refused() -> (Refused, Arc<Resource>) {
        let of_number = |number| (key(number), Arc::new(part(&format!("{number};"))));
        let parts: OrdMap<_, _> = (0..PARTS).map(of_number).collect();
        let table = Arc::new(Resource::composite("table".into(), part("head;"), parts));
        let mut refused = Refused::default();
        for unit in Unit::new_in(&table, None).iter().skip(1).step_by(2) {
            let refusal = Refusal {
                reason: "why".into(),
                owners: Arc::new([]),
            };
            refused.insert(unit, &table, refusal);
        }
        refused.take_changes();
        (refused, table)
    }

    /// What is left, found by a look at everything.
    fn check(refused: &Refused, table: &Arc<Resource>, forgotten: &[usize]) {
        let rest = refused.rest(table).unwrap();
        let expected: Vec<&Arc<str>> = table
            .parts()
            .keys()
            .filter(|key| {
                let number: usize = key[1..].parse().unwrap();
                number >= PARTS || number % 2 == 1 || forgotten.contains(&number)
            })
            .collect();
        assert!(rest.parts().keys().eq(expected));
        let bytes = |resource: &Resource| {
            resource
                .parts()
                .iter()
                .map(|(key, part)| (key.clone(), part.bytes.to_bytes()))
                .collect::<BTreeMap<_, _>>()
        };
        let all = bytes(table);
        assert!(bytes(&rest).iter().all(|(key, bytes)| all[key] == *bytes));
        assert_eq!(rest.head(), table.head());
    }

    /// The old code looked at each of the 2,500 refused parts for each change, and took each of them out again.
    #[test]
    fn a_change_costs_what_has_changed() {
        let (mut refused, mut table) = refused();
        check(&refused, &table, &[]);
        let mut forgotten = Vec::new();
        for (number, bytes, is_refused) in [
            (7, Some("a good one;"), false),
            (8, Some("mended;"), true),
            (9, None, false),
            (10, None, true),
            (PARTS, Some("another one;"), false),
        ] {
            table = with(&table, number, bytes);
            let looked_at = refused.prune(table.name(), Some(&table));
            assert_eq!(looked_at, 1, "part {number}");
            let changes = refused.take_changes();
            assert_eq!(changes.len(), usize::from(is_refused), "part {number}");
            if is_refused {
                assert!(!changes[0].is_left_out);
                assert_eq!(changes[0].key, Some(key(number)));
                forgotten.push(number);
            }
            check(&refused, &table, &forgotten);
            let again = [&table, &table].map(|table| refused.rest(table).unwrap());
            assert!(Arc::ptr_eq(&again[0], &again[1]), "made once");
        }
        assert_eq!(refused.prune(table.name(), Some(&table)), 0);
        assert_eq!(refused.iter().count(), PARTS / 2 - 2);
        assert_eq!(refused.prune(table.name(), None), PARTS / 2 - 2);
        assert!(refused.rest(&table).is_none());
    }

    /// What else a part is has nothing to do with it: with other references its bytes are as bad as they were.
    #[test]
    fn bytes_are_left_out_whatever_they_refer_to() {
        let (mut refused, table) = refused();
        let mut parts = table.parts().clone();
        for number in [8, 9] {
            let other = Part {
                owners: Arc::new(["another".into()]),
                ..part(&format!("{number};"))
            };
            parts.insert(key(number), Arc::new(other));
        }
        let (name, head) = (table.name().clone(), table.head().clone());
        let other = Arc::new(Resource::composite(name, head, parts));
        check(&refused, &other, &[]);
        assert_eq!(refused.prune(other.name(), Some(&other)), 2);
        assert_eq!(refused.take_changes(), []);
        check(&refused, &other, &[]);
        let rest = refused.rest(&other).unwrap();
        assert_eq!(rest.parts()[&key(9)].owners, other.parts()[&key(9)].owners);
    }

    /// Whoever asks before it was told of a change gets what is right all the same.
    #[test]
    fn other_bytes_are_never_left_out() {
        let (refused, table) = refused();
        let mended = with(&table, 8, Some("mended;"));
        check(&refused, &mended, &[8]);
        check(&refused, &table, &[]);
    }

    /// A head is refused with the bytes that it has, that of a stand-in too, and parts have nothing to do with it.
    #[test]
    fn heads_go_with_their_bytes() {
        let forms = ["1;", "2;"].map(|head| Arc::new(Resource::whole("a".into(), part(head))));
        let mut refused = Refused::default();
        for form in &forms {
            let refusal = Refusal {
                reason: "why".into(),
                owners: Arc::new([]),
            };
            refused.insert(&Unit::new_in(form, None)[0], form, refusal);
        }
        assert_eq!(refused.whole_ones().count(), 2);
        assert!(forms.iter().all(|form| refused.whole(form)));
        assert!(refused.rest(&forms[0]).is_none(), "no part is left out");
        assert_eq!(refused.prune(&"a".into(), Some(&forms[1])), 2);
        assert!(!refused.whole(&forms[0]) && refused.whole(&forms[1]));
    }
}
