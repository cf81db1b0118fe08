//! What ends the TLS of clients.

use std::sync::Arc;

use crate::objects::FieldRef;
use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};

use super::client_certificates::ClientCertificates;
use super::tls_parameters::TlsParameters;

/// A set of certificates and TLS settings, and the host names that are served with them: one filter chain and
/// one route table. The translation decides the grouping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsServer {
    /// Unique and stable; also the name of its route table.
    pub name: Arc<str>,
    /// Names of [`Certificate`]s, sorted, at most one for each kind of key.
    pub certificates: Vec<Arc<str>>,
    /// What TLS may use.
    pub parameters: TlsParameters,
    /// What is spoken within it.
    pub alpn: Alpn,
    /// What clients show; `None` asks for nothing.
    pub clients: Option<Box<ClientCertificates>>,
    /// Who brought it.
    pub source: FieldRef,
}

/// What is spoken within TLS, as ALPN offers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alpn {
    /// HTTP/2, or HTTP/1.1 where the client has nothing else.
    #[default]
    Http2OrHttp1,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// When a certificate is good, as it says itself. Whether it is depends on the clock: it is served in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore` of the leaf.
    pub not_before: jiff::Timestamp,
    /// `notAfter` of the leaf.
    pub not_after: jiff::Timestamp,
}

/// A certificate with its key, as SDS delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// `namespace/name` of its Secret, stable over rotations.
    pub name: Arc<str>,
    /// The chain as PEM.
    pub chain: Arc<str>,
    /// The key.
    pub key: PrivateKeyPem,
    /// What kind of key.
    pub key_algorithm: KeyAlgorithm,
    /// When it is good.
    pub validity: Validity,
    /// The Secret.
    pub source: FieldRef,
}
