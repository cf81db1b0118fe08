//! `v1` Secret of type `kubernetes.io/tls`, with its certificate parsed and checked.

use std::sync::Arc;

use super::Metadata;
use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};

/// A Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Name and namespace.
    pub metadata: Metadata,
    /// The checked pair, or one sentence on why there is none: a broken Secret counts as a missing one.
    pub certificate: Result<Arc<TlsCertificate>, Arc<str>>,
}

/// A certificate chain and its key, which belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCertificate {
    /// The chain, leaf first, as canonical PEM.
    pub chain: Arc<str>,
    /// The key of the leaf.
    pub key: PrivateKeyPem,
    /// What kind of key it is: one host can have one certificate of each side by side.
    pub key_algorithm: KeyAlgorithm,
    /// DNS names of the leaf's subjectAltName, lower-case, sorted.
    pub names: Vec<Arc<str>>,
    /// The leaf's common name in lower case, where it has no subjectAltName with a DNS name: clients no longer read it.
    pub common_name: Option<Arc<str>>,
    /// `notBefore` of the leaf.
    pub not_before: jiff::Timestamp,
    /// `notAfter` of the leaf.
    pub not_after: jiff::Timestamp,
}
