//! The fields of the Gateway API's kinds, of both channels.

/// What the fields are taken from, for messages.
pub const VERSION: &str = "the Gateway API v1.7";

/// Each type with its fields; of those that are objects, or lists of objects, which type they are.
pub const TYPES: &[(&str, &str)] = &[
    (
        "GatewayClass",
        "apiVersion kind metadata:ObjectMeta spec:GatewayClassSpec status",
    ),
    (
        "GatewayClassSpec",
        "controllerName parametersRef:ParametersReference description",
    ),
    ("ParametersReference", "group kind name namespace"),
    (
        "Gateway",
        "apiVersion kind metadata:ObjectMeta spec:GatewaySpec status",
    ),
    (
        "GatewaySpec",
        "gatewayClassName listeners:Listener addresses:GatewaySpecAddress infrastructure:GatewayInfrastructure \
         allowedListeners:AllowedListeners tls:GatewayTLSConfig defaultScope",
    ),
    (
        "Listener",
        "name hostname port protocol tls:ListenerTLSConfig allowedRoutes:AllowedRoutes filters:ListenerFilters",
    ),
    (
        "ListenerSet",
        "apiVersion kind metadata:ObjectMeta spec:ListenerSetSpec status",
    ),
    (
        "ListenerSetSpec",
        "parentRef:BackendObjectParent listeners:ListenerEntry",
    ),
    ("BackendObjectParent", "group kind name namespace"),
    (
        "ListenerEntry",
        "name hostname port protocol tls:ListenerTLSConfig allowedRoutes:AllowedRoutes",
    ),
    (
        "ListenerTLSConfig",
        "mode certificateRefs:SecretObjectReference options",
    ),
    ("SecretObjectReference", "group kind name namespace"),
    (
        "AllowedRoutes",
        "namespaces:RouteNamespaces kinds:RouteGroupKind",
    ),
    ("RouteNamespaces", "from selector:LabelSelector"),
    (
        "LabelSelector",
        "matchLabels matchExpressions:LabelSelectorRequirement",
    ),
    ("LabelSelectorRequirement", "key operator values"),
    ("RouteGroupKind", "group kind"),
    ("ListenerFilters", "requests"),
    ("GatewaySpecAddress", "type value routability"),
    (
        "GatewayInfrastructure",
        "labels annotations parametersRef:LocalParametersReference",
    ),
    ("LocalParametersReference", "group kind name"),
    ("AllowedListeners", "namespaces:RouteNamespaces"),
    (
        "GatewayTLSConfig",
        "backend:GatewayBackendTLS frontend:FrontendTLSConfig",
    ),
    (
        "GatewayBackendTLS",
        "clientCertificateRef:SecretObjectReference",
    ),
    (
        "FrontendTLSConfig",
        "default:FrontendTLS perPort:TLSPortConfig",
    ),
    ("FrontendTLS", "validation:FrontendTLSValidation"),
    ("TLSPortConfig", "port tls:FrontendTLS"),
    (
        "FrontendTLSValidation",
        "caCertificateRefs:SecretObjectReference mode",
    ),
    (
        "HTTPRoute",
        "apiVersion kind metadata:ObjectMeta spec:HTTPRouteSpec status",
    ),
    (
        "HTTPRouteSpec",
        "parentRefs:ParentReference useDefaultGateways hostnames rules:HTTPRouteRule",
    ),
    (
        "ParentReference",
        "group kind namespace name sectionName port",
    ),
    (
        "HTTPRouteRule",
        "name matches:HTTPRouteMatch filters:HTTPRouteFilter backendRefs:HTTPBackendRef timeouts:HTTPRouteTimeouts \
         retry:HTTPRouteRetry sessionPersistence",
    ),
    (
        "HTTPRouteMatch",
        "path:HTTPPathMatch headers:HTTPHeaderMatch queryParams:HTTPHeaderMatch method",
    ),
    ("HTTPPathMatch", "type value"),
    ("HTTPHeaderMatch", "type name value"),
    (
        "HTTPRouteFilter",
        "type requestHeaderModifier:HTTPHeaderFilter responseHeaderModifier:HTTPHeaderFilter requestMirror:HTTPRequestMirrorFilter \
         requestRedirect:HTTPRequestRedirectFilter urlRewrite:HTTPURLRewriteFilter cors:HTTPCORSFilter externalAuth \
         extensionRef:LocalParametersReference",
    ),
    ("HTTPHeaderFilter", "set:HTTPHeader add:HTTPHeader remove"),
    ("HTTPHeader", "name value"),
    (
        "HTTPRequestMirrorFilter",
        "backendRef:BackendObjectReference percent fraction:Fraction",
    ),
    ("BackendObjectReference", "group kind name namespace port"),
    ("Fraction", "numerator denominator"),
    (
        "HTTPRequestRedirectFilter",
        "scheme hostname path:HTTPPathModifier port statusCode",
    ),
    (
        "HTTPPathModifier",
        "type replaceFullPath replacePrefixMatch",
    ),
    ("HTTPURLRewriteFilter", "hostname path:HTTPPathModifier"),
    (
        "HTTPCORSFilter",
        "allowOrigins allowMethods allowHeaders exposeHeaders allowCredentials maxAge",
    ),
    (
        "HTTPBackendRef",
        "group kind name namespace port weight filters:HTTPRouteFilter",
    ),
    ("HTTPRouteTimeouts", "request backendRequest"),
    ("HTTPRouteRetry", "codes attempts backoff"),
    (
        "GRPCRoute",
        "apiVersion kind metadata:ObjectMeta spec:GRPCRouteSpec status",
    ),
    (
        "GRPCRouteSpec",
        "parentRefs:ParentReference useDefaultGateways hostnames rules:GRPCRouteRule",
    ),
    (
        "GRPCRouteRule",
        "name matches:GRPCRouteMatch filters:HTTPRouteFilter backendRefs:HTTPBackendRef sessionPersistence",
    ),
    (
        "GRPCRouteMatch",
        "method:GRPCMethodMatch headers:HTTPHeaderMatch",
    ),
    ("GRPCMethodMatch", "type service method"),
    (
        "TLSRoute",
        "apiVersion kind metadata:ObjectMeta spec:TLSRouteSpec status",
    ),
    (
        "TLSRouteSpec",
        "parentRefs:ParentReference useDefaultGateways hostnames rules:TLSRouteRule",
    ),
    ("TLSRouteRule", "name backendRefs:BackendRef"),
    (
        "TCPRoute",
        "apiVersion kind metadata:ObjectMeta spec:TCPRouteSpec status",
    ),
    (
        "UDPRoute",
        "apiVersion kind metadata:ObjectMeta spec:TCPRouteSpec status",
    ),
    (
        "TCPRouteSpec",
        "parentRefs:ParentReference useDefaultGateways rules:TLSRouteRule",
    ),
    ("BackendRef", "group kind name namespace port weight"),
    (
        "ReferenceGrant",
        "apiVersion kind metadata:ObjectMeta spec:ReferenceGrantSpec",
    ),
    (
        "ReferenceGrantSpec",
        "from:ReferenceGrantFrom to:ReferenceGrantTo",
    ),
    ("ReferenceGrantFrom", "group kind namespace"),
    ("ReferenceGrantTo", "group kind name"),
    (
        "BackendTLSPolicy",
        "apiVersion kind metadata:ObjectMeta spec:BackendTLSPolicySpec status",
    ),
    (
        "BackendTLSPolicySpec",
        "targetRefs:LocalPolicyTargetReferenceWithSectionName validation:BackendTLSPolicyValidation options",
    ),
    (
        "LocalPolicyTargetReferenceWithSectionName",
        "group kind name sectionName",
    ),
    (
        "BackendTLSPolicyValidation",
        "caCertificateRefs:LocalParametersReference wellKnownCACertificates hostname subjectAltNames:SubjectAltName",
    ),
    ("SubjectAltName", "type hostname uri"),
];
