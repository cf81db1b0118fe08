//! One listener of a Gateway, its own or one that a ListenerSet brings. What it asks for that is not served closes it, and says
//! so.

use crate::objects::gateway_api::{GROUP, Listener, RouteGroupKind, RouteNamespaces};
use crate::objects::{Kind, ObjectRef};
use crate::translate::Input;

use super::certificates::certificates;
use super::effective::{EffectiveListener, Protocol};
use super::fault::{Fault, first_of};
use super::frontend::{Frontend, Frontends};
use super::hostname;
use super::shown::Shown;

/// What holds for all listeners of a Gateway, whoever brings them.
pub struct OfGateway {
    /// What clients have to show.
    pub frontends: Frontends,
    /// What back ends are shown.
    pub shown: Shown,
}

/// The listeners that an object brings, as written, each by itself.
pub fn listeners(
    input: Input<'_>,
    parent: &ObjectRef,
    written: &[Listener],
    of_gateway: &OfGateway,
) -> Vec<EffectiveListener> {
    let listeners = written.iter();
    listeners
        .map(|listener| effective(input, parent, listener, of_gateway))
        .collect()
}

fn effective(
    input: Input<'_>,
    parent: &ObjectRef,
    listener: &Listener,
    of_gateway: &OfGateway,
) -> EffectiveListener {
    let tls = listener.tls.as_ref();
    let protocol = Protocol::new(
        &listener.protocol,
        tls.is_some_and(|tls| tls.passes_through),
    );
    let mut faults = Vec::new();
    let of_protocol = protocol.map_or(&[][..], Protocol::kinds);
    let kinds = kinds(&listener.allowed_routes.kinds, of_protocol, &mut faults);
    let none = Box::default();
    let mut served = none;
    if protocol.is_some_and(Protocol::ends_tls) {
        let references = tls.map_or(&[][..], |tls| &tls.certificates);
        let from = (parent.kind.name(), &parent.name.namespace);
        let (found, fault) = certificates(input, from, references);
        served = found;
        faults.extend(fault);
    }
    // What is said of a port is said of HTTPS alone.
    let frontend = match protocol {
        Some(Protocol::Https) => of_gateway.frontends.at(listener.port),
        _ => &Frontend::default(),
    };
    faults.extend(frontend.references.clone());
    EffectiveListener {
        parent: parent.clone(),
        name: listener.name.clone(),
        port: listener.port,
        protocol,
        hostname: hostname::host(listener.hostname.as_ref()),
        kinds,
        namespaces: listener.allowed_routes.namespaces.clone(),
        certificates: served,
        clients: frontend.clients.clone(),
        shown: match protocol {
            Some(Protocol::Http | Protocol::Https | Protocol::Tls) => of_gateway.shown.clone(),
            // Nothing is said of how a back end is spoken to.
            Some(Protocol::Passthrough | Protocol::Tcp | Protocol::Udp) | None => Shown::Operators,
        },
        fault: fault(listener, protocol).or_else(|| frontend.fault.clone()),
        is_conflicted: false,
        is_late: false,
        references_fault: first_of(&faults).err(),
        overlaps: false,
    }
}

/// The kinds that may be attached: what is named, as far as the protocol has it.
fn kinds(
    named: &[RouteGroupKind],
    of_protocol: &'static [Kind],
    faults: &mut Vec<Fault>,
) -> Box<[Kind]> {
    if named.is_empty() {
        return of_protocol.into();
    }
    let mut kinds = Vec::new();
    for it in named {
        let mut of_protocol = of_protocol.iter();
        let known = of_protocol.find(|kind| &*it.group == GROUP && *it.kind == *kind.name());
        match known {
            Some(kind) if kinds.contains(kind) => {}
            Some(kind) => kinds.push(*kind),
            None => {
                let message = format!(
                    "{} is no kind of routes that this listener can have",
                    it.kind
                );
                faults.push(Fault::new("InvalidRouteKinds", message));
            }
        }
    }
    kinds.into()
}

/// Why a listener is not served, by itself.
fn fault(listener: &Listener, protocol: Option<Protocol>) -> Option<Fault> {
    let Some(protocol) = protocol else {
        let message = format!(
            "protocol {} is not served: HTTP, HTTPS, TLS, TCP and UDP are",
            listener.protocol
        );
        return Some(Fault::new("UnsupportedProtocol", message));
    };
    if listener.has_filters {
        let message = "filters of a listener are not served, and so nothing of it is";
        return Some(Fault::new("UnsupportedValue", message));
    }
    if let RouteNamespaces::Selector(selector) = &listener.allowed_routes.namespaces
        && let Err(why) = selector.check()
    {
        let message = format!("allowedRoutes.namespaces.selector takes no namespace: {why}");
        return Some(Fault::new("UnsupportedValue", message));
    }
    let tls = listener.tls.as_ref();
    if let Some(option) = tls.and_then(|tls| tls.option.as_ref()) {
        let message = format!("the option {option:?} of tls is none that is known");
        return Some(Fault::new("UnsupportedValue", message));
    }
    if protocol == Protocol::Https && tls.is_some_and(|tls| tls.passes_through) {
        let message = "HTTPS ends here: tls.mode Passthrough is for the protocol TLS";
        return Some(Fault::new("UnsupportedValue", message));
    }
    None
}
