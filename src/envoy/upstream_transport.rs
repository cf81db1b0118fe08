//! What a connection to an endpoint begins with: a PROXY header, TLS.

use core::transport_socket::ConfigType;
use core::{DataSource, data_source::Specifier};
use std::net::IpAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets as sockets;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use sockets::raw_buffer::v3::RawBuffer;
use sockets::tls::v3 as tls;
use tls::common_tls_context::ValidationContextType;
use tls::subject_alt_name_matcher::SanType;

use super::encode::sds;
use super::tls_parameters::tls_parameters;
use crate::model::{
    Authorities, Cluster, ClusterSettings, Discovery, ProxyProtocol, ServerName, SubjectAltName,
    UpstreamProtocol, Verification,
};

/// Where the images of Envoy, and Debian and its kin, have the authorities that a machine trusts. Envoy 1.40 has a field of
/// its own for them, `system_root_certs`, and takes every endpoint for good where only that is set. A file that is not there
/// has the cluster refused.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// None for clear text and nothing before it.
pub(super) fn transport_socket(cluster: &Cluster) -> Option<core::TransportSocket> {
    let inner = match cluster.settings.protocol {
        UpstreamProtocol::Http1 | UpstreamProtocol::H2c | UpstreamProtocol::Udp => None,
        UpstreamProtocol::Tls => Some(over_tls(cluster, Some("http/1.1"))),
        UpstreamProtocol::H2 => Some(over_tls(cluster, Some("h2"))),
        UpstreamProtocol::TcpOverTls => Some(over_tls(cluster, None)),
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

/// TLS without verification where nobody gave authorities, as Contour does.
fn over_tls(cluster: &Cluster, alpn: Option<&str>) -> core::TransportSocket {
    let asked = &cluster.settings.tls;
    let sni = match (&asked.server_name, &cluster.discovery) {
        (ServerName::Name(name), _) => name.as_str().to_owned(),
        (ServerName::Discovered, Discovery::Dns { hostname, .. }) => server_name(hostname),
        // The request's Host is an option of HTTP.
        (ServerName::Discovered | ServerName::RequestHost, _) => String::new(),
    };
    let shown = asked.client_certificate.iter().map(sds);
    let context = tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls_parameters(&asked.parameters, &[])),
            tls_certificate_sds_secret_configs: shown.collect(),
            alpn_protocols: alpn.map(str::to_owned).into_iter().collect(),
            validation_context_type: asked.verification.as_ref().map(verification),
            ..Default::default()
        }),
        sni,
        ..Default::default()
    };
    socket("envoy.transport_sockets.tls", pack_any(context))
}

/// What the server is asked for by its name: an address is none, and none ends with a dot (RFC 6066, 3).
fn server_name(hostname: &str) -> String {
    match hostname.parse::<IpAddr>() {
        Ok(_) => String::new(),
        Err(_) => hostname.trim_end_matches('.').to_owned(),
    }
}

/// The secrets that it needs.
pub(super) fn secrets(settings: &ClusterSettings) -> impl Iterator<Item = &Arc<str>> {
    let is_tls = settings.protocol.is_tls();
    let tls = is_tls.then_some(&settings.tls).into_iter();
    tls.flat_map(|tls| {
        let authorities = tls.verification.iter().map(|it| &it.authorities);
        let bundles = authorities.filter_map(|authorities| match authorities {
            Authorities::System => None,
            Authorities::Bundle(name) => Some(name),
        });
        bundles.chain(&tls.client_certificate)
    })
}

fn verification(asked: &Verification) -> ValidationContextType {
    let names = asked.names.iter().map(alternative);
    let context = tls::CertificateValidationContext {
        match_typed_subject_alt_names: names.collect(),
        ..Default::default()
    };
    match &asked.authorities {
        Authorities::System => {
            ValidationContextType::ValidationContext(tls::CertificateValidationContext {
                trusted_ca: Some(DataSource {
                    specifier: Some(Specifier::Filename(SYSTEM.to_owned())),
                    ..Default::default()
                }),
                ..context
            })
        }
        Authorities::Bundle(name) => ValidationContextType::CombinedValidationContext(
            tls::common_tls_context::CombinedCertificateValidationContext {
                default_validation_context: Some(context),
                validation_context_sds_secret_config: Some(sds(name)),
                ..Default::default()
            },
        ),
    }
}

fn alternative(name: &SubjectAltName) -> tls::SubjectAltNameMatcher {
    let (san_type, text) = match name {
        SubjectAltName::Dns(name) => (SanType::Dns, name.as_str().to_owned()),
        SubjectAltName::Uri(uri) => (SanType::Uri, uri.as_str().to_owned()),
        SubjectAltName::Ip(ip) => (SanType::IpAddress, ip.to_string()),
    };
    tls::SubjectAltNameMatcher {
        san_type: san_type.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(text)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn socket(name: &str, config: Any) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_a_name() {
        for (hostname, expected) in [
            ("keys.example.net", "keys.example.net"),
            ("keys.example.net.", "keys.example.net"),
            ("192.0.2.7", ""),
            ("2001:db8::1", ""),
        ] {
            assert_eq!(server_name(hostname), expected);
        }
    }
}
