//! Which hosts depend on what stands above them.
//!
//! A change of a wildcard touches the hosts below it, and one of the rules without a host those that nobody brings routes
//! to. They are looked up once for a build and not for each event: a thousand Ingresses with rules for `*` would
//! otherwise name everybody's hosts a thousand times.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use crate::model::Host;
use crate::objects::{Ingress, NamespacedName};

use super::index::Index;

/// The indexes, kept with [`super::Store`]'s other ones.
#[derive(Debug, Default)]
pub struct Above {
    /// Wildcard host → the exact hosts one label below it that some served Ingress names.
    covered: Index<Host, Host>,
    /// Host that a served Ingress names and brings no routes to → those Ingresses.
    bare: Index<FromEnd, NamespacedName>,
}

impl Above {
    /// A served Ingress names the host, as the first one.
    pub fn insert(&mut self, host: &Host) {
        if let Some(wildcard) = host.covering_wildcard() {
            self.covered.insert(wildcard, host.clone());
        }
    }

    /// No served Ingress names the host any more.
    pub fn remove(&mut self, host: &Host) {
        if let Some(wildcard) = host.covering_wildcard() {
            self.covered.remove(&wildcard, host);
        }
    }

    /// Files what a served Ingress brings nothing to, in the place of what that was when it was `old`.
    pub fn refile(&mut self, old: Option<&Ingress>, new: Option<&Ingress>, name: &NamespacedName) {
        let bare = |ingress: Option<&Ingress>| ingress.map(bare).unwrap_or_default();
        self.bare.refile(&bare(old), &bare(new), name);
    }

    /// Adds the hosts that depend on a wildcard, or on `*`, among those that are touched.
    pub fn spread(&self, touched: &mut BTreeSet<Host>) {
        let begins_with_star = |host: &&Host| host.as_str().starts_with('*');
        // They sort before all others.
        let above: Vec<Host> = touched
            .iter()
            .take_while(begins_with_star)
            .cloned()
            .collect();
        if above.first().is_some_and(Host::is_any) {
            touched.extend(self.bare.keys().map(|FromEnd(host)| host.clone()));
        }
        for wildcard in &above {
            touched.extend(self.covered.get(wildcard).cloned());
            if let Some(suffix) = wildcard.wildcard_suffix() {
                touched.extend(self.bare_below(suffix).cloned());
            }
        }
    }

    /// At any depth: under a wildcard that is too far up a host has the routes of nobody.
    fn bare_below<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = &'a Host> {
        self.bare
            .range(FromEnd(Host::new(suffix))..)
            .map(|(FromEnd(host), _)| host)
            .take_while(move |host| host.as_str().ends_with(suffix))
    }

    /// Makes the indexes as small as they can be.
    pub fn pack(&mut self) {
        self.covered.pack();
        self.bare.pack();
    }
}

/// The hosts that an Ingress names under `tls` only and has no default backend for: whether it brings them routes depends
/// on its rules without a host.
fn bare(ingress: &Ingress) -> BTreeSet<FromEnd> {
    if ingress.tls.is_empty() || ingress.default_backend.is_some() {
        return BTreeSet::new();
    }
    let ruled: HashSet<&str> = ingress
        .rules
        .iter()
        .filter_map(|rule| rule.host.as_deref())
        .collect();
    let hosts = ingress.tls.iter().flat_map(|tls| &tls.hosts);
    hosts
        .filter(|host| !ruled.contains(&***host))
        .map(|host| FromEnd(Host::new(host.clone())))
        .collect()
}

/// A host that sorts by its last letter first, so that those of one suffix stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FromEnd(Host);

impl Ord for FromEnd {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (self.0.as_str(), other.0.as_str());
        one.bytes().rev().cmp(other.bytes().rev())
    }
}

impl PartialOrd for FromEnd {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
