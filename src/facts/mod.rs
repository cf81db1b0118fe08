//! The objects as they are now, and the facts that units read of them.
//!
//! The store has one owner, the controller, and no lock (I7). It depends on the set of objects only: applying
//! the same objects in another order, twice, or after others leaves the same store (I1). A unit gets a [`Reader`] and never
//! the store, so whatever it reads is recorded. [`Store::apply`] names the facts that differ, by comparing the object with
//! what it was and never by walking others (I4); who read them is not known here. It does no IO.
//!
//! `objects` has the tables of all kinds. What else a kind needs, its indexes and which facts differ, is in a
//! file of its own.

mod backend_tls_policy;
mod changes;
mod claimed;
mod claims;
mod class;
mod config_map;
mod delegated;
mod delegation;
mod endpoint_slice;
mod extension_service;
mod fact;
mod gateway_api;
mod host_index;
mod http_proxy;
mod includers;
mod index;
mod ingress;
mod listener_set;
mod named_services;
mod objects;
mod other_names;
mod reader;
mod secret;
mod service;
mod untyped;
mod value;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub use changes::Changes;
pub use class::{ClassSelection, DEFAULT_CLASS, Dialect, class_of, class_of_proxy};
pub use fact::FactId;
pub use index::Index;
pub use ingress::{hosts, secret_reference, services};
pub use objects::Objects;
pub use other_names::{FROM_TO_WWW, SERVER_ALIAS, aliases, of_ingress as other_names_of, www_of};
pub use reader::{CertificateNames, Log, Reader, ServedIngress, Values};

use crate::model::Host;
use crate::objects::{
    BackendTlsPolicy, ConfigMap, EndpointSlice, Event, ExtensionService, FieldRef, Gateway,
    GatewayClass, GrpcRoute, HttpProxy, HttpRoute, Ingress, IngressClass, IngressRule, IngressTls,
    Invalid, Kind, ListenerSet, Metadata, Namespace, NamespacedName, Object, ObjectRef,
    ReferenceGrant, Secret, Service, TcpRoute, TlsCertificateDelegation, TlsRoute, UdpRoute,
    Untyped, for_each_kind,
};

use claimed::Claimed;
use delegated::Delegated;
use host_index::HostIndex;
use includers::Includers;
use named_services::NamedServices;
use objects::{Stored, Tables};

/// All objects, by kind and name.
#[derive(Debug, Default)]
pub struct Store {
    selection: ClassSelection,
    tables: Tables,
    untyped: BTreeMap<ObjectRef, Arc<Untyped>>,
    /// What objects claim whose claims are made by units.
    claimed: Claimed,
    /// What the delegations say together.
    delegated: Delegated,
    invalid: BTreeMap<Kind, BTreeMap<NamespacedName, Arc<Invalid>>>,
    /// Where each long Ingress that is served names its hosts.
    host_indexes: HashMap<NamespacedName, HostIndex, RandomState>,
    /// Host → served Ingresses that name it, by rule or by TLS. `*` also has those with a default backend.
    by_host: Index<Host, NamespacedName>,
    /// Class → Ingresses, served or not; `None` for those without a class.
    by_class: Index<Option<Arc<str>>, NamespacedName>,
    /// The same of HTTPProxies.
    proxies_by_class: Index<Option<Arc<str>>, NamespacedName>,
    /// HTTPProxy → the served HTTPProxies that include it.
    includers: Includers,
    /// The Services that served Ingresses and HTTPProxies name as back ends.
    named_services: NamedServices,
    /// Service → its EndpointSlices.
    slices_by_service: Index<NamespacedName, NamespacedName>,
    /// Address → the Gateways that name it, or have it by their status.
    gateways_by_address: Index<IpAddr, NamespacedName>,
    /// Namespace → its ReferenceGrants.
    grants_by_namespace: Index<Arc<str>, NamespacedName>,
    /// Gateway → the ListenerSets that name it.
    sets_by_gateway: Index<NamespacedName, NamespacedName>,
    /// Service → the BackendTLSPolicies that are about it.
    policies_by_service: Index<NamespacedName, NamespacedName>,
}

/// What a kind needs beside its table.
trait Indexed: Stored {
    /// Puts `new` in the place of `old`, which differs from it, and names the facts and objects that differ.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    );
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

    /// Which classes are served.
    #[must_use]
    pub const fn selection(&self) -> &ClassSelection {
        &self.selection
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
                // There is nothing to be compared with at a start.
                let of_interest = objects.iter().filter(|_| !known.is_empty());
                let listed: HashSet<_> = of_interest.map(Object::reference).collect();
                for reference in known.iter().filter(|known| !listed.contains(known)) {
                    self.delete(reference, changes);
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

    /// The served Ingresses that name the host, oldest first, those last that have it as another name.
    fn ingresses_of(&self, host: &Host) -> Vec<&Arc<Ingress>> {
        let names = self.by_host.get(host);
        let mut ingresses: Vec<_> = names.filter_map(|name| self.ingress(name)).collect();
        ingresses.sort_by_cached_key(|ingress| self.age_at(host, ingress));
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
        let classes = self.tables.of::<IngressClass>();
        self.selection.serves(class_of(ingress).as_deref(), classes)
    }

    /// What the annotations of an Ingress mean that is served.
    #[must_use]
    pub fn dialect(&self, ingress: &Ingress) -> Dialect {
        let classes = self.tables.of::<IngressClass>();
        self.selection
            .dialect(class_of(ingress).as_deref(), classes)
    }

    /// One Ingress, served or not.
    #[must_use]
    pub fn ingress(&self, name: &NamespacedName) -> Option<&Arc<Ingress>> {
        self.tables.of().get(name)
    }

    /// Whether the HTTPProxy is of a class that is served.
    #[must_use]
    pub fn serves_http_proxy(&self, proxy: &HttpProxy) -> bool {
        let classes = self.tables.of::<IngressClass>();
        let class = class_of_proxy(proxy);
        self.selection.serves_http_proxy(class.as_deref(), classes)
    }

    /// One HTTPProxy, served or not.
    #[must_use]
    pub fn http_proxy(&self, name: &NamespacedName) -> Option<&Arc<HttpProxy>> {
        self.tables.of().get(name)
    }

    /// One ExtensionService.
    #[must_use]
    pub fn extension_service(&self, name: &NamespacedName) -> Option<&Arc<ExtensionService>> {
        self.tables.of().get(name)
    }

    /// One Service.
    #[must_use]
    pub fn service(&self, name: &NamespacedName) -> Option<&Arc<Service>> {
        self.tables.of().get(name)
    }

    /// One Secret.
    #[must_use]
    pub fn secret(&self, name: &NamespacedName) -> Option<&Arc<Secret>> {
        self.tables.of().get(name)
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
        names.filter_map(|name| self.tables.of().get(name))
    }

    /// Whether a Secret may be used from a namespace: from its own, and where that gives it away by a
    /// TLSCertificateDelegation.
    fn is_delegated(&self, secret: &NamespacedName, namespace: &str) -> bool {
        *secret.namespace == *namespace || self.delegated.contains(secret, namespace)
    }

    /// Whether a served Ingress or HTTPProxy names the Service as a back end.
    fn is_service_named(&self, service: &NamespacedName) -> bool {
        self.named_services.contains(service)
    }

    /// What every kind has, of one object; `None` also for one that is wrong as a whole.
    #[must_use]
    pub fn metadata(&self, object: &ObjectRef) -> Option<&Metadata> {
        let untyped = || Some(&self.untyped.get(object)?.metadata);
        self.tables.metadata(object).or_else(untyped)
    }

    /// Where a field stands in its object as that is now ([`crate::objects::Field::path`]).
    #[must_use]
    pub fn path(&self, field: &FieldRef) -> Option<String> {
        let object = &field.object;
        let ingress = self.ingress(&object.name);
        let ingress = ingress.filter(|_| object.kind == Kind::Ingress);
        field.field.path(ingress.map(|ingress| &**ingress))
    }

    /// Whether there is such an object, be it a wrong one.
    #[must_use]
    pub fn contains(&self, object: &ObjectRef) -> bool {
        self.invalid(object).is_some() || self.metadata(object).is_some()
    }

    /// The names of all objects of a kind, wrong ones included, in no order.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<NamespacedName> {
        let references = self.references(kind, None).into_iter();
        references.map(|reference| reference.name).collect()
    }

    /// How many objects of a kind there are, wrong ones included.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.tables.count(kind) + self.invalid.get(&kind).map_or(0, BTreeMap::len)
    }

    /// Makes the indexes as small as they can be, which costs a walk over all of them: for the one time when they were
    /// filled in order.
    pub fn pack(&mut self) {
        self.by_host.pack();
        self.by_class.pack();
        self.proxies_by_class.pack();
        self.slices_by_service.pack();
    }

    fn references(&self, kind: Kind, namespace: Option<&str>) -> Vec<ObjectRef> {
        let invalid = self.invalid.get(&kind).into_iter().flat_map(BTreeMap::keys);
        let names = self.tables.names(kind).into_iter();
        let untyped = self.untyped.keys().filter(|object| object.kind == kind);
        names
            .chain(invalid.cloned())
            .chain(untyped.map(|object| object.name.clone()))
            .map(|name| ObjectRef { kind, name })
            .filter(|reference| namespace.is_none_or(|wanted| *reference.name.namespace == *wanted))
            .collect()
    }

    fn set(&mut self, object: Object, changes: &mut Changes) {
        macro_rules! set {
            ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
                $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
                match object {
                    $(Object::$kind(object) => {
                        let reference = object.reference();
                        self.remove_invalid(&reference, changes);
                        self.replace(&reference.name, Some(object), changes);
                    })*
                    Object::Untyped(object) => {
                        self.replace_untyped(&object.reference(), Some(object), changes);
                    }
                    Object::Invalid(invalid) => self.set_invalid(invalid, changes),
                    Object::Unused(reference) => self.delete(&reference, changes),
                }
            };
        }
        for_each_kind!(set);
    }

    fn set_invalid(&mut self, invalid: Arc<Invalid>, changes: &mut Changes) {
        let reference = invalid.reference.clone();
        if self.invalid(&reference) == Some(&invalid) {
            return;
        }
        self.remove_valid(&reference, changes);
        changes.invalid(&reference);
        let of_kind = self.invalid.entry(reference.kind).or_default();
        of_kind.insert(reference.name, invalid);
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
        macro_rules! remove {
            ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
                $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
                match reference.kind {
                    $(Kind::$kind => self.replace::<$kind>(&reference.name, None, changes),)*
                    Kind::Untyped(_) => self.replace_untyped(reference, None, changes),
                }
            };
        }
        for_each_kind!(remove);
    }

    fn replace<T: Indexed>(
        &mut self,
        name: &NamespacedName,
        new: Option<Arc<T>>,
        changes: &mut Changes,
    ) {
        let old = self.tables.of::<T>().get(name);
        if old == new.as_ref() {
            return;
        }
        let old = old.cloned();
        T::replace(self, name, old, new, changes);
    }
}
