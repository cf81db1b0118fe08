//! One filter chain for the hosts of each TLS server, and one for each wildcard: certificates and TLS settings. The
//! connection manager is one that all share, and the routes are found by [`super::scope`].

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;

use super::encode::{ads, duration, part, reference};
use super::listener::HANDSHAKE_TIMEOUT;
use super::tls_parameters::tls_parameters;
use super::{forwarding, manager};
use crate::model::{Forwarding, Host, ObjectRef, TlsParameters, TlsServer};
use crate::xds::{Part, ResourceType};

/// For TLS 1.2 (1.3 has only good ones): forward secrecy and authenticated encryption. In brackets: the client's
/// preference decides, so that phones without AES instructions get ChaCha20.
const CIPHER_SUITES: [&str; 4] = [
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// The fragment of a listener for TLS that holds a filter chain of the server, and its key among the listener's parts: the
/// chain for the server's hosts, or that for one of its wildcards. It says nothing about other host names: they come and go
/// without a change of the chain.
#[must_use]
pub fn filter_chain(
    listener: &str,
    server: &TlsServer,
    wildcard: Option<&Host>,
) -> (Arc<str>, Part) {
    let [exact, of_wildcards] = manager::names(listener);
    let (name, manager) = match wildcard {
        Some(host) => (host.as_str(), of_wildcards),
        None => (&*server.name, exact),
    };
    let chain = pb::FilterChain {
        name: name.to_owned(),
        filters: vec![manager::filter(&manager, manager::tls_routes(listener))],
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(pack_any(
                context(server),
            ))),
        }),
        transport_socket_connect_timeout: duration(HANDSHAKE_TIMEOUT),
        ..Default::default()
    };
    let listener = pb::Listener {
        filter_chains: vec![chain],
        ..Default::default()
    };
    let certificates = server.certificates.iter();
    let references = certificates.map(|name| reference(ResourceType::Secret, name));
    (
        format!("chain/{name}").into(),
        part(
            &listener,
            references.collect(),
            BTreeSet::from([&server.source.object]),
        ),
    )
}

/// The fragment of a listener for TLS by which connections for a host go to a back end as they are, with the name of the chain
/// and its key among the listener's parts.
#[must_use]
pub fn passthrough(
    host: &Host,
    forwarding: &Forwarding,
    owners: BTreeSet<&ObjectRef>,
) -> (Arc<str>, Arc<str>, Part) {
    // No server has such a name: those have the name of a Secret.
    let name = format!("passthrough/{host}");
    let chain = pb::FilterChain {
        name: name.clone(),
        filters: vec![forwarding::tcp_proxy("passthrough", forwarding)],
        ..Default::default()
    };
    let listener = pb::Listener {
        filter_chains: vec![chain],
        ..Default::default()
    };
    let references = forwarding::clusters(forwarding).collect();
    let key = format!("chain/{name}").into();
    (name.into(), key, part(&listener, references, owners))
}

fn context(server: &TlsServer) -> tls::DownstreamTlsContext {
    let parameters = TlsParameters {
        versions: server.settings,
        ..TlsParameters::default()
    };
    tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls_parameters(&parameters, &CIPHER_SUITES)),
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
