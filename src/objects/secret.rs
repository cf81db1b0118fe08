//! `v1` Secret: what it holds for TLS, parsed and checked.

use std::sync::Arc;

use super::{CaCertificates, Credentials, Metadata, RevocationLists};
use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};

/// A Secret, less everything in it that has no meaning for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Name and namespace.
    pub metadata: Metadata,
    /// The checked pair of `tls.crt` and `tls.key`, or one sentence on why there is none: a broken pair counts as a missing
    /// one.
    pub certificate: Result<Arc<TlsCertificate>, Arc<str>>,
    /// `ca.crt`, or one sentence on why it can't be used; `None` where there is none.
    pub authorities: Option<Result<CaCertificates, Arc<str>>>,
    /// `crl.pem`, or one sentence on why it can't be used; `None` where there is none.
    pub revocations: Option<Result<RevocationLists, Arc<str>>>,
    /// `auth`, the lines of an htpasswd file, or one sentence on why it can't be used; `None` where there is none.
    pub credentials: Option<Result<Credentials, Arc<str>>>,
    /// What has the hash of a password, by its key; `None` where nothing has.
    pub credentials_map: Option<Result<Credentials, Arc<str>>>,
}

impl Secret {
    /// Whether others can be verified with it.
    ///
    /// # Errors
    ///
    /// One sentence on why not.
    pub fn check_authorities(&self) -> Result<&CaCertificates, &str> {
        checked(self.authorities.as_ref(), "it has no ca.crt")
    }

    /// Whether it says what is revoked.
    ///
    /// # Errors
    ///
    /// One sentence on why not.
    pub fn check_revocations(&self) -> Result<&RevocationLists, &str> {
        checked(self.revocations.as_ref(), "it has no crl.pem")
    }

    /// Whether it has passwords: as a file, or by keys.
    ///
    /// # Errors
    ///
    /// One sentence on why not.
    pub fn check_credentials(&self, is_map: bool) -> Result<&Credentials, &str> {
        match is_map {
            true => checked(
                self.credentials_map.as_ref(),
                "none of its values is the hash of a password",
            ),
            false => checked(self.credentials.as_ref(), "it has no auth"),
        }
    }
}

fn checked<'a, T>(
    part: Option<&'a Result<T, Arc<str>>>,
    missing: &'static str,
) -> Result<&'a T, &'a str> {
    match part {
        None => Err(missing),
        Some(Ok(part)) => Ok(part),
        Some(Err(why)) => Err(why),
    }
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
