//! Where a port of a Gateway is: at an address of its own, or among those of the fleet.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Claimable, Front, Listener};
use crate::objects::NamespacedName;

use super::effective::Transport;
use super::options::{FleetPorts, PodPort};

/// How a Gateway is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Not at all.
    #[default]
    Nowhere,
    /// By addresses of its own; at least one.
    Addresses(Box<[IpAddr]>),
    /// By a Service of its own, of these ports: that outside, and that of the pod.
    Service(Box<[((u16, Transport), u16)]>),
    /// As Ingresses are, by the ports that the operator says. Other Gateways are there, too.
    Fleet,
}

impl Reach {
    /// Whether it is reached at all.
    pub fn is_somewhere(&self) -> bool {
        *self != Self::Nowhere
    }

    /// The addresses that are its own.
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Addresses(addresses) => addresses,
            Self::Nowhere | Self::Fleet | Self::Service(_) => &[],
        }
    }

    /// Where a port of the Gateway is.
    pub fn places(&self, gateway: &NamespacedName, port: (u16, Transport)) -> Vec<Place> {
        match self {
            Self::Nowhere => Vec::new(),
            Self::Addresses(addresses) => {
                let addresses = addresses.iter();
                let at =
                    |address: &IpAddr| Place::Address(SocketAddr::new(*address, port.0), port.1);
                addresses.map(at).collect()
            }
            Self::Fleet => vec![Place::Fleet(gateway.clone(), port)],
            Self::Service(_) => match self.pod_port(port) {
                Some(_) => vec![Place::Service(gateway.clone(), port)],
                None => Vec::new(),
            },
        }
    }

    /// The port of the pod that a port outside has by a Service of the Gateway's own.
    pub fn pod_port(&self, port: (u16, Transport)) -> Option<u16> {
        let Self::Service(ports) = self else {
            return None;
        };
        let at = ports.binary_search_by(|(outside, _)| outside.cmp(&port));
        ports.get(at.ok()?).map(|(_, pod)| *pod)
    }

    /// Whether a port of the Gateway is anywhere.
    pub fn has(&self, port: (u16, Transport)) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Addresses(_) | Self::Fleet => true,
            Self::Service(_) => self.pod_port(port).is_some(),
        }
    }
}

/// Where a port of a Gateway is. It is known by its name ([`fmt::Display`]); at an address that is the listener's as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address of its own.
    Address(SocketAddr, Transport),
    /// A port of a Gateway's own Service.
    Service(NamespacedName, (u16, Transport)),
    /// What a Gateway has at a port of the fleet.
    Fleet(NamespacedName, (u16, Transport)),
}

impl Place {
    /// The one of the name.
    pub fn parse(name: &str) -> Option<Self> {
        let (rest, transport) = name.rsplit_once('/')?;
        let (rest, port) = rest.rsplit_once('/')?;
        let (port, transport) = (port.parse().ok()?, Transport::parse(transport)?);
        if let Some(gateway) = rest.strip_prefix("fleet/") {
            let (namespace, name) = gateway.split_once('/')?;
            let name = NamespacedName::new(namespace, name);
            return Some(Self::Fleet(name, (port, transport)));
        }
        let rest = rest.strip_prefix("gw/")?;
        if let Some(gateway) = rest.strip_prefix("service/") {
            let (namespace, name) = gateway.split_once('/')?;
            let name = NamespacedName::new(namespace, name);
            return Some(Self::Service(name, (port, transport)));
        }
        let address: IpAddr = rest.parse().ok()?;
        Some(Self::Address(SocketAddr::new(address, port), transport))
    }

    /// Its name.
    pub fn name(&self) -> Arc<str> {
        self.to_string().into()
    }

    /// Where its hosts are; `None` where the fleet has no such port.
    pub fn front(&self, ports: &FleetPorts) -> Option<Front> {
        match self {
            Self::Address(..) | Self::Service(..) => Some(Front::Listener(self.name())),
            Self::Fleet(_, port) => ports.front(*port),
        }
    }

    /// The name of the model's listener that has it; `None` where the fleet has no such port.
    pub fn listener(&self, ports: &FleetPorts) -> Option<Arc<str>> {
        match self.front(ports)? {
            Front::Listener(name) => Some(name),
            Front::Fleet => match self {
                Self::Fleet(_, port) if ports.pod_port(*port)? == PodPort::Https => {
                    Some(Listener::HTTPS.into())
                }
                _ => Some(Listener::HTTP.into()),
            },
        }
    }

    /// Whether it is a port that several Gateways have.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Fleet(..))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(at, transport) => {
                write!(f, "gw/{}/{}/{transport}", at.ip(), at.port())
            }
            Self::Service(gateway, (port, transport)) => {
                write!(f, "gw/service/{gateway}/{port}/{transport}")
            }
            Self::Fleet(gateway, (port, transport)) => {
                write!(f, "fleet/{gateway}/{port}/{transport}")
            }
        }
    }
}

/// The listener that is there for what has its hosts on a front, where it is none of the fleet's own.
pub fn claimed_listener(front: &Front) -> Option<Claimable> {
    match front {
        Front::Fleet => None,
        Front::Listener(name) => Some(Claimable::Listener(name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_place() {
        for name in [
            "gw/127.9.0.1/80/tcp",
            "gw/2001:db8::1/8443/tcp",
            "gw/127.9.0.1/53/udp",
            "gw/service/infra/web.one/443/tcp",
            "gw/service/infra/web/53/udp",
            "fleet/infra/web.one/443/tcp",
            "fleet/infra/web/53/udp",
        ] {
            let place = Place::parse(name);
            assert_eq!(place.map(|it| it.to_string()).as_deref(), Some(name));
            assert!(Listener::is_name(name));
        }
        for other in [
            "http",
            "gw/",
            "gw/a/80/tcp",
            "gw/127.0.0.1/80/quic",
            "gw/fleet/80/tcp",
            "gw/service/80/tcp",
            "fleet/a/80/tcp",
            "fleet/a/b/80",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }
}
