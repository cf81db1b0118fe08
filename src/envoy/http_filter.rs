//! Filters of requests, as a connection manager names them.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::util::pack_any;

/// The last HTTP filter, which tells clients and back ends nothing about Envoy's inside (`x-envoy-*`).
pub(super) fn router() -> hcm::HttpFilter {
    filter(
        "envoy.filters.http.router",
        Router {
            suppress_envoy_headers: true,
            ..Default::default()
        },
    )
}

pub(super) fn filter<M: prost::Name + prost::Message>(name: &str, config: M) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack_any(config))),
        ..Default::default()
    }
}

/// A filter as a route's own chain names it ([`super::filters`]).
pub(super) fn in_chain<M: prost::Name + prost::Message>(
    name: impl Into<String>,
    config: M,
) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: name.into(),
        typed_config: Some(pack_any(config)),
    }
}
