//! Names of headers, and changes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The name of a header in lower case, or of one of the pseudo headers that a request has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(Arc<str>);

impl HeaderName {
    /// What Envoy calls the method, the host, the path with its query, and the scheme.
    const PSEUDO: [&str; 4] = [METHOD, ":authority", ":path", ":scheme"];

    /// The name of an ordinary header.
    ///
    /// # Errors
    ///
    /// One sentence where no header can have it: Envoy would refuse some of these, and the rest would mean nothing.
    pub fn new(name: &str) -> Result<Self, String> {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(format!("{name:?} is no header name (RFC 9110, 5.6.2)"));
        }
        if name.len() > MAX_NAME {
            return Err(format!("a header name is longer than {MAX_NAME} bytes"));
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name of something that a request can be asked for: a header or a pseudo header.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn of_request(name: &str) -> Result<Self, String> {
        if Self::PSEUDO.contains(&name) {
            return Ok(Self(name.into()));
        }
        Self::new(name)
    }

    /// The pseudo header that is the method.
    #[must_use]
    pub fn method() -> Self {
        Self(METHOD.into())
    }

    /// Whether it is the method's.
    #[must_use]
    pub fn is_method(&self) -> bool {
        &*self.0 == METHOD
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const METHOD: &str = ":method";

/// What Envoy takes of a header that a table adds.
const MAX_NAME: usize = 16_384;

/// RFC 9110, section 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What Envoy takes as a header's value. Of a format it counts what is written.
pub(super) const MAX_VALUE: usize = 16_384;

/// How long a literal text is as a format, in which `%` is doubled.
pub(super) fn value_size(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| *byte == b'%').count()
}

/// Whether a header can have a value of these texts (RFC 9110, 5.5), all of it so long to Envoy.
pub(super) fn check_value<'a>(
    name: &HeaderName,
    texts: impl IntoIterator<Item = &'a str>,
    size: usize,
) -> Result<(), String> {
    let is_sent = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
    if !texts.into_iter().all(|text| text.bytes().all(is_sent)) {
        return Err(format!("the value of {name} has control characters"));
    }
    if size > MAX_VALUE {
        return Err(format!(
            "the value of {name} is longer than {MAX_VALUE} bytes"
        ));
    }
    Ok(())
}

/// [`check_value`] of one literal text.
pub(super) fn check_literal(name: &HeaderName, text: &str) -> Result<(), String> {
    check_value(name, [text], value_size(text))
}

/// A name that something other than the client may have the say of. Host is the route's: whoever else wrote it would
/// choose the back end's virtual host.
pub(super) fn given(name: HeaderName) -> Result<HeaderName, String> {
    if name.as_str() == "host" {
        return Err("Host is rewritten and not set".into());
    }
    Ok(name)
}

/// Changes of headers. Names are lower-case; values are literal text, never a format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderModifier {
    /// Headers that are replaced or added.
    pub set: BTreeMap<Arc<str>, Arc<str>>,
    /// Headers that are removed.
    pub remove: BTreeSet<Arc<str>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_tokens() {
        assert_eq!(HeaderName::new("X-Kind").unwrap().as_str(), "x-kind");
        for name in [
            "",
            ":method",
            "a b",
            "a:b",
            "a\r\nb",
            "\u{e4}",
            &"a".repeat(16_385),
        ] {
            assert!(HeaderName::new(name).is_err(), "{name:?}");
        }
        assert!(HeaderName::of_request(":path").is_ok());
        assert!(HeaderName::of_request(":status").is_err());
        assert!(HeaderName::of_request(":METHOD").is_err());
        assert!(HeaderName::method().is_method());
    }
}
