//! The fleet's own ports, which Gateways share with each other and with Ingresses.
//!
//! Which port outside is which port of the pod, the operator says ([`super::FleetPorts`]). The two where Ingresses are have their hosts on
//! [`Front::Fleet`], each other one on a front of its own.
//!
//! - **A host belongs to one Gateway on each port**: to that through which its oldest claim comes. Claims are a route's, for the
//!   names that it has in common with a listener, and a Gateway's, for the hostname of a listener. What other Gateways have for the
//!   host is not served, and who asks for it is told. Of a route that claims a host through several the first of its parents counts.
//! - **Where hosts belong to namespaces** ([`ownership`]) only those Gateways may have one that are of its owner's namespace, or that
//!   a claim of this namespace comes through, at whichever of the two ports: whom these let in is theirs to say. Else who comes first
//!   at the other port would have the owner's name there.
//! - **Within a Gateway** listeners are isolated from each other as at an address of its own: routes of other Gateways are never
//!   looked at, not even for the names of a wildcard above.
//! - A listener for every name claims none: else the first Gateway without a hostname would have the port for itself. By TLS it is
//!   there for the names that its routes say.
//! - **By TLS a request is misdirected (421)** where its host is somebody else's than its connection's: another listener's, another
//!   Gateway's, an Ingress's. One for a host that nobody has is unknown (404), but on a connection for a named listener of a Gateway
//!   that has one for every name: that is where it belongs, so it is misdirected. Where very many hosts are on the port nothing is
//!   unknown, all else is misdirected (`build/tls/neighbours.rs`).
//! - Which language a host is in, [`crate::translate::Languages`] has decided before anything here is asked.
//! - **A port where no Ingress is** speaks what the oldest Gateway there speaks; those that speak something else are told.

use std::sync::Arc;

use crate::model::{Front, Host, Listener, Spoken};
use crate::objects::{Kind, NamespacedName, ObjectRef, Problem};
use crate::translate::{HostUnit, Input, ListenerUnit, condition, ownership};

use super::effective::{EffectiveListener, Protocol};
use super::fault::Fault;
use super::gateway::EffectiveGateway;
use super::holder::{self, Owned, SharedHost, SharedPort, through};
use super::options::{PodPort, listener_port};
use super::parent::EffectiveParent;
use super::place::{Place, Reach};
use super::virtual_host;

/// A host on a front of the fleet.
pub fn host(input: Input<'_>, front: &Front, host: &Host, claims: &[ObjectRef]) -> HostUnit {
    let mut unit = HostUnit {
        any_depth: true,
        ..HostUnit::default()
    };
    for (port, pod) in input.options.gateway.ports.on(front) {
        let spoken = match (pod, front) {
            (PodPort::Http, _) => Some(Spoken::Http),
            (PodPort::Https, _) => Some(Spoken::Tls),
            (PodPort::Other(_), Front::Listener(name)) => input.reader.spoken(name),
            (PodPort::Other(_), Front::Fleet) => None,
        };
        let Some(port) = spoken.map(|spoken| SharedPort { port, spoken }) else {
            continue;
        };
        let found = tell_holder(input, (port, host), claims, &mut unit.problems);
        let Some(holder) = found else {
            continue;
        };
        let place = Place::Fleet(holder, port.port).name();
        let part = virtual_host::host(input, (front, &place), host);
        add(&mut unit, port.spoken, part);
    }
    if *front == Front::Fleet {
        ownership::close(input, host, &mut unit);
    }
    unit
}

/// The routes that are attached for a host in clear, where these objects say through which Gateway: the host is another language's.
pub fn routes_in_clear(
    input: Input<'_>,
    front: &Front,
    host: &Host,
    claims: &[ObjectRef],
) -> HostUnit {
    let mut unit = HostUnit::default();
    let owned = Owned::of(input, front, host, claims);
    for (port, pod) in input.options.gateway.ports.on(front) {
        if pod != PodPort::Http {
            continue;
        }
        let spoken = Spoken::Http;
        let port_of = SharedPort { port, spoken };
        if let Some(holder) = holder::gateway(input, port_of, host, (claims, owned.as_ref())) {
            let place = Place::Fleet(holder, port).name();
            add(
                &mut unit,
                spoken,
                virtual_host::host(input, (front, &place), host),
            );
        }
    }
    unit
}

/// Adds what a host is at one port, as far as that is what is spoken there. What is in clear is nothing to a port for TLS, and the
/// other way round.
fn add(unit: &mut HostUnit, spoken: Spoken, part: HostUnit) {
    let is_served = match spoken {
        Spoken::Http => part.http.is_some(),
        Spoken::Tls => part.https.is_some() || part.is_forwarded(),
        Spoken::Opaque => false,
    };
    match spoken {
        Spoken::Http => unit.http = part.http,
        Spoken::Tls => {
            unit.https = part.https;
            unit.passthrough = part.passthrough;
            unit.tcp = part.tcp;
            unit.is_closed = part.is_closed;
            unit.tells_unknown = part.tells_unknown;
        }
        Spoken::Opaque => {}
    }
    if is_served {
        unit.clusters.extend(part.clusters);
    }
    unit.reached.extend(part.reached);
    unit.problems.extend(part.problems);
}

/// The Gateway that has a host at a port; who claims it through another one is told.
fn tell_holder(
    input: Input<'_>,
    (port, host): (SharedPort, &Host),
    claims: &[ObjectRef],
    problems: &mut Vec<Problem>,
) -> Option<NamespacedName> {
    let host = host.clone();
    let shared = SharedHost { port, host };
    let holder = input.holder(&shared);
    let SharedHost { port, host } = &shared;
    for claim in claims {
        let through = through(input, claim, *port, host);
        let has = |gateway| through.contains(gateway);
        if through.is_empty() || holder.gateway.as_ref().is_some_and(has) {
            continue;
        }
        let Some(winner) = holder.told(&claim.name.namespace) else {
            continue;
        };
        let message = format!(
            "host {host} on port {} belongs to {winner}: nothing that this object says of it there is served",
            port.port.0
        );
        problems.push(condition::host_conflict(claim, message));
    }
    holder.gateway.clone()
}

/// The listener at a port of the fleet where no Ingress is. `claims`: who claims it, oldest first.
pub fn listener(input: Input<'_>, name: &Arc<str>, claims: &[ObjectRef]) -> Option<ListenerUnit> {
    let port = listener_port(name)?;
    let pod = input.options.gateway.ports.pod_port(port);
    let Some(PodPort::Other(address)) = pod else {
        return Some(ListenerUnit::default());
    };
    let place = owner_of(claims).map(|gateway| Place::Fleet(gateway.clone(), port).name());
    let made = place.and_then(|place| input.bind(&place).application(input, &place, claims));
    let Some((application, clusters)) = made else {
        return Some(ListenerUnit::default());
    };
    Some(ListenerUnit {
        listener: Some(Listener {
            name: name.clone(),
            address,
            application,
        }),
        hostnames: None,
        clusters,
        problems: Vec::new(),
    })
}

/// The Gateway that says what is spoken on a port.
fn owner_of(claims: &[ObjectRef]) -> Option<&NamespacedName> {
    let mut gateways = claims.iter().filter(|claim| claim.kind == Kind::Gateway);
    gateways.next().map(|gateway| &gateway.name)
}

/// A Gateway as it is once whoever shares its ports has been asked: some listeners are not served, as another one has the port, or
/// the one host that they are for.
pub fn gateway(input: Input<'_>, name: &NamespacedName) -> Arc<EffectiveGateway> {
    let gateway = input.gateway(name);
    match gateway.reach {
        Reach::Fleet => Arc::new(EffectiveGateway {
            listeners: settled(input, name, &gateway.listeners),
            ..EffectiveGateway::clone(&gateway)
        }),
        Reach::Nowhere | Reach::Addresses(_) | Reach::Service(_) => gateway,
    }
}

/// The same of what a ListenerSet, or a Gateway, brings.
pub fn parent(input: Input<'_>, object: &ObjectRef) -> Arc<EffectiveParent> {
    let parent = input.parent(object);
    match (&parent.reach, &parent.gateway) {
        (Reach::Fleet, Some(gateway)) => Arc::new(EffectiveParent {
            listeners: settled(input, gateway, &parent.listeners),
            ..EffectiveParent::clone(&parent)
        }),
        _ => parent,
    }
}

fn settled(
    input: Input<'_>,
    gateway: &NamespacedName,
    listeners: &[EffectiveListener],
) -> Box<[EffectiveListener]> {
    let mut all: Box<[EffectiveListener]> = listeners.into();
    for listener in all.iter_mut().filter(|it| it.fault.is_none()) {
        if let Some(fault) = lost(input, gateway, listener) {
            listener.fault = Some(fault);
            listener.is_conflicted = true;
        }
    }
    all
}

/// Why a listener of a Gateway that is reached by the fleet's ports is not served, where it is well by itself.
pub fn lost(
    input: Input<'_>,
    gateway: &NamespacedName,
    listener: &EffectiveListener,
) -> Option<Fault> {
    let shared = SharedListener {
        gateway: gateway.clone(),
        port: listener.port,
        protocol: listener.protocol?,
        hostname: listener.hostname.clone(),
    };
    Option::clone(&input.conflict(&shared))
}

/// A listener at a port of the fleet, as far as others are in its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedListener {
    gateway: NamespacedName,
    port: u16,
    protocol: Protocol,
    hostname: Host,
}

/// The Gateway that says what is spoken on a port where no Ingress is, by the name of the listener there.
pub fn owner(input: Input<'_>, listener: &Arc<str>) -> Option<NamespacedName> {
    owner_of(&input.reader.claimants_of_listener(listener)).cloned()
}

impl SharedListener {
    /// What is in its way: another Gateway that has the port, or whoever has the one host that it is for.
    pub fn conflict(&self, input: Input<'_>) -> Option<Fault> {
        let Self {
            gateway,
            port: number,
            protocol,
            hostname,
        } = self;
        let port = (*number, protocol.transport());
        let front = input.options.gateway.ports.front(port)?;
        if let Front::Listener(name) = &front {
            let owner = input.port_owner(name);
            if let Some(owner) = owner.as_ref().as_ref().filter(|owner| *owner != gateway) {
                let place = Place::Fleet(owner.clone(), port).name();
                let spoken = input.bind(&place).protocol.map(Protocol::spoken);
                if spoken != Some(protocol.spoken()) || protocol.is_opaque() {
                    let reason = match spoken {
                        Some(Spoken::Opaque) if protocol.is_opaque() => "HostnameConflict",
                        _ => "ProtocolConflict",
                    };
                    let message = format!(
                        "port {number} is that of Gateway {owner}, which was there before it: choose another port of --envoy-ports"
                    );
                    return Some(Fault::new(reason, message));
                }
            }
        }
        if protocol.is_opaque() || hostname.is_wildcard() {
            return None;
        }
        let spoken = protocol.spoken();
        let host = hostname.clone();
        let port = SharedPort { port, spoken };
        let holder = input.holder(&SharedHost { port, host });
        if holder.gateway.as_ref() == Some(gateway) {
            return None;
        }
        let winner = holder.told(&gateway.namespace)?;
        let message = format!("host {hostname} on port {number} belongs to {winner}");
        Some(Fault::new("HostnameConflict", message))
    }
}
