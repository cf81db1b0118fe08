//! The listeners of one Gateway.
//!
//! Two of a port that could not be told apart are both not served, and two of one port that speak what can't be spoken on one
//! port neither. What a listener asks for that is not served yet closes it, and says so.

use std::sync::Arc;

use crate::objects::gateway_api::{GROUP, Gateway, Listener, RouteGroupKind, RouteNamespaces};
use crate::objects::{Kind, ObjectRef};
use crate::translate::Input;

use super::certificates::certificates;
use super::effective::{EffectiveListener, Protocol, Transport};
use super::fault::{Fault, first_of};
use super::frontend::{Frontend, Frontends};
use super::hostname;
use super::shown::Shown;

/// The listeners of a Gateway, as written.
pub fn listeners(input: Input<'_>, gateway: &Gateway, shown: &Shown) -> Box<[EffectiveListener]> {
    let frontends = Frontends::of(input, gateway);
    let mut listeners: Vec<_> = gateway
        .listeners
        .iter()
        .map(|listener| EffectiveListener {
            shown: shown.clone(),
            ..effective(input, gateway, listener, &frontends)
        })
        .collect();
    for at in 0..listeners.len() {
        let conflict = conflict(&listeners, at);
        let overlaps = overlaps(&listeners, at);
        if let Some(listener) = listeners.get_mut(at) {
            listener.overlaps = overlaps;
            if conflict.is_some() && listener.fault.is_none() {
                listener.fault = conflict;
                listener.is_conflicted = true;
            }
        }
    }
    listeners.into()
}

fn effective(
    input: Input<'_>,
    gateway: &Gateway,
    listener: &Listener,
    frontends: &Frontends,
) -> EffectiveListener {
    let name = &gateway.metadata.name;
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
        let from = ("Gateway", &name.namespace);
        let (found, fault) = certificates(input, from, references);
        served = found;
        faults.extend(fault);
    }
    // What is said of a port is said of HTTPS alone.
    let frontend = match protocol {
        Some(Protocol::Https) => frontends.at(listener.port),
        _ => &Frontend::default(),
    };
    faults.extend(frontend.references.iter().cloned());
    EffectiveListener {
        parent: ObjectRef {
            kind: Kind::Gateway,
            name: name.clone(),
        },
        name: listener.name.clone(),
        port: listener.port,
        protocol,
        hostname: hostname::host(listener.hostname.as_ref()),
        kinds,
        namespaces: listener.allowed_routes.namespaces.clone(),
        certificates: served,
        clients: frontend.clients.clone(),
        shown: Shown::default(),
        fault: fault(listener, protocol).or_else(|| frontend.fault.clone()),
        is_conflicted: false,
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

/// Which other listener of the port a listener can't stand beside.
fn conflict(listeners: &[EffectiveListener], at: usize) -> Option<Fault> {
    let listener = listeners.get(at)?;
    let protocol = listener.protocol?;
    let others = listeners.iter().enumerate();
    let bind = (listener.port, listener.transport());
    let others =
        others.filter(|(place, other)| *place != at && (other.port, other.transport()) == bind);
    let mut hostname = None;
    for (_, other) in others {
        let Some(others_protocol) = other.protocol else {
            continue;
        };
        let port = listener.port;
        let is_by_name = protocol.is_by_name() && others_protocol.is_by_name();
        if others_protocol != protocol && !is_by_name {
            let message = format!(
                "listener {} speaks another protocol on port {port}: neither of the two is served",
                other.name
            );
            return Some(Fault::new("ProtocolConflict", message));
        }
        if other.hostname == listener.hostname {
            let message = format!(
                "listener {} has the same hostname on port {port}: neither of the two is served",
                other.name
            );
            hostname = Some(Fault::new("HostnameConflict", message));
        }
    }
    hostname
}

/// Whether another listener by TLS of the port is for some of the names.
fn overlaps(listeners: &[EffectiveListener], at: usize) -> bool {
    let Some(listener) = listeners.get(at) else {
        return false;
    };
    let is_tls = |it: &EffectiveListener| it.protocol == Some(Protocol::Https);
    let mut others = listeners.iter().enumerate();
    is_tls(listener)
        && others.any(|(place, other)| {
            place != at
                && is_tls(other)
                && other.port == listener.port
                && hostname::common(&other.hostname, &listener.hostname).is_some()
        })
}

/// The name of the listener of the model for an address and a port.
pub fn bind_name(address: std::net::IpAddr, (port, transport): (u16, Transport)) -> Arc<str> {
    let transport = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!("gw/{address}/{port}/{transport}").into()
}
