//! Names of objects.

use std::fmt;
use std::sync::Arc;

/// The kinds that Isobath watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `networking.k8s.io/v1` IngressClass, cluster-scoped.
    IngressClass,
    /// `networking.k8s.io/v1` Ingress.
    Ingress,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Secret.
    Secret,
    /// `projectcontour.io/v1` TLSCertificateDelegation, read where that CRD exists.
    TlsCertificateDelegation,
}

impl Kind {
    /// Every kind, in the order in which tables and pages list them.
    pub const ALL: [Self; 6] = [
        Self::IngressClass,
        Self::Ingress,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::TlsCertificateDelegation,
    ];

    /// The `kind` field of its objects.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IngressClass => "IngressClass",
            Self::Ingress => "Ingress",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::TlsCertificateDelegation => "TLSCertificateDelegation",
        }
    }

    /// The `apiVersion` field of its objects.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::IngressClass | Self::Ingress => "networking.k8s.io/v1",
            Self::Service | Self::Secret => "v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::TlsCertificateDelegation => "projectcontour.io/v1",
        }
    }

    /// Whether its objects live in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::IngressClass)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Namespace and name, client-go's `types.NamespacedName`. The namespace of a cluster-scoped object is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    /// The namespace, empty where the kind has none.
    pub namespace: Arc<str>,
    /// The name, unique per kind and namespace.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Builds the name from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// Names one object among all that are watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub name: NamespacedName,
}

impl ObjectRef {
    /// Builds the reference from its parts.
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: NamespacedName::new(namespace, name),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
