//! A Service of a Gateway's own: what it is to be, and what comes of it.
//!
//! Outside it has the ports of the Gateway's listeners. In the pod each leads to the port of the number that the API server has
//! given to it as its node port: no other Service of the cluster has that, so that no two Gateways meet, and nobody here has to
//! remember what was given to whom. The Service is the record, and comes back by the watch: nothing is served before.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::objects::gateway_api::Gateway;
use crate::objects::{KeptPort, LoadBalancerAddress, Metadata, NamespacedName, Service};
use crate::translate::Input;

use super::effective::{EffectiveListener, Transport};
use super::fault::Fault;
use super::options::GatewayServices;
use super::place::Reach;
use super::service_name::load_balancer_name;

/// The most ports that a Service has. Node ports are few, and the whole cluster's.
const MOST_PORTS: usize = 64;

/// What there is under the name of a Service of a Gateway's.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    Nothing,
    /// The Gateway's own, with its ports as nodes have them.
    Kept(&'a Service, &'a [KeptPort]),
    /// The Gateway's own, which is being deleted. It is left alone until it is gone.
    Ending,
    /// Somebody else's: a label says nothing about whose it is, only the `uid` of an owner does. It is left alone.
    Foreign,
}

/// Looks a Service of a Gateway's up.
pub fn found<'a>(input: Input<'a>, gateway: &Gateway, service: &Arc<str>) -> Found<'a> {
    let Metadata { name, uid, .. } = &gateway.metadata;
    let name = NamespacedName::new(name.namespace.clone(), service.clone());
    let Some(service) = input.reader.service(&name) else {
        return Found::Nothing;
    };
    let kept = service.kept.as_ref();
    match kept.filter(|kept| kept.owners.contains(uid)) {
        None => Found::Foreign,
        Some(kept) if kept.is_ending => Found::Ending,
        Some(kept) => Found::Kept(service, &kept.ports),
    }
}

/// A Service of a Gateway's, if it is there and here to stay.
pub fn kept<'a>(
    input: Input<'a>,
    gateway: &Gateway,
    service: &Arc<str>,
) -> Option<(&'a Service, &'a [KeptPort])> {
    match found(input, gateway, service) {
        Found::Kept(service, ports) => Some((service, ports)),
        Found::Nothing | Found::Ending | Found::Foreign => None,
    }
}

/// How a Gateway is reached by its Service.
#[derive(Debug)]
pub struct ByService {
    /// The ports that it has.
    pub reach: Reach,
    /// Its addresses: type and value.
    pub addresses: Box<[(Arc<str>, Arc<str>)]>,
    /// Why these are not all that it is to have.
    pub fault: Option<Fault>,
}

/// Finds how a Gateway is reached by its Service.
pub fn find(
    input: Input<'_>,
    services: &GatewayServices,
    gateway: &Gateway,
    binds: impl Iterator<Item = (u16, Transport)>,
) -> ByService {
    let name = &gateway.metadata.name;
    let service = load_balancer_name(name);
    let there = kept(input, gateway, &service);
    let ports = there.map(|(_, ports)| ports).unwrap_or_default();
    let pod_port = |(port, transport): (u16, Transport)| {
        let mut ports = ports.iter();
        let is_udp = transport == Transport::Udp;
        let port = ports.find(|it| it.port == port && it.is_udp == is_udp)?;
        // Two listeners at one address would cost the other one its hosts.
        let is_free = port.node_port != 0 && !services.taken.contains(&port.node_port);
        is_free.then_some(port.node_port)
    };
    let reached = binds.filter_map(|bind| Some((bind, pod_port(bind)?)));
    let reach = Reach::Service(reached.collect());
    let addresses = there.map(|(service, _)| &*service.load_balancer);
    let addresses = addresses.unwrap_or_default().iter();
    let addresses: Box<[_]> = addresses
        .map(|address| match address {
            LoadBalancerAddress::Ip(ip) => ("IPAddress".into(), ip.clone()),
            LoadBalancerAddress::Hostname(name) => ("Hostname".into(), name.clone()),
        })
        .collect();
    ByService {
        reach,
        fault: address_fault(input, services, gateway, &addresses, &service),
        addresses,
    }
}

/// Why it has not the addresses that it is to have.
fn address_fault(
    input: Input<'_>,
    services: &GatewayServices,
    gateway: &Gateway,
    addresses: &[(Arc<str>, Arc<str>)],
    service: &Arc<str>,
) -> Option<Fault> {
    let name = &gateway.metadata.name;
    let asked = match asked(gateway) {
        Ok(asked) => asked,
        Err(message) => return Some(Fault::new("AddressNotUsable", message)),
    };
    let unassigned = |message: String| Some(Fault::new("AddressNotAssigned", message));
    if input.reader.service(&services.envoy).is_none() {
        let envoy = &services.envoy;
        return unassigned(format!(
            "there is no Service {envoy}, that of --gateway-services"
        ));
    }
    let there = NamespacedName::new(name.namespace.clone(), service.clone());
    match found(input, gateway, service) {
        Found::Foreign => {
            let (label, value) = Service::MANAGED_BY;
            return unassigned(format!(
                "Service {there} is not this Gateway's, as it lacks the label {label}={value} or this Gateway's uid among its owners: it needs another name, but goes by itself if it was of a Gateway before this one"
            ));
        }
        Found::Ending => {
            return unassigned(format!(
                "Service {there} is being deleted: once it is gone, there will be another one"
            ));
        }
        Found::Nothing | Found::Kept(..) => {}
    }
    if addresses.is_empty() {
        return unassigned(format!("its Service {there} has no address yet"));
    }
    let has = |asked: IpAddr| {
        let mut addresses = addresses.iter();
        addresses.any(|(_, value)| value.parse() == Ok(asked))
    };
    let asked = asked.filter(|asked| !has(*asked))?;
    let message = format!(
        "its Service {there} was not given {asked} by the load balancer: spec.loadBalancerIP asks for it"
    );
    Some(Fault::new("AddressNotUsable", message))
}

/// The address that a Gateway asks for, if any: a Service can ask for one.
pub fn asked(gateway: &Gateway) -> Result<Option<IpAddr>, String> {
    let mut asked = None;
    for address in gateway.addresses.iter().filter(|it| !it.value.is_empty()) {
        let value: IpAddr =
            (address.value.parse()).map_err(|_| format!("{:?} is no address", address.value))?;
        if asked.replace(value).is_some_and(|other| other != value) {
            return Err("a Service can ask for one address, and there are several".to_owned());
        }
    }
    Ok(asked)
}

/// Says of listeners whose port is one too many that they have none. The Gateway's own come first, of which there are no more than
/// 64: a set of another namespace takes no port from them.
pub fn check_ports(listeners: &mut [EffectiveListener]) {
    let mut ports = BTreeSet::new();
    for listener in listeners.iter_mut().filter(|it| it.fault.is_none()) {
        let port = (listener.port, listener.transport());
        if ports.contains(&port) || ports.len() < MOST_PORTS {
            ports.insert(port);
            continue;
        }
        let message = format!(
            "port {} is none of the first {MOST_PORTS} ports of the Gateway, and its Service has no more",
            listener.port
        );
        listener.fault = Some(Fault::new("PortUnavailable", message));
    }
}
