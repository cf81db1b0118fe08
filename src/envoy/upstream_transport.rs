//! What a connection to an endpoint begins with: a PROXY header, TLS.

use core::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets as sockets;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use sockets::raw_buffer::v3::RawBuffer;
use sockets::tls::v3 as tls;

use super::filter_chain::version;
use crate::model::{Cluster, Discovery, ProxyProtocol, TlsVersion, UpstreamProtocol};

/// None for clear text and nothing before it.
pub(super) fn transport_socket(cluster: &Cluster) -> Option<core::TransportSocket> {
    let inner = match cluster.settings.protocol {
        UpstreamProtocol::Http1 | UpstreamProtocol::H2c => None,
        UpstreamProtocol::Tls => Some(over_tls(cluster, "http/1.1")),
        UpstreamProtocol::H2 => Some(over_tls(cluster, "h2")),
    };
    match cluster.settings.proxy_protocol {
        None => inner,
        Some(version) => Some(with_proxy_header(version, inner)),
    }
}

/// Envoy puts requests of clients with different addresses on different connections then.
fn with_proxy_header(
    version: ProxyProtocol,
    inner: Option<core::TransportSocket>,
) -> core::TransportSocket {
    use core::proxy_protocol_config::Version;
    let raw = || socket("envoy.transport_sockets.raw_buffer", pack_any(RawBuffer {}));
    let transport = ProxyProtocolUpstreamTransport {
        config: Some(core::ProxyProtocolConfig {
            version: match version {
                ProxyProtocol::V1 => Version::V1,
                ProxyProtocol::V2 => Version::V2,
            }
            .into(),
            ..Default::default()
        }),
        transport_socket: Some(inner.unwrap_or_else(raw)),
        ..Default::default()
    };
    let name = "envoy.transport_sockets.upstream_proxy_protocol";
    socket(name, pack_any(transport))
}

/// TLS without verification, as Contour does where nobody gave a CA: it keeps the wire private from onlookers and
/// takes the endpoint's word for who it is. SNI is unset then (an endpoint is an address), but for DNS names.
fn over_tls(cluster: &Cluster, alpn: &str) -> core::TransportSocket {
    let sni = match &cluster.discovery {
        Discovery::Endpoints => String::new(),
        Discovery::Dns { hostname, .. } => hostname.to_string(),
    };
    let context = tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: version(TlsVersion::V1_2).into(),
                tls_maximum_protocol_version: version(TlsVersion::V1_3).into(),
                ..Default::default()
            }),
            alpn_protocols: vec![alpn.to_owned()],
            ..Default::default()
        }),
        sni,
        ..Default::default()
    };
    socket("envoy.transport_sockets.tls", pack_any(context))
}

fn socket(name: &str, config: Any) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}
