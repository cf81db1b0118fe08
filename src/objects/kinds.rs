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
            /// `gateway.networking.k8s.io/v1` GatewayClass, cluster-scoped, read where that CRD exists.
            GatewayClass: "gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses",
                Cluster, Custom, gateway_classes, gateway_api::GatewayClassWire<'_>;
            /// `gateway.networking.k8s.io/v1` Gateway, read where that CRD exists.
            Gateway: "gateway.networking.k8s.io/v1", "Gateway", "gateways",
                Namespaced, Custom, gateways, gateway_api::GatewayWire<'_>;
            /// `gateway.networking.k8s.io/v1` ListenerSet, read where that CRD exists.
            ListenerSet: "gateway.networking.k8s.io/v1", "ListenerSet", "listenersets",
                Namespaced, Custom, listener_sets, gateway_api::ListenerSetWire<'_>;
            /// `gateway.networking.k8s.io/v1` HTTPRoute, read where that CRD exists.
            HttpRoute: "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes",
                Namespaced, Custom, http_routes, gateway_api::HttpRouteWire<'_>;
            /// `gateway.networking.k8s.io/v1` GRPCRoute, read where that CRD exists.
            GrpcRoute: "gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes",
                Namespaced, Custom, grpc_routes, gateway_api::GrpcRouteWire<'_>;
            /// `gateway.networking.k8s.io/v1` TLSRoute, read where that CRD exists.
            TlsRoute: "gateway.networking.k8s.io/v1", "TLSRoute", "tlsroutes",
                Namespaced, Custom, tls_routes, gateway_api::TlsRouteWire<'_>;
            /// `gateway.networking.k8s.io/v1` TCPRoute, read where that CRD exists.
            TcpRoute: "gateway.networking.k8s.io/v1", "TCPRoute", "tcproutes",
                Namespaced, Custom, tcp_routes, gateway_api::TcpRouteWire<'_>;
            /// `gateway.networking.k8s.io/v1` UDPRoute, read where that CRD exists.
            UdpRoute: "gateway.networking.k8s.io/v1", "UDPRoute", "udproutes",
                Namespaced, Custom, udp_routes, gateway_api::UdpRouteWire<'_>;
            /// `gateway.networking.k8s.io/v1` ReferenceGrant, read where that CRD exists.
            ReferenceGrant: "gateway.networking.k8s.io/v1", "ReferenceGrant", "referencegrants",
                Namespaced, Custom, reference_grants, gateway_api::ReferenceGrantWire<'_>;
            /// `gateway.networking.k8s.io/v1` BackendTLSPolicy, read where that CRD exists.
            BackendTlsPolicy: "gateway.networking.k8s.io/v1", "BackendTLSPolicy", "backendtlspolicies",
                Namespaced, Custom, backend_tls_policies, gateway_api::BackendTlsPolicyWire<'_>;
            /// `v1` ConfigMap, read where Gateways are: authorities that vouch for clients and for back ends stand in one.
            ConfigMap: "v1", "ConfigMap", "configmaps",
                Namespaced, BuiltIn, config_maps, config_map::ConfigMapWire<'_>;
            /// `v1` Namespace, cluster-scoped, read where Gateways are: whose routes may be attached to one, its labels say.
            Namespace: "v1", "Namespace", "namespaces",
                Cluster, BuiltIn, namespaces, gateway_api::NamespaceWire<'_>;
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

    /// The custom kind that has to be installed for it to be read: itself, or the one whose objects it is read for; `None` for what is
    /// always read.
    #[must_use]
    pub const fn custom(self) -> Option<Self> {
        match self {
            Self::Namespace | Self::ConfigMap => Some(Self::Gateway),
            _ if self.is_custom() => Some(self),
            _ => None,
        }
    }

    /// Whether it is read for the Gateway API alone.
    #[must_use]
    pub fn is_of_gateway_api(self) -> bool {
        matches!(self, Self::Namespace | Self::ConfigMap)
            || self.group() == super::gateway_api::GROUP
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
