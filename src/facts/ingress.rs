//! Ingresses in the store: what they refer to, the keys under which they are filed, and which of their facts differ.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Claimable, Front, Host};
use crate::objects::{Ingress, IngressBackend, NamespacedName};

use super::changes::Changes;
use super::class::class_of;
use super::fact::{Fact, Head, by_host};
use super::host_index::HostIndex;
use super::{Dialect, Indexed, Store, other_names};

/// The hosts that an Ingress names: those of its rules and of its TLS entries, and `*` for a default backend.
#[must_use]
pub fn hosts(ingress: &Ingress) -> BTreeSet<Host> {
    let rules = ingress.rules.iter().map(|rule| match &rule.host {
        Some(host) => Host::new(host.clone()),
        None => Host::any(),
    });
    let tls = ingress
        .tls
        .iter()
        .flat_map(|tls| tls.hosts.iter().cloned().map(Host::new));
    let default = ingress.default_backend.iter().map(|_| Host::any());
    rules.chain(tls).chain(default).collect()
}

/// The Services that an Ingress sends requests to.
#[must_use]
pub fn services(ingress: &Ingress) -> BTreeSet<NamespacedName> {
    let paths = ingress.rules.iter().flat_map(|rule| &rule.paths);
    paths
        .map(|path| &path.backend)
        .chain(&ingress.default_backend)
        .filter_map(|backend| match backend {
            IngressBackend::Service { name, .. } => Some(NamespacedName::new(
                ingress.metadata.name.namespace.clone(),
                name.clone(),
            )),
            IngressBackend::Resource { .. } | IngressBackend::Missing => None,
        })
        .collect()
}

/// Where the Secret of a TLS entry is: `namespace/name` as Contour reads it, else the namespace of the
/// annotation `projectcontour.io/tls-cert-namespace`, else the Ingress's own.
#[must_use]
pub fn secret_reference(ingress: &Ingress, secret_name: &Arc<str>) -> NamespacedName {
    if let Some((namespace, name)) = secret_name.split_once('/') {
        return NamespacedName::new(namespace, name);
    }
    let namespace = ingress
        .metadata
        .annotations
        .get("projectcontour.io/tls-cert-namespace")
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(&ingress.metadata.name.namespace);
    NamespacedName::new(namespace.clone(), secret_name.clone())
}

/// The order of claims: those of rules and TLS entries before those of other names, then the oldest.
pub(super) type AgeAt = (bool, (bool, Option<jiff::Timestamp>, NamespacedName));

impl Indexed for Ingress {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        let status_only = matches!((&old, &new), (Some(old), Some(new)) if old.same_spec(new));
        if !status_only {
            let (old, new) = (old.as_deref(), new.as_deref());
            let (old_class, new_class) = (old.map(class_of), new.map(class_of));
            if old_class != new_class {
                if let Some(class) = old_class {
                    store.by_class.remove(&class, name);
                }
                if let Some(class) = new_class {
                    store.by_class.insert(class, name.clone());
                }
            }
            let served = |it: &&Self| store.serves(it);
            let spoken = |it| (it, store.dialect(it));
            let old = old.filter(served).map(spoken);
            let new = new.filter(served).map(spoken);
            store.serve(old, new, changes);
        }
        store.tables.put(name, new);
    }
}

impl Store {
    /// How many of the others that claim the host come before an Ingress of this age.
    fn rank(&self, host: &Host, age: &AgeAt) -> usize {
        let others = self.by_host.get(host).filter(|name| **name != age.1.2);
        let others = others.filter_map(|name| self.ingress(name));
        others
            .filter(|other| self.age_at(host, other) < *age)
            .count()
            + self
                .ages_of_others(host)
                .into_iter()
                .filter(|(other, _)| (false, other.clone()) < *age)
                .count()
    }

    /// When the claim of a served Ingress on a host it names has its turn.
    pub(super) fn age_at(&self, host: &Host, ingress: &Ingress) -> AgeAt {
        let is_other = other_names::has_some(&ingress.metadata) && !self.is_named_by(ingress, host);
        (is_other, ingress.metadata.seniority())
    }

    /// Whether a rule, a TLS entry or a default back end of a served Ingress is for the host.
    pub(super) fn is_named_by(&self, ingress: &Ingress, host: &Host) -> bool {
        host.is_any()
            || self.rules_of(ingress, Some(host.as_str())).next().is_some()
            || !self.tls_naming(ingress, host).is_empty()
    }

    /// Files a served Ingress under what it names, in the place of what it named when it was `old`. Most edits change no
    /// name, and then no index is looked into: in a large tree each look waits for keys that no cache holds.
    pub(super) fn serve(
        &mut self,
        old: Option<(&Ingress, Dialect)>,
        new: Option<(&Ingress, Dialect)>,
        changes: &mut Changes,
    ) {
        let others = |served: Option<(&Ingress, Dialect)>| match served {
            Some((ingress, Dialect::IngressNginx)) => other_names::of_ingress(ingress),
            Some((_, Dialect::Own)) | None => BTreeSet::new(),
        };
        let (others_left, others_named) = (others(old), others(new));
        let (old, new) = (old.map(|(old, _)| old), new.map(|(new, _)| new));
        let Some(name) = old.or(new).map(|ingress| &ingress.metadata.name) else {
            return;
        };
        match new.filter(|new| HostIndex::pays(new)) {
            Some(new) => self.host_indexes.insert(name.clone(), HostIndex::new(new)),
            None => self.host_indexes.remove(name),
        };
        let (own_left, own_named) = (named_by(old, hosts), named_by(new, hosts));
        let left: BTreeSet<Host> = own_left.union(&others_left).cloned().collect();
        let named: BTreeSet<Host> = own_named.union(&others_named).cloned().collect();
        for host in left.difference(&named) {
            if self.by_host.remove(host, name) {
                changes.flip(Fact::Claimed(host));
            }
        }
        for host in named.difference(&left) {
            if self.by_host.insert(host.clone(), name.clone()) {
                changes.flip(Fact::Claimed(host));
            }
        }
        let age = |ingress: &Ingress, own: &BTreeSet<Host>, host| {
            (!own.contains(host), ingress.metadata.seniority())
        };
        for host in left.union(&named) {
            let is_same = match (old, new) {
                (Some(old), Some(new)) if left.contains(host) && named.contains(host) => {
                    let (old, new) = (age(old, &own_left, host), age(new, &own_named, host));
                    old == new || (old.0 == new.0 && self.rank(host, &old) == self.rank(host, &new))
                }
                _ => false,
            };
            if !is_same {
                changes.fact(Fact::Claims(&Front::Fleet, host));
                let claim = Claimable::Host(Front::Fleet, host.clone());
                changes.claims.push(claim);
            }
        }
        let (left, named) = (named_by(old, services), named_by(new, services));
        self.named_services.replace(&left, &named, changes);
        if changes.are_facts_read() {
            note_ingress(name, old, new, changes);
        }
    }

    /// Notes that the annotations of a served Ingress mean something else.
    pub(super) fn speak_otherwise(&self, ingress: &Ingress, changes: &mut Changes) {
        let name = &ingress.metadata.name;
        changes.fact(Fact::Ingress(name));
        changes.fact(Fact::IngressHead(name));
    }
}

/// The facts of a served Ingress that differ from what they were when it was `old`.
fn note_ingress(
    name: &NamespacedName,
    old: Option<&Ingress>,
    new: Option<&Ingress>,
    changes: &mut Changes,
) {
    changes.fact(Fact::Ingress(name));
    if old.map(Head::new) != new.map(Head::new) {
        changes.fact(Fact::IngressHead(name));
    }
    let (left, named) = (
        old.map(by_host).unwrap_or_default(),
        new.map(by_host).unwrap_or_default(),
    );
    let gone = left.keys().filter(|host| !named.contains_key(*host));
    let differs = named
        .iter()
        .filter(|(host, at)| left.get(*host) != Some(at));
    for host in gone.chain(differs.map(|(host, _)| host)) {
        changes.fact(Fact::IngressAt(name, *host));
    }
}

fn named_by<T>(ingress: Option<&Ingress>, names: fn(&Ingress) -> BTreeSet<T>) -> BTreeSet<T> {
    ingress.map_or_else(BTreeSet::new, names)
}
