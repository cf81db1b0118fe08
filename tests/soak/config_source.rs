//! Another build of Isobath: one whose references to other resources have other bytes. Envoy keys subscriptions by
//! them, so it subscribes anew to names that it already holds (two outages of a peer in 2026).

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::ConfigSource;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use envoy_types::pb::google::protobuf::Duration;
use prost::Message as _;

use crate::support::ads::{CDS, LDS};

/// Rewrites every reference of a resource as that build spells it: with the time-out of Envoy's default (15 s) and so
/// many milliseconds.
pub(crate) fn rewrite(build: u16, type_url: &str, bytes: Vec<u8>) -> Vec<u8> {
    match type_url {
        CDS => {
            let mut cluster = Cluster::decode(&*bytes).unwrap();
            if let Some(eds) = &mut cluster.eds_cluster_config {
                mark(build, &mut eds.eds_config);
            }
            cluster.encode_to_vec()
        }
        LDS => {
            let mut listener = Listener::decode(&*bytes).unwrap();
            let chains = listener.filter_chains.iter_mut();
            for chain in chains.chain(&mut listener.default_filter_chain) {
                for filter in &mut chain.filters {
                    if let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type
                        && any.type_url.ends_with(".HttpConnectionManager")
                    {
                        let mut manager = HttpConnectionManager::decode(&*any.value).unwrap();
                        if let Some(RouteSpecifier::Rds(rds)) = &mut manager.route_specifier {
                            mark(build, &mut rds.config_source);
                        }
                        any.value = manager.encode_to_vec();
                    }
                }
                if let Some(socket) = &mut chain.transport_socket
                    && let Some(SocketConfig::TypedConfig(any)) = &mut socket.config_type
                {
                    let mut context = DownstreamTlsContext::decode(&*any.value).unwrap();
                    if let Some(common) = &mut context.common_tls_context {
                        for secret in &mut common.tls_certificate_sds_secret_configs {
                            mark(build, &mut secret.sds_config);
                        }
                    }
                    any.value = context.encode_to_vec();
                }
            }
            listener.encode_to_vec()
        }
        _ => bytes,
    }
}

fn mark(build: u16, source: &mut Option<ConfigSource>) {
    let source = source.as_mut().expect("a reference names its source");
    source.initial_fetch_timeout = Some(Duration {
        seconds: 15,
        nanos: i32::from(build) * 1_000_000,
    });
}
