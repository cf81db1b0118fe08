//! Names of headers, and changes of them.

use std::borrow::Borrow;
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

    /// The Host.
    #[must_use]
    pub fn host() -> Self {
        Self("host".into())
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

    /// What the names begin with by which one part of the proxy tells another something, such as which table a request has.
    /// Neither clients nor objects have a say of them.
    pub const PRIVATE: &str = "x-isobath-";

    /// Whether it is one of those.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.0.starts_with(Self::PRIVATE)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// That somebody other than the proxy may change it. What frames a message is the proxy's: a back end would wait for a body
    /// that never comes, or take a part of one for the next request.
    ///
    /// # Errors
    ///
    /// One sentence where it frames the message, or is private.
    pub fn check_framing(&self) -> Result<(), String> {
        const FRAMING: [&str; 6] = [
            "connection",
            "content-length",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        if self.is_private() {
            return Err(private(self));
        }
        match FRAMING.contains(&self.as_str()) {
            true => Err(format!("{self} frames the message, and can't be changed")),
            false => Ok(()),
        }
    }
}

/// That a text can be the Host which a back end sees: it is in one line of what can be seen, and as long as a name with a port.
///
/// # Errors
///
/// One sentence where it can't.
pub fn check_host(text: &str) -> Result<(), String> {
    const LONGEST: usize = 261;
    match text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= LONGEST {
        true => Ok(()),
        false => Err(format!("{text:?} is no Host")),
    }
}

/// It is looked up by its text, which it is compared as.
impl Borrow<str> for HeaderName {
    fn borrow(&self) -> &str {
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
/// choose the back end's virtual host. Whoever wrote a private one would choose the table.
pub(super) fn given(name: HeaderName) -> Result<HeaderName, String> {
    if name.as_str() == "host" {
        return Err("Host is rewritten and not set".into());
    }
    if name.is_private() {
        return Err(private(&name));
    }
    Ok(name)
}

fn private(name: &HeaderName) -> String {
    format!("{name} is the proxy's own")
}

/// Changes of headers: literal text, never a format.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct HeaderModifier {
    /// Headers that are replaced or added.
    pub set: BTreeMap<HeaderName, HeaderValue>,
    /// Headers that are removed.
    pub remove: BTreeSet<HeaderName>,
}

/// Names and values as what they are: text.
impl fmt::Debug for HeaderModifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.set.iter();
        let set: BTreeMap<&str, &str> =
            set.map(|(name, value)| (name.as_str(), &**value)).collect();
        let remove: BTreeSet<&str> = self.remove.iter().map(HeaderName::as_str).collect();
        f.debug_struct("HeaderModifier")
            .field("set", &set)
            .field("remove", &remove)
            .finish()
    }
}

/// A literal value that Envoy takes: at most 16 KiB, with `%` counted twice, and no control character but the tab.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderValue(Arc<str>);

impl HeaderValue {
    /// The value of this header.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, and with it the whole table.
    pub fn new(name: &HeaderName, text: impl Into<Arc<str>>) -> Result<Self, String> {
        let text = text.into();
        check_literal(name, &text)?;
        Ok(Self(text))
    }

    /// The value.
    #[must_use]
    pub const fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::ops::Deref for HeaderValue {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
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

    #[test]
    fn what_frames_a_message_is_the_proxys() {
        for (name, is_changed) in [
            ("Content-Length", false),
            ("transfer-encoding", false),
            ("Connection", false),
            ("X-Isobath-Scope", false),
            ("x-length", true),
            ("content-type", true),
        ] {
            let checked = HeaderName::new(name).unwrap().check_framing();
            assert_eq!(checked.is_ok(), is_changed, "{name}");
        }
        for (text, is_host) in [
            ("a.test:8080", true),
            ("[::1]", true),
            ("a test", false),
            ("a\r\nb", false),
            ("\u{e4}.test", false),
            (&"a".repeat(262), false),
        ] {
            assert_eq!(check_host(text).is_ok(), is_host, "{text:?}");
        }
    }

    #[test]
    fn values_are_what_envoy_takes() {
        let name = HeaderName::new("x-a").unwrap();
        for (value, is_taken) in [
            (String::new(), true),
            ("a\tb".to_owned(), true),
            ("a\nb".to_owned(), false),
            ("x".repeat(MAX_VALUE), true),
            ("x".repeat(MAX_VALUE + 1), false),
            ("%".repeat(MAX_VALUE / 2), true),
            ("%".repeat(MAX_VALUE / 2 + 1), false),
        ] {
            let made = HeaderValue::new(&name, value.clone());
            assert_eq!(made.is_ok(), is_taken, "{} bytes", value.len());
        }
    }

    #[test]
    fn some_names_nobody_gives() {
        for (name, is_taken) in [
            ("X-User", true),
            ("Host", false),
            ("X-Isobath-Scope", false),
            ("x-isobath-anything", false),
            ("x-isobath", true),
        ] {
            let given = given(HeaderName::new(name).unwrap());
            assert_eq!(given.is_ok(), is_taken, "{name}");
        }
    }
}
