//! The filter between source and controller that adds what a machine without a cluster lacks.
//!
//! Events in, events out, and no IO: what has to be made (a listening echo backend, a certificate) is asked of a
//! [`StandIn`]. What is added comes before the event that asks for it and what is taken away after it, so that no
//! snapshot in between lacks anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::build::controller::Scope;
use crate::facts::{ClassSelection, class_of, class_of_proxy};
use crate::objects::{
    EndpointSlice, Event, HttpProxy, Ingress, Kind, NamespacedName, Object, ObjectRef, Secret,
    ServicePort, ServiceType, TlsCertificate,
};

use super::backend::Backend;

mod announcement;
mod kept;
mod made;
mod secret_names;

pub use announcement::Announcement;
use kept::{Kept, service_of};
pub use made::MADE;
use made::{made_for_unknown_hosts, made_metadata, made_slice};
use secret_names::{gateway_hosts, proxy_host, proxy_secret, tls_hosts};

/// Makes what is missing.
pub trait StandIn {
    /// The address of an echo backend that answers in the name of this Service and port. Asked again for the same
    /// port, the answer is the same.
    fn echo(&mut self, service: &NamespacedName, port: &ServicePort) -> SocketAddr;

    /// The address of a backend for hosts that no Ingress names.
    fn unknown_host(&self) -> SocketAddr;

    /// A certificate for these hosts.
    ///
    /// # Errors
    ///
    /// One sentence.
    fn certificate(&mut self, hosts: &BTreeSet<Arc<str>>) -> Result<TlsCertificate, String>;
}

/// Keeps of the objects what it needs to see that something is missing.
#[derive(Debug)]
pub struct EventFilter<S> {
    stand_in: S,
    backends: Vec<Backend>,
    /// Which Ingresses and HTTPProxies are served: nothing is added for the others.
    selection: ClassSelection,
    /// The lists that are still to come: before that, an object that is not there yet is not missing.
    awaited: BTreeSet<Scope>,
    kept: Kept,
    made_slices: BTreeMap<NamespacedName, Arc<EndpointSlice>>,
    made_secrets: BTreeMap<NamespacedName, (BTreeSet<Arc<str>>, Arc<Secret>)>,
    /// An Ingress for all other hosts and what belongs to it, while there is no other.
    made_for_unknown_hosts: Vec<Object>,
    announcements: BTreeSet<Announcement>,
}

impl<S: StandIn> EventFilter<S> {
    /// A filter that has seen nothing. `awaited` are the lists that the source makes.
    pub fn new(
        stand_in: S,
        backends: Vec<Backend>,
        selection: ClassSelection,
        awaited: impl IntoIterator<Item = Scope>,
    ) -> Self {
        Self {
            stand_in,
            backends,
            selection,
            awaited: awaited.into_iter().collect(),
            kept: Kept::default(),
            made_slices: BTreeMap::new(),
            made_secrets: BTreeMap::new(),
            made_for_unknown_hosts: Vec::new(),
            announcements: BTreeSet::new(),
        }
    }

    /// Takes one event of the source and returns what the controller is to get in its place, in this order.
    pub fn apply(&mut self, event: Event) -> Vec<Event> {
        match event {
            Event::Batch(events) => events
                .into_iter()
                .flat_map(|event| self.apply(event))
                .collect(),
            event => self.apply_one(event),
        }
    }

    fn apply_one(&mut self, event: Event) -> Vec<Event> {
        if let Event::Replace {
            kind, namespace, ..
        } = &event
        {
            self.awaited.remove(&(*kind, namespace.clone()));
        }
        let touched = self.kept.take_in(&event);
        let mut before = Vec::new();
        let mut after = Vec::new();
        if self.is_listed(Kind::Service) && self.is_listed(Kind::EndpointSlice) {
            for service in &touched.services {
                self.make_slices(service, &event, &mut before, &mut after);
            }
        }
        let mut deleted_is_made_again = false;
        let name_secrets = [Kind::Ingress, Kind::HttpProxy, Kind::Gateway, Kind::Secret];
        if name_secrets.into_iter().all(|kind| self.is_listed(kind)) {
            for secret in &touched.secrets {
                self.make_secret(secret, &mut before, &mut after);
            }
            if let Event::Delete(reference) = &event {
                deleted_is_made_again = reference.kind == Kind::Secret
                    && self.made_secrets.contains_key(&reference.name);
            }
        }
        self.make_for_unknown_hosts(&mut before, &mut after);
        if !deleted_is_made_again {
            before.push(self.pass(event));
        }
        before.append(&mut after);
        before
    }

    /// Whether everything was listed: from here on, what is not there is missing.
    pub fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }

    fn is_listed(&self, kind: Kind) -> bool {
        !self.awaited.iter().any(|(awaited, _)| *awaited == kind)
    }

    fn serves(&self, ingress: &Ingress) -> bool {
        let class = class_of(ingress);
        self.selection.serves(class.as_deref(), &self.kept.classes)
    }

    fn serves_proxy(&self, proxy: &HttpProxy) -> bool {
        let class = class_of_proxy(proxy);
        self.selection
            .serves_http_proxy(class.as_deref(), &self.kept.classes)
    }

    /// What was done since the last call.
    pub fn announcements(&mut self) -> BTreeSet<Announcement> {
        std::mem::take(&mut self.announcements)
    }

    /// The `--backend`s whose Service or port does not exist: misspelt, most likely.
    pub fn unused_backends(&self) -> impl Iterator<Item = &Backend> {
        self.backends.iter().filter(|backend| {
            let service = self.kept.services.get(&backend.service);
            !service.is_some_and(|service| service.ports.iter().any(|port| backend.covers(port)))
        })
    }

    /// The hosts for which those that are served name this Secret.
    fn hosts_of_secret(&self, name: &NamespacedName) -> BTreeSet<Arc<str>> {
        let ingresses = self.kept.ingresses.values();
        let of_ingresses = ingresses
            .filter(|ingress| ingress.metadata.name.namespace == name.namespace)
            .filter(|ingress| self.serves(ingress))
            .flat_map(|ingress| tls_hosts(ingress, &name.name));
        let proxies = self.kept.http_proxies.values();
        let of_proxies = proxies
            .filter(|proxy| proxy_secret(proxy).as_ref() == Some(name))
            .filter(|proxy| self.serves_proxy(proxy))
            .filter_map(|proxy| proxy_host(proxy));
        let gateways = self.kept.gateways.values();
        let of_gateways = gateways.flat_map(|gateway| gateway_hosts(gateway, name));
        of_ingresses.chain(of_proxies).chain(of_gateways).collect()
    }

    /// Brings the made slices of one Service up to date. Where a `--backend` takes a port, the Service's own slices
    /// lose that port, so that they are sent again when the Service's ports change.
    fn make_slices(
        &mut self,
        name: &NamespacedName,
        event: &Event,
        before: &mut Vec<Event>,
        after: &mut Vec<Event>,
    ) {
        let mut wanted = BTreeMap::new();
        if let Some(service) = self.kept.services.get(name)
            && service.service_type == ServiceType::Endpoints
        {
            let has_slices = self
                .kept
                .slices
                .values()
                .any(|slice| service_of(slice).as_ref() == Some(name));
            for port in &service.ports {
                let backend = self
                    .backends
                    .iter()
                    .find(|b| b.service == *name && b.covers(port));
                let (address, announcement) = if let Some(backend) = backend {
                    let address = backend.address;
                    (
                        address,
                        Announcement::Backend(name.clone(), port.port, address),
                    )
                } else if has_slices {
                    continue;
                } else {
                    let address = self.stand_in.echo(name, port);
                    (address, Announcement::Echo(name.clone(), port.port))
                };
                let slice = made_slice(name, port, address);
                wanted.insert(slice.metadata.name.clone(), (Arc::new(slice), announcement));
            }
        }
        let is_of_service = |slice: &EndpointSlice| service_of(slice).as_ref() == Some(name);
        let gone: Vec<_> = self
            .made_slices
            .iter()
            .filter(|(made, slice)| is_of_service(slice) && !wanted.contains_key(*made))
            .map(|(made, _)| made.clone())
            .collect();
        for made in gone {
            self.made_slices.remove(&made);
            after.push(Event::Delete(ObjectRef {
                kind: Kind::EndpointSlice,
                name: made,
            }));
        }
        for (made, (slice, announcement)) in wanted {
            if self.made_slices.get(&made) != Some(&slice) {
                before.push(Event::Apply(Object::EndpointSlice(slice.clone())));
                self.made_slices.insert(made, slice);
                self.announcements.insert(announcement);
            }
        }
        if concerns_services(event) && self.backends.iter().any(|backend| backend.service == *name)
        {
            let own = self
                .kept
                .slices
                .values()
                .filter(|slice| service_of(slice).as_ref() == Some(name));
            before
                .extend(own.map(|slice| Event::Apply(Object::EndpointSlice(self.stripped(slice)))));
        }
    }

    /// Whoever asks for a host that nobody serves is told which hosts there are, unless an Ingress, or a route of a Gateway, is for
    /// every host.
    fn make_for_unknown_hosts(&mut self, before: &mut Vec<Event>, after: &mut Vec<Event>) {
        let is_for_every_host = |ingress: &Arc<Ingress>| {
            let is_any = ingress.default_backend.is_some()
                || ingress.rules.iter().any(|rule| rule.host.is_none());
            is_any && self.serves(ingress)
        };
        let mut ingresses = self.kept.ingresses.values();
        let is_served = ingresses.any(is_for_every_host) || !self.kept.hostless.is_empty();
        let wanted = self.is_complete() && !is_served;
        if wanted && self.made_for_unknown_hosts.is_empty() {
            let address = self.stand_in.unknown_host();
            self.made_for_unknown_hosts = made_for_unknown_hosts(address, &self.selection);
            before.extend(
                self.made_for_unknown_hosts
                    .iter()
                    .cloned()
                    .map(Event::Apply),
            );
        } else if !wanted {
            let gone = self.made_for_unknown_hosts.drain(..);
            after.extend(gone.map(|object| Event::Delete(object.reference())));
        }
    }

    fn make_secret(
        &mut self,
        name: &NamespacedName,
        before: &mut Vec<Event>,
        after: &mut Vec<Event>,
    ) {
        let hosts = self.hosts_of_secret(name);
        if self.kept.secrets.contains(name) {
            // It took the made one's place, having its name.
            self.made_secrets.remove(name);
            return;
        }
        if hosts.is_empty() {
            if self.made_secrets.remove(name).is_some() {
                after.push(Event::Delete(ObjectRef {
                    kind: Kind::Secret,
                    name: name.clone(),
                }));
            }
            return;
        }
        if self
            .made_secrets
            .get(name)
            .is_some_and(|(made_for, _)| *made_for == hosts)
        {
            return;
        }
        match self.stand_in.certificate(&hosts) {
            Ok(certificate) => {
                let secret = Arc::new(Secret {
                    metadata: made_metadata(name.clone()),
                    certificate: Ok(Arc::new(certificate)),
                    authorities: None,
                    revocations: None,
                    credentials: None,
                    credentials_map: None,
                });
                before.push(Event::Apply(Object::Secret(secret.clone())));
                let list = hosts.iter().cloned().collect();
                self.announcements
                    .insert(Announcement::Certificate(name.clone(), list));
                self.made_secrets.insert(name.clone(), (hosts, secret));
            }
            Err(sentence) => {
                self.announcements
                    .insert(Announcement::NoCertificate(name.clone(), sentence));
            }
        }
    }

    /// The event itself, with slices less the ports that a `--backend` has, and lists completed by what was made:
    /// a list says that there is nothing else.
    fn pass(&self, event: Event) -> Event {
        match event {
            Event::Apply(object) => Event::Apply(self.pass_object(object)),
            Event::Delete(reference) => Event::Delete(reference),
            Event::Replace {
                kind,
                namespace,
                objects,
            } => {
                let mut objects: Vec<_> = objects
                    .into_iter()
                    .map(|object| self.pass_object(object))
                    .collect();
                let listed =
                    |name: &NamespacedName| namespace.as_ref().is_none_or(|n| *n == name.namespace);
                match kind {
                    Kind::EndpointSlice => objects.extend(
                        self.made_slices
                            .iter()
                            .filter(|(name, _)| listed(name))
                            .map(|(_, slice)| Object::EndpointSlice(slice.clone())),
                    ),
                    Kind::Secret => objects.extend(
                        self.made_secrets
                            .iter()
                            .filter(|(name, _)| listed(name))
                            .map(|(_, (_, secret))| Object::Secret(secret.clone())),
                    ),
                    _ => {}
                }
                let made = self.made_for_unknown_hosts.iter().filter(|made| {
                    let reference = made.reference();
                    reference.kind == kind && listed(&reference.name)
                });
                objects.extend(made.cloned());
                Event::Replace {
                    kind,
                    namespace,
                    objects,
                }
            }
            Event::Batch(events) => {
                Event::Batch(events.into_iter().map(|event| self.pass(event)).collect())
            }
        }
    }

    fn pass_object(&self, object: Object) -> Object {
        match object {
            Object::EndpointSlice(slice) => Object::EndpointSlice(self.stripped(&slice)),
            object => object,
        }
    }

    /// The slice less the ports for which there is a `--backend`.
    fn stripped(&self, slice: &Arc<EndpointSlice>) -> Arc<EndpointSlice> {
        let Some(service) = service_of(slice).and_then(|name| self.kept.services.get(&name)) else {
            return slice.clone();
        };
        let taken: BTreeSet<_> = service
            .ports
            .iter()
            .filter(|port| {
                let name = &service.metadata.name;
                self.backends
                    .iter()
                    .any(|backend| backend.service == *name && backend.covers(port))
            })
            .map(|port| &port.name)
            .collect();
        if taken.is_empty() {
            return slice.clone();
        }
        let mut stripped = EndpointSlice::clone(slice);
        let left = slice
            .ports
            .iter()
            .filter(|port| !taken.contains(&port.name));
        stripped.ports = left.cloned().collect();
        Arc::new(stripped)
    }
}

fn concerns_services(event: &Event) -> bool {
    match event {
        Event::Apply(object) => object.reference().kind == Kind::Service,
        Event::Delete(reference) => reference.kind == Kind::Service,
        Event::Replace { kind, .. } => *kind == Kind::Service,
        Event::Batch(events) => events.iter().any(concerns_services),
    }
}

#[cfg(test)]
pub(super) mod tests;
