//! The settings of HTTP connection managers: what a request from the internet may do before a route sees it.
//!
//! The bytes depend on the operator's flags alone, and on no object. Whatever differs per host belongs in routes: a
//! connection keeps the manager that it was accepted with. The resources are made in [`super::manager`].

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::util::pack_any;
use hcm::http_connection_manager as inner;

use super::edge::{Edge, EscapedSlashes, ServerHeader, Underscores};
use super::encode::{ads, bool_value, duration, seconds, u32_value};
use super::{
    access_log, early_header_mutation, filters, http_filter, ingress_metrics, local_reply,
    opentelemetry, request_checks, upgrade,
};

/// Until a request's headers are received (slow-loris).
const REQUEST_HEADERS_TIMEOUT: u64 = 10;
/// The host of a request of HTTP/1.0 that names none: no name that anybody can have (RFC 6761), so that rules for
/// hosts that nobody names serve it.
const NO_HOST: &str = "no-host.invalid";
/// Half of what a flow-control window can be (RFC 9113, 6.9.1), as a connection has two of them.
pub const MAX_WINDOW_KIB: u32 = (1 << 20) - 1;

/// What Envoy takes as a window over QUIC, of a stream and of a connection.
const MAX_QUIC_WINDOW_KIB: u32 = 16 << 10;
const MAX_QUIC_CONNECTION_WINDOW_KIB: u32 = 24 << 10;

/// What all managers of one listener have in common: everything but their routes.
pub(super) fn without_routes(stat_prefix: &str, edge: &Edge) -> hcm::HttpConnectionManager {
    let log = access_log::access_log(&edge.access_log);
    let mut access_log: Vec<_> = log.into_iter().collect();
    if edge.ingress_metrics {
        access_log.extend(ingress_metrics::loggers());
    }
    hcm::HttpConnectionManager {
        stat_prefix: stat_prefix.to_owned(),
        access_log,
        early_header_mutation_extensions: vec![early_header_mutation::removal(edge)],
        http_filters: [request_checks::filter(edge)]
            .into_iter()
            .chain(filters::installed())
            .chain([http_filter::router()])
            .collect(),
        // On every route: a back end that does not speak WebSocket refuses the upgrade itself.
        upgrade_configs: edge
            .upgrades
            .iter()
            .map(|name| inner::UpgradeConfig {
                upgrade_type: name.clone(),
                ..Default::default()
            })
            .collect(),
        local_reply_config: Some(local_reply::config(edge)),
        tracing: edge.tracing.as_ref().map(opentelemetry::tracing),
        ..edge_defaults(edge)
    }
}

/// The same for connections over QUIC.
pub(super) fn over_quic(stat_prefix: &str, edge: &Edge) -> hcm::HttpConnectionManager {
    hcm::HttpConnectionManager {
        codec_type: inner::CodecType::Http3.into(),
        http_protocol_options: None,
        http2_protocol_options: None,
        http3_protocol_options: Some(core::Http3ProtocolOptions {
            quic_protocol_options: Some(quic_options(edge)),
            override_stream_error_on_invalid_http_message: bool_value(true),
            ..Default::default()
        }),
        ..without_routes(stat_prefix, edge)
    }
}

/// Routes from the table of that name.
pub(super) fn rds(table: &str) -> inner::RouteSpecifier {
    inner::RouteSpecifier::Rds(hcm::Rds {
        config_source: Some(ads()),
        route_config_name: table.to_owned(),
    })
}

/// What Envoy's edge guide and Isobath's threat model ask for, on every listener that strangers reach.
pub(super) fn edge_defaults(edge: &Edge) -> hcm::HttpConnectionManager {
    hcm::HttpConnectionManager {
        codec_type: inner::CodecType::Auto.into(),

        // Who is the client? The peer of the connection, with nothing believed that it says about itself: without
        // this its X-Forwarded-For and x-envoy-* headers (retries, time-outs) are trusted. With proxies in front that
        // the operator trusts, the address that the last of them saw.
        use_remote_address: bool_value(true),
        xff_num_trusted_hops: edge.trusted_hops,
        // A balancer that ends TLS and knows no HTTP says so by the port that the client asked it for.
        forward_proto_config: edge.proxy_protocol.then(|| hcm::ForwardProtoConfig {
            https_destination_ports: https_ports(edge),
            http_destination_ports: vec![80],
        }),
        // No address is internal: else its peers' x-envoy-* headers and request ids are trusted (CVE-2024-45806). The
        // default has changed between versions. Set but without a range it is, in Envoy 1.40, all of RFC 1918 and
        // loopback (seen), so there is one: an address that no peer can have.
        internal_address_config: Some(inner::InternalAddressConfig {
            cidr_ranges: vec![core::CidrRange {
                address_prefix: "255.255.255.255".to_owned(),
                prefix_len: u32_value(32),
            }],
            ..Default::default()
        }),
        forward_client_cert_details: inner::ForwardClientCertDetails::Sanitize.into(),
        // An id from outside would let strangers write into our traces and logs.
        preserve_external_request_id: false,

        // One spelling of a path, for the route and for the back end alike.
        normalize_path: bool_value(true),
        merge_slashes: edge.merge_slashes,
        path_with_escaped_slashes_action: escaped_slashes(edge.escaped_slashes).into(),
        // `a.example.com.` is `a.example.com`: else the dot chooses other routes (CVE-2022-23632 of Traefik). The
        // port stays: stripping it would change what back ends see, so the tables ignore it instead.
        strip_trailing_host_dot: true,

        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: duration(edge.idle_timeout),
            max_connection_duration: edge.max_connection_duration.and_then(duration),
            max_requests_per_connection: edge.max_requests_per_connection.and_then(u32_value),
            headers_with_underscores_action: underscores(edge.underscores).into(),
            max_headers_count: u32_value(edge.max_headers),
            ..Default::default()
        }),
        max_request_headers_kb: u32_value(edge.max_headers_kib),
        // The limit for routes without time-out. Zero is none, in both; unset it would be Envoy's default.
        stream_idle_timeout: duration(edge.stream_idle_timeout),
        request_timeout: duration(edge.request_timeout),
        request_headers_timeout: seconds(REQUEST_HEADERS_TIMEOUT),
        delayed_close_timeout: edge.delayed_close_timeout.and_then(duration),
        drain_timeout: edge.drain_timeout.and_then(duration),

        http_protocol_options: Some(core::Http1ProtocolOptions {
            // Health checks of load balancers and simple tools, the oldest of which name no host.
            accept_http_10: true,
            default_host_for_http_10: NO_HOST.to_owned(),
            // A method is the application's word: WebDAV, Subversion, Vault's LIST. HTTP/2 takes any as it is.
            allow_custom_methods: true,
            // An offer, which a server may ignore (RFC 9110, 7.8); Envoy's own answer to one that it has no
            // configuration for is 403. Java's client offers `TLS/1.2` with every request.
            ignore_http_11_upgrade: vec![upgrade::none_of(&edge.upgrades)],
            ..Default::default()
        }),
        http2_protocol_options: Some(http2_options(edge)),

        server_header_transformation: match edge.server_header {
            ServerHeader::PassThrough => inner::ServerHeaderTransformation::PassThrough,
            ServerHeader::Overwrite => inner::ServerHeaderTransformation::Overwrite,
            ServerHeader::AppendIfAbsent => inner::ServerHeaderTransformation::AppendIfAbsent,
        }
        .into(),
        ..Default::default()
    }
}

fn http2_options(edge: &Edge) -> core::Http2ProtocolOptions {
    let window = edge.http2_window_kib.min(MAX_WINDOW_KIB) * 1024;
    core::Http2ProtocolOptions {
        // Bounds of what one connection can make us hold; Envoy's defaults are 1024 streams and 16 MiB windows.
        max_concurrent_streams: u32_value(edge.max_concurrent_streams),
        // An upload moves one window a round trip: 10 MB from 100 ms away took 16 s with 64 KiB, and 1.2 s so. Two
        // streams' worth for a connection, so that one that stalls leaves room for the others. It is no memory of ours:
        // Envoy reads no further than its buffer (80 clients with 4 MiB each for a back end that reads nothing: 30 MB).
        initial_stream_window_size: u32_value(window),
        initial_connection_window_size: u32_value(2 * window),
        // A request that is malformed costs its stream (RFC 9113, 8.1.1) and not the others of the connection, which
        // may be other people's behind one proxy. What breaks the connection's own state, or floods it, still ends it.
        override_stream_error_on_invalid_http_message: bool_value(true),
        // Finds clients that vanished without closing.
        connection_keepalive: Some(core::KeepaliveSettings {
            interval: seconds(60),
            timeout: seconds(20),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The bounds of [`http2_options`] for a connection over QUIC, where a window is at most 16 MiB for a stream and 24 MiB for a
/// connection.
pub(super) fn quic_options(edge: &Edge) -> core::QuicProtocolOptions {
    let window = |kib: u32, most: u32| u32_value(kib.min(most) * 1024);
    let kib = edge.http2_window_kib;
    core::QuicProtocolOptions {
        max_concurrent_streams: u32_value(edge.max_concurrent_streams),
        initial_stream_window_size: window(kib, MAX_QUIC_WINDOW_KIB),
        initial_connection_window_size: window(
            kib.saturating_mul(2),
            MAX_QUIC_CONNECTION_WINDOW_KIB,
        ),
        ..Default::default()
    }
}

/// The ports of a PROXY header that stand for HTTPS.
fn https_ports(edge: &Edge) -> Vec<u32> {
    let others = edge.https_port.filter(|port| ![80, 443].contains(port));
    std::iter::once(443).chain(others).map(u32::from).collect()
}

fn underscores(action: Underscores) -> core::http_protocol_options::HeadersWithUnderscoresAction {
    use core::http_protocol_options::HeadersWithUnderscoresAction as Envoy;
    match action {
        Underscores::Reject => Envoy::RejectRequest,
        Underscores::Drop => Envoy::DropHeader,
        Underscores::Keep => Envoy::Allow,
    }
}

fn escaped_slashes(action: EscapedSlashes) -> inner::PathWithEscapedSlashesAction {
    use inner::PathWithEscapedSlashesAction as Envoy;
    match action {
        EscapedSlashes::UnescapeAndRedirect => Envoy::UnescapeAndRedirect,
        EscapedSlashes::UnescapeAndForward => Envoy::UnescapeAndForward,
        EscapedSlashes::Reject => Envoy::RejectRequest,
        EscapedSlashes::Keep => Envoy::KeepUnchanged,
    }
}

/// The name of the network filter.
pub(super) const NAME: &str = "envoy.filters.network.http_connection_manager";

pub(super) fn filter(manager: hcm::HttpConnectionManager) -> Filter {
    Filter {
        name: NAME.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(manager))),
    }
}
