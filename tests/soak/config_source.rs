//! Another build of Isobath: one whose references to other resources have other bytes. Envoy keys subscriptions by
//! them, so it subscribes anew to names that it already holds (two outages of a peer in 2026).
//!
//! Every second build is also one from before retries, limits and offers were set as they are: an upgrade changes every
//! cluster, connection manager and table at once, and back again.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{ConfigSource, TypedExtensionConfig};
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use envoy_types::pb::google::protobuf::{Any, Duration};
use prost::Message as _;

use crate::support::ads::{CDS, ECDS, LDS, RDS};

/// Rewrites every reference of a resource as that build spells it: with the time-out of Envoy's default (15 s) and so
/// many milliseconds.
pub(crate) fn rewrite(build: u16, type_url: &str, bytes: Vec<u8>) -> Vec<u8> {
    let is_from_before = build % 2 == 1;
    match type_url {
        RDS if is_from_before => {
            let mut table = RouteConfiguration::decode(&*bytes).unwrap();
            table.request_headers_to_add.clear();
            for host in &mut table.virtual_hosts {
                host.request_body_buffer_limit = None;
            }
            table.encode_to_vec()
        }
        CDS => {
            let mut cluster = Cluster::decode(&*bytes).unwrap();
            if is_from_before {
                cluster.circuit_breakers = None;
            }
            if let Some(eds) = &mut cluster.eds_cluster_config {
                mark(build, &mut eds.eds_config);
            }
            cluster.encode_to_vec()
        }
        ECDS => {
            let mut extension = TypedExtensionConfig::decode(&*bytes).unwrap();
            of_manager(build, extension.typed_config.as_mut().unwrap());
            extension.encode_to_vec()
        }
        LDS => {
            let mut listener = Listener::decode(&*bytes).unwrap();
            let chains = listener.filter_chains.iter_mut();
            for chain in chains.chain(&mut listener.default_filter_chain) {
                for filter in &mut chain.filters {
                    if let Some(ConfigType::ConfigDiscovery(discovery)) = &mut filter.config_type {
                        mark(build, &mut discovery.config_source);
                    }
                    if let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type
                        && any.type_url.ends_with(".HttpConnectionManager")
                    {
                        of_manager(build, any);
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

fn of_manager(build: u16, any: &mut Any) {
    let mut manager = HttpConnectionManager::decode(&*any.value).unwrap();
    if let Some(RouteSpecifier::Rds(rds)) = &mut manager.route_specifier {
        mark(build, &mut rds.config_source);
    }
    if build % 2 == 1
        && let Some(options) = &mut manager.http_protocol_options
    {
        options.ignore_http_11_upgrade.clear();
        options.allow_custom_methods = false;
        options.default_host_for_http_10.clear();
    }
    any.value = manager.encode_to_vec();
}

fn mark(build: u16, source: &mut Option<ConfigSource>) {
    let source = source.as_mut().expect("a reference names its source");
    source.initial_fetch_timeout = Some(Duration {
        seconds: 15,
        nanos: i32::from(build) * 1_000_000,
    });
}
