//! What a Service decides for its clusters: protocol, limits, affinity, how long connections are kept.

use std::time::Duration;

use crate::k8s::{Kind, ObjectRef, Problem, Service, ServicePort, SessionAffinity};
use crate::model::{CircuitBreakers, UpstreamProtocol};

use super::{annotation, reason};

/// The annotations of Services: Contour's, and ours. The README's table is compared with this list.
pub const SERVICE_ANNOTATIONS: [&str; 9] = [
    "isobath.dev/upstream-idle-timeout",
    "projectcontour.io/max-connections",
    "projectcontour.io/max-pending-requests",
    "projectcontour.io/max-requests",
    "projectcontour.io/max-retries",
    "projectcontour.io/per-host-max-connections",
    "projectcontour.io/upstream-protocol.h2",
    "projectcontour.io/upstream-protocol.h2c",
    "projectcontour.io/upstream-protocol.tls",
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

/// Reads what a Service says of one of its ports. `appProtocol` takes over completely from the annotations, as
/// in Contour.
#[must_use]
pub fn service_policy(service: &Service, port: &ServicePort) -> (ServicePolicy, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut report = |message| {
        let object = ObjectRef {
            kind: Kind::Service,
            name: service.metadata.name.clone(),
        };
        problems.push(Problem::new(object, reason::ANNOTATION_NOT_VALID, message));
    };
    for (key, _) in PROTOCOLS {
        for name in port_names(service, key) {
            if !service.ports.iter().any(|port| is_named(port, name)) {
                report(format!(
                    "annotation {key} names port {name:?}, which the Service does not have"
                ));
            }
        }
    }
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
    };
    let protocol = match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c") => UpstreamProtocol::H2c,
        Some("https" | "kubernetes.io/wss") => UpstreamProtocol::Tls,
        Some(_) => UpstreamProtocol::Http1,
        None => annotated_protocol(service, port),
    };
    let policy = ServicePolicy {
        protocol,
        circuit_breakers,
        hash_source_ip: service.session_affinity == SessionAffinity::ClientIp,
        idle_timeout: idle_timeout.map(Option::unwrap_or_default),
    };
    (policy, problems)
}

struct Reader<'a, F> {
    service: &'a Service,
    report: &'a mut F,
}

impl<F: FnMut(String)> Reader<'_, F> {
    fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = parse(self.service.metadata.annotation(key)?);
        value
            .map_err(|what| (self.report)(format!("annotation {key} is ignored: it {what}")))
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

fn annotated_protocol(service: &Service, port: &ServicePort) -> UpstreamProtocol {
    PROTOCOLS
        .into_iter()
        .find(|(key, _)| port_names(service, key).any(|name| is_named(port, name)))
        .map_or(UpstreamProtocol::Http1, |(_, protocol)| protocol)
}

/// The names and numbers of ports that an annotation lists.
fn port_names<'a>(service: &'a Service, key: &str) -> impl Iterator<Item = &'a str> {
    let list = service.metadata.annotation(key).unwrap_or_default();
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn is_named(port: &ServicePort, name: &str) -> bool {
    *name == *port.name || name == port.port.to_string()
}
