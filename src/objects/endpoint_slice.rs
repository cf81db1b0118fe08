//! `discovery.k8s.io/v1` EndpointSlice.

use std::net::IpAddr;
use std::sync::Arc;

use super::Metadata;

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Name and namespace.
    pub metadata: Metadata,
    /// Label `kubernetes.io/service-name`: the Service it belongs to, `None` where it has none.
    pub service: Option<Arc<str>>,
    /// `addressType`. Slices of type `FQDN` have no endpoints here.
    pub address_type: AddressType,
    /// `ports`, TCP only, sorted by name, which is unique.
    pub ports: Box<[EndpointPort]>,
    /// `ports`, UDP only, sorted by name.
    pub udp_ports: Box<[EndpointPort]>,
    /// `endpoints`.
    pub endpoints: Box<[Endpoint]>,
}

impl EndpointSlice {
    /// The number of the port of that name; none where it has no such port, or no number for it.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<u16> {
        number(&self.ports, name)
    }

    /// The same of UDP.
    #[must_use]
    pub fn udp_port(&self, name: &str) -> Option<u16> {
        number(&self.udp_ports, name)
    }
}

fn number(ports: &[EndpointPort], name: &str) -> Option<u16> {
    let place = ports.binary_search_by(|port| (*port.name).cmp(name));
    ports.get(place.ok()?)?.port
}

/// `addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressType {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
    /// `FQDN`, deprecated and not used.
    Fqdn,
}

/// One of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// `name`, empty where it has none: the name of the Service's port.
    pub name: Arc<str>,
    /// `port`; `None` means all ports, which no ingress can use.
    pub port: Option<u16>,
}

/// One of `endpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The first of `addresses`: they are interchangeable, and consumers use the first.
    pub address: IpAddr,
    /// `conditions.ready`, where missing means true.
    pub ready: bool,
    /// `conditions.serving`, where missing means the value of `ready`.
    pub serving: bool,
    /// `conditions.terminating`, where missing means false.
    pub terminating: bool,
    /// `zone`.
    pub zone: Option<Arc<str>>,
}
