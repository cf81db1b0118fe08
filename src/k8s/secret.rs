//! `v1` Secret of type `kubernetes.io/tls`, parsed and checked at the door.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Metadata;

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
    /// DNS names of the leaf's subjectAltName (of its common name where it has none), lower-case, sorted.
    pub names: Vec<Arc<str>>,
    /// `notBefore` of the leaf.
    pub not_before: jiff::Timestamp,
    /// `notAfter` of the leaf.
    pub not_after: jiff::Timestamp,
}

/// The leaf's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa,
    /// ECDSA on a curve that Envoy serves (P-256, P-384, P-521).
    Ecdsa,
}

/// A private key as canonical PEM. It can be copied into a secret's bytes and compared, and in no other
/// way seen: its `Debug` is a fixed text and it has no `Display` (I10). Its memory is wiped with the last copy.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKeyPem(Arc<Zeroizing<String>>);

impl PrivateKeyPem {
    /// Takes the PEM text of a key.
    pub fn new(pem: impl Into<Zeroizing<String>>) -> Self {
        Self(Arc::new(pem.into()))
    }

    /// The PEM text, for the one place that encodes a secret for SDS.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(redacted)")
    }
}
