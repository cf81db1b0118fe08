//! `v1` Service.

use std::net::IpAddr;
use std::sync::Arc;

use super::Metadata;

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name and annotations.
    pub metadata: Metadata,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.ports`, TCP only.
    pub ports: Box<[ServicePort]>,
    /// `spec.ports`, UDP only. One may have the number of a port of TCP.
    pub udp_ports: Box<[ServicePort]>,
    /// `spec.ipFamilies`, in order of preference; empty in manifests that do not say.
    pub ip_families: Box<[IpFamily]>,
    /// `spec.sessionAffinity`.
    pub session_affinity: SessionAffinity,
    /// `spec.clusterIP`, where it is an address.
    pub cluster_ip: Option<IpAddr>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready_addresses: bool,
    /// `status.loadBalancer.ingress`, which the status writer copies for `--envoy-service`.
    pub load_balancer: Arc<[super::LoadBalancerAddress]>,
    /// What is to be known of a Service that Isobath keeps itself (label `app.kubernetes.io/managed-by`). `None` for all others.
    pub kept: Option<Box<Kept>>,
}

impl Service {
    /// The label that says that Isobath keeps a Service, and its value.
    pub const MANAGED_BY: (&'static str, &'static str) =
        ("app.kubernetes.io/managed-by", "isobath");
}

/// What is known of a Service that Isobath keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its ports as nodes have them.
    pub ports: Box<[KeptPort]>,
    /// `metadata.ownerReferences[].uid`.
    pub owners: Box<[Arc<str>]>,
    /// Whether it is being deleted (`metadata.deletionTimestamp`).
    pub is_ending: bool,
}

/// One of `spec.ports` of a Service that Isobath keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptPort {
    /// `port`.
    pub port: u16,
    /// Whether it is one of UDP; else one of TCP.
    pub is_udp: bool,
    /// `nodePort`, which the API server gives to one Service alone; 0 before.
    pub node_port: u16,
    /// `targetPort`; 0 where it is a name.
    pub target_port: u16,
}

/// `spec.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceType {
    /// `ClusterIP`, headless ones too, `NodePort` and `LoadBalancer`: the endpoints are those of EndpointSlices.
    Endpoints,
    /// `ExternalName`: a DNS name stands in the place of endpoints.
    ExternalName(Arc<str>),
}

/// One of `spec.ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its place in `spec.ports`, which has those of all protocols.
    pub at: u32,
    /// `name`, empty for the only port of a Service. EndpointSlices name their ports by it.
    pub name: Arc<str>,
    /// `port`.
    pub port: u16,
    /// `appProtocol`.
    pub app_protocol: Option<Arc<str>>,
}

/// `spec.sessionAffinity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAffinity {
    /// `None`.
    #[default]
    None,
    /// `ClientIP`.
    ClientIp,
}

/// One of `spec.ipFamilies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamily {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
}
