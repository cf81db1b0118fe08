//! Where a port of a Gateway is: at an address of its own, or among those of the fleet.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Claimable, Front};
use crate::objects::NamespacedName;

use super::effective::Transport;
use super::options::FleetPorts;

/// How a Gateway is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Not at all.
    #[default]
    Nowhere,
    /// By addresses of its own; at least one.
    Addresses(Box<[IpAddr]>),
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
            Self::Nowhere | Self::Fleet => &[],
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
        }
    }
}

/// Where a port of a Gateway is. It is known by its name ([`fmt::Display`]); at an address that is the listener's as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address of its own.
    Address(SocketAddr, Transport),
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
        let address: IpAddr = rest.strip_prefix("gw/")?.parse().ok()?;
        Some(Self::Address(SocketAddr::new(address, port), transport))
    }

    /// Its name.
    pub fn name(&self) -> Arc<str> {
        self.to_string().into()
    }

    /// Where its hosts are; `None` where the fleet has no such port.
    pub fn front(&self, ports: &FleetPorts) -> Option<Front> {
        match self {
            Self::Address(..) => Some(Front::Listener(self.name())),
            Self::Fleet(_, port) => ports.front(*port),
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
    use crate::model::Listener;

    #[test]
    fn a_name_says_its_place() {
        for name in [
            "gw/127.9.0.1/80/tcp",
            "gw/2001:db8::1/8443/tcp",
            "gw/127.9.0.1/53/udp",
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
            "fleet/a/80/tcp",
            "fleet/a/b/80",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }
}
