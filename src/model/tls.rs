//! What ends the TLS of clients.

use std::sync::Arc;

use crate::objects::FieldRef;
use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};

use super::tls_parameters::TlsSettings;

/// A set of certificates and TLS settings, and the host names that are served with them: one filter chain and
/// one route table. The translation decides the grouping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsServer {
    /// Unique and stable; also the name of its route table.
    pub name: Arc<str>,
    /// Names of [`Certificate`]s, sorted, at most one for each kind of key.
    pub certificates: Vec<Arc<str>>,
    /// Versions.
    pub settings: TlsSettings,
    /// Who brought it.
    pub source: FieldRef,
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
