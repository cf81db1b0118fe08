//! Which requests a route takes.
//!
//! A [`RouteMatch`] is an AND. A rule with several of them (an OR) is several routes with one action: each has a place
//! of its own in the order ([`super::order`]), and other routes may come between.

use std::sync::Arc;

use super::header::HeaderName;
use super::regex::Expression;
use super::value_match::{HeaderMatch, HeaderPredicate, QueryMatch, StringMatch, TextMatch};

/// All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteMatch {
    /// The path.
    pub path: PathMatch,
    /// The scheme by which the client asked, where somebody in front says which that was.
    pub scheme: Option<Scheme>,
    /// What else must hold. Boxed, as most routes ask for a path and nothing else.
    pub conditions: Option<Box<Conditions>>,
}

/// What must hold besides the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conditions {
    /// The method, and headers; `:method` is one as in Envoy.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters.
    pub query: Vec<QueryMatch>,
    /// Whether the content type must be one of gRPC.
    pub grpc: bool,
    /// Whether the client must have shown no certificate that was verified, on a connection by TLS or in clear. With
    /// [`super::ClientCertificates`] that let everybody in, what is asked so is asked before all other routes.
    pub without_certificate: bool,
}

/// How a client asked, as `X-Forwarded-Proto` says it when the routes are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// By anything but HTTPS.
    Http,
    /// By HTTPS.
    Https,
}

impl RouteMatch {
    /// A match on the path alone.
    #[must_use]
    pub const fn path(path: PathMatch) -> Self {
        Self {
            path,
            scheme: None,
            conditions: None,
        }
    }

    /// Calls of gRPC: of this method of this service, or of any. Envoy answers a call that no route takes with
    /// UNIMPLEMENTED by itself.
    ///
    /// # Errors
    ///
    /// One sentence on why the two together make no expression that can be used.
    pub fn grpc(service: Option<&GrpcName>, method: Option<&GrpcName>) -> Result<Self, String> {
        let path = match (service, method) {
            (None, None) => PathMatch::PathPrefix("/".into()),
            (Some(GrpcName::Exact(service)), None) => {
                PathMatch::StringPrefix(format!("/{service}/").into())
            }
            (Some(GrpcName::Exact(service)), Some(GrpcName::Exact(method))) => {
                PathMatch::Exact(format!("/{service}/{method}").into())
            }
            (service, method) => {
                let text = |name: Option<&GrpcName>| {
                    name.map_or_else(|| "[^/]+".to_owned(), GrpcName::expression)
                };
                let path = format!("/{}/{}", text(service), text(method));
                PathMatch::Regex(Expression::new(path)?)
            }
        };
        Ok(Self::path(path).and(Conditions {
            grpc: true,
            ..Conditions::default()
        }))
    }

    /// The same with these conditions instead of what it had.
    #[must_use]
    pub fn and(mut self, conditions: Conditions) -> Self {
        self.conditions = (conditions != Conditions::default()).then(|| Box::new(conditions));
        self
    }

    /// The headers that are asked for.
    #[must_use]
    pub fn headers(&self) -> &[HeaderMatch] {
        self.conditions
            .as_ref()
            .map_or(&[], |conditions| &conditions.headers)
    }

    /// The query parameters that are asked for.
    #[must_use]
    pub fn query(&self) -> &[QueryMatch] {
        self.conditions
            .as_ref()
            .map_or(&[], |conditions| &conditions.query)
    }

    /// Whether it takes requests of clients that have shown no good certificate only.
    #[must_use]
    pub fn is_without_certificate(&self) -> bool {
        let conditions = self.conditions.as_ref();
        conditions.is_some_and(|conditions| conditions.without_certificate)
    }

    /// Whether it takes calls of gRPC only.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.conditions
            .as_ref()
            .is_some_and(|conditions| conditions.grpc)
    }
}

impl HeaderMatch {
    /// The method: case counts (RFC 9110, 9.1).
    ///
    /// # Errors
    ///
    /// One sentence where no request can have it.
    pub fn method(method: &str) -> Result<Self, String> {
        let is_token = !method.is_empty() && method.bytes().all(super::header::is_token_byte);
        if !is_token {
            return Err(format!("{method:?} is no method"));
        }
        Ok(Self {
            name: HeaderName::method(),
            value: HeaderPredicate::Is(TextMatch::of(StringMatch::exact(method))),
        })
    }
}

/// A match on the path, without the query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// An expression that must match the whole path.
    Regex(Expression),
    /// An expression that must match the path from its beginning on, whatever follows.
    RegexPrefix(Expression),
    /// The path by elements, without trailing slash: `/foo` matches `/foo` and `/foo/bar`. The root is `/`.
    PathPrefix(Arc<str>),
    /// A prefix of the string: `/foo` matches `/foobar`.
    StringPrefix(Arc<str>),
    /// None: requests of the method CONNECT, which ask for a tunnel and have no path. No other match takes them, and this one
    /// takes nothing else. What becomes of them says [`super::ForwardOptions::connect`].
    Connect,
}

impl PathMatch {
    /// What was written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::PathPrefix(text) | Self::StringPrefix(text) => text,
            Self::Regex(expression) | Self::RegexPrefix(expression) => expression.as_str(),
            Self::Connect => "",
        }
    }

    /// The expression, where it is one.
    #[must_use]
    pub const fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Exact(_) | Self::PathPrefix(_) | Self::StringPrefix(_) | Self::Connect => None,
            Self::Regex(expression) | Self::RegexPrefix(expression) => Some(expression),
        }
    }
}

/// A service or a method of gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcName {
    /// Exactly this, of letters, digits, `_` and (in services) dots.
    Exact(Arc<str>),
    /// What this matches as a whole.
    Regex(Expression),
}

impl GrpcName {
    /// A name that is meant as it stands.
    ///
    /// # Errors
    ///
    /// One sentence where it is none.
    pub fn exact(name: &str) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(format!(
                "{name:?} is no gRPC name: those have letters, digits, underscores and dots"
            ));
        }
        Ok(Self::Exact(name.into()))
    }

    /// As a part of an expression. An exact name has nothing that means something in one but dots.
    fn expression(&self) -> String {
        match self {
            Self::Exact(name) => name.replace('.', r"\."),
            Self::Regex(expression) => format!("(?:{})", expression.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_call_of_grpc_is_a_path() {
        let exact = |name: &str| Some(GrpcName::exact(name).unwrap());
        let regex = |text: &str| Some(GrpcName::Regex(Expression::new(text).unwrap()));
        let whole = |text: &str| PathMatch::Regex(Expression::new(text).unwrap());
        for (service, method, path) in [
            (None, None, PathMatch::PathPrefix("/".into())),
            (exact("a.B"), None, PathMatch::StringPrefix("/a.B/".into())),
            (
                exact("a.B"),
                exact("Get"),
                PathMatch::Exact("/a.B/Get".into()),
            ),
            (None, exact("Get"), whole("/[^/]+/Get")),
            (exact("a.B"), regex("Get|Put"), whole(r"/a\.B/(?:Get|Put)")),
            (regex("a.+"), None, whole("/(?:a.+)/[^/]+")),
        ] {
            let got = RouteMatch::grpc(service.as_ref(), method.as_ref()).unwrap();
            assert_eq!(got.path, path);
            assert!(got.is_grpc());
        }
        for name in ["", "a/b", "a(b", "a b", "\u{e4}"] {
            assert!(GrpcName::exact(name).is_err(), "{name:?}");
        }
        let long = regex(&"a".repeat(900));
        assert!(RouteMatch::grpc(long.as_ref(), long.as_ref()).is_err());
    }

    #[test]
    fn conditions_that_ask_for_nothing_are_none() {
        let path = RouteMatch::path(PathMatch::Exact("/".into()));
        assert_eq!(path.clone().and(Conditions::default()), path);
        assert!(HeaderMatch::method("M-SEARCH").is_ok());
        for method in ["", "GET ", "G\u{e4}T", "a/b"] {
            assert!(HeaderMatch::method(method).is_err(), "{method:?}");
        }
    }
}
