//! The objects that stand in for what a cluster would bring.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::k8s::{
    AddressType, Annotations, Endpoint, EndpointPort, EndpointSlice, Ingress, IngressBackend,
    Metadata, NamespacedName, Object, Service, ServiceBackendPort, ServicePort, ServiceType,
    SessionAffinity,
};

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
        endpoints: Box::new([Endpoint {
            address: address.ip(),
            ready: true,
            serving: true,
            terminating: false,
            zone: None,
        }]),
    }
}

/// A default backend, its Service, and the endpoint that answers.
pub(super) fn made_for_unknown_hosts(address: SocketAddr) -> Vec<Object> {
    let name = NamespacedName::new("isobath-run", "unknown-hosts");
    let port = ServicePort {
        name: "".into(),
        port: 80,
        app_protocol: None,
    };
    let slice = made_slice(&name, &port, address);
    let service = Service {
        metadata: made_metadata(name.clone()),
        service_type: ServiceType::Endpoints,
        ports: Box::new([port]),
        ip_families: Box::default(),
        session_affinity: SessionAffinity::None,
        publish_not_ready_addresses: false,
        load_balancer: Arc::default(),
    };
    let ingress = Ingress {
        metadata: made_metadata(name.clone()),
        class_name: None,
        default_backend: Some(IngressBackend::Service {
            name: name.name,
            port: ServiceBackendPort::Number(80),
        }),
        tls: Box::default(),
        rules: Box::default(),
        load_balancer: Arc::default(),
    };
    vec![
        Object::Service(Arc::new(service)),
        Object::EndpointSlice(Arc::new(slice)),
        Object::Ingress(Arc::new(ingress)),
    ]
}

pub(super) fn made_metadata(name: NamespacedName) -> Metadata {
    Metadata {
        name,
        uid: "".into(),
        created: None,
        annotations: Annotations::default(),
    }
}
