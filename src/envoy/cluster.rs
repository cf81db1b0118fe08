//! A cluster: how Envoy speaks to the endpoints of one Service port.
//!
//! Nothing in it may change for reasons of endpoints: Envoy replaces a changed cluster with all its connections.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use http::http_protocol_options::explicit_http_config::ProtocolConfig;
use pb::cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily};

use super::encode::{ads, duration, part, reference, u32_value};
use super::endpoint::{lb_endpoint, socket_endpoint};
use super::health_check::{health_check, outlier_detection};
use super::listener::BUFFER_LIMIT;
use super::load_balancing::load_balancing;
use super::upstream_transport::{secrets, transport_socket};
use crate::model::{
    self, CircuitBreakers, Cluster, ClusterSettings, Discovery, RetryBudget, ServerName,
    SocketPath, UpstreamProtocol,
};
use crate::xds::{Reference, Resource, ResourceType};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What a cluster may have at once of connections, of requests that wait for one and of requests, where its Service says
/// nothing: Envoy's own 1,024 is a threshold that nobody chose. A Service of 1,100 WebSockets met it. This many no Envoy
/// reaches that takes 50,000 connections.
pub const LIMIT: u32 = 1_000_000;

/// Retries at once, in percent of the requests that are under way, where the Service says nothing: no more than doubles
/// what a struggling back end gets. Envoy's own 3 retries were met by 200 requests while one of two endpoints was down.
const RETRIES: f64 = 100.0;
/// So many are allowed in any case, because requests that wait for their next try are not under way. Measured with 300
/// requests at once to the only endpoint, which refuses: without this 270 of their tries are kept from it, with it none. With
/// 5,000 requests and one of two endpoints down, all are answered.
const LEAST_RETRIES: u32 = 1000;

/// The cluster. With [`Discovery::Endpoints`] it refers to the load assignment of its own name: no two clusters share
/// one, because Envoy lets the second one wait.
#[must_use]
pub fn cluster(cluster: &Cluster) -> Resource {
    let settings = &cluster.settings;
    let checks = settings.health_check.iter();
    let checks = checks.map(|check| health_check(check, settings.protocol));
    let (lb_policy, lb_config) = load_balancing(&settings.load_balancing);
    let mut message = pb::Cluster {
        name: cluster.name.to_string(),
        connect_timeout: duration(connect_timeout(settings)),
        lb_policy: lb_policy.into(),
        lb_config,
        per_connection_buffer_limit_bytes: u32_value(
            settings.per_connection_buffer_limit.unwrap_or(BUFFER_LIMIT),
        ),
        common_lb_config: Some(pb::cluster::CommonLbConfig {
            healthy_panic_threshold: Some(Percent {
                value: settings.panic_threshold.get().into(),
            }),
            ..Default::default()
        }),
        // An endpoint that Kubernetes withdraws goes at once, whatever Envoy thinks of its health.
        ignore_health_on_host_removal: true,
        health_checks: checks.collect(),
        outlier_detection: Some(outlier_detection(&settings.outlier_detection)),
        circuit_breakers: Some(circuit_breakers(&settings.circuit_breakers)),
        upstream_connection_options: Some(pb::UpstreamConnectionOptions {
            // Finds endpoints whose node is gone before a request does.
            tcp_keepalive: Some(core::TcpKeepalive {
                keepalive_time: u32_value(30),
                keepalive_interval: u32_value(5),
                keepalive_probes: u32_value(3),
            }),
            ..Default::default()
        }),
        typed_extension_protocol_options: protocol_options(settings),
        transport_socket: transport_socket(cluster),
        ..Default::default()
    };
    let mut references: BTreeSet<Reference> = secrets(settings)
        .map(|name| reference(ResourceType::Secret, name))
        .collect();
    match &cluster.discovery {
        Discovery::Endpoints => {
            references.insert(reference(ResourceType::Endpoint, &cluster.name));
            message.cluster_discovery_type =
                Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into()));
            message.eds_cluster_config = Some(pb::cluster::EdsClusterConfig {
                eds_config: Some(ads()),
                ..Default::default()
            });
        }
        Discovery::Dns { hostname, port } => {
            let check = settings.health_check.as_ref();
            let health_port = check.and_then(|check| check.port);
            let endpoint = lb_endpoint(looked_up(hostname), *port, health_port);
            dns(&mut message, endpoint, settings.dns_lookup_family);
        }
        Discovery::Socket(path) => socket(&mut message, path),
    }
    Resource::whole(
        cluster.name.clone(),
        part(
            &message,
            references,
            cluster.source.iter().map(|it| &it.object).collect(),
        ),
    )
}

/// A name, or an address, as it is looked up. The dot says that the name is whole: without it the resolver appends the pod's
/// search domains first, and `web.team` is a Service of another namespace. A name that has one has no other, and an address
/// with one is no address.
fn looked_up(hostname: &str) -> String {
    match hostname.parse::<IpAddr>() {
        Ok(_) => hostname.to_owned(),
        Err(_) => format!("{}.", hostname.trim_end_matches('.')),
    }
}

/// Look-ups go on in the background and a failed one keeps the old addresses. Envoy takes what DNS says, and has no
/// means to refuse an address that a look-up came to: that a name does not lead to loopback or metadata addresses is
/// for the one who allows ExternalName to know.
fn dns(message: &mut pb::Cluster, endpoint: LbEndpoint, family: model::DnsLookupFamily) {
    message.cluster_discovery_type =
        Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into()));
    message.dns_lookup_family = match family {
        // Most clusters have no IPv6 to the outside; a name with both must still work there.
        model::DnsLookupFamily::V4Preferred => DnsLookupFamily::V4Preferred,
        model::DnsLookupFamily::Auto => DnsLookupFamily::Auto,
        model::DnsLookupFamily::V4 => DnsLookupFamily::V4Only,
        model::DnsLookupFamily::V6 => DnsLookupFamily::V6Only,
        model::DnsLookupFamily::All => DnsLookupFamily::All,
    }
    .into();
    message.load_assignment = Some(ClusterLoadAssignment {
        cluster_name: message.name.clone(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: vec![endpoint],
            ..Default::default()
        }],
        ..Default::default()
    });
}

fn socket(message: &mut pb::Cluster, path: &SocketPath) {
    message.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into()));
    message.load_assignment = Some(ClusterLoadAssignment {
        cluster_name: message.name.clone(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: vec![socket_endpoint(path.as_str().to_owned())],
            ..Default::default()
        }],
        ..Default::default()
    });
    // They are about TCP.
    message.upstream_connection_options = None;
}

/// Envoy refuses one of nothing.
fn connect_timeout(settings: &ClusterSettings) -> Duration {
    let asked = settings.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    asked.max(Duration::from_millis(1))
}

fn circuit_breakers(limits: &CircuitBreakers) -> pb::CircuitBreakers {
    let limit = |limit: Option<u32>| u32_value(limit.unwrap_or(LIMIT));
    let per_host_thresholds =
        limits
            .per_host_max_connections
            .map(|limit| pb::circuit_breakers::Thresholds {
                max_connections: u32_value(limit),
                ..Default::default()
            });
    pb::CircuitBreakers {
        thresholds: vec![pb::circuit_breakers::Thresholds {
            max_connections: limit(limits.max_connections),
            max_pending_requests: limit(limits.max_pending_requests),
            max_requests: limit(limits.max_requests),
            max_retries: limits.max_retries.and_then(u32_value),
            retry_budget: limits
                .max_retries
                .is_none()
                .then(|| retry_budget(limits.retry_budget)),
            // Who sets limits wants to see how near they are.
            track_remaining: *limits != CircuitBreakers::default(),
            ..Default::default()
        }],
        per_host_thresholds: per_host_thresholds.into_iter().collect(),
    }
}

fn retry_budget(asked: Option<RetryBudget>) -> pb::circuit_breakers::thresholds::RetryBudget {
    let (percent, least) = asked.map_or((RETRIES, LEAST_RETRIES), |asked| {
        (f64::from(asked.percent.min(100)), asked.least)
    });
    pb::circuit_breakers::thresholds::RetryBudget {
        budget_percent: Some(Percent { value: percent }),
        min_retry_concurrency: u32_value(least),
        ..Default::default()
    }
}

/// One entry at most: the map's encoding order is random. HTTP/1.1, connections kept for an hour, is what Envoy speaks
/// when nothing is said.
fn protocol_options(settings: &ClusterSettings) -> HashMap<String, Any> {
    use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    let by_host = by_request_host(settings);
    let is_said = settings.idle_timeout.is_some() || settings.max_requests_per_connection.is_some();
    let common = is_said.then(|| core::HttpProtocolOptions {
        idle_timeout: settings.idle_timeout.and_then(duration),
        max_requests_per_connection: settings
            .max_requests_per_connection
            .and_then(|most| u32_value(most.get())),
        ..Default::default()
    });
    let explicit = match settings.protocol {
        UpstreamProtocol::TcpOverTls | UpstreamProtocol::Udp => return HashMap::new(),
        UpstreamProtocol::Http1 | UpstreamProtocol::Tls => {
            if common.is_none() && by_host.is_none() {
                return HashMap::new();
            }
            ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())
        }
        UpstreamProtocol::H2c | UpstreamProtocol::H2 => http2(),
    };
    let options = http::HttpProtocolOptions {
        common_http_protocol_options: common,
        upstream_http_protocol_options: by_host,
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(explicit),
            },
        )),
        ..Default::default()
    };
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    HashMap::from([(name.to_owned(), pack_any(options))])
}

/// The request's Host as server name, and as the name that is verified where nobody gave another. Envoy keeps connections
/// for each apart.
fn by_request_host(settings: &ClusterSettings) -> Option<core::UpstreamHttpProtocolOptions> {
    let tls = &settings.tls;
    let is_asked = tls.server_name == ServerName::RequestHost && settings.protocol.is_tls();
    is_asked.then(|| core::UpstreamHttpProtocolOptions {
        auto_sni: true,
        auto_san_validation: tls
            .verification
            .as_ref()
            .is_some_and(|it| it.names.is_empty()),
        ..Default::default()
    })
}

/// No pings: gRPC servers close connections that ping more often than every five minutes (`too_many_pings`).
fn http2() -> ProtocolConfig {
    ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions {
        initial_stream_window_size: u32_value(64 * 1024),
        initial_connection_window_size: u32_value(1024 * 1024),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_whole() {
        for (hostname, expected) in [
            ("db.example.net", "db.example.net."),
            ("db.example.net.", "db.example.net."),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(looked_up(hostname), expected);
        }
    }
}
