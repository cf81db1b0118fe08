//! The objects as they are now, and the indexes that say what depends on what.
//!
//! The store has one owner, the controller, and no lock (I7). It depends on the set of objects only: applying
//! the same objects in another order, twice, or after others leaves the same store (I1). [`Store::apply`] names
//! the units that a change touches, found by index and never by walking all objects (I4). It does no IO.

mod above;
mod class;
mod delegated;
mod dirty;
mod index;
mod ingress;
mod objects;
mod spoken;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use class::{ClassSelection, DEFAULT_CLASS, class_of};
pub use dirty::Dirty;
pub use index::Index;
pub use ingress::{hosts, secret_reference, secrets, services};

use crate::model::Host;
use crate::objects::{
    EndpointSlice, Event, Ingress, IngressClass, IngressRule, IngressTls, Invalid, Kind,
    NamespacedName, Object, ObjectRef, Secret, Service, TlsCertificateDelegation,
};

use above::Above;
use delegated::Delegated;
use objects::Objects;
use spoken::Spoken;

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
    /// Where each served Ingress speaks of its hosts, where that is not seen at a glance.
    spoken: HashMap<NamespacedName, Spoken>,
    /// Host → served Ingresses that name it, by rule or by TLS. `*` also has those with a default backend.
    by_host: Index<Host, NamespacedName>,
    /// What depends on a host above it.
    above: Above,
    /// Class → Ingresses, served or not; `None` for those without a class.
    by_class: Index<Option<Arc<str>>, NamespacedName>,
    /// Service → served Ingresses with a backend in it.
    by_service: Index<NamespacedName, NamespacedName>,
    /// Secret → served Ingresses with a TLS entry that names it.
    by_secret: Index<NamespacedName, NamespacedName>,
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

    /// Takes in one event and adds what it touches to `dirty`.
    pub fn apply(&mut self, event: Event, dirty: &mut Dirty) {
        match event {
            Event::Apply(object) => self.set(object, dirty),
            Event::Delete(reference) => self.delete(&reference, dirty),
            Event::Replace {
                kind,
                namespace,
                objects,
            } => {
                let known = self.references(kind, namespace.as_deref());
                if !known.is_empty() {
                    let listed: HashSet<_> = objects.iter().map(Object::reference).collect();
                    for reference in known.iter().filter(|known| !listed.contains(known)) {
                        self.delete(reference, dirty);
                    }
                }
                for object in objects {
                    self.set(object, dirty);
                }
            }
            Event::Batch(events) => {
                for event in events {
                    self.apply(event, dirty);
                }
            }
        }
    }

    /// The served Ingresses that name the host, oldest first.
    #[must_use]
    pub fn ingresses_of(&self, host: &Host) -> Vec<&Arc<Ingress>> {
        let names = self.by_host.get(host);
        let mut ingresses: Vec<_> = names.filter_map(|name| self.ingresses.get(name)).collect();
        ingresses.sort_by_cached_key(|ingress| ingress.metadata.seniority());
        ingresses
    }

    /// The rules of a served Ingress for a host, those without a host for `None`.
    pub fn rules_of<'a>(
        &'a self,
        ingress: &'a Ingress,
        host: Option<&str>,
    ) -> impl Iterator<Item = &'a IngressRule> + use<'a> {
        let spoken = self.spoken.get(&ingress.metadata.name);
        spoken::rules(spoken, ingress, host)
    }

    /// Whether a rule of a served Ingress is for the host.
    #[must_use]
    pub fn is_ruled(&self, ingress: &Ingress, host: &Host) -> bool {
        let mut rules = self.rules_of(ingress, Some(host.as_str()));
        rules.next().is_some()
    }

    /// The TLS entries of a served Ingress that name a host, with their places, as written. Those without hosts are about
    /// every host of its rules, and not among these: they are the same for all of them.
    #[must_use]
    pub fn tls_naming<'a>(
        &self,
        ingress: &'a Ingress,
        host: &Host,
    ) -> Vec<(usize, &'a IngressTls)> {
        let spoken = self.spoken.get(&ingress.metadata.name);
        spoken::tls(spoken, ingress, host)
    }

    /// Whether a served Ingress has so many rules and hosts that what they share is better found once.
    #[must_use]
    pub fn is_long(&self, ingress: &Ingress) -> bool {
        self.spoken.contains_key(&ingress.metadata.name)
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
    #[must_use]
    pub fn invalid(&self, reference: &ObjectRef) -> Option<&Arc<Invalid>> {
        self.invalid.get(&reference.kind)?.get(&reference.name)
    }

    /// The EndpointSlices of a Service, by name.
    pub fn endpoint_slices(
        &self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        let names = self.slices_by_service.get(service);
        names.filter_map(|name| self.slices.get(name))
    }

    /// Whether a Secret may be used from a namespace: from its own, and where that gives it away by a
    /// TLSCertificateDelegation.
    #[must_use]
    pub fn is_delegated(&self, secret: &NamespacedName, namespace: &str) -> bool {
        *secret.namespace == *namespace || self.delegated.contains(secret, namespace)
    }

    /// Whether a served Ingress sends requests to the Service.
    #[must_use]
    pub fn uses_service(&self, service: &NamespacedName) -> bool {
        self.by_service.contains_key(service)
    }

    /// Adds to what events have touched the hosts that depend on it. To be called once, before what is dirty is made
    /// again.
    pub fn spread(&self, dirty: &mut Dirty) {
        self.above.spread(&mut dirty.hosts);
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
        self.above.pack();
        self.by_class.pack();
        self.by_service.pack();
        self.by_secret.pack();
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

    fn set(&mut self, object: Object, dirty: &mut Dirty) {
        let reference = object.reference();
        if let Object::Invalid(invalid) = object {
            if self.invalid(&reference) == Some(&invalid) {
                return;
            }
            self.remove_valid(&reference, dirty);
            self.touch_users(&reference, dirty);
            let of_kind = self.invalid.entry(reference.kind).or_default();
            of_kind.insert(reference.name, invalid);
            return;
        }
        self.remove_invalid(&reference, dirty);
        let name = reference.name;
        match object {
            Object::Ingress(ingress) => self.set_ingress(name, Some(ingress), dirty),
            Object::IngressClass(class) => self.set_class(name.name, Some(class), dirty),
            Object::Service(service) => self.set_service(name, Some(service), dirty),
            Object::EndpointSlice(slice) => self.set_slice(name, Some(slice), dirty),
            Object::Secret(secret) => self.set_secret(name, Some(secret), dirty),
            Object::TlsCertificateDelegation(delegation) => {
                self.set_delegation(name, Some(delegation), dirty);
            }
            Object::Invalid(_) => {}
        }
    }

    fn delete(&mut self, reference: &ObjectRef, dirty: &mut Dirty) {
        self.remove_invalid(reference, dirty);
        self.remove_valid(reference, dirty);
    }

    fn remove_invalid(&mut self, reference: &ObjectRef, dirty: &mut Dirty) {
        if let Some(of_kind) = self.invalid.get_mut(&reference.kind)
            && of_kind.remove(&reference.name).is_some()
        {
            self.touch_users(reference, dirty);
        }
    }

    /// What stands in the place of an object has changed: it is told of it, and of the Ingresses that name it.
    fn touch_users(&self, reference: &ObjectRef, dirty: &mut Dirty) {
        dirty.objects.insert(reference.clone());
        match reference.kind {
            Kind::Service => {
                for ingress in self.by_service.get(&reference.name) {
                    self.touch_ingress(ingress, dirty);
                }
            }
            Kind::Secret => {
                for ingress in self.by_secret.get(&reference.name) {
                    self.touch_secrets_of(ingress, dirty);
                }
            }
            Kind::IngressClass
            | Kind::Ingress
            | Kind::EndpointSlice
            | Kind::TlsCertificateDelegation => {}
        }
    }

    fn remove_valid(&mut self, reference: &ObjectRef, dirty: &mut Dirty) {
        let name = reference.name.clone();
        match reference.kind {
            Kind::IngressClass => self.set_class(name.name, None, dirty),
            Kind::Ingress => self.set_ingress(name, None, dirty),
            Kind::Service => self.set_service(name, None, dirty),
            Kind::EndpointSlice => self.set_slice(name, None, dirty),
            Kind::Secret => self.set_secret(name, None, dirty),
            Kind::TlsCertificateDelegation => self.set_delegation(name, None, dirty),
        }
    }

    fn set_ingress(
        &mut self,
        name: NamespacedName,
        ingress: Option<Arc<Ingress>>,
        dirty: &mut Dirty,
    ) {
        let old = self.ingresses.get(&name).cloned();
        if old == ingress {
            return;
        }
        dirty.objects.insert(ObjectRef {
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
        self.reindex(old, new, dirty);
        match ingress {
            Some(ingress) => self.ingresses.insert(ingress),
            None => self.ingresses.remove(&name),
        }
    }

    /// Files a served Ingress under what it names, in the place of what it named when it was `old`. Most edits change no
    /// name, and then no index is looked into: in a large tree each look waits for keys that no cache holds.
    fn reindex(&mut self, old: Option<&Ingress>, new: Option<&Ingress>, dirty: &mut Dirty) {
        let Some(name) = old.or(new).map(|ingress| &ingress.metadata.name) else {
            return;
        };
        match new.filter(|new| Spoken::pays(new)) {
            Some(new) => self.spoken.insert(name.clone(), Spoken::new(new)),
            None => self.spoken.remove(name),
        };
        let (left, named) = (named_by(old, hosts), named_by(new, hosts));
        for host in left.difference(&named) {
            if self.by_host.remove(host, name) {
                self.above.remove(host);
            }
        }
        for host in named.difference(&left) {
            if self.by_host.insert(host.clone(), name.clone()) {
                self.above.insert(host);
            }
        }
        self.above.refile(old, new, name);
        dirty.hosts.extend(left);
        dirty.hosts.extend(named);
        let (left, named) = (named_by(old, services), named_by(new, services));
        self.by_service.refile(&left, &named, name);
        // What is wrong with a Service is told while it is used.
        let changed = left.symmetric_difference(&named).cloned();
        dirty.objects.extend(changed.map(|name| ObjectRef {
            kind: Kind::Service,
            name,
        }));
        let (left, named) = (named_by(old, secrets), named_by(new, secrets));
        self.by_secret.refile(&left, &named, name);
    }

    fn touch_ingress(&self, name: &NamespacedName, dirty: &mut Dirty) {
        if let Some(ingress) = self.ingresses.get(name) {
            dirty.hosts.extend(hosts(ingress));
        }
    }

    /// What an Ingress may use has changed. What is wrong with a Secret that is for all of its hosts is told of the
    /// Ingress.
    fn touch_secrets_of(&self, name: &NamespacedName, dirty: &mut Dirty) {
        self.touch_ingress(name, dirty);
        dirty.objects.insert(ObjectRef {
            kind: Kind::Ingress,
            name: name.clone(),
        });
    }

    fn set_class(&mut self, name: Arc<str>, class: Option<Arc<IngressClass>>, dirty: &mut Dirty) {
        if self.classes.get(&name) == class.as_ref() {
            return;
        }
        dirty
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
            dirty.objects.insert(ingress.reference());
            if after {
                self.reindex(None, Some(ingress), dirty);
            } else {
                self.reindex(Some(ingress), None, dirty);
            }
        }
    }

    fn set_service(
        &mut self,
        name: NamespacedName,
        service: Option<Arc<Service>>,
        dirty: &mut Dirty,
    ) {
        if self.services.get(&name) == service.as_ref() {
            return;
        }
        for ingress in self.by_service.get(&name) {
            self.touch_ingress(ingress, dirty);
        }
        dirty.objects.insert(ObjectRef {
            kind: Kind::Service,
            name: name.clone(),
        });
        dirty.services.insert(name.clone());
        dirty.endpoints.insert(name.clone());
        match service {
            Some(service) => self.services.insert(service),
            None => self.services.remove(&name),
        }
    }

    fn set_slice(
        &mut self,
        name: NamespacedName,
        slice: Option<Arc<EndpointSlice>>,
        dirty: &mut Dirty,
    ) {
        if self.slices.get(&name) == slice.as_ref() {
            return;
        }
        let service_of = |slice: &EndpointSlice| {
            let service = slice.service.clone()?;
            Some(NamespacedName::new(name.namespace.clone(), service))
        };
        if let Some(service) = self.slices.get(&name).and_then(|slice| service_of(slice)) {
            self.slices_by_service.remove(&service, &name);
            dirty.endpoints.insert(service);
        }
        if let Some(service) = slice.as_deref().and_then(service_of) {
            self.slices_by_service.insert(service.clone(), name.clone());
            dirty.endpoints.insert(service);
        }
        match slice {
            Some(slice) => self.slices.insert(slice),
            None => self.slices.remove(&name),
        }
    }

    fn set_secret(&mut self, name: NamespacedName, secret: Option<Arc<Secret>>, dirty: &mut Dirty) {
        let old = self.secrets.get(&name);
        if old == secret.as_ref() {
            return;
        }
        // A rotation that keeps kind and names changes one certificate and no host.
        let rotated = match (old, &secret) {
            (Some(old), Some(new)) => match (&old.certificate, &new.certificate) {
                (Ok(old), Ok(new)) => {
                    old.names == new.names
                        && old.common_name == new.common_name
                        && old.key_algorithm == new.key_algorithm
                }
                _ => false,
            },
            _ => false,
        };
        if !rotated {
            for ingress in self.by_secret.get(&name) {
                self.touch_secrets_of(ingress, dirty);
            }
        }
        dirty.objects.insert(ObjectRef {
            kind: Kind::Secret,
            name: name.clone(),
        });
        dirty.secrets.insert(name.clone());
        match secret {
            Some(secret) => self.secrets.insert(secret),
            None => self.secrets.remove(&name),
        }
    }

    fn set_delegation(
        &mut self,
        name: NamespacedName,
        delegation: Option<Arc<TlsCertificateDelegation>>,
        dirty: &mut Dirty,
    ) {
        if self.delegations.get(&name) == delegation.as_ref() {
            return;
        }
        let old = self.delegations.get(&name);
        // Each Ingress once, however many of its Secrets are in it. One of their own namespace does not ask.
        let secrets: BTreeSet<NamespacedName> = old
            .into_iter()
            .chain(&delegation)
            .flat_map(|delegation| delegated::secrets(delegation))
            .collect();
        let concerned: BTreeSet<&NamespacedName> = secrets
            .iter()
            .flat_map(|secret| self.by_secret.get(secret))
            .filter(|ingress| ingress.namespace != name.namespace)
            .collect();
        for ingress in concerned {
            self.touch_secrets_of(ingress, dirty);
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

fn named_by<T>(ingress: Option<&Ingress>, names: fn(&Ingress) -> BTreeSet<T>) -> BTreeSet<T> {
    ingress.map_or_else(BTreeSet::new, names)
}
