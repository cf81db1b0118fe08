//! A route's path and what it becomes: as pairs of an Envoy path match and its rewrite.
//!
//! Envoy replaces exactly the matched text, so `/foo` → `/` would make `//bar` of `/foo/bar`. One route of the model
//! is therefore one or two of Envoy's, whose matches together are the model's match. A path's elements are kept
//! as Gateway API's table for `ReplacePrefixMatch` has them.

use envoy_types::pb::envoy::config::route::v3::route_match::{ConnectMatcher, PathSpecifier};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use super::string_matcher::{from_the_beginning, regex, whole};
use crate::model::{PathMatch, PathRewrite, Substitution};

/// What becomes of the path (never of the query).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// It stays.
    None,
    /// The matched text becomes this; with [`PathSpecifier::Path`] that is the whole path.
    Matched(String),
    /// The whole path becomes this.
    Whole(String),
    /// Each match within it becomes something.
    Within(Box<Substitution>),
}

/// The Envoy matches that stand for `path`, each with its rewrite. None for a path that no request can have: the
/// path of a request ends before `?` and `#`, and Envoy refuses a whole response over such a prefix.
pub(super) fn matches(
    path: &PathMatch,
    rewrite: Option<&PathRewrite>,
) -> Vec<(PathSpecifier, Rewrite)> {
    // Of a tunnel there is no path that could become another one.
    let rewrite = rewrite.filter(|_| *path != PathMatch::Connect);
    let replacement = match rewrite {
        None => {
            return specifier(path)
                .map(|path| (path, Rewrite::None))
                .into_iter()
                .collect();
        }
        Some(PathRewrite::ReplaceFullPath(whole)) => {
            let whole = Rewrite::Whole(rooted(whole));
            return specifier(path)
                .map(|path| (path, whole))
                .into_iter()
                .collect();
        }
        Some(PathRewrite::ReplaceMatches(substitution)) => {
            let within = Rewrite::Within(substitution.clone());
            return specifier(path)
                .map(|path| (path, within))
                .into_iter()
                .collect();
        }
        Some(PathRewrite::ReplacePrefix(replacement)) => rooted(replacement),
    };
    let Some(one) = specifier(path) else {
        return Vec::new();
    };
    match path {
        PathMatch::Exact(_) => vec![(one, Rewrite::Matched(replacement))],
        // The match is of the whole path, so there is no rest to keep.
        PathMatch::Regex(_) | PathMatch::RegexPrefix(_) => vec![(one, Rewrite::Whole(replacement))],
        PathMatch::PathPrefix(prefix) => {
            by_element(without_slash(prefix), without_slash(&replacement), one)
        }
        PathMatch::StringPrefix(prefix) => by_string(prefix, replacement, one),
        PathMatch::Connect => vec![(one, Rewrite::None)],
    }
}

/// `prefix` and `replacement` without their last slash: the root is empty.
fn by_element(
    prefix: &str,
    replacement: &str,
    one: PathSpecifier,
) -> Vec<(PathSpecifier, Rewrite)> {
    if prefix.is_empty() {
        vec![(one, Rewrite::Matched(format!("{replacement}/")))]
    } else if replacement.is_empty() {
        vec![
            (
                PathSpecifier::Path(prefix.to_owned()),
                Rewrite::Matched("/".to_owned()),
            ),
            (
                PathSpecifier::Prefix(format!("{prefix}/")),
                Rewrite::Matched("/".to_owned()),
            ),
        ]
    } else {
        vec![(one, Rewrite::Matched(replacement.to_owned()))]
    }
}

fn by_string(
    prefix: &str,
    replacement: String,
    one: PathSpecifier,
) -> Vec<(PathSpecifier, Rewrite)> {
    match (prefix.ends_with('/'), replacement.ends_with('/')) {
        (true, false) => vec![(one, Rewrite::Matched(format!("{replacement}/")))],
        // The slash of `/foo/bar` belongs to `/foo/`, and that of `/foobar` is the replacement's.
        (false, true) => vec![
            (
                PathSpecifier::Prefix(format!("{prefix}/")),
                Rewrite::Matched(replacement.clone()),
            ),
            (one, Rewrite::Matched(replacement)),
        ],
        (true, true) | (false, false) => vec![(one, Rewrite::Matched(replacement))],
    }
}

pub(super) fn substitution(substitution: &Substitution) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(whole(substitution.pattern())),
        substitution: substitution.replacement().to_owned(),
    }
}

/// Envoy has no literal for "whatever the path is"; the expression is constant, and of the replacement only the
/// backslash would mean something (a group).
pub(super) fn whole_path(path: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(regex("^.*$")),
        substitution: path.replace('\\', "\\\\"),
    }
}

fn specifier(path: &PathMatch) -> Option<PathSpecifier> {
    match path {
        PathMatch::Regex(expression) => Some(PathSpecifier::SafeRegex(whole(expression))),
        PathMatch::RegexPrefix(expression) => {
            Some(PathSpecifier::SafeRegex(from_the_beginning(expression)))
        }
        PathMatch::Exact(path) | PathMatch::PathPrefix(path) | PathMatch::StringPrefix(path)
            if path.contains(['?', '#']) =>
        {
            None
        }
        PathMatch::Exact(path) => Some(PathSpecifier::Path(path.to_string())),
        PathMatch::StringPrefix(prefix) => Some(PathSpecifier::Prefix(prefix.to_string())),
        PathMatch::PathPrefix(prefix) => Some(match without_slash(prefix) {
            "" => PathSpecifier::Prefix("/".to_owned()),
            prefix => PathSpecifier::PathSeparatedPrefix(prefix.to_owned()),
        }),
        PathMatch::Connect => Some(PathSpecifier::ConnectMatcher(ConnectMatcher {})),
    }
}

fn without_slash(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// An empty replacement means "none" to Envoy.
fn rooted(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}
