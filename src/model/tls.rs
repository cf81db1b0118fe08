//! What ends the TLS of clients.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::objects::FieldRef;
use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};

use super::client_certificates::{ClientCertificates, ClientVerification};
use super::tls_parameters::{TlsParameters, TlsSettings, TlsVersion};

/// A set of certificates and TLS settings, and the host names that are served with them: one filter chain and
/// one route table. The translation decides the grouping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsServer {
    /// Unique and stable; also the name of its route table. [`Self::new`] makes it of all the rest.
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

impl TlsServer {
    /// One whose name tells its certificates, and after a `?` all that is not as by default: hosts share the chain and the
    /// table of a server by its name, so two that differ must not have one.
    #[must_use]
    pub fn new(
        certificates: Vec<Arc<str>>,
        parameters: TlsParameters,
        alpn: Alpn,
        clients: Option<Box<ClientCertificates>>,
        source: FieldRef,
    ) -> Self {
        let mut server = Self {
            name: "".into(),
            certificates,
            parameters,
            alpn,
            clients,
            source,
        };
        server.name = server.telling_name();
        server
    }

    /// The same that asks this of clients.
    #[must_use]
    pub fn asking(self, clients: Box<ClientCertificates>) -> Self {
        Self::new(
            self.certificates,
            self.parameters,
            self.alpn,
            Some(clients),
            self.source,
        )
    }

    /// The same for one listener of several that share a port: those never share a server, whatever their certificates are.
    #[must_use]
    pub fn of_listener(mut self, listener: &str) -> Self {
        let separator = match self.name.contains('?') {
            true => '&',
            false => '?',
        };
        self.name = format!("{}{separator}listener={}", self.name, escaped(listener)).into();
        self
    }

    /// Whether its hosts can be served over QUIC as over TCP. Envoy has no client certificates there before 1.40, and
    /// TLS 1.3 with groups of its own; who wants HTTP/1.1 or HTTP/2 only does not want HTTP/3.
    #[must_use]
    pub fn is_for_http3(&self) -> bool {
        self.clients.is_none()
            && self.parameters.versions.maximum == TlsVersion::V1_3
            && self.parameters.groups.is_empty()
            && self.alpn == Alpn::Http2OrHttp1
    }

    fn telling_name(&self) -> Arc<str> {
        // All fields by name: one that is forgotten here would let two servers have one name.
        let Self {
            name: _,
            certificates,
            parameters:
                TlsParameters {
                    versions,
                    cipher_suites,
                    groups,
                },
            alpn,
            clients,
            source: _,
        } = self;
        let certificates: Vec<String> = certificates.iter().map(|it| escaped(it)).collect();
        let mut name = Name(certificates.join("+"), '?');
        if *versions != TlsSettings::default() {
            let [least, most] = [versions.minimum, versions.maximum].map(number);
            name.add("tls", format_args!("{least}-{most}"));
        }
        let suites: Vec<&str> = cipher_suites.iter().map(|suite| suite.as_str()).collect();
        let groups: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
        for (key, names) in [("cipher-suites", suites), ("groups", groups)] {
            if !names.is_empty() {
                name.add(key, names.join(","));
            }
        }
        match alpn {
            Alpn::Http2OrHttp1 => {}
            Alpn::Http1 => name.add("alpn", "http1"),
            Alpn::Http2 => name.add("alpn", "http2"),
            Alpn::None => name.add("alpn", "none"),
        }
        if let Some(clients) = clients {
            name.clients(clients);
        }
        name.0.into()
    }
}

/// So long is the longest name of a bundle that is of one Secret with the revocations of another one. What is longer is told by its
/// hash: such a list is a Gateway's, whose servers are told apart by their listeners, so that nobody gains by two that are alike.
const MOST_SPELT: usize = 700;

/// A name, and what comes before its next setting.
struct Name(String, char);

impl Name {
    fn add(&mut self, key: &str, value: impl Display) {
        let separator = std::mem::replace(&mut self.1, '&');
        let _ = write!(self.0, "{separator}{key}={value}");
    }

    fn clients(&mut self, clients: &ClientCertificates) {
        let ClientCertificates {
            is_required,
            verification,
            forwarded,
        } = clients;
        let asked = match is_required {
            true => "required",
            false => "optional",
        };
        self.add("clients", asked);
        if let Some(forwarded) = forwarded {
            self.add("forwards", forwarded.name());
        }
        let Some(ClientVerification {
            authorities,
            max_depth,
            only_leaf_revocations,
            accepts_untrusted,
        }) = verification
        else {
            return;
        };
        // Every host of the server has its name, and a list may have thirty-two ConfigMaps.
        match authorities.len() <= MOST_SPELT {
            true => self.add("authorities", escaped(authorities)),
            false => self.add(
                "authorities",
                format_args!("{:032x}", xxh3_128(authorities.as_bytes())),
            ),
        }
        if let Some(depth) = max_depth {
            self.add("max-depth", depth);
        }
        if *only_leaf_revocations {
            self.add("revocations", "leaf");
        }
        if *accepts_untrusted {
            self.add("untrusted", "accepted");
        }
    }
}

/// What separates things in a name is escaped as in a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '+' | '?' | '&' | '=' | '%' | '>' => _ = write!(escaped, "%{:02X}", u32::from(it)),
            _ => escaped.push(it),
        }
    }
    escaped
}

const fn number(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
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
    /// Nothing is offered: what is inside is no business of the server's ([`super::TcpServer`]).
    None,
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

#[cfg(test)]
mod tests;
