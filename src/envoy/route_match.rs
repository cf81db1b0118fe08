//! Which requests a route takes.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use pb::header_matcher::HeaderMatchSpecifier;
use pb::query_parameter_matcher::QueryParameterMatchSpecifier;
use pb::route_match::{
    ConnectMatcher, GrpcRouteMatchOptions, PathSpecifier, TlsContextMatchOptions,
};

use super::encode::bool_value;
use super::string_matcher::{exact, regex_matcher, string_matcher};
use crate::model::{
    ClientCheck, HeaderMatch, HeaderPredicate, QueryMatch, QueryPredicate, RouteMatch, Scheme,
};

/// The conditions besides the path, with the path as given.
pub(super) fn route_match(matches: &RouteMatch, path: PathSpecifier) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(path),
        headers: matches
            .headers()
            .iter()
            .map(header)
            .chain(matches.scheme.map(scheme))
            .collect(),
        query_parameters: matches.query().iter().map(query_parameter).collect(),
        grpc: matches.is_grpc().then(GrpcRouteMatchOptions::default),
        tls_context: matches
            .is_without_certificate()
            .then(|| not_shown(ClientCheck::Validated)),
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

/// The same of requests for tunnels, which have no path.
pub(super) fn of_tunnels(matches: pb::RouteMatch) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(PathSpecifier::ConnectMatcher(ConnectMatcher {})),
        ..matches
    }
}

/// Whether it takes requests for tunnels.
pub(super) fn is_tunnel(matches: &pb::RouteMatch) -> bool {
    matches!(
        matches.path_specifier,
        Some(PathSpecifier::ConnectMatcher(_))
    )
}

/// Every request of a connection that has not shown what it has to.
pub(super) fn without_certificate(check: ClientCheck) -> pb::RouteMatch {
    pb::RouteMatch {
        tls_context: Some(not_shown(check)),
        ..everything()
    }
}

fn not_shown(check: ClientCheck) -> TlsContextMatchOptions {
    let no = bool_value(false);
    let (presented, validated) = match check {
        ClientCheck::Presented => (no, None),
        // Not shown is not validated either.
        ClientCheck::Validated => (None, no),
    };
    TlsContextMatchOptions {
        presented,
        validated,
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

/// One condition on a header.
pub(super) fn header(condition: &HeaderMatch) -> pb::HeaderMatcher {
    let name = condition.name.to_string();
    match &condition.value {
        HeaderPredicate::Is(text) => pb::HeaderMatcher {
            name,
            invert_match: text.negated,
            treat_missing_header_as_empty: text.missing_is_empty,
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(string_matcher(
                &text.pattern,
            ))),
        },
        presence @ (HeaderPredicate::Present | HeaderPredicate::Absent) => pb::HeaderMatcher {
            name,
            header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(
                *presence == HeaderPredicate::Present,
            )),
            ..Default::default()
        },
    }
}

fn query_parameter(condition: &QueryMatch) -> pb::QueryParameterMatcher {
    pb::QueryParameterMatcher {
        name: condition.name.to_string(),
        query_parameter_match_specifier: Some(match &condition.value {
            QueryPredicate::Is(pattern) => {
                QueryParameterMatchSpecifier::StringMatch(string_matcher(pattern))
            }
            presence @ (QueryPredicate::Present | QueryPredicate::Absent) => {
                QueryParameterMatchSpecifier::PresentMatch(*presence == QueryPredicate::Present)
            }
        }),
    }
}
