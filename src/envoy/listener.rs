//! The three listeners: `http`, `https`, `stats`.
//!
//! They are there from the first snapshot on, with routes or without, and nothing in their heads depends on any
//! object: what changes is in route tables, and for `https` in filter chains and the names that choose them. Envoy
//! takes a change of those two in place, so a new host closes no connection of another one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TcpKeepalive;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::filters::network::direct_response::v3 as direct_response;
use envoy_types::util::pack_any;

use super::edge::Edge;
use super::encode::{duration, listen_address, own_part, reference, u32_value};
use super::{manager, server_name, stats};
use crate::xds::{Part, Resource, ResourceType};

/// Name of the listener for clear text, and of its route table.
pub const HTTP: &str = "http";
/// Name of the listener for TLS.
pub const HTTPS: &str = "https";

/// Envoy's default of 1 MiB per connection and direction is too much at an edge of ten thousands of connections.
pub(super) const BUFFER_LIMIT: u32 = 32 * 1024;
/// For the ClientHello, and again for the rest of the handshake (slow-loris before any HTTP).
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where Envoy listens, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Clear text.
    pub http: SocketAddr,
    /// TLS.
    pub https: SocketAddr,
    /// `/ready` and `/metrics`.
    pub stats: SocketAddr,
    /// What holds for the first two.
    pub edge: Edge,
}

/// The listener for clear text, with its manager from [`manager`].
#[must_use]
pub fn http(config: &Config) -> Resource {
    let listener = pb::Listener {
        listener_filters: proxy_protocol(&config.edge).into_iter().collect(),
        filter_chains: vec![pb::FilterChain {
            name: HTTP.to_owned(),
            filters: vec![manager::filter(HTTP, manager::http_routes())],
            ..Default::default()
        }],
        ..listener(HTTP, config.http)
    };
    let manager = reference(ResourceType::Extension, &Arc::from(HTTP));
    Resource::whole(HTTP.into(), own_part(&listener, BTreeSet::from([manager])))
}

/// The listener for the kubelet and for Prometheus: GET `/ready` is 200 and, while Envoy drains, 503; GET `/metrics`
/// is Envoy's statistics. It needs the cluster [`super::bootstrap::ADMIN_CLUSTER`].
#[must_use]
pub fn stats(config: &Config) -> Resource {
    let listener = pb::Listener {
        filter_chains: vec![pb::FilterChain {
            name: stats::NAME.to_owned(),
            filters: vec![stats::network_filter()],
            ..Default::default()
        }],
        // An overloaded Envoy must still say that it is alive, or the kubelet takes it away and overloads the next.
        bypass_overload_manager: true,
        ignore_global_conn_limit: true,
        ..listener(stats::NAME, config.stats)
    };
    Resource::whole(stats::NAME.into(), own_part(&listener, BTreeSet::new()))
}

/// The head of the listener for TLS. Alone it is a complete listener that accepts connections and closes them, so
/// that the first host is a change in place and not a new port.
#[must_use]
pub fn https_head(config: &Config) -> Part {
    let tls_inspector = pb::ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(pack_any(
            TlsInspector::default(),
        ))),
        ..Default::default()
    };
    let listener = pb::Listener {
        listener_filters: proxy_protocol(&config.edge)
            .into_iter()
            .chain([tls_inspector])
            .collect(),
        filter_chain_matcher: Some(server_name::root()),
        default_filter_chain: Some(pb::FilterChain {
            name: "unknown-server-name".to_owned(),
            filters: vec![pb::Filter {
                name: "envoy.filters.network.direct_response".to_owned(),
                config_type: Some(pb::filter::ConfigType::TypedConfig(pack_any(
                    direct_response::Config::default(),
                ))),
            }],
            ..Default::default()
        }),
        ..listener(HTTPS, config.https)
    };
    let managers = [manager::HTTPS, manager::HTTPS_WILDCARD]
        .map(|name| reference(ResourceType::Extension, &Arc::from(name)));
    own_part(&listener, BTreeSet::from(managers))
}

/// Takes the client's address from a PROXY header (version 1 or 2), the first bytes of the connection. A connection without
/// the header is closed: it does not come through the balancer, and its client could write any header as well.
fn proxy_protocol(edge: &Edge) -> Option<pb::ListenerFilter> {
    edge.proxy_protocol.then(|| pb::ListenerFilter {
        name: "envoy.filters.listener.proxy_protocol".to_owned(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(pack_any(
            ProxyProtocol::default(),
        ))),
        ..Default::default()
    })
}

fn listener(name: &str, address: SocketAddr) -> pb::Listener {
    pb::Listener {
        name: name.to_owned(),
        // Else statistics are named by the address, which differs between hosts.
        stat_prefix: name.to_owned(),
        address: Some(listen_address(address)),
        per_connection_buffer_limit_bytes: u32_value(BUFFER_LIMIT),
        listener_filters_timeout: duration(HANDSHAKE_TIMEOUT),
        // Clients behind NATs and balancers that forget connections silently; Contour's values.
        tcp_keepalive: Some(TcpKeepalive {
            keepalive_time: u32_value(45),
            keepalive_interval: u32_value(5),
            keepalive_probes: u32_value(9),
        }),
        ..Default::default()
    }
}
