//! `gateway.networking.k8s.io`: the Gateway API v1.7, field by field, less what Isobath does not use.
//!
//! What the schema of the definitions asks for holds here. Which of these objects are ours, and what they come to, is the
//! translation's to say.

mod gateway;
mod grant;
mod listener_set;
mod namespace;
mod policy;
mod reference;
mod route;
mod status;

pub use gateway::{
    AllowedRoutes, CertificateValidation, FrontendTls, FrontendValidation, Gateway, GatewayAddress,
    GatewayClass, Infrastructure, Listener, ListenerTls, RouteGroupKind, RouteNamespaces,
};
pub use grant::{GrantFrom, GrantTo, ReferenceGrant};
pub use listener_set::ListenerSet;
pub use namespace::{LabelRequirement, LabelSelector, Namespace, SelectorOperator};
pub use policy::{AltName, BackendTlsPolicy, BackendValidation, PolicyTarget};
pub use reference::{BackendRef, ObjectReference, ParametersReference, ParentReference};
pub use route::{
    CorsFilter, Filter, GrpcMatch, GrpcMethod, GrpcRoute, GrpcRule, HeaderModifier, Hostnames,
    HttpMatch, HttpRoute, HttpRule, MirrorFilter, NameValue, PathMatch, PathModifier,
    RedirectFilter, Retry, RouteHead, RuleBackend, TcpRoute, TlsRoute, UdpRoute, UrlRewriteFilter,
    ValueMatch,
};
pub use status::{
    ConditionStatus, ListenerStatus, MOST_ANCESTORS, MOST_MESSAGE, NONE_PROGRAMMED,
    NOT_ACKNOWLEDGED, PROGRAMMED, ParentStatus, Status, StatusCondition, is_programmed_message,
};

/// The group of the kinds in here.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// The name by which a GatewayClass says that its Gateways are ours.
pub const CONTROLLER: &str = "isobath.dev/gateway-controller";
