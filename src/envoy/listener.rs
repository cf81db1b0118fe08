//! Listeners: those that somebody declares ([`Listener`]), among them `http` and `https`, and `stats`.
//!
//! `http`, `https` and `stats` are there from the first snapshot on, with routes or without. Nothing in the head of a
//! listener depends on any host: what changes is in route tables, and for TLS in filter chains and the names that choose
//! them. Envoy takes a change of those two in place, so a new host closes no connection of another one.

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
use super::encode::{duration, listen_address, listen_datagrams, own_part, reference, u32_value};
use super::{forwarding, manager, server_name, stats};
use crate::model::{Application, Http3, Listener};
use crate::xds::{Part, Resource, ResourceType};

/// Name of the listener for clear text that Ingresses are served on, and of its route table.
pub const HTTP: &str = Listener::HTTP;
/// Name of the listener for TLS that Ingresses are served on.
pub const HTTPS: &str = Listener::HTTPS;

/// By which clients reach HTTPS, where nobody says otherwise.
const HTTPS_PORT: u16 = 443;

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

impl Config {
    /// The listeners that Ingresses are served on.
    #[must_use]
    pub fn built_in(&self) -> [Listener; 2] {
        let tls = match self.edge.http3 {
            false => Application::Tls,
            true => Application::TlsAndHttp3(Http3 {
                advertised_port: self.edge.https_port.unwrap_or(HTTPS_PORT),
            }),
        };
        [
            (HTTP, self.http, Application::Http),
            (HTTPS, self.https, tls),
        ]
        .map(|(name, address, application)| Listener {
            name: name.into(),
            address,
            application,
        })
    }
}

/// What of a listener does not depend on hosts: all of it, or with TLS its head. Such a head alone is a complete listener that
/// accepts connections and closes them, so that the first host is a change in place and not a new port. What it is over QUIC
/// is another listener to Envoy ([`super::http3`]).
#[must_use]
pub fn head(listener: &Listener, edge: &Edge) -> Part {
    let name = &listener.name;
    let address = listener.address;
    match &listener.application {
        Application::Http => http(name, address, edge),
        Application::Tls | Application::TlsAndHttp3(_) => tls(name, address, edge),
        Application::Tcp(forwarding) => {
            let chain = pb::FilterChain {
                name: name.to_string(),
                filters: vec![forwarding::tcp_proxy(name, forwarding)],
                ..Default::default()
            };
            let listener = pb::Listener {
                listener_filters: proxy_protocol(edge).into_iter().collect(),
                filter_chains: vec![chain],
                ..over_tcp(name, address)
            };
            own_part(&listener, forwarding::clusters(forwarding).collect())
        }
        Application::Udp(forwarding) => {
            let listener = pb::Listener {
                name: name.to_string(),
                stat_prefix: name.to_string(),
                address: Some(listen_datagrams(address)),
                udp_listener_config: Some(pb::UdpListenerConfig::default()),
                listener_filters: vec![forwarding::udp_proxy(name, forwarding)],
                ..Default::default()
            };
            own_part(&listener, forwarding::clusters(forwarding).collect())
        }
    }
}

/// A listener as it is without hosts.
#[must_use]
pub fn listener(listener: &Listener, edge: &Edge) -> Resource {
    Resource::whole(listener.name.clone(), head(listener, edge))
}

/// The managers of a listener over TCP, by [`manager`].
#[must_use]
pub fn managers(listener: &Listener, edge: &Edge) -> Vec<Resource> {
    match &listener.application {
        Application::Http => vec![manager::http(&listener.name, edge)],
        Application::Tls | Application::TlsAndHttp3(_) => manager::tls(&listener.name, edge).into(),
        Application::Tcp(_) | Application::Udp(_) => Vec::new(),
    }
}

fn http(name: &Arc<str>, address: SocketAddr, edge: &Edge) -> Part {
    let manager = manager::in_clear(name);
    let listener = pb::Listener {
        listener_filters: proxy_protocol(edge).into_iter().collect(),
        filter_chains: vec![pb::FilterChain {
            name: name.to_string(),
            filters: vec![manager::filter(&manager, manager::http_routes(name))],
            ..Default::default()
        }],
        ..over_tcp(name, address)
    };
    let manager = reference(ResourceType::Extension, &manager);
    own_part(&listener, BTreeSet::from([manager]))
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
        ..over_tcp(stats::NAME, config.stats)
    };
    Resource::whole(stats::NAME.into(), own_part(&listener, BTreeSet::new()))
}

fn tls(name: &Arc<str>, address: SocketAddr, edge: &Edge) -> Part {
    let tls_inspector = pb::ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(pack_any(
            TlsInspector::default(),
        ))),
        ..Default::default()
    };
    let listener = pb::Listener {
        listener_filters: proxy_protocol(edge)
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
        ..over_tcp(name, address)
    };
    let managers = manager::names(name).map(|name| reference(ResourceType::Extension, &name));
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

fn over_tcp(name: &str, address: SocketAddr) -> pb::Listener {
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
