//! Scopes of hosts that are gone while a wildcard above takes their requests. A connection that was opened for such a host goes on
//! asking for the scope of its name, and Envoy answers 404 where that is not there (1.40). It is open for as long as its client likes,
//! so the client keeps the scope: it leads where a new connection for that name is led.
//!
//! A snapshot knows nothing of hosts that are gone, and must not: these scopes are on top of it, for one client. They are
//! bounded, and are forgotten when nothing is above the name any more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use prost::Message as _;

use super::claimed_scopes::table_of;
use crate::xds::wire::ScopedTable;
use crate::xds::{Part, Resource, ResourceType, Snapshot};

/// The scope of connections that no other scope is for, after what the names of the listener's begin with.
pub const FALLBACK_SCOPE: &str = "fallback>";

/// Scopes that a client has on top of a snapshot.
#[derive(Debug, Default)]
pub(super) struct OrphanedScopes {
    scopes: BTreeMap<Arc<str>, Arc<Resource>>,
    /// Their names, the oldest first.
    order: VecDeque<Arc<str>>,
}

impl OrphanedScopes {
    /// Most of one client. A host has two, one with a dot at the end. They cost each later change of any scope about a
    /// microsecond.
    pub(super) const LIMIT: usize = 1024;

    /// What the client is to have now that `new` follows `old`, which it had as `target`: scopes that are gone and that the
    /// client holds are kept where something is above them.
    pub(super) fn follow(
        &mut self,
        target: &Snapshot,
        old: &Snapshot,
        new: &Arc<Snapshot>,
        is_held: impl Fn(&Arc<str>) -> bool,
    ) -> Arc<Snapshot> {
        let mut is_same = true;
        for (name, scope) in new.differences(old, ResourceType::Scope) {
            is_same = false;
            if scope.is_none()
                && is_held(name)
                && let Some(gone) = old.get(ResourceType::Scope, name)
                && table_of(gone) != Some(name)
            {
                self.add(name, new);
            }
        }
        if self.scopes.is_empty() {
            return new.clone();
        }
        if is_same {
            let scopes = target.resources(ResourceType::Scope).clone();
            return Arc::new(new.with_all(ResourceType::Scope, scopes));
        }
        self.over(new)
    }

    /// What the client is to have, which says that it has these scopes, with the tables that they lead to.
    pub(super) fn claim<'a>(
        &mut self,
        claimed: impl Iterator<Item = (&'a String, &'a String)>,
        target: &Arc<Snapshot>,
    ) -> Arc<Snapshot> {
        for (name, table) in claimed {
            if name != table && target.get(ResourceType::Scope, name).is_none() {
                self.add(&Arc::from(&**name), target);
            }
        }
        match self.scopes.is_empty() {
            true => target.clone(),
            false => self.over(target),
        }
    }

    /// Their names, the oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.order.iter()
    }

    fn add(&mut self, name: &Arc<str>, snapshot: &Snapshot) {
        if self.scopes.contains_key(name) {
            return;
        }
        if let Some(scope) = led_by_what_is_above(name, snapshot) {
            self.scopes.insert(name.clone(), scope);
            self.order.push_back(name.clone());
        }
        if self.order.len() > Self::LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.scopes.remove(&oldest);
        }
    }

    /// The snapshot with those of them that still have something above them, and that are not there again.
    fn over(&mut self, snapshot: &Snapshot) -> Arc<Snapshot> {
        let mut scopes = snapshot.resources(ResourceType::Scope).clone();
        self.scopes.retain(|name, scope| {
            if snapshot.get(ResourceType::Scope, name).is_some() {
                return false;
            }
            let Some(now) = led_by_what_is_above(name, snapshot) else {
                return false;
            };
            if now != *scope {
                *scope = now;
            }
            scopes.insert(name.clone(), scope.clone());
            true
        });
        let left = &self.scopes;
        self.order.retain(|name| left.contains_key(name));
        Arc::new(snapshot.with_all(ResourceType::Scope, scopes))
    }
}

/// The scope of that name, leading to the table of what is above the name.
fn led_by_what_is_above(name: &Arc<str>, snapshot: &Snapshot) -> Option<Arc<Resource>> {
    let above = above(name).find_map(|above| snapshot.get(ResourceType::Scope, &above))?;
    let table = table_of(above)?;
    let bytes = ScopedTable::new(name, table).encode_to_vec();
    let part = Part {
        bytes: bytes.into(),
        references: above.references().cloned().collect(),
        owners: Arc::new([]),
    };
    let scope = Resource::whole(name.clone(), part).with_version(table.clone());
    Some(Arc::new(scope))
}

/// The names of scopes that may be above a host's, the nearest first: of wildcards, of the one for every host, and of connections that
/// nothing else takes. They are of the host's listener.
fn above(name: &str) -> impl Iterator<Item = String> {
    let (listener, host) = match name.rfind('>') {
        Some(end) => name.split_at(end + 1),
        None => ("", name),
    };
    let host = host.strip_prefix("*.").unwrap_or(host);
    let labels = host.match_indices('.').map(|(dot, _)| dot);
    let suffixes = labels.filter_map(|dot| host.get(dot + 1..));
    let wildcards = suffixes.map(|suffix| suffix.strip_suffix('.').unwrap_or(suffix));
    let wildcards = wildcards.filter(|suffix| !suffix.is_empty());
    let wildcards = wildcards.map(move |suffix| format!("{listener}*.{suffix}"));
    let others = ["*", FALLBACK_SCOPE].map(|other| format!("{listener}{other}"));
    let others = others.into_iter().filter(move |_| !host.is_empty());
    wildcards.chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_above_a_name() {
        for (name, expected) in [
            ("a.b.test", "*.b.test *.test * fallback>"),
            ("a.b.test.", "*.b.test *.test * fallback>"),
            ("*.b.test", "*.test * fallback>"),
            ("gw>a.test", "gw>*.test gw>* gw>fallback>"),
            ("test", "* fallback>"),
            ("gw>fallback>", ""),
        ] {
            let names: Vec<String> = above(name).collect();
            assert_eq!(names.join(" "), expected, "{name}");
        }
    }
}
