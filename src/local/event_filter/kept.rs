//! What the filter keeps of the source's objects, as the source said: what may lack something, and what may be missing.
//!
//! It never changes an object, and makes none. Its matches name every kind: who adds a kind decides here whether a machine
//! without a cluster needs a stand-in for something of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::Objects;
use crate::objects::gateway_api::RouteHead;
use crate::objects::{
    EndpointSlice, Event, Gateway, HttpProxy, Ingress, IngressClass, Kind, NamespacedName, Object,
    ObjectRef, Service,
};

use super::secret_names::{gateway_secrets, proxy_secret, tls_secrets};

/// The objects of the kinds for which something is stood in, and the names of Secrets.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) classes: Objects<IngressClass>,
    pub(super) services: BTreeMap<NamespacedName, Arc<Service>>,
    pub(super) slices: BTreeMap<NamespacedName, Arc<EndpointSlice>>,
    pub(super) ingresses: BTreeMap<NamespacedName, Arc<Ingress>>,
    pub(super) http_proxies: BTreeMap<NamespacedName, Arc<HttpProxy>>,
    pub(super) gateways: BTreeMap<NamespacedName, Arc<Gateway>>,
    /// The routes of the Gateway API that are for every host.
    pub(super) hostless: BTreeSet<ObjectRef>,
    pub(super) secrets: BTreeSet<NamespacedName>,
}

/// What an event may have changed the needs of.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) services: BTreeSet<NamespacedName>,
    pub(super) secrets: BTreeSet<NamespacedName>,
}

impl Kept {
    /// Takes an event in, and names what may be missing or not missing any more.
    pub(super) fn take_in(&mut self, event: &Event) -> Touched {
        let mut touched = Touched::default();
        match event {
            Event::Apply(object) => self.put(object, &mut touched),
            Event::Delete(reference) => self.remove(reference, &mut touched),
            Event::Replace {
                kind,
                namespace,
                objects,
            } => {
                for name in self.names(*kind) {
                    if namespace
                        .as_ref()
                        .is_none_or(|namespace| *namespace == name.namespace)
                    {
                        self.remove(&ObjectRef { kind: *kind, name }, &mut touched);
                    }
                }
                for object in objects {
                    self.put(object, &mut touched);
                }
                // The second kind of a pair to be listed: now everything of the first may lack something.
                touched.services.extend(self.services.keys().cloned());
                touched.secrets.extend(self.all_secrets());
            }
            Event::Batch(events) => {
                for event in events {
                    let of_event = self.take_in(event);
                    touched.services.extend(of_event.services);
                    touched.secrets.extend(of_event.secrets);
                }
            }
        }
        touched
    }

    fn names(&self, kind: Kind) -> Vec<NamespacedName> {
        match kind {
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.slices.keys().cloned().collect(),
            Kind::Ingress => self.ingresses.keys().cloned().collect(),
            Kind::Secret => self.secrets.iter().cloned().collect(),
            Kind::IngressClass => {
                let classes = self.classes.iter();
                classes.map(|class| class.metadata.name.clone()).collect()
            }
            Kind::HttpProxy => self.http_proxies.keys().cloned().collect(),
            Kind::Gateway => self.gateways.keys().cloned().collect(),
            Kind::HttpRoute | Kind::GrpcRoute => {
                let hostless = self.hostless.iter();
                let of_kind = hostless.filter(|route| route.kind == kind);
                of_kind.map(|route| route.name.clone()).collect()
            }
            Kind::TlsCertificateDelegation
            | Kind::ExtensionService
            | Kind::GatewayClass
            | Kind::ListenerSet
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::BackendTlsPolicy
            | Kind::ConfigMap
            | Kind::Namespace
            | Kind::Untyped(_) => Vec::new(),
        }
    }

    fn put(&mut self, object: &Object, touched: &mut Touched) {
        let reference = object.reference();
        self.remove(&reference, touched);
        let name = reference.name.clone();
        match object {
            Object::Service(service) => {
                self.services.insert(name.clone(), service.clone());
                touched.services.insert(name);
            }
            Object::EndpointSlice(slice) => {
                touched.services.extend(service_of(slice));
                self.slices.insert(name, slice.clone());
            }
            Object::Ingress(ingress) => {
                touched.secrets.extend(tls_secrets(ingress));
                self.ingresses.insert(name, ingress.clone());
            }
            Object::HttpProxy(proxy) => {
                touched.secrets.extend(proxy_secret(proxy));
                self.http_proxies.insert(name, proxy.clone());
            }
            Object::Secret(_) => _ = self.secrets.insert(name),
            // A broken Secret is there, and its problem is reported: a stand-in would hide it.
            Object::Invalid(_) if reference.kind == Kind::Secret => {
                self.secrets.insert(name);
            }
            Object::IngressClass(class) => {
                self.classes.insert(class.clone());
                touched.secrets.extend(self.all_secrets());
            }
            Object::Gateway(gateway) => {
                touched.secrets.extend(gateway_secrets(gateway));
                self.gateways.insert(name, gateway.clone());
            }
            Object::HttpRoute(route) => self.put_route(reference, &route.head),
            Object::GrpcRoute(route) => self.put_route(reference, &route.head),
            Object::TlsCertificateDelegation(_)
            | Object::ExtensionService(_)
            | Object::GatewayClass(_)
            | Object::ListenerSet(_)
            | Object::TlsRoute(_)
            | Object::TcpRoute(_)
            | Object::UdpRoute(_)
            | Object::ReferenceGrant(_)
            | Object::BackendTlsPolicy(_)
            | Object::ConfigMap(_)
            | Object::Namespace(_)
            | Object::Unused(_)
            | Object::Untyped(_)
            | Object::Invalid(_) => {}
        }
    }

    fn remove(&mut self, reference: &ObjectRef, touched: &mut Touched) {
        let name = &reference.name;
        match reference.kind {
            Kind::Service => {
                self.services.remove(name);
                touched.services.insert(name.clone());
            }
            Kind::EndpointSlice => {
                if let Some(slice) = self.slices.remove(name) {
                    touched.services.extend(service_of(&slice));
                }
            }
            Kind::Ingress => {
                if let Some(ingress) = self.ingresses.remove(name) {
                    touched.secrets.extend(tls_secrets(&ingress));
                }
            }
            Kind::HttpProxy => {
                if let Some(proxy) = self.http_proxies.remove(name) {
                    touched.secrets.extend(proxy_secret(&proxy));
                }
            }
            Kind::Secret => {
                self.secrets.remove(name);
                touched.secrets.insert(name.clone());
            }
            Kind::IngressClass => {
                if self.classes.get(name).is_some() {
                    self.classes.remove(name);
                    touched.secrets.extend(self.all_secrets());
                }
            }
            Kind::Gateway => {
                if let Some(gateway) = self.gateways.remove(name) {
                    touched.secrets.extend(gateway_secrets(&gateway));
                }
            }
            Kind::HttpRoute | Kind::GrpcRoute => _ = self.hostless.remove(reference),
            Kind::TlsCertificateDelegation
            | Kind::ExtensionService
            | Kind::GatewayClass
            | Kind::ListenerSet
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::BackendTlsPolicy
            | Kind::ConfigMap
            | Kind::Namespace
            | Kind::Untyped(_) => {}
        }
    }

    fn put_route(&mut self, route: ObjectRef, head: &RouteHead) {
        if head.hostnames.is_empty() && !head.parents.is_empty() {
            self.hostless.insert(route);
        }
    }

    /// The Secrets that Ingresses, HTTPProxies and Gateways name, served or not.
    fn all_secrets(&self) -> Vec<NamespacedName> {
        let ingresses = self.ingresses.values();
        let of_ingresses = ingresses.flat_map(|ingress| tls_secrets(ingress));
        let proxies = self.http_proxies.values();
        let of_proxies = proxies.filter_map(|proxy| proxy_secret(proxy));
        let gateways = self.gateways.values();
        let of_gateways = gateways.flat_map(|gateway| gateway_secrets(gateway));
        of_ingresses.chain(of_proxies).chain(of_gateways).collect()
    }
}

/// The Service that a slice belongs to.
pub(super) fn service_of(slice: &EndpointSlice) -> Option<NamespacedName> {
    let service = slice.service.as_ref()?;
    Some(NamespacedName::new(
        slice.metadata.name.namespace.clone(),
        service.clone(),
    ))
}
