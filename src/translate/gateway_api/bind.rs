//! An address with a port: the listeners that are there, and which of them a name belongs to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Application, Host, Listener};
use crate::translate::{Input, ListenerUnit};

use super::effective::{EffectiveListener, Protocol};
use super::hostname;

/// What is at an address and port. The name of the model's listener says which these are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bind {
    /// Where it is; `None` where no Gateway has it.
    pub address: Option<SocketAddr>,
    /// The listeners, by their hostnames from the narrowest to the widest. Those that are not accepted are not among them.
    pub listeners: Box<[EffectiveListener]>,
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
        let listeners = gateway.listeners.iter();
        let mut listeners: Vec<_> = listeners
            .filter(|it| it.port == address.port() && it.fault.is_none())
            .cloned()
            .collect();
        listeners.sort_by_cached_key(|it| (hostname::rank(&it.hostname), it.hostname.clone()));
        Self {
            address: (!listeners.is_empty()).then_some(address),
            listeners: listeners.into(),
        }
    }

    /// The listener that a name belongs to: the one with the narrowest hostname.
    pub fn owner(&self, host: &Host) -> Option<&EffectiveListener> {
        let mut listeners = self.listeners.iter();
        listeners.find(|it| hostname::covers(&it.hostname, host))
    }

    /// The listener as it is served.
    pub fn unit(&self, name: &Arc<str>) -> ListenerUnit {
        let (Some(address), Some(first)) = (self.address, self.listeners.first()) else {
            return ListenerUnit::default();
        };
        let is_clear = first.protocol == Some(Protocol::Http);
        let hostnames = self.listeners.iter().map(|it| it.hostname.clone());
        ListenerUnit {
            listener: Some(Listener {
                name: name.clone(),
                address,
                application: match is_clear {
                    true => Application::Http,
                    false => Application::Tls,
                },
            }),
            hostnames: (!is_clear).then(|| hostnames.collect()),
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
