//! What a Service decides for its clusters: protocol, limits, affinity, how long connections are kept.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{CircuitBreakers, UpstreamProtocol};
use crate::objects::{Field, Service, ServiceBackendPort, ServicePort, SessionAffinity};

use super::app_protocol::{self, upstream_protocol};
use super::finding::{Finding, more};
use super::{BackendPort, Input, annotation, reason};

/// The annotations of Services: Contour's, and ours. With what each says, as `deploy/reference.md` has it.
pub const SERVICE_ANNOTATIONS: [(&str, &str); 9] = [
    (
        "isobath.dev/upstream-idle-timeout",
        "how long a connection is kept for the next request: `4s`, `infinity`; without it an hour. Less than the back end keeps it",
    ),
    (
        "projectcontour.io/max-connections",
        "connections at a time to all endpoints; without it there is no limit",
    ),
    (
        "projectcontour.io/max-pending-requests",
        "requests that wait for a connection; without it there is no limit",
    ),
    (
        "projectcontour.io/max-requests",
        "requests at a time; without it there is no limit",
    ),
    (
        "projectcontour.io/max-retries",
        "retries at a time; without it no more than the requests under way, or 1,000",
    ),
    (
        "projectcontour.io/per-host-max-connections",
        "connections to one endpoint",
    ),
    (
        "projectcontour.io/upstream-protocol.h2",
        "ports by name or number, by comma, that speak HTTP/2 over TLS",
    ),
    (
        "projectcontour.io/upstream-protocol.h2c",
        "ports that speak HTTP/2 in clear",
    ),
    (
        "projectcontour.io/upstream-protocol.tls",
        "ports that speak HTTP/1.1 over TLS",
    ),
];

/// The settings of one port's cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServicePolicy {
    /// What is spoken to the endpoints.
    pub protocol: UpstreamProtocol,
    /// Limits.
    pub circuit_breakers: CircuitBreakers,
    /// Whether the client's address chooses the endpoint.
    pub hash_source_ip: bool,
    /// How long a connection is kept for the next request; zero for ever.
    pub idle_timeout: Option<Duration>,
}

/// Reads what a Service says of one of its ports. An `appProtocol` that is understood takes over completely from the
/// annotations, as in Contour; one that is not is told, and the annotations hold.
#[must_use]
pub fn service_policy(service: &Service, port: &ServicePort) -> ServicePolicy {
    policy(service, &annotated(service), &limits(service).0, port)
}

/// What is wrong with what a Service says of its ports.
#[must_use]
pub fn service_problems(service: &Service) -> Vec<Finding> {
    let ports = || service.ports.iter();
    // Most Services have no annotation that names a port.
    let numbers: LazyCell<HashSet<String>, _> =
        LazyCell::new(|| ports().map(|port| port.port.to_string()).collect());
    let names: LazyCell<HashSet<&str>, _> =
        LazyCell::new(|| ports().map(|port| &*port.name).collect());
    let (_, mut told) = limits(service);
    for (key, _) in PROTOCOLS {
        let mut unknown = port_names(service, key)
            .filter(|name| !names.contains(name) && !numbers.contains(*name));
        let Some(first) = unknown.next() else {
            continue;
        };
        let more = more(unknown.count());
        let message =
            format!("annotation {key} names port {first:?}{more}, which the Service does not have");
        told.push((
            Field::Annotation(key.into()),
            reason::ANNOTATION_NOT_VALID,
            message,
        ));
    }
    told.extend(unknown_app_protocol(service));
    told
}

/// The first `appProtocol` that is none of ours.
fn unknown_app_protocol(service: &Service) -> Option<Finding> {
    let mut unknown = service.ports.iter().filter_map(|port| {
        let name = port.app_protocol.as_deref()?;
        upstream_protocol(name)
            .is_none()
            .then_some((port.at, port.port, name))
    });
    let (at, port, name) = unknown.next()?;
    let message = format!(
        "port {port}{} has the appProtocol {name:?}, which says nothing to an HTTP proxy and counts as none; it understands {}",
        more(unknown.count()),
        app_protocol::NAMES
    );
    let field = Field::Port(at);
    Some((field, reason::APP_PROTOCOL_NOT_SUPPORTED, message))
}

/// What holds for each of its ports, and what is wrong with it.
fn limits(service: &Service) -> (Limits, Vec<Finding>) {
    let mut problems = Vec::new();
    let mut report = |key: &str, message| {
        let field = Field::Annotation(key.into());
        problems.push((field, reason::ANNOTATION_NOT_VALID, message));
    };
    let mut reader = Reader {
        service,
        report: &mut report,
    };
    let idle_timeout = reader.read("isobath.dev/upstream-idle-timeout", annotation::timeout);
    let mut limit = |key: &str| reader.read(key, annotation::count);
    let circuit_breakers = CircuitBreakers {
        max_connections: limit("projectcontour.io/max-connections"),
        max_pending_requests: limit("projectcontour.io/max-pending-requests"),
        max_requests: limit("projectcontour.io/max-requests"),
        max_retries: limit("projectcontour.io/max-retries"),
        per_host_max_connections: limit("projectcontour.io/per-host-max-connections"),
        retry_budget: None,
    };
    let limits = Limits {
        circuit_breakers,
        idle_timeout: idle_timeout.map(Option::unwrap_or_default),
    };
    (limits, problems)
}

/// What a Service says of all its ports alike.
struct Limits {
    circuit_breakers: CircuitBreakers,
    idle_timeout: Option<Duration>,
}

fn policy(
    service: &Service,
    annotated: &Annotated<'_>,
    limits: &Limits,
    port: &ServicePort,
) -> ServicePolicy {
    let known = port.app_protocol.as_deref().and_then(upstream_protocol);
    let protocol = known.unwrap_or_else(|| annotated_protocol(annotated, port));
    ServicePolicy {
        protocol,
        circuit_breakers: limits.circuit_breakers,
        hash_source_ip: service.session_affinity == SessionAffinity::ClientIp,
        idle_timeout: limits.idle_timeout,
    }
}

struct Reader<'a, F> {
    service: &'a Service,
    report: &'a mut F,
}

impl<F: FnMut(&str, String)> Reader<'_, F> {
    fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = parse(self.service.metadata.annotation(key)?);
        value
            .map_err(|what| (self.report)(key, format!("annotation {key} is ignored: it {what}")))
            .ok()
    }
}

/// Which annotation asks for what; of several the first holds.
const PROTOCOLS: [(&str, UpstreamProtocol); 3] = [
    (
        "projectcontour.io/upstream-protocol.h2",
        UpstreamProtocol::H2,
    ),
    (
        "projectcontour.io/upstream-protocol.h2c",
        UpstreamProtocol::H2c,
    ),
    (
        "projectcontour.io/upstream-protocol.tls",
        UpstreamProtocol::Tls,
    ),
];

/// The names of each of [`PROTOCOLS`].
type Annotated<'a> = [HashSet<&'a str>; 3];

fn annotated(service: &Service) -> Annotated<'_> {
    PROTOCOLS.map(|(key, _)| port_names(service, key).collect())
}

fn annotated_protocol(annotated: &Annotated<'_>, port: &ServicePort) -> UpstreamProtocol {
    if annotated.iter().all(HashSet::is_empty) {
        return UpstreamProtocol::Http1;
    }
    let number = port.port.to_string();
    let is_named = |names: &HashSet<&str>| names.contains(&*port.name) || names.contains(&*number);
    let mut protocols = annotated.iter().zip(PROTOCOLS);
    let found = protocols.find(|(names, _)| is_named(names));
    found.map_or(UpstreamProtocol::Http1, |(_, (_, protocol))| protocol)
}

/// The names and numbers of ports that an annotation lists.
fn port_names<'a>(service: &'a Service, key: &str) -> impl Iterator<Item = &'a str> {
    let list = service.metadata.annotation(key).unwrap_or_default();
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// More ports, or longer annotations, are not looked through again for each path.
const FEW: usize = 16;
const LONG: usize = 256;

/// The ports of a long Service.
#[derive(Debug)]
pub struct Ports {
    by_name: HashMap<Arc<str>, usize>,
    by_number: HashMap<u16, usize>,
    policies: Vec<ServicePolicy>,
    udp_by_number: HashMap<u16, usize>,
}

impl Ports {
    fn new(service: &Service) -> Self {
        let (annotated, (limits, _)) = (annotated(service), limits(service));
        let ports = || service.ports.iter().enumerate();
        Self {
            by_name: ports().map(|(at, port)| (port.name.clone(), at)).collect(),
            by_number: ports().map(|(at, port)| (port.port, at)).collect(),
            policies: ports()
                .map(|(_, port)| policy(service, &annotated, &limits, port))
                .collect(),
            udp_by_number: {
                let ports = service.udp_ports.iter().enumerate();
                ports.map(|(at, port)| (port.port, at)).collect()
            },
        }
    }

    /// Those of a Service, where it is a long one.
    fn of(input: Input<'_>, service: &Service) -> Option<Arc<Self>> {
        let annotations = service.metadata.annotations.iter();
        let length = annotations.map(|(_, value)| value.len()).sum::<usize>();
        let ports = service.ports.len().saturating_add(service.udp_ports.len());
        if ports <= FEW && length <= LONG {
            return None;
        }
        let name = &service.metadata.name;
        Some(input.memo.ports.get_plain(name, || Self::new(service)))
    }
}

/// One port of a Service.
pub struct FoundPort<'a> {
    /// The port.
    pub port: &'a ServicePort,
    /// What the Service says of it.
    pub policy: ServicePolicy,
}

/// Finds the port that a cluster is for: one of UDP where its settings say so.
pub fn find_backend_port<'a>(
    input: Input<'_>,
    service: &'a Service,
    backend: &BackendPort,
) -> Option<FoundPort<'a>> {
    match backend.is_udp() {
        true => find_udp_port(input, service, backend.port),
        false => find_port(input, service, &ServiceBackendPort::Number(backend.port)),
    }
}

/// Finds a port of UDP. What annotations say is of TCP.
pub fn find_udp_port<'a>(
    input: Input<'_>,
    service: &'a Service,
    number: u16,
) -> Option<FoundPort<'a>> {
    let mut ports = service.udp_ports.iter();
    let port = match Ports::of(input, service) {
        Some(ports) => service.udp_ports.get(*ports.udp_by_number.get(&number)?)?,
        None => ports.find(|port| port.port == number)?,
    };
    Some(FoundPort {
        port,
        policy: ServicePolicy {
            protocol: UpstreamProtocol::Udp,
            hash_source_ip: service.session_affinity == SessionAffinity::ClientIp,
            ..ServicePolicy::default()
        },
    })
}

/// Finds the port that a back end names. Names and numbers are unique in a Service.
pub fn find_port<'a>(
    input: Input<'_>,
    service: &'a Service,
    port: &ServiceBackendPort,
) -> Option<FoundPort<'a>> {
    if let Some(ports) = Ports::of(input, service) {
        let at = *match port {
            ServiceBackendPort::Name(name) => ports.by_name.get(name),
            ServiceBackendPort::Number(number) => ports.by_number.get(number),
            ServiceBackendPort::Missing => None,
        }?;
        let (port, policy) = (service.ports.get(at)?, *ports.policies.get(at)?);
        return Some(FoundPort { port, policy });
    }
    let is_meant = |candidate: &ServicePort| match port {
        ServiceBackendPort::Name(name) => candidate.name == *name,
        ServiceBackendPort::Number(number) => candidate.port == *number,
        ServiceBackendPort::Missing => false,
    };
    let port = service.ports.iter().find(|port| is_meant(port))?;
    let policy = service_policy(service, port);
    Some(FoundPort { port, policy })
}
