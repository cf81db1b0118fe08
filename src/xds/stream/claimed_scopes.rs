//! What a client that comes back says of its scopes: which table each of them leads to. It is believed for one thing, the
//! order. A scope that led elsewhere meanwhile is moved as if the control plane had been there: until the client has taken
//! it as it is now, the table that it leads to keeps the part of its name, as that part is now.
//!
//! The version of a scope is the name of its table. The state of the world has one version for all scopes, which tells
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::xds::{Part, Resource, ResourceType, Snapshot, elsewhere as key_elsewhere};

/// Scopes that lead a client to another table than they should, and these tables.
#[derive(Debug, Default)]
pub(super) struct ClaimedScopes {
    /// The table that the client's form of a scope leads to, until the client has taken another form.
    tables: BTreeMap<Arc<str>, Arc<str>>,
    /// The tables as they are until then.
    kept: BTreeMap<Arc<str>, Kept>,
    /// How many of these names only the client knows, and their length.
    words: (usize, usize),
}

/// A table with parts that it has for a while.
#[derive(Debug)]
struct Kept {
    /// Without them.
    table: Arc<Resource>,
    guests: BTreeMap<Arc<str>, Arc<Part>>,
    /// With them.
    with_guests: Arc<Resource>,
}

impl Kept {
    fn new(table: Arc<Resource>, guests: BTreeMap<Arc<str>, Arc<Part>>) -> Self {
        let mut parts = table.parts().clone();
        for key in guests.keys() {
            // It is here for a while.
            parts.remove(&key_elsewhere(key));
        }
        parts.extend(guests.clone());
        let (name, head) = (table.name().clone(), table.head().clone());
        let with_guests = Arc::new(Resource::composite(name, head, parts).after(&table));
        Self {
            table,
            guests,
            with_guests,
        }
    }
}

impl ClaimedScopes {
    /// What a client claims of its scopes: names and versions.
    pub(super) fn new(claimed: &BTreeMap<String, String>, target: &Snapshot) -> Self {
        let routes = target.resources(ResourceType::Route);
        let mut words: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut tables = BTreeMap::new();
        for (scope, table) in elsewhere(claimed, target) {
            let known = routes.get_key_value(table).map(|(table, _)| table);
            let known = known.or_else(|| words.get(table)).cloned();
            let table = known.unwrap_or_else(|| {
                let word: Arc<str> = table.into();
                words.insert(word.clone());
                word
            });
            tables.insert(scope.clone(), table);
        }
        let size = size(words.iter().map(|word| &**word));
        Self {
            tables,
            kept: BTreeMap::new(),
            words: size,
        }
    }

    /// How many of the client's words are remembered, and their length: tables that do not exist.
    pub(super) fn size(&self) -> (usize, usize) {
        match self.tables.is_empty() {
            true => (0, 0),
            false => self.words,
        }
    }

    /// The same if this is claimed.
    pub(super) fn size_of(claimed: &BTreeMap<String, String>, target: &Snapshot) -> (usize, usize) {
        let routes = target.resources(ResourceType::Route);
        let tables = elsewhere(claimed, target).map(|(_, table)| table);
        let words: BTreeSet<&str> = tables
            .filter(|table| !routes.contains_key(*table))
            .collect();
        size(words.into_iter())
    }

    /// A table as the client is to have it for now; `None` if that is as it should be for good.
    pub(super) fn table(&self, name: &str) -> Option<&Arc<Resource>> {
        self.kept.get(name).map(|kept| &kept.with_guests)
    }

    /// The scope should lead elsewhere from now on. What the client has leads to the table that it took on this stream, else
    /// to the one that it claims, else to the one that the scope led to until now.
    pub(super) fn moved(&mut self, name: &Arc<str>, taken: Option<&Arc<str>>, old: &Arc<str>) {
        if let Some(taken) = taken {
            self.tables.insert(name.clone(), taken.clone());
        } else if !self.tables.contains_key(name) {
            self.tables.insert(name.clone(), old.clone());
        }
    }

    /// The scope leads where it should.
    pub(super) fn is_in_place(&mut self, name: &str) {
        self.tables.remove(name);
    }

    /// The client has taken a scope in this form. Returns whether that matters.
    pub(super) fn taken(&mut self, scope: &Resource, target: &Snapshot) -> bool {
        let Some(known) = self.tables.get_mut(scope.name()) else {
            return false;
        };
        let wanted = target.get(ResourceType::Scope, scope.name());
        match table_of(scope) {
            Some(table) if wanted.is_some_and(|wanted| table_of(wanted) != Some(table)) => {
                *known = table.clone();
            }
            _ => drop(self.tables.remove(scope.name())),
        }
        true
    }

    /// Follows the target, at the cost of the scopes that are not taken yet. Returns the tables that differ from before.
    pub(super) fn follow(&mut self, target: &Snapshot) -> BTreeSet<Arc<str>> {
        if self.tables.is_empty() && self.kept.is_empty() {
            return BTreeSet::new();
        }
        let mut guests: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Part>>> = BTreeMap::new();
        // One that is gone leads nobody any more.
        self.tables
            .retain(|name, _| target.get(ResourceType::Scope, name).is_some());
        for (name, table) in &self.tables {
            if let Some(part) = part_elsewhere(target, name, table) {
                let of_table = guests.entry(table.clone()).or_default();
                of_table.insert(name.clone(), part);
            }
        }
        let mut old = std::mem::take(&mut self.kept);
        let mut differ = BTreeSet::new();
        for (name, guests) in guests {
            let Some(table) = target.get(ResourceType::Route, &name) else {
                continue;
            };
            let same = old
                .remove(&name)
                .filter(|kept| Arc::ptr_eq(&kept.table, table) && kept.guests == guests);
            let kept = same.unwrap_or_else(|| {
                differ.insert(name.clone());
                Kept::new(table.clone(), guests)
            });
            self.kept.insert(name, kept);
        }
        differ.extend(old.into_keys());
        differ
    }
}

/// The part of a scope's name in the table that it should lead to, if `table` is another one and has no such part.
fn part_elsewhere(target: &Snapshot, name: &Arc<str>, table: &Arc<str>) -> Option<Arc<Part>> {
    let scope = target.get(ResourceType::Scope, name)?;
    let now = table_of(scope).filter(|now| *now != table)?;
    let has = |table: &Arc<str>| target.get(ResourceType::Route, table)?.parts().get(name);
    match has(table) {
        Some(_) => None,
        None => has(now).cloned(),
    }
}

/// Scopes of the target that a client claims to lead to another table than they should.
fn elsewhere<'a>(
    claimed: &'a BTreeMap<String, String>,
    target: &'a Snapshot,
) -> impl Iterator<Item = (&'a Arc<str>, &'a str)> {
    let scopes = target.resources(ResourceType::Scope);
    claimed.iter().filter_map(|(name, version)| {
        let (name, scope) = scopes.get_key_value(&**name)?;
        (**scope.version() != **version).then_some((name, &**version))
    })
}

fn size<'a>(words: impl Iterator<Item = &'a str>) -> (usize, usize) {
    words.fold((0, 0), |(count, bytes), word| {
        (count + 1, bytes + word.len())
    })
}

/// The table that a scope leads to.
pub(super) fn table_of(scope: &Resource) -> Option<&Arc<str>> {
    let mut references = scope.references();
    let table = references.find(|reference| reference.resource_type == ResourceType::Route)?;
    Some(&table.name)
}
