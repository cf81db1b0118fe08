//! What the operator decided for Gateways.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Cidr, Front};
use crate::objects::NamespacedName;

use super::effective::{Protocol, Transport};

/// What the operator decided for Gateways.
#[derive(Clone, Debug, Default)]
pub struct GatewayOptions {
    /// The addresses that Gateways may have, each its own: those that they name, or one that the holder of the lease gives
    /// them. With none of them Gateways that ask for no address are reached by [`Self::ports`].
    pub addresses: Box<[Cidr]>,
    /// The fleet's own ports, which Gateways share with each other and with Ingresses.
    pub ports: FleetPorts,
    /// Whether each Gateway has a Service of its own, instead of the fleet's ports.
    pub services: Option<GatewayServices>,
}

/// How Gateways are reached by Services of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayServices {
    /// The Service whose pods are Envoy's.
    pub envoy: NamespacedName,
    /// Where pods listen.
    pub address: IpAddr,
    /// The ports of the pod that are taken, whatever Services are given.
    pub taken: Box<[u16]>,
}

impl GatewayOptions {
    /// Whether a Gateway may have the address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(address))
    }
}

/// Which port outside is which port of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetPorts(BTreeMap<(u16, Transport), PodPort>);

/// A port of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPort {
    /// That of [`crate::model::Listener::HTTP`].
    Http,
    /// That of [`crate::model::Listener::HTTPS`].
    Https,
    /// Another one, where something listens as long as a Gateway asks for it.
    Other(SocketAddr),
}

impl Default for FleetPorts {
    /// 80 and 443, where Ingresses are.
    fn default() -> Self {
        let ports = [(80, PodPort::Http), (443, PodPort::Https)];
        Self::new(ports.map(|(port, pod)| ((port, Transport::Tcp), pod)))
    }
}

/// What the name of a listener at a port of the fleet begins with.
const NAME: &str = "gw/fleet/";

impl FleetPorts {
    /// These ports.
    pub fn new(ports: impl IntoIterator<Item = ((u16, Transport), PodPort)>) -> Self {
        Self(ports.into_iter().collect())
    }

    /// The port of the pod for a port outside; `None` where that leads nowhere.
    #[must_use]
    pub fn pod_port(&self, port: (u16, Transport)) -> Option<PodPort> {
        self.0.get(&port).copied()
    }

    /// The ports outside of one kind of transport.
    pub fn of(&self, transport: Transport) -> impl Iterator<Item = u16> {
        let ports = self.0.keys();
        ports.filter_map(move |(port, of)| (*of == transport).then_some(*port))
    }

    /// Whether a listener of the model is one of the fleet's, where no Ingress is.
    #[must_use]
    pub fn is_name(listener: &str) -> bool {
        listener.starts_with(NAME)
    }

    /// Where the hosts of a port outside are.
    #[must_use]
    pub fn front(&self, port: (u16, Transport)) -> Option<Front> {
        Some(match self.pod_port(port)? {
            PodPort::Http | PodPort::Https => Front::Fleet,
            PodPort::Other(_) => Front::Listener(listener_name(port)),
        })
    }

    /// The ports outside whose hosts are on a front: of the fleet's own front that in clear and that by TLS, of another one it alone.
    #[must_use]
    pub fn on(&self, front: &Front) -> Vec<((u16, Transport), PodPort)> {
        match front {
            Front::Fleet => {
                let ports = self.0.iter().map(|(port, pod)| (*port, *pod));
                let is_built_in = |(_, pod): &(_, PodPort)| !matches!(pod, PodPort::Other(_));
                ports.filter(is_built_in).collect()
            }
            Front::Listener(name) => {
                let port = listener_port(name);
                let pod = port.and_then(|port| Some((port, self.pod_port(port)?)));
                let pod = pod.filter(|(_, pod)| matches!(pod, PodPort::Other(_)));
                pod.into_iter().collect()
            }
        }
    }
}

impl PodPort {
    /// Whether something of this protocol can be there.
    #[must_use]
    pub const fn takes(self, protocol: Protocol) -> bool {
        match self {
            Self::Http => matches!(protocol, Protocol::Http),
            Self::Https => protocol.is_by_name(),
            Self::Other(_) => true,
        }
    }
}

/// The name of the model's listener for a port outside that no Ingress is on.
pub fn listener_name((port, transport): (u16, Transport)) -> Arc<str> {
    format!("{NAME}{port}/{transport}").into()
}

/// The port outside that such a name says.
pub fn listener_port(name: &str) -> Option<(u16, Transport)> {
    let (port, transport) = name.strip_prefix(NAME)?.split_once('/')?;
    Some((port.parse().ok()?, Transport::parse(transport)?))
}
