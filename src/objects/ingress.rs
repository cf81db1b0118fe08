//! `networking.k8s.io/v1` Ingress and IngressClass, and Contour's TLSCertificateDelegation.

use std::fmt;
use std::sync::Arc;

use super::{Kind, Metadata, ObjectRef};

/// `spec.controller` of the IngressClasses that are ours, and who reports our Events.
pub const CONTROLLER: &str = "isobath.dev/ingress-controller";

/// An Ingress. Field for field as in the API's `IngressSpec`, less what Isobath does not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Name, age, annotations.
    pub metadata: Metadata,
    /// `spec.ingressClassName`.
    pub class_name: Option<Arc<str>>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<IngressBackend>,
    /// `spec.tls`.
    pub tls: Box<[IngressTls]>,
    /// `spec.rules`.
    pub rules: Box<[IngressRule]>,
    /// `status.loadBalancer.ingress`, which the status writer compares before it writes. No route depends on it.
    pub load_balancer: Arc<[LoadBalancerAddress]>,
    /// What is not in here because one object may not come to so much, in one sentence for its owner; `None` where it is
    /// whole. Decided by the translation before the object is kept.
    pub left_out: Option<Arc<str>>,
}

impl Ingress {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::Ingress,
            name: self.metadata.name.clone(),
        }
    }

    /// Whether both are the same but for their status, which no route depends on.
    #[must_use]
    pub fn same_spec(&self, other: &Self) -> bool {
        self.spec() == other.spec()
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        let Self {
            metadata,
            class_name,
            default_backend,
            tls,
            rules,
            load_balancer: _,
            left_out,
        } = self;
        (metadata, class_name, default_backend, tls, rules, left_out)
    }
}

/// One of `spec.tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressTls {
    /// Host names, lower-case; `*.example.com` stands for one label. Empty: the hosts of the rules.
    pub hosts: Box<[Arc<str>]>,
    /// The Secret's name as written.
    pub secret_name: Option<Arc<str>>,
}

/// One of `spec.rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRule {
    /// The host, lower-case; `None` for every host.
    pub host: Option<Arc<str>>,
    /// `http.paths`; empty where `http` is missing.
    pub paths: Box<[IngressPath]>,
}

/// One of `http.paths`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPath {
    /// The path as written; `/` where it is missing.
    pub path: Arc<str>,
    /// How it matches.
    pub path_type: PathType,
    /// Where its requests go.
    pub backend: IngressBackend,
}

/// `pathType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathType {
    /// The path and nothing else.
    Exact,
    /// The path by elements.
    Prefix,
    /// Up to the controller: see the translation.
    ImplementationSpecific,
}

/// `IngressBackend`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IngressBackend {
    /// `service`.
    Service {
        /// The Service's name, in the Ingress's namespace.
        name: Arc<str>,
        /// The Service's port.
        port: ServiceBackendPort,
    },
    /// `resource`, which Isobath does not serve.
    Resource {
        /// Its `kind`, for the message.
        kind: Arc<str>,
        /// Its `name`, for the message.
        name: Arc<str>,
    },
    /// Neither of them.
    Missing,
}

/// `ServiceBackendPort`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceBackendPort {
    /// `name`.
    Name(Arc<str>),
    /// `number`.
    Number(u16),
    /// Neither of them.
    Missing,
}

/// One of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadBalancerAddress {
    /// `ip`.
    Ip(Arc<str>),
    /// `hostname`.
    Hostname(Arc<str>),
}

/// An IngressClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// Name and annotations.
    pub metadata: Metadata,
    /// `spec.controller`.
    pub controller: Arc<str>,
    /// Whether `ingressclass.kubernetes.io/is-default-class` is `"true"`.
    pub is_default: bool,
}

/// A TLSCertificateDelegation: Secrets of its namespace that other namespaces may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCertificateDelegation {
    /// Name and namespace; the namespace owns the Secrets.
    pub metadata: Metadata,
    /// `spec.delegations`: a Secret's name and the namespaces that may use it (`*` alone: all).
    pub delegations: Vec<(Arc<str>, Vec<Arc<str>>)>,
}
