//! The types of xDS resources that Isobath serves.

use std::fmt;

/// The types that Isobath serves. **The order is the order of a push**: make before break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoint,
    /// ECDS: a filter that listeners name.
    Extension,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SRDS: which requests get which route table.
    Scope,
    /// SDS.
    Secret,
}

impl ResourceType {
    /// All types in the order of a push.
    pub const ALL: [Self; 7] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Extension,
        Self::Listener,
        Self::Route,
        Self::Scope,
        Self::Secret,
    ];

    /// The type URL of the resource.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Scope => "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// The type of a URL, `None` for types that Isobath does not serve.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource_type| resource_type.type_url() == url)
    }

    /// The name of its discovery service in lower case, as metrics and `isobath xds` spell it.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::Cluster => "cds",
            Self::Endpoint => "eds",
            Self::Extension => "ecds",
            Self::Listener => "lds",
            Self::Route => "rds",
            Self::Scope => "srds",
            Self::Secret => "sds",
        }
    }

    /// Whether a subscription without names means every resource: LDS, CDS and SRDS only. For the others it would
    /// hand out everything, private keys included.
    #[must_use]
    pub const fn has_wildcard(self) -> bool {
        matches!(self, Self::Listener | Self::Cluster | Self::Scope)
    }

    /// Whether no other resource uses one of this type.
    #[must_use]
    pub const fn is_used_by_none(self) -> bool {
        matches!(self, Self::Listener | Self::Scope)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service())
    }
}
