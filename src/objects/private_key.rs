//! Keys: the two types that every layer from the Secret to SDS must share.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

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
