//! What Kubernetes says, as slim typed objects.
//!
//! Objects are decoded and validated at once ([`decode`]): what Isobath does not use is never kept, and what
//! is wrong becomes [`Object::Invalid`], which is data like any other object. Lists are boxed slices: an object never
//! grows, there are ten thousands of them, and a vector keeps room for four. Nothing in here knows of hosts, routes or
//! Envoy, and nothing in here does IO.

mod certificate;
mod config_map;
mod credentials;
mod decode;
mod endpoint_slice;
mod event;
mod extension_service;
mod field;
pub mod gateway_api;
pub mod http_proxy;
mod ingress;
mod kinds;
mod metadata;
pub mod private_key;
mod problem;
mod reference;
mod secret;
mod service;
mod spelling;
mod untyped;
mod validate;

pub use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};
pub use certificate::{CaCertificates, RevocationLists};
pub use config_map::{ConfigMap, LONGEST_SETTING, NGINX_KEYS, NginxData};
pub use credentials::{Credentials, HashKind};
pub use decode::{Decoded, Undecodable, decode, decode_versioned, global_rate_limit_policy};
pub use endpoint_slice::{AddressType, Endpoint, EndpointPort, EndpointSlice};
pub use event::{Event, Invalid, Object};
pub use extension_service::{CircuitBreakerPolicy, ExtensionService, ExtensionServiceTarget};
pub use field::{Field, FieldRef, as_place};
pub use gateway_api::{
    BackendTlsPolicy, Gateway, GatewayClass, GrpcRoute, HttpRoute, ListenerSet, Namespace,
    ReferenceGrant, TcpRoute, TlsRoute, UdpRoute,
};
pub use http_proxy::HttpProxy;
pub use ingress::{
    CONTROLLER, Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls,
    LoadBalancerAddress, PathType, ServiceBackendPort, TlsCertificateDelegation,
};
pub use kinds::Kind;
pub(crate) use kinds::for_each_kind;
pub use metadata::{Annotations, Metadata, is_of_other_controller};
pub use problem::{Condition, Problem};
pub use reference::{NamespacedName, ObjectRef};
pub use secret::{Secret, TlsCertificate};
pub use service::{IpFamily, Kept, KeptPort, Service, ServicePort, ServiceType, SessionAffinity};
pub use spelling::slips;
pub use untyped::Untyped;
pub use validate::Rules;
