//! The Gateway API: the schema of its definitions (v1.7), as far as it bears on what is used.
//!
//! Lists and lengths are the API server's to bound, and what is beyond them in a manifest is bounded by the translation. What
//! a schema fills in where nothing is said is filled in here, as manifests have no API server in front.

mod gateway;
mod grant;
mod listener_set;
mod namespace;
mod policy;
mod reference;
mod route;
mod rule;
mod status;

pub(super) use gateway::{GatewayClassWire, GatewayWire};
pub(super) use grant::ReferenceGrantWire;
pub(super) use listener_set::ListenerSetWire;
pub(super) use namespace::NamespaceWire;
pub(super) use policy::BackendTlsPolicyWire;
pub(super) use route::{GrpcRouteWire, HttpRouteWire, TcpRouteWire, TlsRouteWire, UdpRouteWire};

#[cfg(test)]
mod tests;
