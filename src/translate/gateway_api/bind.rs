//! An address with a port: the listeners that are there, and which of them a name belongs to.
//!
//! A listener that is not accepted keeps its names: else those of a wider one would be served with what belongs to another,
//! which may have asked for more than that one does. They are closed while anything is served on the port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Application, Host, Listener, Spoken};
use crate::objects::ObjectRef;
use crate::translate::{ClusterSource, Input, ListenerUnit};

use super::attachment::hostname_for;
use super::context::Carries;
use super::effective::{BoundListener, EffectiveListener, Protocol, Transport};
use super::hostname;
use super::place::{Place, Reach};
use super::shown::Shown;

/// What a Gateway has at a place: at an address and port of its own, or at a port of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bind {
    /// Its address; `None` where no Gateway has it, and at a port of the fleet.
    pub address: Option<SocketAddr>,
    /// What is spoken there; of TLS any that ends it or not.
    pub protocol: Option<Protocol>,
    /// The listeners, by their hostnames from the narrowest to the widest, one of each. Those that are not accepted are among
    /// them, but where nothing tells hosts apart: there is the one that is served.
    pub listeners: Box<[BoundListener]>,
}

impl Bind {
    /// Finds what is there.
    pub fn of(input: Input<'_>, name: &str) -> Self {
        let Some(place) = Place::parse(name) else {
            return Self::default();
        };
        let (gateway, address, bind) = match place {
            Place::Address(at, transport) => {
                let gateways = input.reader.gateways_at(at.ip()).into_iter();
                let mut gateways = gateways.map(|name| input.gateway(&name));
                let gateway = gateways.find(|it| it.reach.addresses().contains(&at.ip()));
                (gateway, Some(at), (at.port(), transport))
            }
            Place::Service(name, port) => {
                let gateway = input.gateway(&name);
                let services = input.options.gateway.services.as_ref();
                let pod = gateway.reach.pod_port(port);
                let at = services.and_then(|it| Some(SocketAddr::new(it.address, pod?)));
                (at.map(|_| gateway), at, port)
            }
            Place::Fleet(name, port) => {
                let gateway = Some(input.gateway(&name)).filter(|it| it.reach == Reach::Fleet);
                (gateway, None, port)
            }
        };
        let Some(gateway) = gateway else {
            return Self::default();
        };
        let Some(accepted) = gateway.at(bind).find(|it| it.fault.is_none()) else {
            return Self::default();
        };
        let mut listeners: Vec<_> = match accepted.has_names() {
            true => gateway.naming(bind).collect(),
            false => vec![accepted],
        };
        listeners.sort_by_cached_key(|it| {
            let is_refused = it.fault.is_some();
            (
                hostname::rank(&it.hostname),
                it.hostname.clone(),
                is_refused,
            )
        });
        listeners.dedup_by(|one, before| one.hostname == before.hostname);
        Self {
            address,
            protocol: accepted.protocol,
            listeners: listeners
                .into_iter()
                .map(EffectiveListener::bound)
                .collect(),
        }
    }

    /// The hostnames of its listeners, from the narrowest to the widest.
    pub fn hostnames(&self) -> Box<[Host]> {
        let listeners = self.listeners.iter();
        listeners.map(|it| it.hostname.clone()).collect()
    }

    /// The listener of a hostname.
    pub fn listener(&self, hostname: &Host) -> Option<&BoundListener> {
        let mut listeners = self.listeners.iter();
        listeners.find(|it| it.hostname == *hostname)
    }

    /// What is spoken there, and where connections go of which nothing is told apart. `name`: that of the place; `claims`: who
    /// claims it, oldest first.
    pub fn application(
        &self,
        input: Input<'_>,
        name: &str,
        claims: &[ObjectRef],
    ) -> Option<(Application, BTreeMap<Arc<str>, ClusterSource>)> {
        let protocol = self.protocol?;
        let (application, clusters) = match protocol {
            Protocol::Http => (Application::Http, BTreeMap::new()),
            Protocol::Https | Protocol::Passthrough | Protocol::Tls => {
                (Application::Tls, BTreeMap::new())
            }
            Protocol::Tcp | Protocol::Udp => {
                let rules = self.listeners.first().and_then(|listener| {
                    let route = first_route(input, (name, listener), claims)?;
                    Some(input.route_rules(route, &Shown::default()))
                });
                let rules = rules.unwrap_or_default();
                let forwarding = rules.forwarding.clone();
                let clusters = rules.clusters_of(&forwarding);
                let application = match protocol.transport() {
                    Transport::Tcp => Application::Tcp(forwarding),
                    Transport::Udp => Application::Udp(forwarding),
                };
                (application, clusters)
            }
        };
        Some((application, clusters))
    }

    /// The listener as it is served at an address of its own. `claims`: who claims it, oldest first.
    pub fn unit(&self, input: Input<'_>, name: &Arc<str>, claims: &[ObjectRef]) -> ListenerUnit {
        let made = self.application(input, name, claims);
        let (Some(address), Some((application, clusters))) = (self.address, made) else {
            return ListenerUnit::default();
        };
        let is_by_name = application.spoken() == Spoken::Tls;
        ListenerUnit {
            hostnames: is_by_name.then(|| self.hostnames().into()),
            listener: Some(Listener {
                name: name.clone(),
                address,
                application,
            }),
            clusters,
            problems: Vec::new(),
        }
    }
}

/// The route that gets all that comes to a listener where nothing is told apart: the oldest of those that claim it and are attached
/// there, which comes first. Nobody looks at the others.
fn first_route<'a>(
    input: Input<'_>,
    (name, listener): (&str, &BoundListener),
    claims: &'a [ObjectRef],
) -> Option<&'a ObjectRef> {
    let is_opaque = |it: &&ObjectRef| Carries::of(it.kind).is_opaque();
    let mut routes = claims.iter().filter(is_opaque);
    routes.find(|it| input.attachment(it).serves(name, listener, &Host::any()))
}

/// The route that gets the connections of a name, of those that claim it and are attached there: that with the narrowest hostname
/// of its own, and of several the oldest, which comes first.
pub fn opaque_route<'a>(
    input: Input<'_>,
    (name, listener): (&str, &BoundListener),
    host: &Host,
    claims: &'a [ObjectRef],
) -> Option<&'a ObjectRef> {
    let is_opaque = |it: &&ObjectRef| Carries::of(it.kind).is_opaque();
    let routes = claims.iter().filter(is_opaque);
    let attached = routes.filter(|it| input.attachment(it).serves(name, listener, host));
    // Of equals it is the first.
    attached.min_by_key(|route| {
        let head = input.reader.route_head(route);
        let hostname = head.and_then(|head| hostname_for(head, host));
        hostname.as_ref().map(hostname::rank)
    })
}
