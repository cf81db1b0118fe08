//! The objects as they are now, and the facts that units read of them.
//!
//! The store has one owner, the controller, and no lock (I7). It depends on the set of objects only: applying
//! the same objects in another order, twice, or after others leaves the same store (I1). A unit gets a [`Reader`] and never
//! the store, so whatever it reads is recorded. [`Store::apply`] names the facts that differ, by comparing the object with
//! what it was and never by walking others (I4); who read them is not known here. It does no IO.

mod changes;
mod class;
mod delegated;
mod fact;
mod host_index;
mod index;
mod ingress;
mod named_services;
mod objects;
mod reader;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use changes::Changes;
pub use class::{ClassSelection, DEFAULT_CLASS, class_of};
pub use fact::FactId;
pub use index::Index;
pub use ingress::{hosts, secret_reference, services};
pub use reader::{CertificateNames, Log, Reader, ServedIngress};

use crate::model::Host;
use crate::objects::{
    EndpointSlice, Event, Ingress, IngressClass, IngressRule, IngressTls, Invalid, Kind,
    NamespacedName, Object, ObjectRef, Secret, Service, TlsCertificateDelegation,
};

use delegated::Delegated;
use fact::{Fact, Head, same_names};
use host_index::HostIndex;
use named_services::NamedServices;
use objects::Objects;

/// All objects, by kind and name.
#[derive(Debug, Default)]
pub struct Store {
    selection: ClassSelection,
    classes: BTreeMap<Arc<str>, Arc<IngressClass>>,
    ingresses: Objects<Ingress>,
    services: Objects<Service>,
    slices: Objects<EndpointSlice>,
    secrets: Objects<Secret>,
    delegations: BTreeMap<NamespacedName, Arc<TlsCertificateDelegation>>,
    /// What the delegations say together.
    delegated: Delegated,
    invalid: BTreeMap<Kind, BTreeMap<NamespacedName, Arc<Invalid>>>,
    /// Where each long Ingress that is served names its hosts.
    host_indexes: HashMap<NamespacedName, HostIndex>,
    /// Host → served Ingresses that name it, by rule or by TLS. `*` also has those with a default backend.
    by_host: Index<Host, NamespacedName>,
    /// Class → Ingresses, served or not; `None` for those without a class.
    by_class: Index<Option<Arc<str>>, NamespacedName>,
    /// The Services that served Ingresses name as back ends.
    named_services: NamedServices,
    /// Service → its EndpointSlices.
    slices_by_service: Index<NamespacedName, NamespacedName>,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(selection: ClassSelection) -> Self {
        Self {
            selection,
            ..Self::default()
        }
    }

    /// Takes in one event and adds what it changes to `changes`.
    pub fn apply(&mut self, event: Event, changes: &mut Changes) {
        match event {
            Event::Apply(object) => self.set(object, changes),
            Event::Delete(reference) => self.delete(&reference, changes),
            Event::Replace {
                kind,
                namespace,
                objects,
            } => {
                let known = self.references(kind, namespace.as_deref());
                if !known.is_empty() {
                    let listed: HashSet<_> = objects.iter().map(Object::reference).collect();
                    for reference in known.iter().filter(|known| !listed.contains(known)) {
                        self.delete(reference, changes);
                    }
                }
                for object in objects {
                    self.set(object, changes);
                }
            }
            Event::Batch(events) => {
                for event in events {
                    self.apply(event, changes);
                }
            }
        }
    }

    /// The served Ingresses that name the host, oldest first.
    fn ingresses_of(&self, host: &Host) -> Vec<&Arc<Ingress>> {
        let names = self.by_host.get(host);
        let mut ingresses: Vec<_> = names.filter_map(|name| self.ingresses.get(name)).collect();
        ingresses.sort_by_cached_key(|ingress| ingress.metadata.seniority());
        ingresses
    }

    /// The rules of a served Ingress for a host, those without a host for `None`.
    fn rules_of<'a>(
        &'a self,
        ingress: &'a Ingress,
        host: Option<&str>,
    ) -> impl Iterator<Item = &'a IngressRule> + use<'a> {
        let index = self.host_indexes.get(&ingress.metadata.name);
        host_index::rules(index, ingress, host)
    }

    /// The TLS entries of a served Ingress that name a host, as written, each with the number of entries without hosts
    /// that stand before it. Those are about every host of its rules, and not among these.
    fn tls_naming<'a>(&self, ingress: &'a Ingress, host: &Host) -> Vec<(usize, &'a IngressTls)> {
        let index = self.host_indexes.get(&ingress.metadata.name);
        host_index::tls(index, ingress, host)
    }

    /// Whether a served Ingress has so many rules and hosts that what they share is better found once.
    fn is_long(&self, ingress: &Ingress) -> bool {
        self.host_indexes.contains_key(&ingress.metadata.name)
    }

    /// Whether a served Ingress names the host.
    #[must_use]
    pub fn names_host(&self, host: &Host) -> bool {
        self.by_host.contains_key(host)
    }

    /// Every host that a served Ingress names.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.by_host.keys()
    }

    /// Whether the Ingress is of a class that is served.
    #[must_use]
    pub fn serves(&self, ingress: &Ingress) -> bool {
        self.selection
            .serves(class_of(ingress).as_deref(), &self.classes)
    }

    /// One Ingress, served or not.
    #[must_use]
    pub fn ingress(&self, name: &NamespacedName) -> Option<&Arc<Ingress>> {
        self.ingresses.get(name)
    }

    /// One Service.
    #[must_use]
    pub fn service(&self, name: &NamespacedName) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// One Secret.
    #[must_use]
    pub fn secret(&self, name: &NamespacedName) -> Option<&Arc<Secret>> {
        self.secrets.get(name)
    }

    /// What stands in the place of an object that is wrong as a whole.
    fn invalid(&self, reference: &ObjectRef) -> Option<&Arc<Invalid>> {
        self.invalid.get(&reference.kind)?.get(&reference.name)
    }

    /// The EndpointSlices of a Service, by name.
    fn endpoint_slices<'a>(
        &'a self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &'a Arc<EndpointSlice>> + use<'a> {
        let names = self.slices_by_service.get(service);
        names.filter_map(|name| self.slices.get(name))
    }

    /// Whether a Secret may be used from a namespace: from its own, and where that gives it away by a
    /// TLSCertificateDelegation.
    fn is_delegated(&self, secret: &NamespacedName, namespace: &str) -> bool {
        *secret.namespace == *namespace || self.delegated.contains(secret, namespace)
    }

    /// Whether a served Ingress names the Service as a back end.
    fn is_service_named(&self, service: &NamespacedName) -> bool {
        self.named_services.contains(service)
    }

    /// Whether there is such an object, be it a wrong one.
    #[must_use]
    pub fn contains(&self, object: &ObjectRef) -> bool {
        let name = &object.name;
        self.invalid(object).is_some()
            || match object.kind {
                Kind::IngressClass => self.classes.contains_key(&name.name),
                Kind::Ingress => self.ingresses.get(name).is_some(),
                Kind::Service => self.services.get(name).is_some(),
                Kind::EndpointSlice => self.slices.get(name).is_some(),
                Kind::Secret => self.secrets.get(name).is_some(),
                Kind::TlsCertificateDelegation => self.delegations.contains_key(name),
            }
    }

    /// How many objects of a kind there are, wrong ones included.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let valid = match kind {
            Kind::IngressClass => self.classes.len(),
            Kind::Ingress => self.ingresses.len(),
            Kind::Service => self.services.len(),
            Kind::EndpointSlice => self.slices.len(),
            Kind::Secret => self.secrets.len(),
            Kind::TlsCertificateDelegation => self.delegations.len(),
        };
        valid + self.invalid.get(&kind).map_or(0, BTreeMap::len)
    }

    /// Makes the indexes as small as they can be, which costs a walk over all of them: for the one time when they were
    /// filled in order.
    pub fn pack(&mut self) {
        self.by_host.pack();
        self.by_class.pack();
        self.slices_by_service.pack();
    }

    fn references(&self, kind: Kind, namespace: Option<&str>) -> Vec<ObjectRef> {
        let names: Vec<NamespacedName> = match kind {
            Kind::IngressClass => {
                let names = self.classes.keys();
                names
                    .map(|name| NamespacedName::new("", name.clone()))
                    .collect()
            }
            Kind::Ingress => self.ingresses.names().cloned().collect(),
            Kind::Service => self.services.names().cloned().collect(),
            Kind::EndpointSlice => self.slices.names().cloned().collect(),
            Kind::Secret => self.secrets.names().cloned().collect(),
            Kind::TlsCertificateDelegation => self.delegations.keys().cloned().collect(),
        };
        let invalid = self.invalid.get(&kind).into_iter().flat_map(BTreeMap::keys);
        names
            .into_iter()
            .chain(invalid.cloned())
            .map(|name| ObjectRef { kind, name })
            .filter(|reference| namespace.is_none_or(|wanted| *reference.name.namespace == *wanted))
            .collect()
    }

    fn set(&mut self, object: Object, changes: &mut Changes) {
        let reference = object.reference();
        if let Object::Invalid(invalid) = object {
            if self.invalid(&reference) == Some(&invalid) {
                return;
            }
            self.remove_valid(&reference, changes);
            changes.invalid(&reference);
            let of_kind = self.invalid.entry(reference.kind).or_default();
            of_kind.insert(reference.name, invalid);
            return;
        }
        self.remove_invalid(&reference, changes);
        let name = reference.name;
        match object {
            Object::Ingress(ingress) => self.set_ingress(name, Some(ingress), changes),
            Object::IngressClass(class) => self.set_class(name.name, Some(class), changes),
            Object::Service(service) => self.set_service(name, Some(service), changes),
            Object::EndpointSlice(slice) => self.set_slice(name, Some(slice), changes),
            Object::Secret(secret) => self.set_secret(name, Some(secret), changes),
            Object::TlsCertificateDelegation(delegation) => {
                self.set_delegation(name, Some(delegation), changes);
            }
            Object::Invalid(_) => {}
        }
    }

    fn delete(&mut self, reference: &ObjectRef, changes: &mut Changes) {
        self.remove_invalid(reference, changes);
        self.remove_valid(reference, changes);
    }

    fn remove_invalid(&mut self, reference: &ObjectRef, changes: &mut Changes) {
        if let Some(of_kind) = self.invalid.get_mut(&reference.kind)
            && of_kind.remove(&reference.name).is_some()
        {
            changes.invalid(reference);
        }
    }

    fn remove_valid(&mut self, reference: &ObjectRef, changes: &mut Changes) {
        let name = reference.name.clone();
        match reference.kind {
            Kind::IngressClass => self.set_class(name.name, None, changes),
            Kind::Ingress => self.set_ingress(name, None, changes),
            Kind::Service => self.set_service(name, None, changes),
            Kind::EndpointSlice => self.set_slice(name, None, changes),
            Kind::Secret => self.set_secret(name, None, changes),
            Kind::TlsCertificateDelegation => self.set_delegation(name, None, changes),
        }
    }

    fn set_ingress(
        &mut self,
        name: NamespacedName,
        ingress: Option<Arc<Ingress>>,
        changes: &mut Changes,
    ) {
        let old = self.ingresses.get(&name).cloned();
        if old == ingress {
            return;
        }
        changes.objects.insert(ObjectRef {
            kind: Kind::Ingress,
            name: name.clone(),
        });
        let status_only = matches!((&old, &ingress), (Some(old), Some(new)) if old.same_spec(new));
        if status_only {
            if let Some(ingress) = ingress {
                self.ingresses.insert(ingress);
            }
            return;
        }
        let (old, new) = (old.as_deref(), ingress.as_deref());
        let (old_class, new_class) = (old.map(class_of), new.map(class_of));
        if old_class != new_class {
            if let Some(class) = old_class {
                self.by_class.remove(&class, &name);
            }
            if let Some(class) = new_class {
                self.by_class.insert(class, name.clone());
            }
        }
        let old = old.filter(|old| self.serves(old));
        let new = new.filter(|new| self.serves(new));
        self.serve(old, new, changes);
        match ingress {
            Some(ingress) => self.ingresses.insert(ingress),
            None => self.ingresses.remove(&name),
        }
    }

    /// Files a served Ingress under what it names, in the place of what it named when it was `old`. Most edits change no
    /// name, and then no index is looked into: in a large tree each look waits for keys that no cache holds.
    fn serve(&mut self, old: Option<&Ingress>, new: Option<&Ingress>, changes: &mut Changes) {
        let Some(name) = old.or(new).map(|ingress| &ingress.metadata.name) else {
            return;
        };
        match new.filter(|new| HostIndex::pays(new)) {
            Some(new) => self.host_indexes.insert(name.clone(), HostIndex::new(new)),
            None => self.host_indexes.remove(name),
        };
        let (left, named) = (named_by(old, hosts), named_by(new, hosts));
        for host in left.difference(&named) {
            if self.by_host.remove(host, name) {
                changes.fact(Fact::Claimed(host));
            }
        }
        for host in named.difference(&left) {
            if self.by_host.insert(host.clone(), name.clone()) {
                changes.fact(Fact::Claimed(host));
            }
        }
        let age = |ingress: Option<&Ingress>| ingress.map(|ingress| ingress.metadata.seniority());
        let is_older = age(old) != age(new);
        for host in left.union(&named) {
            if is_older || left.contains(host) != named.contains(host) {
                changes.fact(Fact::Claims(host));
                changes.hosts.insert(host.clone());
            }
        }
        let (left, named) = (named_by(old, services), named_by(new, services));
        for service in left.difference(&named) {
            if self.named_services.remove(service) {
                changes.fact(Fact::ServiceNamed(service));
            }
        }
        for service in named.difference(&left) {
            if self.named_services.insert(service) {
                changes.fact(Fact::ServiceNamed(service));
            }
        }
        if changes.are_facts_read() {
            note_ingress(name, old, new, changes);
        }
    }

    fn set_class(
        &mut self,
        name: Arc<str>,
        class: Option<Arc<IngressClass>>,
        changes: &mut Changes,
    ) {
        if self.classes.get(&name) == class.as_ref() {
            return;
        }
        changes
            .objects
            .insert(ObjectRef::new(Kind::IngressClass, "", name.clone()));
        // Whoever could be served otherwise than before: this class, those without one, the assumed one.
        let concerned: BTreeSet<NamespacedName> =
            [Some(name.clone()), None, Some(DEFAULT_CLASS.into())]
                .iter()
                .flat_map(|class| self.by_class.get(class).cloned())
                .collect();
        let ingresses: Vec<_> = concerned
            .iter()
            .filter_map(|name| self.ingresses.get(name).cloned())
            .collect();
        let before: Vec<bool> = ingresses
            .iter()
            .map(|ingress| self.serves(ingress))
            .collect();
        match class {
            Some(class) => self.classes.insert(name, class),
            None => self.classes.remove(&name),
        };
        for (ingress, before) in ingresses.iter().zip(before) {
            let after = self.serves(ingress);
            if before == after {
                continue;
            }
            changes.objects.insert(ingress.reference());
            if after {
                self.serve(None, Some(ingress), changes);
            } else {
                self.serve(Some(ingress), None, changes);
            }
        }
    }

    fn set_service(
        &mut self,
        name: NamespacedName,
        service: Option<Arc<Service>>,
        changes: &mut Changes,
    ) {
        if self.services.get(&name) == service.as_ref() {
            return;
        }
        changes.fact(Fact::Service(&name));
        changes.objects.insert(ObjectRef {
            kind: Kind::Service,
            name: name.clone(),
        });
        match service {
            Some(service) => self.services.insert(service),
            None => self.services.remove(&name),
        }
    }

    fn set_slice(
        &mut self,
        name: NamespacedName,
        slice: Option<Arc<EndpointSlice>>,
        changes: &mut Changes,
    ) {
        if self.slices.get(&name) == slice.as_ref() {
            return;
        }
        let service_of = |slice: &EndpointSlice| {
            let service = slice.service.clone()?;
            Some(NamespacedName::new(name.namespace.clone(), service))
        };
        let old = self.slices.get(&name).and_then(|slice| service_of(slice));
        let new = slice.as_deref().and_then(service_of);
        for service in old.iter().chain(&new) {
            changes.fact(Fact::EndpointSlices(service));
        }
        if old != new {
            if let Some(service) = &old {
                self.slices_by_service.remove(service, &name);
            }
            if let Some(service) = new {
                self.slices_by_service.insert(service, name.clone());
            }
        }
        match slice {
            Some(slice) => self.slices.insert(slice),
            None => self.slices.remove(&name),
        }
    }

    fn set_secret(
        &mut self,
        name: NamespacedName,
        secret: Option<Arc<Secret>>,
        changes: &mut Changes,
    ) {
        let old = self.secrets.get(&name);
        if old == secret.as_ref() {
            return;
        }
        let is_same = match (old, &secret) {
            (Some(old), Some(new)) => same_names(&old.certificate, &new.certificate),
            _ => false,
        };
        if !is_same {
            changes.fact(Fact::SecretNames(&name));
        }
        changes.fact(Fact::Secret(&name));
        changes.objects.insert(ObjectRef {
            kind: Kind::Secret,
            name: name.clone(),
        });
        match secret {
            Some(secret) => self.secrets.insert(secret),
            None => self.secrets.remove(&name),
        }
    }

    fn set_delegation(
        &mut self,
        name: NamespacedName,
        delegation: Option<Arc<TlsCertificateDelegation>>,
        changes: &mut Changes,
    ) {
        let old = self.delegations.get(&name);
        if old == delegation.as_ref() {
            return;
        }
        let said = |delegation: Option<&Arc<TlsCertificateDelegation>>| -> BTreeSet<_> {
            let said = delegation.map(|delegation| delegated::said(delegation));
            said.into_iter().flatten().collect()
        };
        // What another delegation says as well does not change; whoever reads it comes out the same.
        for (secret, target) in said(old).symmetric_difference(&said(delegation.as_ref())) {
            changes.fact(Fact::Delegated(secret, target));
        }
        if let Some(old) = old {
            self.delegated.remove(old);
        }
        if let Some(new) = &delegation {
            self.delegated.insert(new);
        }
        match delegation {
            Some(delegation) => self.delegations.insert(name, delegation),
            None => self.delegations.remove(&name),
        };
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
        old.map(fact::by_host).unwrap_or_default(),
        new.map(fact::by_host).unwrap_or_default(),
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
