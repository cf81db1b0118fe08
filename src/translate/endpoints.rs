//! EndpointSlices into load assignments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{EndpointAddress, LoadAssignment};
use crate::objects::{
    AddressType, EndpointSlice, Field, FieldRef, IpFamily, Kind, NamespacedName, Problem, Service,
    ServiceBackendPort, ServicePort, ServiceType,
};

use super::service_policy::{FoundPort, find_backend_port, find_port};
use super::{BackendPort, Input, Options, budget, reason, source};

/// The endpoints of one port of a Service, under the cluster's name, and what is wrong with them. Never missing: a
/// Service without usable endpoints, and a Service that is gone, is an empty assignment.
#[must_use]
pub fn endpoints(
    input: Input<'_>,
    cluster: &Arc<str>,
    backend: &BackendPort,
) -> (LoadAssignment, Vec<Problem>) {
    let mut assignment = load_assignment(input, cluster, backend);
    let mut refused = BTreeSet::new();
    for endpoints in assignment.localities.values_mut() {
        endpoints.retain(|endpoint| {
            let is_refused = is_refused(input.options, endpoint);
            if is_refused {
                refused.insert(*endpoint);
            }
            !is_refused
        });
    }
    assignment
        .localities
        .retain(|_, endpoints| !endpoints.is_empty());
    let problems = refused.first().map(|first| {
        let more = match refused.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let address = SocketAddr::new(first.ip, first.port);
        let message = format!(
            "endpoint {address}{more} leads into the pod of the ingress controller itself and is left out"
        );
        Problem::new(port_field(input, backend), reason::ENDPOINT_NOT_ALLOWED, message)
    });
    let problems = problems.into_iter().chain(too_many(input, backend));
    (assignment, problems.collect())
}

/// Whether a port of a Service has an endpoint. One that is found by its name in DNS counts as one.
#[must_use]
pub fn has_some(input: Input<'_>, service: &NamespacedName, port: u16) -> bool {
    let Some(found) = input.reader.service(service) else {
        return false;
    };
    if found.service_type != ServiceType::Endpoints {
        return true;
    }
    let backend = BackendPort {
        service: service.clone(),
        port,
        settings: None,
    };
    let assignment = load_assignment(input, &Arc::default(), &backend);
    !assignment.localities.is_empty()
}

/// Whether an endpoint is a socket of the own pod. Whoever may write an EndpointSlice decides where Envoy connects, and Envoy
/// must not show its clients the pages that are for the pod's network. (Loopback is refused when the slice is validated.)
fn is_refused(options: &Options, endpoint: &EndpointAddress) -> bool {
    let ip = endpoint.ip.to_canonical();
    let is_own = |own: &SocketAddr| {
        let is_asked = endpoint.health_port == Some(own.port());
        own.ip().to_canonical() == ip && (own.port() == endpoint.port || is_asked)
    };
    options.own_sockets.iter().any(is_own)
}

fn load_assignment(input: Input<'_>, cluster: &Arc<str>, backend: &BackendPort) -> LoadAssignment {
    let mut assignment = LoadAssignment {
        cluster: cluster.clone(),
        localities: BTreeMap::new(),
    };
    let Some(service) = input.reader.service(&backend.service) else {
        return assignment;
    };
    let Some(FoundPort { port, .. }) = find_backend_port(input, service, backend) else {
        return assignment;
    };
    let settings = backend.settings.as_ref();
    let by_service_address = settings.is_some_and(|settings| settings.by_service_address);
    if let Some(ip) = service.cluster_ip.filter(|_| by_service_address) {
        let endpoint = EndpointAddress {
            ip,
            port: port.port,
            health_port: None,
            weight: None,
        };
        let of_no_zone = assignment.localities.entry("".into()).or_default();
        of_no_zone.insert(endpoint);
        return assignment;
    }
    let slices: Vec<_> = input.reader.endpoint_slices(&backend.service).collect();
    if is_beyond(port, budget::ports(count(&slices))) {
        return assignment;
    }
    // Of a dual-stack Service every pod is in a slice of each family; one family is enough, and the first that
    // has endpoints is the one the Service prefers.
    let health_port = health_port(input, service, backend);
    let ports = EndpointPorts {
        name: &port.name,
        is_udp: backend.is_udp(),
        health: health_port.as_deref(),
    };
    for usable in [Usable::Ready, Usable::Terminating] {
        for family in families(service) {
            let mut zones = BTreeMap::new();
            for slice in slices.iter().filter(|slice| slice.address_type == family) {
                collect(slice, &ports, service, usable, &mut zones);
            }
            if zones.is_empty() {
                continue;
            }
            for (endpoint, zone) in zones {
                assignment
                    .localities
                    .entry(zone)
                    .or_default()
                    .insert(endpoint);
            }
            return assignment;
        }
    }
    assignment
}

/// The name of the port where endpoints are asked whether they are well, if that is another.
fn health_port(input: Input<'_>, service: &Service, backend: &BackendPort) -> Option<Arc<str>> {
    let settings = backend.settings.as_ref()?;
    let number = ServiceBackendPort::Number(settings.health_check.as_ref()?.port?);
    let FoundPort { port, .. } = find_port(input, service, &number)?;
    Some(port.name.clone())
}

/// What is to be said of a Service for one of its ports: that it has no endpoints there, because its ports times its
/// endpoints would be more than one object may come to. The same for each such port.
fn too_many(input: Input<'_>, backend: &BackendPort) -> Option<Problem> {
    let service = input.reader.service(&backend.service)?;
    let FoundPort { port, .. } = find_backend_port(input, service, backend)?;
    let slices: Vec<_> = input.reader.endpoint_slices(&backend.service).collect();
    let endpoints = count(&slices);
    let ports = budget::ports(endpoints);
    is_beyond(port, ports).then(|| {
        let message = format!(
            "only the first {ports} of its {} ports have its {endpoints} endpoints: {}",
            service.ports.len().saturating_add(service.udp_ports.len()),
            budget::EXCEEDED
        );
        Problem::new(port_field(input, backend), reason::TOO_LARGE, message)
    })
}

/// Whether a port is none of the first so many of its Service, those of TCP and of UDP together.
fn is_beyond(port: &ServicePort, ports: usize) -> bool {
    usize::try_from(port.at).unwrap_or(usize::MAX) >= ports
}

/// The port of the Service that a cluster is for.
fn port_field(input: Input<'_>, backend: &BackendPort) -> FieldRef {
    let service = input.reader.service(&backend.service);
    let found = service.and_then(|service| find_backend_port(input, service, backend));
    let field = found.map_or(Field::Whole, |found| Field::Port(found.port.at));
    source(Kind::Service, &backend.service, field)
}

fn count(slices: &[&Arc<EndpointSlice>]) -> usize {
    slices.iter().map(|slice| slice.endpoints.len()).sum()
}

fn families(service: &Service) -> Vec<AddressType> {
    if service.ip_families.is_empty() {
        return vec![AddressType::V4, AddressType::V6];
    }
    let families = service.ip_families.iter();
    families
        .map(|family| match family {
            IpFamily::V4 => AddressType::V4,
            IpFamily::V6 => AddressType::V6,
        })
        .collect()
}

/// Which endpoints are looked for, as kube-proxy does: ready ones, and if there is none, those that still serve
/// while they terminate.
#[derive(Clone, Copy)]
enum Usable {
    Ready,
    Terminating,
}

/// The ports of a slice that are looked for.
struct EndpointPorts<'a> {
    /// The name of the one that is spoken to.
    name: &'a str,
    is_udp: bool,
    /// The name of the one where endpoints are asked whether they are well, if that is another.
    health: Option<&'a str>,
}

/// Adds the usable endpoints of one slice with their zones. While a slice is rewritten an endpoint can stand in
/// two of them; it counts once, with the zone that sorts first.
fn collect(
    slice: &EndpointSlice,
    ports: &EndpointPorts<'_>,
    service: &Service,
    usable: Usable,
    zones: &mut BTreeMap<EndpointAddress, Arc<str>>,
) {
    let port = match ports.is_udp {
        true => slice.udp_port(ports.name),
        false => slice.port(ports.name),
    };
    if let Some(port) = port {
        let health_port = ports.health.and_then(|name| slice.port(name));
        let health_port = health_port.filter(|asked| *asked != port);
        for endpoint in &slice.endpoints {
            let is_usable = match usable {
                Usable::Ready => endpoint.ready || service.publish_not_ready_addresses,
                Usable::Terminating => endpoint.serving && endpoint.terminating,
            };
            if !is_usable {
                continue;
            }
            let ip = endpoint.address;
            let zone = endpoint.zone.clone().unwrap_or_default();
            let known = zones
                .entry(EndpointAddress {
                    ip,
                    port,
                    health_port,
                    weight: None,
                })
                .or_insert_with(|| zone.clone());
            if zone < *known {
                *known = zone;
            }
        }
    }
}
