//! Backends of an Ingress into clusters.

use std::sync::Arc;

use crate::model::{
    Cluster, ClusterSettings, Discovery, ForwardOptions, HashKey, HashPolicy, LoadBalancing,
    UpstreamProtocol,
};
use crate::objects::{
    Field, IngressBackend, Kind, NamespacedName, ObjectRef, Service, ServiceBackendPort,
    ServiceType,
};

use super::service_policy::{FoundPort, ServicePolicy, find_backend_port, find_port};
use super::{BackendPort, ClusterSource, Input, outside_name, reason, source};

/// A backend that can be served.
pub struct ResolvedBackend {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// What it is made from.
    pub port: ClusterSource,
    /// Whether routes must hash the source address.
    pub hash_source_ip: bool,
}

/// Finds the cluster of a backend.
///
/// # Errors
///
/// Reason and sentence of the problem; the route answers 503.
pub fn resolve(
    input: Input<'_>,
    namespace: &Arc<str>,
    backend: &IngressBackend,
) -> Result<ResolvedBackend, (&'static str, String)> {
    let (service, FoundPort { port, policy, .. }) = find(input, namespace, backend)?;
    Ok(ResolvedBackend {
        cluster: cluster_name(service, port.port, &policy),
        port: ClusterSource::Port(BackendPort {
            service: service.metadata.name.clone(),
            port: port.port,
            settings: None,
        }),
        hash_source_ip: policy.hash_source_ip,
    })
}

/// The same with settings that the Ingress changes.
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_with(
    input: Input<'_>,
    namespace: &Arc<str>,
    backend: &IngressBackend,
    change: impl FnOnce(ClusterSettings) -> ClusterSettings,
) -> Result<ResolvedBackend, (&'static str, String)> {
    let (service, FoundPort { port, policy, .. }) = find(input, namespace, backend)?;
    let settings = change(settings(&policy));
    let (cluster, port) = with_settings(service, port.port, &policy, settings);
    Ok(ResolvedBackend {
        cluster,
        port,
        hash_source_ip: policy.hash_source_ip,
    })
}

fn find<'a>(
    input: Input<'a>,
    namespace: &Arc<str>,
    backend: &IngressBackend,
) -> Result<(&'a Service, FoundPort<'a>), (&'static str, String)> {
    let (name, port) = match backend {
        IngressBackend::Service { name, port } => (name, port),
        IngressBackend::Resource { kind, name } => {
            let message = format!("backend {kind} {name} is no Service");
            return Err((reason::BACKEND_NOT_SUPPORTED, message));
        }
        IngressBackend::Missing => {
            return Err((
                reason::BACKEND_NOT_SUPPORTED,
                "a backend names no Service".into(),
            ));
        }
    };
    let name = NamespacedName::new(namespace.clone(), name.clone());
    let Some(service) = input.reader.service(&name) else {
        return Err(not_there(input, name));
    };
    let Some(found) = find_port(input, service, port) else {
        let message = match port {
            ServiceBackendPort::Name(port) => format!("Service {name} has no port named {port}"),
            ServiceBackendPort::Number(port) => format!("Service {name} has no port {port}"),
            ServiceBackendPort::Missing => format!("the backend with Service {name} names no port"),
        };
        return Err((reason::SERVICE_PORT_NOT_FOUND, message));
    };
    if let ServiceType::ExternalName(external) = &service.service_type {
        check_external_name(input, external).map_err(|what| {
            let message =
                format!("Service {name} has the external name {external:?}, which {what}");
            (reason::EXTERNAL_NAME_NOT_ALLOWED, message)
        })?;
    }
    Ok((service, found))
}

/// The cluster of one port of a Service with these settings, which are those of the Service ([`settings`]) as a route changes
/// them, and what it is made from.
pub fn with_settings(
    service: &Service,
    port: u16,
    policy: &ServicePolicy,
    settings: ClusterSettings,
) -> (Arc<str>, ClusterSource) {
    let base = format_args!("{}/{port}", service.metadata.name);
    let name = settings.cluster_name(base, &discovery(service, port));
    // A port of UDP is told from one of TCP by its settings.
    let is_own = settings == self::settings(policy) && settings.protocol != UpstreamProtocol::Udp;
    let backend = BackendPort {
        service: service.metadata.name.clone(),
        port,
        settings: (!is_own).then(|| Arc::new(settings)),
    };
    (name, ClusterSource::Port(backend))
}

/// Why a Service can't be used: it does not exist, or it is wrong as a whole.
fn not_there(input: Input<'_>, name: NamespacedName) -> (&'static str, String) {
    let reference = ObjectRef {
        kind: Kind::Service,
        name,
    };
    let name = &reference.name;
    match input.reader.invalid(&reference) {
        None => {
            let message = format!("Service {name} does not exist");
            (reason::SERVICE_NOT_FOUND, message)
        }
        Some(invalid) => {
            let message = format!("Service {name} is not valid: {}", invalid.reason);
            (reason::SERVICE_NOT_VALID, message)
        }
    }
}

/// The cluster of one port of a Service, `None` where the Service or port is gone.
#[must_use]
pub fn cluster(input: Input<'_>, backend: &BackendPort) -> Option<Cluster> {
    let service = input.reader.service(&backend.service)?;
    let FoundPort { port, policy } = find_backend_port(input, service, backend)?;
    let settings = match &backend.settings {
        Some(settings) => (**settings).clone(),
        None => settings(&policy),
    };
    let discovery = discovery(service, port.port);
    let base = format_args!("{}/{}", service.metadata.name, port.port);
    Some(Cluster {
        name: settings.cluster_name(base, &discovery),
        discovery,
        settings: with_certificate(input, input.options.upstream.complete(settings)),
        source: Some(source(
            Kind::Service,
            &backend.service,
            Field::Port(port.at),
        )),
    })
}

/// With the certificate that the operator shows endpoints, while there is one.
fn with_certificate(input: Input<'_>, mut settings: ClusterSettings) -> ClusterSettings {
    let ours = input.options.upstream.client_certificate.as_ref();
    if let Some(secret) = ours
        && settings.protocol.is_tls()
        && settings.tls.client_certificate.is_none()
        && input.reader.certificate_names(secret).is_ok()
    {
        settings.tls.client_certificate = Some(secret.to_string().into());
    }
    settings
}

/// What a Service says, as the settings of a cluster.
pub fn settings(policy: &ServicePolicy) -> ClusterSettings {
    ClusterSettings {
        protocol: policy.protocol,
        circuit_breakers: policy.circuit_breakers,
        load_balancing: match policy.hash_source_ip {
            // Small clusters with endpoints that change are what Services are.
            true => LoadBalancing::RingHash,
            false => LoadBalancing::default(),
        },
        idle_timeout: policy.idle_timeout,
        ..ClusterSettings::default()
    }
}

/// That the client's address chooses the endpoint.
pub fn by_source_ip() -> ForwardOptions {
    ForwardOptions {
        hash_policies: vec![HashPolicy::only(HashKey::SourceIp)],
        ..ForwardOptions::default()
    }
}

/// `namespace/service/port`, and every setting that is not as by default.
fn cluster_name(service: &Service, port: u16, policy: &ServicePolicy) -> Arc<str> {
    let base = format_args!("{}/{port}", service.metadata.name);
    settings(policy).cluster_name(base, &discovery(service, port))
}

fn discovery(service: &Service, port: u16) -> Discovery {
    match &service.service_type {
        ServiceType::Endpoints => Discovery::Endpoints,
        ServiceType::ExternalName(hostname) => Discovery::Dns {
            hostname: hostname.trim_end_matches('.').into(),
            port,
        },
    }
}

/// Where the operator allows it, names of the outside ([`outside_name`]).
pub fn check_external_name(input: Input<'_>, name: &str) -> Result<(), &'static str> {
    if !input.options.allow_external_names {
        return Err("is not served unless --allow-external-names is given");
    }
    outside_name::check_name(name)
}
