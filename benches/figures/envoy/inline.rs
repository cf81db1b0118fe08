//! Listeners for TLS as they would be without shared connection managers: what those are compared with.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, TypedExtensionConfig, config_source,
};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::util::pack_any;
use hcm::http_connection_manager::RouteSpecifier;
use isobath::envoy::edge::Edge;
use isobath::envoy::{listener, manager};
use prost::Message as _;

/// The listener (or fragment of one) with a connection manager in each chain, whose routes are those of the table that has
/// the chain's name.
pub fn inline(listener: &Bytes) -> Result<Bytes> {
    let shared = shared()?;
    let mut listener = pb::Listener::decode(listener.clone())?;
    for chain in &mut listener.filter_chains {
        let mut manager = shared.clone();
        manager.route_specifier = Some(RouteSpecifier::Rds(hcm::Rds {
            config_source: Some(ads()),
            route_config_name: chain.name.clone(),
        }));
        let manager = pack_any(manager);
        for filter in &mut chain.filters {
            let manager = pb::filter::ConfigType::TypedConfig(manager.clone());
            filter.config_type = Some(manager);
        }
    }
    Ok(listener.encode_to_vec().into())
}

/// The manager that chains share, without what chooses a table by the server name.
fn shared() -> Result<hcm::HttpConnectionManager> {
    let [exact, _] = manager::tls(listener::HTTPS, &Edge::default());
    let extension = TypedExtensionConfig::decode(exact.bytes())?;
    let any = extension
        .typed_config
        .context("an extension without configuration")?;
    let mut manager = hcm::HttpConnectionManager::decode(&*any.value)?;
    manager.early_header_mutation_extensions.truncate(1);
    Ok(manager)
}

pub fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(
            AggregatedConfigSource::default(),
        )),
        ..ConfigSource::default()
    }
}
