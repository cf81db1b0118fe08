//! New paths, and answers that lead elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::regex::Expression;

/// A new path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathRewrite {
    /// The matched prefix becomes this one. The rendering takes care that no slash is doubled or lost.
    ReplacePrefix(Arc<str>),
    /// The whole path becomes this one; the query stays.
    ReplaceFullPath(Arc<str>),
    /// Each match of an expression within the path becomes a text; the query stays.
    ReplaceMatches(Box<Substitution>),
}

/// An expression and what its matches become.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Substitution {
    pattern: Expression,
    replacement: Arc<str>,
}

impl Substitution {
    /// In the replacement `\1` is the first group, `\0` the whole match, and `\\` a backslash.
    ///
    /// # Errors
    ///
    /// One sentence where the replacement names a group that the expression does not have, which Envoy refuses.
    pub fn new(pattern: Expression, replacement: &str) -> Result<Self, String> {
        let groups = pattern.groups();
        let mut rest = replacement.chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                continue;
            }
            match rest.next() {
                Some('\\') => {}
                Some(digit) if digit.to_digit(10).is_some_and(|group| group <= groups) => {}
                Some(digit) if digit.is_ascii_digit() => {
                    return Err(format!(
                        "the replacement names group {digit}, and the expression has {groups}"
                    ));
                }
                _ => return Err(r"a \ in the replacement begins \0 to \9 or \\".into()),
            }
        }
        if replacement.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("the replacement has control characters".into());
        }
        Ok(Self {
            pattern,
            replacement: replacement.into(),
        })
    }

    /// What is looked for.
    #[must_use]
    pub const fn pattern(&self) -> &Expression {
        &self.pattern
    }

    /// What it becomes.
    #[must_use]
    pub fn replacement(&self) -> &str {
        &self.replacement
    }
}

/// A redirect. What is `None` stays as the client sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// `https` or `http`.
    pub scheme: Option<&'static str>,
    /// Host of the location.
    pub hostname: Option<Arc<str>>,
    /// Port of the location.
    pub port: Option<u16>,
    /// Path of the location.
    pub path: Option<PathRewrite>,
    /// Whether the location is without the request's query.
    pub strip_query: bool,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Redirect {
    /// The redirect from HTTP to HTTPS: 301, as Contour answers. Without a port the request's stays, unless it is 80.
    #[must_use]
    pub fn to_https(port: Option<u16>) -> Self {
        Self {
            scheme: Some("https"),
            port,
            status: 301,
            ..Self::default()
        }
    }
}

/// Redirects of the back end that Envoy follows instead of the client. The new location is looked up among the routes of
/// the same listener, and over TLS among those that the client's connection is for: a host of another certificate is
/// misdirected (421). Over TLS the back end sees which server name the connection has, in a header that no client can send
/// ([`super::HeaderName::PRIVATE`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InternalRedirects {
    /// How many in a row, at least one.
    pub max: u32,
    /// Which statuses.
    statuses: BTreeSet<u16>,
    /// Whether the location's scheme may be another one than the client's.
    pub cross_scheme: CrossScheme,
    /// Whether a route to which the request was redirected before is not tried again. The first route does not count.
    pub deny_repeated_route: bool,
}

/// Whether a redirect that Envoy follows may change the scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CrossScheme {
    /// It may not.
    #[default]
    Never,
    /// From HTTPS to HTTP it may not.
    SafeOnly,
    /// It may.
    Always,
}

impl InternalRedirects {
    /// Follows answers of these statuses.
    ///
    /// # Errors
    ///
    /// One sentence where one of them is no redirect, or none is named.
    pub fn new(max: u32, statuses: BTreeSet<u16>) -> Result<Self, String> {
        if let Some(other) = statuses
            .iter()
            .find(|status| ![301, 302, 303, 307, 308].contains(*status))
        {
            return Err(format!(
                "{other} is no redirect: 301, 302, 303, 307 and 308 are"
            ));
        }
        if max == 0 || statuses.is_empty() {
            return Err(
                "no redirect is followed: there must be one status and one in a row".into(),
            );
        }
        Ok(Self {
            max,
            statuses,
            cross_scheme: CrossScheme::Never,
            deny_repeated_route: false,
        })
    }

    /// Which statuses.
    #[must_use]
    pub const fn statuses(&self) -> &BTreeSet<u16> {
        &self.statuses
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn replacements_name_groups_that_are_there() {
        for (pattern, replacement, is_taken) in [
            ("/(a)/(?:b)/(c)", r"/\2/\1/\0", true),
            ("/(a)", r"/\2", false),
            ("/(a|(b))", r"/\2", true),
            ("/[(]", r"/\1", false),
            ("/a", r"/\\1", true),
            ("/a", r"/\", false),
            ("/a", r"/\x", false),
            ("/a", "/\n", false),
            ("/a", "", true),
        ] {
            let pattern = Expression::new(pattern).unwrap();
            let got = Substitution::new(pattern.clone(), replacement);
            assert_eq!(got.is_ok(), is_taken, "{pattern:?} {replacement}");
        }
    }

    #[test]
    fn only_redirects_are_followed() {
        assert!(InternalRedirects::new(1, BTreeSet::from([301, 308])).is_ok());
        assert!(InternalRedirects::new(1, BTreeSet::from([304])).is_err());
        assert!(InternalRedirects::new(1, BTreeSet::new()).is_err());
        assert!(InternalRedirects::new(0, BTreeSet::from([302])).is_err());
    }
}
