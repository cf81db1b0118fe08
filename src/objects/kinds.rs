//! The kinds that Isobath watches, each declared once.
//!
//! Whatever goes over all kinds goes over these rows: decoding, the store's tables, list-watches, discovery, manifests,
//! the rights in the manifests of `deploy/`, the generators of the tests. A kind that is added here and not there does not
//! compile, or fails a test that compares.

use std::fmt;

/// Calls a macro with a row for each kind:
/// `Kind: "apiVersion", "kind", "plural", scope, presence, table of the store, what decodes it;`.
macro_rules! for_each_kind {
    ($then:ident) => {
        $then! {
            /// `networking.k8s.io/v1` IngressClass, cluster-scoped.
            IngressClass: "networking.k8s.io/v1", "IngressClass", "ingressclasses",
                Cluster, BuiltIn, ingress_classes, ingress::ClassWire<'_>;
            /// `networking.k8s.io/v1` Ingress.
            Ingress: "networking.k8s.io/v1", "Ingress", "ingresses",
                Namespaced, BuiltIn, ingresses, ingress::IngressWire<'_>;
            /// `v1` Service.
            Service: "v1", "Service", "services",
                Namespaced, BuiltIn, services, service::ServiceWire<'_>;
            /// `discovery.k8s.io/v1` EndpointSlice.
            EndpointSlice: "discovery.k8s.io/v1", "EndpointSlice", "endpointslices",
                Namespaced, BuiltIn, endpoint_slices, endpoint_slice::SliceWire<'_>;
            /// `v1` Secret of type `kubernetes.io/tls`, and of type `Opaque` where something of it is used.
            Secret: "v1", "Secret", "secrets",
                Namespaced, BuiltIn, secrets, secret::SecretWire<'_>;
            /// `projectcontour.io/v1` TLSCertificateDelegation, read where that CRD exists.
            TlsCertificateDelegation: "projectcontour.io/v1", "TLSCertificateDelegation", "tlscertificatedelegations",
                Namespaced, Custom, tls_certificate_delegations, ingress::DelegationWire<'_>;
            /// `projectcontour.io/v1` HTTPProxy, read where that CRD exists.
            HttpProxy: "projectcontour.io/v1", "HTTPProxy", "httpproxies",
                Namespaced, Custom, http_proxies, http_proxy::HttpProxyWire<'_>;
            /// `projectcontour.io/v1alpha1` ExtensionService, read where that CRD exists.
            ExtensionService: "projectcontour.io/v1alpha1", "ExtensionService", "extensionservices",
                Namespaced, Custom, extension_services, extension_service::ExtensionServiceWire<'_>;
        }
    };
}
pub(crate) use for_each_kind;

#[derive(PartialEq)]
enum Scope {
    Cluster,
    Namespaced,
}

#[derive(PartialEq)]
enum Presence {
    /// Every API server has it.
    BuiltIn,
    /// It is read where its CustomResourceDefinition is installed.
    Custom,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
        $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
        /// The kinds that Isobath watches.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
            /// One of the kinds that have no row, and no type ([`super::Untyped`]).
            Untyped(u8),
        }

        impl Kind {
            /// Every kind that has a row, in the order in which tables and pages list them.
            pub const ALL: [Self; [$(Self::$kind),*].len()] = [$(Self::$kind),*];

            /// The `kind` field of its objects.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Untyped(_) => "Untyped",
                }
            }

            /// The `apiVersion` field of its objects.
            #[must_use]
            pub const fn api_version(self) -> &'static str {
                match self {
                    $(Self::$kind => $api_version,)*
                    Self::Untyped(_) => "",
                }
            }

            /// The element of its paths, and its name in RBAC rules.
            #[must_use]
            pub const fn plural(self) -> &'static str {
                match self {
                    $(Self::$kind => $plural,)*
                    Self::Untyped(_) => "",
                }
            }

            const fn scope(self) -> Scope {
                match self {
                    $(Self::$kind => Scope::$scope,)*
                    Self::Untyped(_) => Scope::Namespaced,
                }
            }

            const fn presence(self) -> Presence {
                match self {
                    $(Self::$kind => Presence::$presence,)*
                    Self::Untyped(_) => Presence::Custom,
                }
            }
        }
    };
}
for_each_kind!(kinds);

impl Kind {
    /// The API group of its objects, empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        let group_version = self.api_version().split_once('/');
        group_version.map_or("", |(group, _)| group)
    }

    /// Whether its objects live in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        matches!(self.scope(), Scope::Namespaced)
    }

    /// Whether it is read only where its CustomResourceDefinition is installed.
    #[must_use]
    pub const fn is_custom(self) -> bool {
        matches!(self.presence(), Presence::Custom)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
