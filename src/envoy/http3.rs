//! HTTP/3: what a listener for TLS is over QUIC, at the same port of UDP. Another listener to Envoy, with the same names,
//! certificates, tables and scopes: what it lacks is what QUIC can't honour ([`TlsServer::is_for_http3`]).
//!
//! - Each chain has the whole manager, which Envoy lets nobody bring later here (1.40), so what the operator decides changes
//!   all chains. Their bytes share it.
//! - It is there while a host is: Envoy takes no listener of QUIC without a certificate. Hosts come and go in place, and
//!   connections stay open meanwhile, those of a chain that is gone too (Envoy 1.40).
//! - A name that it does not serve gets no answer at all: clients go on over TCP, which they race against QUIC.
//! - Requests come after the handshake only. Early data could be sent again by whoever sees it (RFC 8470).
//! - Envoy has no name of the chain for requests over QUIC (1.40), so each chain says itself which scope its connections
//!   have: in their filter state, which strangers can't reach.
//! - Its log has a warning for each connection with a name that it does not serve, or one in capitals.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::edge::Edge;
use super::encode::{
    bool_value, duration, encoded_part, listen_datagrams, nested, own_part, reference, u32_value,
};
use super::header::literal;
use super::http_connection_manager::quic_options;
use super::listener::{BUFFER_LIMIT, HANDSHAKE_TIMEOUT};
use super::{filter_chain, filter_state, manager, server_name};
use crate::model::{Host, Http3, TlsServer};
use crate::xds::{Encoded, Part, ResourceType};

/// `Listener.filter_chains`, `FilterChain.filters`: what is put together from encoded parts.
const FILTER_CHAINS: u32 = 3;
const FILTERS: u32 = 3;

/// How long clients remember what answers tell them.
const MAX_AGE: u32 = 86_400;

/// `alt-svc` (RFC 7838).
pub(super) fn alt_svc(http3: Http3) -> String {
    format!("h3=\":{}\"; ma={MAX_AGE}", http3.advertised_port)
}

/// The name of what is there over QUIC beside this listener.
#[must_use]
pub fn name(listener: &str) -> Arc<str> {
    format!("{listener}>http3").into()
}

/// The manager of a listener as its chains have it, encoded once.
#[derive(Clone, Debug)]
pub struct Manager(Arc<[u8]>);

impl Manager {
    /// The one that these flags ask for.
    #[must_use]
    pub fn new(listener: &str, edge: &Edge) -> Self {
        let filter = manager::over_quic(listener, edge).encode_to_vec();
        Self(nested(FILTERS, &filter).into())
    }
}

/// The listener without hosts, which Envoy does not take. `None` where connections over QUIC could not be told who their client
/// is.
#[must_use]
pub fn head(listener: &str, address: SocketAddr, edge: &Edge) -> Option<Part> {
    if edge.proxy_protocol {
        return None;
    }
    let name = self::name(listener);
    let listener = pb::Listener {
        name: name.to_string(),
        stat_prefix: name.to_string(),
        address: Some(listen_datagrams(address)),
        per_connection_buffer_limit_bytes: u32_value(BUFFER_LIMIT),
        udp_listener_config: Some(pb::UdpListenerConfig {
            quic_options: Some(pb::QuicProtocolOptions {
                quic_protocol_options: Some(quic_options(edge)),
                crypto_handshake_timeout: duration(HANDSHAKE_TIMEOUT),
                ..Default::default()
            }),
            ..Default::default()
        }),
        filter_chain_matcher: Some(server_name::root()),
        ..Default::default()
    };
    Some(own_part(&listener, manager::collector(edge)))
}

/// The fragment with a filter chain of the server, for its hosts or for one of its wildcards, and its key: that of
/// [`filter_chain::filter_chain`].
#[must_use]
pub fn filter_chain(
    manager: &Manager,
    server: &TlsServer,
    wildcard: Option<&Host>,
) -> (Arc<str>, Part) {
    let (name, scope) = match wildcard {
        Some(host) => (host.as_str(), literal(host.as_str())),
        None => (&*server.name, manager::SERVER_NAME_FORMAT.to_owned()),
    };
    let transport = QuicDownstreamTransport {
        downstream_tls_context: Some(context(server)),
        enable_early_data: bool_value(false),
        ..Default::default()
    };
    let chain = pb::FilterChain {
        name: name.to_owned(),
        filters: vec![filter_state::set(manager::SCOPE_STATE, scope)],
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.quic".to_owned(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(pack_any(
                transport,
            ))),
        }),
        ..Default::default()
    };
    // Filters in their order, which other fields have no part in.
    let Manager(last) = manager;
    let mut bytes = Vec::new();
    encode_key(FILTER_CHAINS, WireType::LengthDelimited, &mut bytes);
    encode_varint((chain.encoded_len() + last.len()) as u64, &mut bytes);
    bytes.extend(chain.encode_to_vec());
    let secrets = server.certificates.iter();
    let references = secrets.map(|name| reference(ResourceType::Secret, name));
    let owners = BTreeSet::from([&server.source.object]);
    let bytes = Encoded::with_tail(bytes, last.clone());
    (
        filter_chain::key(name),
        encoded_part(bytes, references.collect(), owners),
    )
}

/// QUIC has TLS 1.3 only, so there is nothing to choose.
fn context(server: &TlsServer) -> tls::DownstreamTlsContext {
    let mut context = filter_chain::context(server, &["h3"]);
    if let Some(common) = &mut context.common_tls_context {
        common.tls_params = None;
    }
    context
}
