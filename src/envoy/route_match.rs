//! Which requests a route takes.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use matcher::string_matcher::MatchPattern;
use pb::header_matcher::HeaderMatchSpecifier;
use pb::query_parameter_matcher::QueryParameterMatchSpecifier;
use pb::route_match::PathSpecifier;

use crate::model::{RouteMatch, Scheme, ValueMatch, ValuePredicate};

/// The conditions besides the path, with the path as given.
pub(super) fn route_match(matches: &RouteMatch, path: PathSpecifier) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(path),
        headers: matches
            .headers
            .iter()
            .map(header)
            .chain(matches.scheme.map(scheme))
            .collect(),
        query_parameters: matches.query.iter().map(query_parameter).collect(),
        ..Default::default()
    }
}

/// Every request.
pub(super) fn everything() -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..Default::default()
    }
}

/// A header, or pseudo header, with exactly this value.
pub(super) fn exact_header(name: &str, value: &str) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact(value))),
        ..Default::default()
    }
}

/// The scheme by which the client asked. Never `:scheme`: over HTTP/2 that is the client's own word, and one that asks
/// port 80 with `:scheme: https` would be served in clear. `X-Forwarded-Proto` is written by Envoy, or read where the
/// operator trusts it, before routes are tried. Any other value counts as plain HTTP.
fn scheme(scheme: Scheme) -> pb::HeaderMatcher {
    let https = matcher::StringMatcher {
        ignore_case: true,
        ..exact("https")
    };
    pb::HeaderMatcher {
        name: "x-forwarded-proto".to_owned(),
        invert_match: scheme == Scheme::Http,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(https)),
        ..Default::default()
    }
}

/// The host has more or fewer labels than these. Envoy's `*.example.com` takes any number of them, Kubernetes' takes
/// one, so labels are counted: the expression holds a number and no text of anybody's. A trailing dot is
/// stripped before routes are tried; a port is not.
pub(super) fn other_label_count(labels: usize) -> pb::HeaderMatcher {
    let more = labels.saturating_sub(1);
    pb::HeaderMatcher {
        name: ":authority".to_owned(),
        invert_match: true,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(regex_matcher(format!(
            "[^.:]+(\\.[^.:]+){{{more}}}\\.?(:[0-9]*)?"
        )))),
        ..Default::default()
    }
}

/// An RE2 expression for the whole value.
pub(super) fn regex(expression: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher {
        regex: expression.to_owned(),
        ..Default::default()
    }
}

fn header(condition: &ValueMatch) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: condition.name.to_string(),
        header_match_specifier: Some(match string_matcher(&condition.value) {
            Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
            None => HeaderMatchSpecifier::PresentMatch(true),
        }),
        ..Default::default()
    }
}

fn query_parameter(condition: &ValueMatch) -> pb::QueryParameterMatcher {
    pb::QueryParameterMatcher {
        name: condition.name.to_string(),
        query_parameter_match_specifier: Some(match string_matcher(&condition.value) {
            Some(matcher) => QueryParameterMatchSpecifier::StringMatch(matcher),
            None => QueryParameterMatchSpecifier::PresentMatch(true),
        }),
    }
}

/// `None` where presence is enough.
fn string_matcher(predicate: &ValuePredicate) -> Option<matcher::StringMatcher> {
    match predicate {
        ValuePredicate::Exact(value) => Some(exact(value)),
        ValuePredicate::Regex(expression) => Some(regex_matcher(expression.to_string())),
        ValuePredicate::Present => None,
    }
}

fn exact(value: &str) -> matcher::StringMatcher {
    matcher::StringMatcher {
        match_pattern: Some(MatchPattern::Exact(value.to_owned())),
        ..Default::default()
    }
}

/// The same as a matcher of texts.
pub(super) fn regex_matcher(expression: String) -> matcher::StringMatcher {
    matcher::StringMatcher {
        match_pattern: Some(MatchPattern::SafeRegex(regex(&expression))),
        ..Default::default()
    }
}
