//! The model as Envoy resources: pure functions from [`crate::model`] to the bytes that [`crate::xds`] serves.
//!
//! Every function answers a [`Part`](crate::xds::Part) or a [`Resource`](crate::xds::Resource): encoded fields,
//! what they refer to, and who owns them. A composite resource is the concatenation of its parts, by protobuf's
//! own rules: repeated fields append, and a singular message (or a message in a `oneof`) that occurs several
//! times is merged. So a message with one field set, encoded, *is* a fragment, and nothing here writes tags.
//!
//! | resource | head | parts |
//! |---|---|---|
//! | TypedExtensionConfig | [`manager::http`], [`manager::tls`], whole | – |
//! | Listener of any but TLS | [`listener::listener`], whole | – |
//! | Listener `stats` | [`listener::stats`], whole | – |
//! | Listener of QUIC | [`http3::head`] | [`http3::filter_chain`], [`server_name::server_name`] |
//! | Listener of TLS | [`listener::head`] | [`filter_chain::filter_chain`], [`filter_chain::passthrough`], [`filter_chain::tcp`], [`server_name::server_name`] |
//! | ScopedRouteConfiguration | [`scope::scope`], whole | – |
//! | RouteConfiguration | [`route::TableHead`] | [`route::virtual_host`], [`route::misdirected`], [`route::for_own_name`] |
//! | Cluster, ClusterLoadAssignment, Secret | whole | – |
//!
//! What must stay true: the same input gives the same bytes in every process (I1, I3), so no map of the generated
//! types ever holds two entries; no text from an object becomes a regular expression or a format string; and
//! nothing here reads a clock, a file or a Kubernetes object.

mod access_log;
pub mod bootstrap;
pub mod client_headers;
pub mod cluster;
mod cross_origin;
mod direct_response;
mod early_header_mutation;
pub mod edge;
mod encode;
pub mod ended;
pub mod endpoint;
pub mod filter_chain;
mod filter_state;
mod filters;
mod forward;
mod forwarded_certificate;
mod forwarding;
pub mod grpc_service;
mod hash_policy;
mod header;
mod health_check;
pub mod http3;
pub mod http_connection_manager;
mod http_filter;
pub mod ingress_metrics;
pub mod json;
pub mod listener;
mod load_balancing;
mod local_reply;
pub mod log_format;
pub mod manager;
mod opentelemetry;
mod path;
mod private_header;
pub mod request;
mod request_checks;
mod request_headers;
mod request_path;
mod retry;
pub mod route;
mod route_action;
mod route_match;
pub mod scope;
pub mod secret;
pub mod server_name;
mod shares;
pub mod stats;
mod string_matcher;
mod tls_parameters;
mod upgrade;
mod upstream_transport;
