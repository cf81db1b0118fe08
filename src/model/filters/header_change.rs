//! Changes of headers whose values Envoy knows when the request comes.

use std::sync::Arc;

use crate::model::header::{HeaderName, check_value, given, value_size};

/// A change of a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderChange {
    name: Arc<str>,
    value: Vec<HeaderPart>,
    mode: HeaderMode,
}

/// What becomes of a header that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderMode {
    /// It is replaced, even by nothing: then it is there and empty.
    Set,
    /// It stays, and the new one is another line.
    Add,
    /// It stays, and there is no new one.
    SetIfAbsent,
}

/// A part of a header's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HeaderPart {
    /// Literal text.
    Text(Arc<str>),
    /// What Envoy knows.
    Value(DynamicValue),
}

/// What Envoy knows of a request: a closed list, as a format of Envoy's can read files and its own settings. One that a
/// request lacks is no text. A header without any text is not added; one that is set arrives empty, as what is there may be
/// the client's own word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DynamicValue {
    /// The client's address, as the proxies say that the operator trusts.
    ClientAddress,
    /// The address of the connection's peer.
    PeerAddress,
    /// The port that the connection came in by.
    ListenerPort,
    /// The host that the client asked for.
    Host,
    /// The path and query that the client asked for.
    Path,
    /// The method.
    Method,
    /// `http` or `https`.
    Scheme,
    /// `HTTP/1.1`, `HTTP/2`.
    Protocol,
    /// The id that Envoy gave the request.
    RequestId,
    /// When it came, in seconds since 1970, to the millisecond.
    StartTime,
    /// A header of the request.
    Header(PlainName),
    /// A header of the request, or where that is missing another one, and no more than so many bytes of it.
    HeaderOr(PlainName, Option<PlainName>, Option<u16>),
    /// The client's address with its port, as the proxies say that the operator trusts.
    ClientAddressAndPort,
    /// The address that the connection came in by, with its port.
    ListenerAddressAndPort,
    /// The address that the connection came in by.
    ListenerAddress,
    /// The server name that the client asked for in TLS.
    ServerName,
    /// The version of TLS.
    TlsVersion,
    /// The cipher of TLS.
    TlsCipher,
    /// The client certificate, as PEM that is URL-encoded.
    ClientCertificate,
    /// Its subject.
    ClientSubject,
    /// Its issuer.
    ClientIssuer,
    /// Its serial number.
    ClientSerial,
    /// The SHA-256 of it.
    ClientFingerprint,
    /// The SHA-1 of it.
    ClientFingerprintSha1,
    /// When it begins to be good.
    ClientCertificateStart,
    /// When it ends to be good.
    ClientCertificateEnd,
    /// The URIs among its names.
    ClientUris,
    /// The URIs among the names of the certificate that the client was shown.
    ServerUris,
    /// The subject of the certificate that the client was shown.
    ServerSubject,
    /// The id of the TLS session.
    TlsSessionId,
    /// The name of the machine or pod that Envoy runs on.
    Hostname,
    /// Why Envoy answered itself: of an answer only.
    ResponseCodeDetails,
    /// The address of the endpoint: of an answer only, as a request has none yet.
    EndpointAddress,
    /// Flags of an answer that Envoy gives itself (`UF`, `NR`), `-` for none: of an answer only.
    ResponseFlags,
    /// The status of an answer: of an answer only.
    Status,
}

/// What Envoy's command for a value is shorter than, but for a name in it: all parts together are one text to Envoy.
const MAX_COMMAND: usize = 64;

/// A header's name of letters, digits, `-` and `_`, which is nothing but a name in a format of Envoy's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainName(HeaderName);

impl PlainName {
    /// A header's name.
    ///
    /// # Errors
    ///
    /// One sentence where it could be more than a name in a format of Envoy's.
    pub fn new(name: &str) -> Result<Self, String> {
        let name = HeaderName::new(name)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !name.as_str().bytes().all(is_plain) {
            return Err(format!(
                "the header {name} can't be read: its name has more than letters, digits, - and _"
            ));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl HeaderChange {
    /// A header with these parts as its value.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, or could not send it.
    pub fn new(name: &str, value: Vec<HeaderPart>, mode: HeaderMode) -> Result<Self, String> {
        let name = given(HeaderName::new(name)?)?;
        let sizes = value.iter().map(|part| match part {
            HeaderPart::Text(text) => value_size(text),
            HeaderPart::Value(DynamicValue::Header(name)) => name.as_str().len() + MAX_COMMAND,
            HeaderPart::Value(DynamicValue::HeaderOr(name, other, _)) => {
                let other = other.as_ref().map_or(0, |other| other.as_str().len());
                name.as_str().len() + other + MAX_COMMAND
            }
            HeaderPart::Value(_) => MAX_COMMAND,
        });
        let texts = value.iter().filter_map(|part| match part {
            HeaderPart::Text(text) => Some(&**text),
            HeaderPart::Value(_) => None,
        });
        check_value(&name, texts, sizes.sum())?;
        Ok(Self {
            name: name.as_str().into(),
            value,
            mode,
        })
    }

    /// A header with a literal value.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn literal(name: &str, value: &str, mode: HeaderMode) -> Result<Self, String> {
        Self::new(name, vec![HeaderPart::Text(value.into())], mode)
    }

    /// `Strict-Transport-Security` (RFC 6797), for routes on HTTPS: on HTTP browsers ignore it.
    #[must_use]
    pub fn strict_transport_security(
        max_age: u64,
        includes_subdomains: bool,
        preloads: bool,
    ) -> Self {
        let subdomains = if includes_subdomains {
            "; includeSubDomains"
        } else {
            ""
        };
        let preload = if preloads { "; preload" } else { "" };
        let value = format!("max-age={max_age}{subdomains}{preload}");
        Self {
            name: "strict-transport-security".into(),
            value: vec![HeaderPart::Text(value.into())],
            mode: HeaderMode::Set,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parts of its value.
    #[must_use]
    pub fn value(&self) -> &[HeaderPart] {
        &self.value
    }

    /// What becomes of one that is there.
    #[must_use]
    pub const fn mode(&self) -> HeaderMode {
        self.mode
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_no_header_is_refused() {
        let literal = |name, value| HeaderChange::literal(name, value, HeaderMode::Set);
        assert_eq!(literal("X-A", "100%\t\u{e4}").unwrap().name(), "x-a");
        for (name, value) in [
            ("Host", "a"),
            (":path", "/"),
            ("a b", ""),
            ("x-a", "a\r\nb: c"),
        ] {
            assert!(literal(name, value).is_err(), "{name} {value}");
        }
        // Envoy's limit is of all parts together, in which `%` is doubled.
        for (text, count, is_taken) in [
            ("a", 16_384, true),
            ("a", 16_385, false),
            ("%", 8192, true),
            ("%", 8193, false),
        ] {
            let value = text.repeat(count);
            let found = HeaderChange::literal("x-a", &value, HeaderMode::Set);
            assert_eq!(found.is_ok(), is_taken, "{text} {count}");
        }
        let half = || HeaderPart::Text("a".repeat(8192).into());
        let parts = vec![half(), HeaderPart::Value(DynamicValue::Host), half()];
        assert!(HeaderChange::new("x-a", parts, HeaderMode::Set).is_err());
    }

    /// A name is a part of a format: what has a meaning there is refused.
    #[test]
    fn names_in_formats_are_names_only() {
        assert!(PlainName::new("X-Forwarded_For").is_ok());
        for name in ["x%a", "x|a", "x'a", "x)%", "x?y", ":path", ""] {
            assert!(PlainName::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn transport_security_is_as_its_standard_has_it() {
        let value = |subdomains, preload| {
            let header = HeaderChange::strict_transport_security(3600, subdomains, preload);
            match &header.value()[0] {
                HeaderPart::Text(text) => text.to_string(),
                HeaderPart::Value(_) => String::new(),
            }
        };
        assert_eq!(value(false, false), "max-age=3600");
        assert_eq!(
            value(true, true),
            "max-age=3600; includeSubDomains; preload"
        );
    }
}
