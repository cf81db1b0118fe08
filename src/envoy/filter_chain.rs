//! One filter chain for the hosts of each TLS server, and one for each wildcard: certificates and TLS settings. The
//! connection manager is one that all share, and the routes are found by [`super::scope`].

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;
use tls::certificate_validation_context::TrustChainVerification;
use tls::common_tls_context::ValidationContextType;
use tls::downstream_tls_context::SessionTicketKeysType;

use super::encode::{bool_value, duration, part, reference, sds, u32_value};
use super::filters::address;
use super::listener::HANDSHAKE_TIMEOUT;
use super::tls_parameters::tls_parameters;
use super::{forwarded_certificate, forwarding, manager};
use crate::model::{
    AddressRules, Alpn, ClientCertificates, Forwarding, Host, ObjectRef, TcpServer, TlsServer,
};
use crate::xds::{FALLBACK_SCOPE, Part, Reference, ResourceType};

/// Envoy refuses a listener over more, and no chain has as many.
const MAX_DEPTH: u32 = 100;

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
    match wildcard {
        Some(host) => terminating(listener, server, host.as_str(), &of_wildcards),
        None => terminating(listener, server, &server.name, &exact),
    }
}

/// The name of the chain for connections that no other chain takes, and of their scope. No host and no server has it.
pub const FALLBACK: &str = FALLBACK_SCOPE;

/// The fragment with that chain, and its key.
#[must_use]
pub fn fallback(listener: &str, server: &TlsServer) -> (Arc<str>, Part) {
    let [_, by_chain] = manager::names(listener);
    terminating(listener, server, FALLBACK, &by_chain)
}

fn terminating(
    listener: &str,
    server: &TlsServer,
    name: &str,
    manager: &Arc<str>,
) -> (Arc<str>, Part) {
    let clients = server.clients.iter();
    let forwarded = clients.filter_map(|clients| clients.forwarded);
    let chain = pb::FilterChain {
        name: name.to_owned(),
        filters: forwarded
            .map(forwarded_certificate::filter)
            .chain([manager::filter(manager, manager::tls_routes(listener))])
            .collect(),
        ..ending_tls(server)
    };
    let listener = pb::Listener {
        filter_chains: vec![chain],
        ..Default::default()
    };
    (
        key(name),
        part(
            &listener,
            secrets(server).collect(),
            BTreeSet::from([&server.source.object]),
        ),
    )
}

/// A chain that ends TLS, without name and filters.
fn ending_tls(server: &TlsServer) -> pb::FilterChain {
    pb::FilterChain {
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(pack_any(
                context(server, alpn(server.alpn)),
            ))),
        }),
        transport_socket_connect_timeout: duration(HANDSHAKE_TIMEOUT),
        ..Default::default()
    }
}

/// What SDS delivers for a server.
fn secrets(server: &TlsServer) -> impl Iterator<Item = Reference> {
    let clients = server.clients.iter().flat_map(|it| &it.verification);
    let secrets = server.certificates.iter();
    let secrets = secrets.chain(clients.map(|it| &it.authorities));
    secrets.map(|name| reference(ResourceType::Secret, name))
}

/// What the keys of chains begin with.
pub const CHAINS: &str = "chain/";

/// The key of a chain among the parts of its listener.
#[must_use]
pub fn key(name: &str) -> Arc<str> {
    format!("{CHAINS}{name}").into()
}

/// The name of the chain of a host whose connections go to a back end as they are. No server has such a name: in those what is
/// like `>` is escaped.
#[must_use]
pub fn passthrough_name(host: &Host) -> String {
    format!("passthrough>{host}")
}

/// The name of the chain of a host whose TLS ends here, with something inside that is no HTTP.
#[must_use]
pub fn tcp_name(host: &Host) -> String {
    format!("tcp>{host}")
}

/// The fragment of a listener for TLS by which connections for a host go to a back end as they are, with the name of the chain
/// and its key among the listener's parts. Connections of others than these addresses are closed, where there are any.
#[must_use]
pub fn passthrough(
    host: &Host,
    forwarding: &Forwarding,
    addresses: Option<&AddressRules>,
    owners: BTreeSet<&ObjectRef>,
) -> (Arc<str>, Arc<str>, Part) {
    let chain = pb::FilterChain {
        name: passthrough_name(host),
        filters: forwarded("passthrough", forwarding, addresses),
        ..Default::default()
    };
    let references = forwarding::clusters(forwarding).collect();
    of_host(chain, references, owners)
}

/// The same for a host whose TLS ends here, and nothing of HTTP is inside.
#[must_use]
pub fn tcp<'a>(
    host: &Host,
    tcp: &'a TcpServer,
    addresses: Option<&AddressRules>,
    mut owners: BTreeSet<&'a ObjectRef>,
) -> (Arc<str>, Arc<str>, Part) {
    let (server, forwarding) = (tcp.server(), tcp.forwarding());
    let chain = pb::FilterChain {
        name: tcp_name(host),
        filters: forwarded("tcp", forwarding, addresses),
        ..ending_tls(server)
    };
    let references = forwarding::clusters(forwarding).chain(secrets(server));
    owners.insert(&server.source.object);
    of_host(chain, references.collect(), owners)
}

fn forwarded(
    stat_prefix: &str,
    forwarding: &Forwarding,
    addresses: Option<&AddressRules>,
) -> Vec<pb::Filter> {
    let guard = addresses.and_then(address::of_connections);
    let proxy = forwarding::tcp_proxy(stat_prefix, forwarding);
    guard.into_iter().chain([proxy]).collect()
}

fn of_host(
    chain: pb::FilterChain,
    references: BTreeSet<Reference>,
    owners: BTreeSet<&ObjectRef>,
) -> (Arc<str>, Arc<str>, Part) {
    let name = Arc::from(&*chain.name);
    let key = key(&chain.name);
    let listener = pb::Listener {
        filter_chains: vec![chain],
        ..Default::default()
    };
    (name, key, part(&listener, references, owners))
}

const fn alpn(alpn: Alpn) -> &'static [&'static str] {
    match alpn {
        Alpn::Http2OrHttp1 => &["h2", "http/1.1"],
        Alpn::Http1 => &["http/1.1"],
        Alpn::Http2 => &["h2"],
        Alpn::None => &[],
    }
}

/// What ends TLS, with these protocols inside.
pub(super) fn context(server: &TlsServer, alpn: &[&str]) -> tls::DownstreamTlsContext {
    let clients = server.clients.as_deref();
    tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_params: Some(tls_parameters(&server.parameters, &CIPHER_SUITES)),
            // By name over SDS and never inline: a rotation then changes one secret and no listener.
            tls_certificate_sds_secret_configs: server.certificates.iter().map(sds).collect(),
            alpn_protocols: alpn.iter().map(|name| (*name).to_owned()).collect(),
            validation_context_type: clients.map(verification),
            ..Default::default()
        }),
        // Where something is asked for, Envoy wants it said; where nothing is, it is none of the chain's bytes.
        require_client_certificate: clients.and_then(|it| bool_value(it.is_required)),
        // Of a session that is taken up again Envoy does not say that the certificate was verified, and requests are asked.
        disable_stateful_session_resumption: clients.is_some(),
        session_ticket_keys_type: clients
            .map(|_| SessionTicketKeysType::DisableStatelessSessionResumption(true)),
        ..Default::default()
    }
}

/// How what clients show is verified. It is said in any case: a context without it would not ask for a certificate.
fn verification(clients: &ClientCertificates) -> ValidationContextType {
    let Some(verification) = &clients.verification else {
        return ValidationContextType::ValidationContext(tls::CertificateValidationContext {
            trust_chain_verification: TrustChainVerification::AcceptUntrusted.into(),
            ..Default::default()
        });
    };
    let trust = match verification.accepts_untrusted {
        true => TrustChainVerification::AcceptUntrusted,
        false => TrustChainVerification::VerifyTrustChain,
    };
    let context = tls::CertificateValidationContext {
        trust_chain_verification: trust.into(),
        max_verify_depth: verification
            .max_depth
            .and_then(|depth| u32_value(depth.min(MAX_DEPTH))),
        only_verify_leaf_cert_crl: verification.only_leaf_revocations,
        ..Default::default()
    };
    ValidationContextType::CombinedValidationContext(
        tls::common_tls_context::CombinedCertificateValidationContext {
            default_validation_context: Some(context),
            validation_context_sds_secret_config: Some(sds(&verification.authorities)),
            ..Default::default()
        },
    )
}
