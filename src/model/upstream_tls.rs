//! TLS to endpoints: whom they are taken for, and what they are shown.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::objects::{CaCertificates, FieldRef, RevocationLists};

use super::tls_parameters::TlsParameters;

/// TLS to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Whom an endpoint has to be. `None` takes its word for it: the wire is private from onlookers and no more.
    pub verification: Option<Verification>,
    /// The server name that it is asked for.
    pub server_name: ServerName,
    /// Name of the [`super::Certificate`] that it is shown where it asks for one. It is made while a
    /// cluster names it (`build/secrets.rs`).
    pub client_certificate: Option<Arc<str>>,
    /// What TLS may use.
    pub parameters: TlsParameters,
}

/// Whom an endpoint has to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verification {
    /// Who vouches for it.
    pub authorities: Authorities,
    /// Names, one of which its certificate has to have. With none of them any certificate of the authorities will do.
    pub names: BTreeSet<SubjectAltName>,
}

/// Who vouches for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authorities {
    /// Those that the machine of the proxy trusts. Where it has none the cluster is refused.
    System,
    /// Those of the [`TrustBundle`] of this name, as `translate/trust_bundle.rs` makes them.
    Bundle(Arc<str>),
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectAltName {
    /// A DNS name. One with `*` in the certificate stands for one label, as clients have it.
    Dns(DnsName),
    /// A URI, as SPIFFE has them.
    Uri(Uri),
    /// An address.
    Ip(IpAddr),
}

/// The server name that an endpoint is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// Its DNS name where it was found by one, and else none: an address is no server name.
    #[default]
    Discovered,
    /// This one.
    Name(DnsName),
    /// The request's Host as the endpoint sees it, for each request. Where endpoints are verified without names,
    /// their certificate has to have that name.
    RequestHost,
}

impl SubjectAltName {
    /// A DNS name.
    ///
    /// # Errors
    ///
    /// One sentence where it is none.
    pub fn dns(name: &str) -> Result<Self, String> {
        DnsName::new(name).map(Self::Dns)
    }

    /// A URI.
    ///
    /// # Errors
    ///
    /// One sentence where it is none.
    pub fn uri(uri: &str) -> Result<Self, String> {
        let has_scheme = uri.split_once(':').is_some_and(|(scheme, _)| {
            let mut bytes = scheme.bytes();
            bytes
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic())
                && bytes.all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it))
        });
        if !has_scheme || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{uri:?} is no URI (RFC 3986)"));
        }
        Ok(Self::Uri(Uri(uri.into())))
    }
}

impl ServerName {
    /// This one.
    ///
    /// # Errors
    ///
    /// One sentence where it is no DNS name.
    pub fn new(name: &str) -> Result<Self, String> {
        DnsName::new(name).map(Self::Name)
    }
}

/// A DNS name in lower case, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

/// A URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri(Arc<str>);

impl DnsName {
    fn new(name: &str) -> Result<Self, String> {
        let text = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_label = |label: &str| {
            let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(is_byte)
        };
        // RFC 6066, section 3: an address is no server name.
        if text.len() > 253 || !text.split('.').all(is_label) || text.parse::<IpAddr>().is_ok() {
            return Err(format!("{name:?} is no DNS name"));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Uri {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Authorities that vouch for certificates, as SDS delivers them. No part of it is secret. It is made while a cluster
/// or a TLS server names it (`build/secrets.rs`), of the Secrets or ConfigMaps that its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    /// Unique and stable, and never the name of a certificate.
    pub name: Arc<str>,
    /// Their certificates.
    pub certificates: CaCertificates,
    /// Lists of revoked certificates. Where there is one, each authority of a chain needs its own, unless
    /// only leaves are looked up.
    pub revocations: Option<RevocationLists>,
    /// Where it is from.
    pub source: FieldRef,
    /// Where the lists are from, if there are any.
    pub revocations_source: Option<FieldRef>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_what_certificates_have() {
        let dns = |name: &str| SubjectAltName::dns(name).is_ok();
        let found = SubjectAltName::dns("A.Example.Com.").unwrap();
        assert!(matches!(found, SubjectAltName::Dns(name) if name.as_str() == "a.example.com"));
        assert!(dns("_spf.example.com"));
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", "*.example.com", "10.0.0.1", "a b", &long] {
            assert!(!dns(name), "{name:?}");
            assert!(ServerName::new(name).is_err(), "{name:?}");
        }
        let uri = |uri: &str| SubjectAltName::uri(uri).is_ok();
        assert!(uri("spiffe://cluster.local/ns/a/sa/b"));
        for text in ["", "a", "://a", "1a:b", "spiffe://a b"] {
            assert!(!uri(text), "{text:?}");
        }
    }
}
