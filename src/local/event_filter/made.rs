//! The objects that stand in for what a cluster would bring.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::objects::{
    AddressType, Annotations, CONTROLLER, Endpoint, EndpointPort, EndpointSlice, Ingress,
    IngressBackend, IngressClass, Metadata, NamespacedName, Object, Service, ServiceBackendPort,
    ServicePort, ServiceType, SessionAffinity,
};

use crate::facts::ClassSelection;

/// Where it stands, and the name of its class.
const NAMESPACE: &str = "isobath-run";

pub(super) fn made_slice(
    service: &NamespacedName,
    port: &ServicePort,
    address: SocketAddr,
) -> EndpointSlice {
    let name = format!("isobath-run-{}-{}", service.name, port.port);
    EndpointSlice {
        metadata: made_metadata(NamespacedName::new(service.namespace.clone(), name)),
        service: Some(service.name.clone()),
        address_type: if address.is_ipv4() {
            AddressType::V4
        } else {
            AddressType::V6
        },
        ports: Box::new([EndpointPort {
            name: port.name.clone(),
            port: Some(address.port()),
        }]),
        udp_ports: Box::default(),
        endpoints: Box::new([Endpoint {
            address: address.ip(),
            ready: true,
            serving: true,
            terminating: false,
            zone: None,
        }]),
    }
}

/// The Ingress that is made for hosts that nobody names.
pub const MADE: &str = "isobath-run/unknown-hosts";

/// A default backend, its Service, and the endpoint that answers; of a class that is served.
pub(super) fn made_for_unknown_hosts(
    address: SocketAddr,
    selection: &ClassSelection,
) -> Vec<Object> {
    let name = NamespacedName::new(NAMESPACE, "unknown-hosts");
    let class = IngressClass {
        metadata: made_metadata(NamespacedName::new("", NAMESPACE)),
        controller: CONTROLLER.into(),
        is_default: false,
    };
    // In manifests an Ingress needs no class, and one more class of ours would take the place of the assumed one.
    let class_name = match (selection.names.first(), selection.manifests) {
        (Some(name), _) => Some(name.clone()),
        (None, true) => None,
        (None, false) => Some(class.metadata.name.name.clone()),
    };
    let needs_class = selection.names.is_empty() && !selection.manifests;
    let port = ServicePort {
        at: 0,
        name: "".into(),
        port: 80,
        app_protocol: None,
    };
    let slice = made_slice(&name, &port, address);
    let service = Service {
        metadata: made_metadata(name.clone()),
        service_type: ServiceType::Endpoints,
        ports: Box::new([port]),
        udp_ports: Box::default(),
        ip_families: Box::default(),
        session_affinity: SessionAffinity::None,
        cluster_ip: None,
        publish_not_ready_addresses: false,
        kept: None,
        load_balancer: Arc::default(),
    };
    let ingress = Ingress {
        metadata: made_metadata(name.clone()),
        class_name,
        default_backend: Some(IngressBackend::Service {
            name: name.name,
            port: ServiceBackendPort::Number(80),
        }),
        tls: Box::default(),
        rules: Box::default(),
        load_balancer: Arc::default(),
        left_out: None,
    };
    let class = needs_class.then(|| Object::IngressClass(Arc::new(class)));
    class
        .into_iter()
        .chain([
            Object::Service(Arc::new(service)),
            Object::EndpointSlice(Arc::new(slice)),
            Object::Ingress(Arc::new(ingress)),
        ])
        .collect()
}

pub(super) fn made_metadata(name: NamespacedName) -> Metadata {
    Metadata {
        name,
        uid: "".into(),
        created: None,
        annotations: Annotations::default(),
    }
}
