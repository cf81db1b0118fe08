//! An address with a port: the listeners that are there, and which of them a name belongs to.
//!
//! A listener that is not accepted keeps its names: else those of a wider one would be served with what belongs to another,
//! which may have asked for more than that one does. They are closed while anything is served on the port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Application, Host, Listener};
use crate::objects::ObjectRef;
use crate::translate::{Input, ListenerUnit};

use super::attachment::hostname_for;
use super::context::Carries;
use super::effective::{BoundListener, EffectiveListener, Protocol, Transport};
use super::hostname;
use super::shown::Shown;

/// What is at an address and port. The name of the model's listener says which these are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bind {
    /// Where it is; `None` where no Gateway has it.
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
        let Some((address, transport)) = address_of(name) else {
            return Self::default();
        };
        let gateways = input.reader.gateways_at(address.ip()).into_iter();
        let mut gateways = gateways.map(|name| input.gateway(&name));
        let Some(gateway) = gateways.find(|it| it.addresses.contains(&address.ip())) else {
            return Self::default();
        };
        let bind = (address.port(), transport);
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
            address: Some(address),
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

    /// The listener as it is served. `claims`: who claims it, oldest first.
    pub fn unit(&self, input: Input<'_>, name: &Arc<str>, claims: &[ObjectRef]) -> ListenerUnit {
        let (Some(address), Some(protocol)) = (self.address, self.protocol) else {
            return ListenerUnit::default();
        };
        let mut unit = ListenerUnit::default();
        let application = match protocol {
            Protocol::Http => Application::Http,
            Protocol::Https | Protocol::Passthrough | Protocol::Tls => {
                unit.hostnames = Some(self.hostnames().into());
                Application::Tls
            }
            Protocol::Tcp | Protocol::Udp => {
                let rules = self.listeners.first().and_then(|listener| {
                    let route = first_route(input, (name, listener), claims)?;
                    Some(input.route_rules(route, &Shown::default()))
                });
                let rules = rules.unwrap_or_default();
                let forwarding = rules.forwarding.clone();
                unit.clusters = rules.clusters_of(&forwarding);
                match protocol.transport() {
                    Transport::Tcp => Application::Tcp(forwarding),
                    Transport::Udp => Application::Udp(forwarding),
                }
            }
        };
        unit.listener = Some(Listener {
            name: name.clone(),
            address,
            application,
        });
        unit
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

/// The address and port that the name of a listener says, and what carries it.
fn address_of(name: &str) -> Option<(SocketAddr, Transport)> {
    let (rest, transport) = name.strip_prefix("gw/")?.rsplit_once('/')?;
    let transport = match transport {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return None,
    };
    let (address, port) = rest.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    Some((SocketAddr::new(address, port.parse().ok()?), transport))
}

#[cfg(test)]
mod tests {
    use super::super::listener::bind_name;
    use super::*;

    #[test]
    fn a_name_says_its_address() {
        for (address, expected) in [
            ("127.9.0.1:80", "gw/127.9.0.1/80/tcp"),
            ("[2001:db8::1]:8443", "gw/2001:db8::1/8443/tcp"),
            ("127.9.0.1:53", "gw/127.9.0.1/53/udp"),
        ] {
            let address: Option<SocketAddr> = address.parse().ok();
            let transport = match expected.ends_with("udp") {
                true => Transport::Udp,
                false => Transport::Tcp,
            };
            let name = address.map(|it| bind_name(it.ip(), (it.port(), transport)));
            assert_eq!(name.as_deref(), Some(expected));
            assert!(Listener::is_name(expected));
            assert_eq!(address_of(expected), address.map(|it| (it, transport)));
        }
        for other in ["http", "gw/", "gw/a/80/tcp", "gw/127.0.0.1/80/quic"] {
            assert_eq!(address_of(other), None);
        }
    }
}
