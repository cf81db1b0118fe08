//! An address with a port: the listeners that are there, and which of them a name belongs to.
//!
//! A listener that is not accepted keeps its names: else those of a wider one would be served with what belongs to another,
//! which may have asked for more than that one does. They are closed while anything is served on the port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Application, Host, Listener};
use crate::translate::{Input, ListenerUnit};

use super::effective::{BoundListener, EffectiveListener, Protocol};
use super::hostname;

/// What is at an address and port. The name of the model's listener says which these are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bind {
    /// Where it is; `None` where no Gateway has it.
    pub address: Option<SocketAddr>,
    /// Whether it is for clear text.
    pub is_clear: bool,
    /// The listeners, by their hostnames from the narrowest to the widest, one of each. Those that are not accepted are among them.
    pub listeners: Box<[BoundListener]>,
}

impl Bind {
    /// Finds what is there.
    pub fn of(input: Input<'_>, name: &str) -> Self {
        let Some(address) = address_of(name) else {
            return Self::default();
        };
        let gateways = input.reader.gateways_at(address.ip()).into_iter();
        let mut gateways = gateways.map(|name| input.gateway(&name));
        let Some(gateway) = gateways.find(|it| it.addresses.contains(&address.ip())) else {
            return Self::default();
        };
        let mut listeners: Vec<_> = gateway.naming(address.port()).collect();
        let Some(accepted) = listeners.iter().find(|it| it.fault.is_none()) else {
            return Self::default();
        };
        let is_clear = accepted.protocol == Some(Protocol::Http);
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
            is_clear,
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

    /// The listener as it is served.
    pub fn unit(&self, name: &Arc<str>) -> ListenerUnit {
        let Some(address) = self.address else {
            return ListenerUnit::default();
        };
        ListenerUnit {
            listener: Some(Listener {
                name: name.clone(),
                address,
                application: match self.is_clear {
                    true => Application::Http,
                    false => Application::Tls,
                },
            }),
            hostnames: (!self.is_clear).then(|| self.hostnames().into()),
            ..ListenerUnit::default()
        }
    }
}

/// The address and port that the name of a listener says.
fn address_of(name: &str) -> Option<SocketAddr> {
    let (address, port) = name
        .strip_prefix("gw/")?
        .strip_suffix("/tcp")?
        .split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    Some(SocketAddr::new(address, port.parse().ok()?))
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
        ] {
            let address: Option<SocketAddr> = address.parse().ok();
            let name = address.map(|it| bind_name(it.ip(), it.port()));
            assert_eq!(name.as_deref(), Some(expected));
            assert!(Listener::is_name(expected));
            assert_eq!(address_of(expected), address);
        }
        for other in ["http", "gw/", "gw/a/80/tcp", "gw/127.0.0.1/80/udp"] {
            assert_eq!(address_of(other), None);
        }
    }
}
