//! What becomes of a request's path: before routes are tried, and by a route's rewrite. It is what Envoy does with the settings
//! that this room renders, for whoever wants to know without asking one (seen with Envoy 1.40: `tests/e2e/explain.rs`).

use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use regex::bytes::{Captures, Regex};

use super::edge::{Edge, EscapedSlashes};
use super::path::{Rewrite, matches};
use crate::model::{PathMatch, PathRewrite, Substitution};

/// What a manager makes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenPath {
    /// Routes see this one.
    Path(String),
    /// The client is redirected (307) to this one.
    Redirect(String),
    /// The request is answered 400: why.
    Refused(&'static str),
}

/// The path, with its query, as routes see it.
#[must_use]
pub fn seen(edge: &Edge, path: &str) -> SeenPath {
    let (mut path, query) = split(path);
    let unescaped = unescape_slashes(path);
    let mut redirects = false;
    if edge.escaped_slashes != EscapedSlashes::Keep && unescaped != path {
        match edge.escaped_slashes {
            EscapedSlashes::Reject => {
                return SeenPath::Refused("its path has an escaped slash (%2F, %5C)");
            }
            EscapedSlashes::UnescapeAndRedirect => redirects = true,
            EscapedSlashes::UnescapeAndForward | EscapedSlashes::Keep => {}
        }
        path = &unescaped;
    }
    let Some(mut normal) = normalized(path) else {
        return SeenPath::Refused("its path has %00 or begins with no slash");
    };
    if edge.merge_slashes {
        normal = merged(&normal);
    }
    normal.push_str(query);
    match redirects {
        true => SeenPath::Redirect(normal),
        false => SeenPath::Path(normal),
    }
}

/// The path, and the query with its question mark.
#[must_use]
pub fn split(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

fn unescape_slashes(path: &str) -> String {
    path.replace("%2F", "/")
        .replace("%2f", "/")
        .replace("%5C", "\\")
        .replace("%5c", "\\")
}

/// Dot segments are resolved, backslashes are slashes, what need not be escaped is not, and what must be is.
fn normalized(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.as_bytes().iter();
    while let Some(byte) = bytes.next().copied() {
        let rest = bytes.as_slice();
        match (byte, rest) {
            (b'%', [high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
                let value = u8::try_from(16 * digit(*high) + digit(*low)).unwrap_or_default();
                match value {
                    0 => return None,
                    value if is_unreserved(value) => out.push(char::from(value)),
                    _ => out.extend(['%', char::from(*high), char::from(*low)]),
                }
                bytes.nth(1);
            }
            (byte, _) if must_be_escaped(byte) => out.push_str(&format!("%{byte:02X}")),
            (byte, _) => out.push(char::from(byte)),
        }
    }
    let segments = out.strip_prefix('/')?.split('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in segments {
        ends_in_slash = true;
        match segment {
            "." => {}
            ".." => _ = kept.pop(),
            other => {
                kept.push(other);
                ends_in_slash = false;
            }
        }
    }
    let mut path = format!("/{}", kept.join("/"));
    if ends_in_slash && !kept.is_empty() {
        path.push('/');
    }
    Some(path)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn must_be_escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic()
        || matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !out.ends_with('/') {
            out.push(letter);
        }
    }
    out
}

/// Whether a match takes the path of a request (with its query), and what the path is behind it; `compared` is what of it is
/// compared.
#[must_use]
pub fn taken(
    path: &PathMatch,
    rewrite: Option<&PathRewrite>,
    compared: &str,
    whole: &str,
) -> Option<String> {
    let pairs = matches(path, rewrite).into_iter();
    let (length, rewrite) = pairs
        .filter_map(|(specifier, rewrite)| Some((matched(path, &specifier, compared)?, rewrite)))
        .next()?;
    let (own, query) = split(whole);
    Some(match rewrite {
        Rewrite::None => whole.to_owned(),
        Rewrite::Matched(replacement) => {
            format!(
                "{replacement}{}{query}",
                own.get(length..).unwrap_or_default()
            )
        }
        Rewrite::Whole(whole) => format!("{whole}{query}"),
        Rewrite::Within(substitution) => format!("{}{query}", substituted(&substitution, own)),
    })
}

/// How many bytes of the path the specifier takes.
fn matched(path: &PathMatch, specifier: &PathSpecifier, compared: &str) -> Option<usize> {
    match specifier {
        PathSpecifier::Path(exact) => (exact == compared).then_some(exact.len()),
        PathSpecifier::Prefix(prefix) => compared.starts_with(prefix).then_some(prefix.len()),
        PathSpecifier::PathSeparatedPrefix(prefix) => {
            let rest = compared.strip_prefix(&**prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
        }
        PathSpecifier::SafeRegex(_) => {
            let expression = path.expression()?;
            let takes = match path {
                PathMatch::RegexPrefix(_) => expression.matches_beginning(compared),
                _ => expression.matches(compared),
            };
            takes.then_some(compared.len())
        }
        _ => None,
    }
}

/// `RE2::GlobalReplace`.
fn substituted(substitution: &Substitution, path: &str) -> String {
    let Some(pattern) = substitution.pattern().compiled() else {
        return path.to_owned();
    };
    let replace = |captures: &Captures<'_>| expanded(substitution.replacement(), captures);
    let bytes = Regex::replace_all(&pattern, path.as_bytes(), replace);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn expanded(replacement: &str, captures: &Captures<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut letters = replacement.chars();
    while let Some(letter) = letters.next() {
        let group = match letter {
            '\\' => letters.next(),
            other => {
                out.extend(other.to_string().as_bytes());
                continue;
            }
        };
        match group.and_then(|group| group.to_digit(10)) {
            None => out.push(b'\\'),
            Some(group) => {
                let group = usize::try_from(group).ok().and_then(|it| captures.get(it));
                out.extend(group.map_or(&[][..], |group| group.as_bytes()));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Expression;

    #[test]
    fn paths_have_one_spelling() {
        let path = |text: &str| SeenPath::Path(text.to_owned());
        for (text, expected) in [
            ("/", path("/")),
            ("/a/./b/../c", path("/a/c")),
            ("/a/..", path("/")),
            ("/a/.", path("/a/")),
            ("/../a", path("/a")),
            ("//a///b//?c//d", path("/a/b/?c//d")),
            ("/%61%2e%2E/%7e?%61", path("/a../~?%61")),
            ("/a/%2e%2e/b", path("/b")),
            ("/%zz%4", path("/%zz%4")),
            ("/\u{e4} ", path("/%C3%A4%20")),
            (
                "/a%2Fb%5cc?d%2F",
                SeenPath::Redirect("/a/b/c?d%2F".to_owned()),
            ),
            (
                "/%00",
                SeenPath::Refused("its path has %00 or begins with no slash"),
            ),
        ] {
            assert_eq!(seen(&Edge::default(), text), expected, "{text}");
        }
    }

    #[test]
    fn a_rewrite_replaces_what_was_taken() {
        let prefix = |text: &str| PathMatch::PathPrefix(text.into());
        let to = |text: &str| Some(PathRewrite::ReplacePrefix(text.into()));
        let within = |pattern: &str, to: &str| {
            let pattern = Expression::new(pattern).unwrap();
            let substitution = Substitution::new(pattern, to).unwrap();
            Some(PathRewrite::ReplaceMatches(Box::new(substitution)))
        };
        for (path, rewrite, of, expected) in [
            (prefix("/a"), None, "/a/b?c", Some("/a/b?c")),
            (prefix("/a"), None, "/ab", None),
            (prefix("/a"), to("/"), "/a/b?c", Some("/b?c")),
            (prefix("/a"), to("/"), "/a?c", Some("/?c")),
            (prefix("/a"), to("/x"), "/a/b", Some("/x/b")),
            (prefix("/"), to("/x"), "/b", Some("/x/b")),
            (
                PathMatch::StringPrefix("/a".into()),
                to("/x/"),
                "/ab",
                Some("/x/b"),
            ),
            (
                PathMatch::Exact("/a".into()),
                to("/x"),
                "/a?q",
                Some("/x?q"),
            ),
            (
                prefix("/"),
                within("/(a)/(b)", r"/\2/\1\\"),
                "/a/b/c?d",
                Some(r"/b/a\/c?d"),
            ),
        ] {
            let (compared, _) = split(of);
            let got = taken(&path, rewrite.as_ref(), compared, of);
            assert_eq!(got.as_deref(), expected, "{path:?} {rewrite:?} {of}");
        }
    }
}
