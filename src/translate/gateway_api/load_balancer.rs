//! What the Service of a Gateway's own is to be, whether it is so, and which Services of ours are left over.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::verdict::{LoadBalancer, PodEndpoint};
use crate::objects::gateway_api::{CONTROLLER, Gateway};
use crate::objects::{Endpoint, EndpointPort, EndpointSlice, NamespacedName};
use crate::translate::Input;

use super::effective::Transport;
use super::gateway::EffectiveGateway;
use super::place::Reach;
use super::service::{asked, kept};
use super::service_name::{load_balancer_name, service_name};

/// The most pods that are endpoints: as many as a slice has room for.
const MOST_PODS: usize = 1000;

/// What the names of its slices end with.
const SLICES: [&str; 2] = ["-ipv4", "-ipv6"];

/// What the Service of a Gateway is to be, whether it is so, and whether its slices are; `None` where it has none.
///
/// Where nothing of the Gateway can be served for now, one that is there keeps its ports, and its slices follow the pods: clients would
/// have to learn another address.
pub fn load_balancer(
    input: Input<'_>,
    gateway: &Gateway,
    made: &EffectiveGateway,
) -> Option<(LoadBalancer, [bool; 2])> {
    let services = input.options.gateway.services.as_ref()?;
    let name = &gateway.metadata.name;
    let service = load_balancer_name(name);
    let is_reached = matches!(made.reach, Reach::Service(_));
    let binds = made.binds.keys().copied().filter(|_| is_reached);
    let ports = binds.filter(|bind| made.at(*bind).any(|it| it.fault.is_none()));
    let mut ports: Vec<_> = ports
        .map(|(port, transport)| (port, transport == Transport::Udp))
        .collect();
    if ports.is_empty() {
        let (_, kept) = kept(input, gateway, &service)?;
        ports.extend(kept.iter().map(|it| (it.port, it.is_udp)));
        ports.sort_unstable();
    }
    if ports.is_empty() {
        // A Service has a port.
        return None;
    }
    let pods = pods(input, &services.envoy);
    let mut there: Vec<_> = kept(input, gateway, &service)
        .map(|(_, ports)| ports)
        .unwrap_or_default()
        .iter()
        .filter(|it| it.node_port != 0 && it.target_port == it.node_port)
        .map(|it| (it.port, it.is_udp))
        .collect();
    there.sort_unstable();
    let has_service = *there == *ports;
    let has_slices =
        pods_of_slices(input, name, &service) == pods && slices_lead_to(input, gateway, &service);
    let wanted = LoadBalancer {
        service,
        ports: ports.into(),
        address: asked(gateway).ok().flatten(),
        pods,
    };
    Some((wanted, [has_service, has_slices]))
}

/// Whether the Service of a Gateway's own is there, whatever is served by it.
pub fn has_load_balancer(input: Input<'_>, gateway: &Gateway) -> bool {
    let name = &gateway.metadata.name;
    let is_there = || kept(input, gateway, &load_balancer_name(name)).is_some();
    input.options.gateway.services.is_some() && is_there()
}

/// The pods behind Envoy's own Service.
fn pods(input: Input<'_>, envoy: &NamespacedName) -> Box<[PodEndpoint]> {
    let slices = input.reader.endpoint_slices(envoy);
    let pods = slices.flat_map(|slice| slice.endpoints.iter());
    let pods: BTreeSet<PodEndpoint> = pods.map(pod).collect();
    pods.into_iter().take(MOST_PODS).collect()
}

fn pod(endpoint: &Endpoint) -> PodEndpoint {
    PodEndpoint {
        address: endpoint.address,
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        zone: endpoint.zone.clone(),
    }
}

/// The pods that the slices have that are kept for a Gateway's Service.
fn pods_of_slices(
    input: Input<'_>,
    gateway: &NamespacedName,
    service: &Arc<str>,
) -> Box<[PodEndpoint]> {
    let slices = slices(input, gateway, service);
    let pods = slices.flat_map(|slice| slice.endpoints.iter());
    let pods: BTreeSet<PodEndpoint> = pods.map(pod).collect();
    pods.into_iter().collect()
}

/// Whether there is a slice for each family, and all of them have the ports of the Service.
fn slices_lead_to(input: Input<'_>, gateway: &Gateway, service: &Arc<str>) -> bool {
    let Some((_, ports)) = kept(input, gateway, service) else {
        return false;
    };
    let wanted = |is_udp: bool| -> BTreeSet<u16> {
        let ports = ports.iter().filter(|it| it.is_udp == is_udp);
        ports.map(|it| it.node_port).collect()
    };
    let numbers = |ports: &[EndpointPort]| -> BTreeSet<u16> {
        ports.iter().filter_map(|it| it.port).collect()
    };
    let (tcp, udp) = (wanted(false), wanted(true));
    let mut count = 0;
    let mut slices = slices(input, &gateway.metadata.name, service);
    let all = slices.all(|slice| {
        count += 1;
        numbers(&slice.ports) == tcp && numbers(&slice.udp_ports) == udp
    });
    all && count == SLICES.len()
}

fn slices<'a>(
    input: Input<'a>,
    gateway: &NamespacedName,
    service: &Arc<str>,
) -> impl Iterator<Item = &'a Arc<EndpointSlice>> {
    let name = NamespacedName::new(gateway.namespace.clone(), service.clone());
    let slices = input.reader.endpoint_slices(&name);
    let ours = SLICES.map(|suffix| format!("{service}{suffix}"));
    slices.filter(move |slice| ours.iter().any(|name| **name == *slice.metadata.name.name))
}

/// The Services of ours that are there for a Gateway and are not wanted: where Gateways have none of their own, that one; where its
/// class is another controller's, all. A class that is gone says nothing, as it may come back, and neither does a Gateway that can't
/// be served for now: its clients would have to learn another address. Such a Service goes on leading to the pods that are there.
pub fn leftovers(input: Input<'_>, gateway: &Gateway) -> Box<[Arc<str>]> {
    let name = &gateway.metadata.name;
    let mut unwanted = Vec::new();
    if is_foreign(input, gateway) {
        unwanted = vec![service_name(name), load_balancer_name(name)];
    } else if input.options.gateway.services.is_none() {
        unwanted = vec![load_balancer_name(name)];
    }
    // One of ours that is another object's is not looked at again and again.
    unwanted.retain(|service| kept(input, gateway, service).is_some());
    unwanted.into()
}

/// Whether a Gateway is another controller's.
pub fn is_foreign(input: Input<'_>, gateway: &Gateway) -> bool {
    let class = input.reader.gateway_class(&gateway.class_name);
    class.is_some_and(|class| &*class.controller != CONTROLLER)
}
