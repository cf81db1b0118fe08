//! Paths of an Ingress: what they match.

use std::sync::Arc;

use crate::model::{Expression, PathMatch};
use crate::objects::{IngressPath, PathType};

/// Where ACME HTTP-01 solvers answer (RFC 8555, section 8.3): such a path is neither redirected nor hidden from plain HTTP.
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// All of them, by elements.
const ACME_CHALLENGES: &str = "/.well-known/acme-challenge";

/// What a path matches, by the documentation of `pathType`. `ImplementationSpecific` is a prefix of the string,
/// or, with any of `^ + * [ ] %` in it, a regular expression for the whole path: Contour's rule.
///
/// Envoy matches the canonical form of a request's path, so everything but an expression is brought into that form.
///
/// # Errors
///
/// One sentence on why a regular expression can't be used, or why no request can have such a path.
pub fn path_match(path: &IngressPath) -> Result<PathMatch, String> {
    let text = &path.path;
    if path.path_type == PathType::ImplementationSpecific && is_expression(text) {
        let expression = text.strip_prefix('^').unwrap_or(text);
        return Expression::new(expression).map(PathMatch::Regex);
    }
    let text = canonical(text)?;
    match path.path_type {
        PathType::Exact => Ok(PathMatch::Exact(text)),
        PathType::Prefix => {
            let trimmed = text.trim_end_matches('/');
            Ok(PathMatch::PathPrefix(match trimmed {
                "" => "/".into(),
                _ => trimmed.into(),
            }))
        }
        // Every path, in both readings: one match, so that two Ingresses that want it both are told.
        PathType::ImplementationSpecific if &*text == "/" => Ok(PathMatch::PathPrefix("/".into())),
        // As text it would take `/.well-known/acme-challenges` too, which is no challenge.
        PathType::ImplementationSpecific if &*text == ACME_CHALLENGES => {
            Ok(PathMatch::PathPrefix(text))
        }
        PathType::ImplementationSpecific => Ok(PathMatch::StringPrefix(text)),
    }
}

fn is_expression(text: &str) -> bool {
    text.contains(['^', '+', '*', '[', ']', '%'])
}

/// The path as Envoy spells it before it looks for a route: what may not stand in a path is escaped, and what need
/// not be escaped is not (RFC 3986, section 6.2.2.2). Without this `/caf\u{e9}` would match nothing at all.
fn canonical(path: &str) -> Result<Arc<str>, String> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if path.contains(['?', '#']) {
        return Err("the path of a request ends before ? and #".into());
    }
    if path.contains('\\') {
        return Err("a \\ in the path of a request is a slash".into());
    }
    let mut text = String::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        index += 1;
        match byte {
            b'%' => match escaped(bytes.get(index..index + 2)) {
                Some(plain) if is_unreserved(plain) => {
                    text.push(char::from(plain));
                    index += 2;
                }
                _ => text.push('%'),
            },
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=b' ' | 0x7f.. => {
                text.push('%');
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            _ => text.push(char::from(byte)),
        }
    }
    if text.contains("//") || text.split('/').any(|element| matches!(element, "." | "..")) {
        return Err("the path of a request has no empty elements and no dots".into());
    }
    Ok(text.into())
}

fn escaped(digits: Option<&[u8]>) -> Option<u8> {
    let digits = std::str::from_utf8(digits?).ok()?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether the path is one of an ACME solver: it takes challenges and nothing else. What an expression takes its text
/// does not say (`/.well-known/acme-challenge/x|/.*`), so none is one.
#[must_use]
pub fn is_acme_challenge(path: &PathMatch) -> bool {
    match path {
        // The path above all challenges too: as one of them it comes before somebody's prefix for all.
        PathMatch::Exact(text) | PathMatch::PathPrefix(text) => {
            text.starts_with(ACME_CHALLENGE) || **text == *ACME_CHALLENGES
        }
        PathMatch::StringPrefix(text) => text.starts_with(ACME_CHALLENGE),
        PathMatch::Regex(_) | PathMatch::RegexPrefix(_) | PathMatch::Connect => false,
    }
}

/// Whether the path is that of one challenge.
#[must_use]
pub fn is_exact_challenge(path: &PathMatch) -> bool {
    match path {
        PathMatch::Exact(text) => {
            let token = text.strip_prefix(ACME_CHALLENGE);
            token.is_some_and(|token| !token.is_empty() && !token.contains('/'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path_type: PathType, path: &str, expected: Result<PathMatch, &str>) {
        let path = IngressPath {
            path: path.into(),
            path_type,
            backend: crate::objects::IngressBackend::Missing,
        };
        match (path_match(&path), expected) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(got), Err(want)) => assert!(got.contains(want), "{got:?} does not say {want:?}"),
            (got, want) => panic!("{:?}: {got:?} instead of {want:?}", path.path),
        }
    }

    #[test]
    fn paths_match_as_documented() {
        use PathMatch::{Exact, PathPrefix, Regex, StringPrefix};
        let regex = |text: &str| Expression::new(text).map(Regex).map_err(|_| "taken");
        use PathType::{ImplementationSpecific, Prefix};
        check(PathType::Exact, "/foo/", Ok(Exact("/foo/".into())));
        check(Prefix, "/", Ok(PathPrefix("/".into())));
        check(Prefix, "/foo/", Ok(PathPrefix("/foo".into())));
        check(Prefix, "/foo//", Err("no empty elements"));
        check(PathType::Exact, "/a/../b", Err("no dots"));
        check(PathType::Exact, "/a?b", Err("ends before ?"));
        check(PathType::Exact, "/a\\b", Err("is a slash"));
        check(
            PathType::Exact,
            "/caf\u{e9} ",
            Ok(Exact("/caf%C3%A9%20".into())),
        );
        check(
            PathType::Exact,
            "/%7ea%2Db%c3%zz%",
            Ok(Exact("/~a-b%c3%zz%".into())),
        );
        check(
            ImplementationSpecific,
            "/foo",
            Ok(StringPrefix("/foo".into())),
        );
        check(
            ImplementationSpecific,
            "/foo/",
            Ok(StringPrefix("/foo/".into())),
        );
        check(ImplementationSpecific, "^/v[0-9]+/.*", regex("/v[0-9]+/.*"));
        check(ImplementationSpecific, "/a%20b", regex("/a%20b"));
    }

    #[test]
    fn challenges_are_told_by_what_is_matched() {
        use PathType::{Exact, ImplementationSpecific, Prefix};
        let check = |path_type, path: &str, expected| {
            let path = IngressPath {
                path: path.into(),
                path_type,
                backend: crate::objects::IngressBackend::Missing,
            };
            let matched = path_match(&path);
            let got = matched.as_ref().is_ok_and(is_acme_challenge);
            assert_eq!(got, expected, "{:?} is {matched:?}", path.path);
        };
        for path_type in [Exact, Prefix, ImplementationSpecific] {
            check(path_type, "/.well-known/acme-challenge/t", true);
            check(path_type, "/.well-known/acme-challengers", false);
            check(path_type, "/.well-known", false);
            check(path_type, "/", false);
        }
        // As the request's own path is spelt in the end.
        check(Exact, "/%2ewell-known/acme-challenge/t", true);
        check(Prefix, "/.well%2Dknown/%61cme-challenge", true);
        check(Prefix, "/.well-known/acme-challenge", true);
        check(ImplementationSpecific, "/.well-known/acme-challenge", true);
        check(ImplementationSpecific, "/.well-known/acme-challenge/", true);
        check(Exact, "/.well-known/acme-challenge", true);
        for expression in [
            "/.well-known/acme-challenge/x|/.*",
            "/.well-known/acme-challenge/[^/]+",
        ] {
            check(ImplementationSpecific, expression, false);
        }
    }
}
