//! One filter chain for each TLS server: its certificates, its TLS settings and its own route table.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use prost::{Message as _, Name as _};
use tls::tls_parameters::TlsProtocol;

use super::edge::Edge;
use super::encode::{ads, duration, encoded_part, nested_before, reference};
use super::http_connection_manager;
use super::listener::{HANDSHAKE_TIMEOUT, HTTPS};
use crate::model::{TlsServer, TlsVersion};
use crate::xds::{Encoded, Part, ResourceType};

/// For TLS 1.2 (1.3 has only good ones): forward secrecy and authenticated encryption. In brackets: the client's
/// preference decides, so that phones without AES instructions get ChaCha20.
const CIPHER_SUITES: [&str; 4] = [
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// What the connection managers of all TLS servers have in common, encoded once: nine tenths of a filter chain.
#[derive(Clone, Debug)]
pub struct Manager(Arc<[u8]>);

impl Manager {
    /// The manager that these flags ask for.
    #[must_use]
    pub fn new(edge: &Edge) -> Self {
        let manager = http_connection_manager::without_routes(HTTPS, edge);
        Self(manager.encode_to_vec().into())
    }
}

/// `Listener.filter_chains`, `FilterChain.filters`, `Filter.typed_config`, `Any.value`: what the manager stands in.
const FILTER_CHAINS: u32 = 3;
const FILTERS: u32 = 3;
const TYPED_CONFIG: u32 = 4;
const VALUE: u32 = 2;

/// The fragment of the `https` listener that holds the server's filter chain, and its key among the listener's
/// parts. It says nothing about host names: they come and go without a change of the chain.
///
/// Fields of a message may come in any order. Here the innermost is last at each level, so that the bytes end with
/// those of the manager.
#[must_use]
pub fn filter_chain(server: &TlsServer, manager: &Manager) -> (Arc<str>, Part) {
    let Manager(tail) = manager;
    let around = |tag, mut before: Vec<u8>, inner: &[u8]| {
        before.extend(nested_before(tag, inner, tail.len()));
        before
    };
    let routes = HttpConnectionManager {
        route_specifier: Some(http_connection_manager::rds(&server.name)),
        ..Default::default()
    };
    let any = Any {
        type_url: HttpConnectionManager::type_url(),
        ..Default::default()
    };
    let filter = pb::Filter {
        name: http_connection_manager::NAME.to_owned(),
        ..Default::default()
    };
    let chain = pb::FilterChain {
        name: server.name.to_string(),
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(pack_any(
                context(server),
            ))),
        }),
        transport_socket_connect_timeout: duration(HANDSHAKE_TIMEOUT),
        ..Default::default()
    };
    let any = around(VALUE, any.encode_to_vec(), &routes.encode_to_vec());
    let filter = around(TYPED_CONFIG, filter.encode_to_vec(), &any);
    let chain = around(FILTERS, chain.encode_to_vec(), &filter);
    let own = nested_before(FILTER_CHAINS, &chain, tail.len());
    let mut references = BTreeSet::from([reference(ResourceType::Route, &server.name)]);
    references.extend(
        server
            .certificates
            .iter()
            .map(|name| reference(ResourceType::Secret, name)),
    );
    (
        format!("chain/{}", server.name).into(),
        encoded_part(
            Encoded::with_tail(own, tail.clone()),
            references,
            BTreeSet::from([&server.source.object]),
        ),
    )
}

fn context(server: &TlsServer) -> tls::DownstreamTlsContext {
    tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: version(server.settings.minimum).into(),
                tls_maximum_protocol_version: version(server.settings.maximum).into(),
                cipher_suites: CIPHER_SUITES.map(str::to_owned).into(),
                ..Default::default()
            }),
            // By name over SDS and never inline: a rotation then changes one secret and no listener.
            tls_certificate_sds_secret_configs: server
                .certificates
                .iter()
                .map(|name| tls::SdsSecretConfig {
                    name: name.to_string(),
                    sds_config: Some(ads()),
                })
                .collect(),
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// As a TLS parameter of either side.
pub(super) const fn version(version: TlsVersion) -> TlsProtocol {
    match version {
        TlsVersion::V1_2 => TlsProtocol::TlSv12,
        TlsVersion::V1_3 => TlsProtocol::TlSv13,
    }
}
