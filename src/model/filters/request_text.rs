//! Text with values of a request in it, as nginx writes them: `$host`, `${request_uri}`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Text with variables, each of which is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestText(Vec<RequestTextPart>);

/// A part of such a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestTextPart {
    /// As it is.
    Literal(Arc<str>),
    /// A value.
    Variable(RequestVariable),
}

/// A value of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestVariable {
    /// `$host`: the name asked for, in lower case, without a port.
    Host,
    /// `$http_host`, `$best_http_host`: as the client writes it.
    HttpHost,
    /// `$scheme`, `$pass_access_scheme`.
    Scheme,
    /// `$request_uri`: path and query.
    RequestUri,
    /// `$escaped_request_uri`: the same as a component of a query.
    EscapedRequestUri,
    /// `$uri`: the path.
    Uri,
    /// `$args`: the query.
    Args,
    /// `$request_method`.
    RequestMethod,
    /// `$remote_addr`.
    RemoteAddress,
    /// `$remote_user`: of `Authorization: Basic`.
    RemoteUser,
    /// `$http_NAME`: a header, in lower case, with `_` for `-`.
    Header(Arc<str>),
    /// `$cookie_NAME`.
    Cookie(Arc<str>),
    /// `$arg_NAME`.
    Argument(Arc<str>),
}

impl RequestVariable {
    fn of_name(name: &str) -> Option<Self> {
        let named = |prefix: &str| {
            let name = name.strip_prefix(prefix)?;
            (!name.is_empty()).then(|| Arc::<str>::from(name))
        };
        Some(match name {
            "host" => Self::Host,
            "http_host" | "best_http_host" => Self::HttpHost,
            "scheme" | "pass_access_scheme" => Self::Scheme,
            "request_uri" => Self::RequestUri,
            "escaped_request_uri" => Self::EscapedRequestUri,
            "uri" => Self::Uri,
            "args" | "query_string" => Self::Args,
            "request_method" => Self::RequestMethod,
            "remote_addr" => Self::RemoteAddress,
            "remote_user" => Self::RemoteUser,
            _ => {
                if let Some(name) = named("http_") {
                    Self::Header(name.to_ascii_lowercase().into())
                } else if let Some(name) = named("cookie_") {
                    Self::Cookie(name)
                } else {
                    Self::Argument(named("arg_")?)
                }
            }
        })
    }
}

impl fmt::Display for RequestVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::HttpHost => f.write_str("http_host"),
            Self::Scheme => f.write_str("scheme"),
            Self::RequestUri => f.write_str("request_uri"),
            Self::EscapedRequestUri => f.write_str("escaped_request_uri"),
            Self::Uri => f.write_str("uri"),
            Self::Args => f.write_str("args"),
            Self::RequestMethod => f.write_str("request_method"),
            Self::RemoteAddress => f.write_str("remote_addr"),
            Self::RemoteUser => f.write_str("remote_user"),
            Self::Header(name) => write!(f, "http_{name}"),
            Self::Cookie(name) => write!(f, "cookie_{name}"),
            Self::Argument(name) => write!(f, "arg_{name}"),
        }
    }
}

impl RequestText {
    /// Most parts of one.
    const MOST: usize = 64;

    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it: the rest of a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (literal, variable) = rest.split_at(at);
            if !literal.is_empty() {
                parts.push(RequestTextPart::Literal(literal.into()));
            }
            let variable = &variable[1..];
            let (name, after) = match variable.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or("has a ${ without }")?,
                None => {
                    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
                    let end = variable.find(|it| !is_name(it)).unwrap_or(variable.len());
                    variable.split_at(end)
                }
            };
            let found = RequestVariable::of_name(name).ok_or_else(|| {
                format!("has the variable ${name}, which is none that Isobath knows")
            })?;
            parts.push(RequestTextPart::Variable(found));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(RequestTextPart::Literal(rest.into()));
        }
        match parts.len() > Self::MOST {
            true => Err("has too many variables".into()),
            false => Ok(Self(parts)),
        }
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[RequestTextPart] {
        &self.0
    }
}

impl fmt::Display for RequestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            RequestTextPart::Literal(text) => f.write_str(text),
            RequestTextPart::Variable(variable) => write!(f, "${{{variable}}}"),
        })
    }
}

impl TryFrom<String> for RequestText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl From<RequestText> for String {
    fn from(text: RequestText) -> Self {
        text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found() {
        for (text, expected) in [
            ("/a", Some("/a")),
            ("$host", Some("${host}")),
            ("a$host/b", Some("a${host}/b")),
            ("${cookie_a}b", Some("${cookie_a}b")),
            ("$http_X_A$arg_q", Some("${http_x_a}${arg_q}")),
            ("$best_http_host", Some("${http_host}")),
            ("$nobody", None),
            ("$", None),
            ("$http_", None),
            ("${host", None),
        ] {
            let found = RequestText::new(text).ok();
            let shown = found.as_ref().map(ToString::to_string);
            assert_eq!(shown.as_deref(), expected, "{text}");
            if let Some(found) = found {
                assert_eq!(RequestText::new(&found.to_string()), Ok(found));
            }
        }
        assert!(RequestText::new(&"$host".repeat(100)).is_err());
    }
}
