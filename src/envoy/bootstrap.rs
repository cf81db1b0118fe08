//! Envoy's bootstrap.

/// Name of the static cluster that leads to Envoy's admin socket.
pub const ADMIN_CLUSTER: &str = "isobath-admin";
