//! Requests that are refused before any route sees them, whatever their host and path.
//!
//! - `TRACE` and its double `TRACK`: 405. A back end answers them with the request that it received, so a client reads
//!   what was added on the way: a route's request headers may hold a credential of the back end
//!   (`isobath.dev/request-headers`).
//! - A Host that is none: 400, as RFC 9112 (3.2) asks. Envoy finds the virtual host of `a.test:@evil.test` by what stands
//!   before the last colon and hands the whole to the back end, which makes links of it that lead to `evil.test`; and of
//!   two Host lines it makes one name with a comma.
//! - Where the operator asks for it, a path with parameters: 400 ([`PathParameters::Reject`]).

use accesslog::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::rbac::v3 as rbac;
use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, header_matcher::HeaderMatchSpecifier,
};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;

use super::edge::{Edge, PathParameters};
use super::encode::u32_value;
use super::http_filter;
use super::route_match::exact_header;
use super::string_matcher::regex_matcher;

const METHODS: [&str; 2] = ["TRACE", "TRACK"];

/// What a request is answered, by what is wrong with it: the status, and the words.
const METHOD_REFUSED: (u16, &str) = (405, "this method is not served");
const HOST_REFUSED: (u16, &str) = (400, "the Host is neither a name nor an address");
const PARAMETERS_REFUSED: (u16, &str) = (400, "a path with parameters (;) is not served");

/// A name, an address, or nothing (HTTP/1.0), and a port. Underscores are in no DNS name, and in use.
const HOST: &str = r"[A-Za-z0-9._-]*(:[0-9]*)?|\[[0-9A-Fa-f:.]*\](:[0-9]*)?";

/// What a request is answered, if it is refused: on paper what [`filter`] has Envoy do.
pub(super) fn answer(
    edge: &Edge,
    method: &str,
    host: &str,
    path: &str,
) -> Option<(u16, &'static str)> {
    if METHODS.contains(&method) {
        return Some(METHOD_REFUSED);
    }
    if !is_whole(HOST, host) {
        return Some(HOST_REFUSED);
    }
    let rejects = edge.path_parameters == PathParameters::Reject;
    (rejects && is_whole(PARAMETERS, path)).then_some(PARAMETERS_REFUSED)
}

/// Whether a text is one of an expression as a whole.
fn is_whole(expression: &str, text: &str) -> bool {
    let whole = regex::bytes::Regex::new(&format!(r"\A(?:{expression})\z"));
    whole.is_ok_and(|whole| whole.is_match(text.as_bytes()))
}

/// A path with a semicolon before its query. `%3B` begins no parameter.
const PARAMETERS: &str = r"[^?]*;.*";

/// What is refused, with the status and the words of the answer.
fn refused(edge: &Edge) -> impl Iterator<Item = (HeaderMatcher, (u16, &'static str))> {
    let methods = METHODS.map(|method| {
        let header = exact_header(":method", method);
        (header, METHOD_REFUSED)
    });
    let host = HeaderMatcher {
        name: ":authority".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(regex_matcher(
            HOST.to_owned(),
        ))),
        invert_match: true,
        ..Default::default()
    };
    let host = (host, HOST_REFUSED);
    let parameters = HeaderMatcher {
        name: ":path".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(regex_matcher(
            PARAMETERS.to_owned(),
        ))),
        ..Default::default()
    };
    let parameters = (parameters, PARAMETERS_REFUSED);
    let is_asked_for = edge.path_parameters == PathParameters::Reject;
    let parameters = is_asked_for.then_some(parameters);
    methods.into_iter().chain([host]).chain(parameters)
}

/// Refuses them with 403, the only status of this filter.
pub(super) fn filter(edge: &Edge) -> hcm::HttpFilter {
    let permissions = refused(edge).map(|(header, ..)| rbac::Permission {
        rule: Some(rbac::permission::Rule::Header(header)),
    });
    let policy = rbac::Policy {
        permissions: permissions.collect(),
        principals: vec![rbac::Principal {
            identifier: Some(rbac::principal::Identifier::Any(true)),
        }],
        ..Default::default()
    };
    http_filter::filter(
        "envoy.filters.http.rbac",
        Rbac {
            rules: Some(rbac::Rbac {
                action: rbac::rbac::Action::Deny.into(),
                policies: [("refused".to_owned(), policy)].into(),
                ..Default::default()
            }),
            ..Default::default()
        },
    )
}

/// Refuses every request.
pub(super) fn refusal() -> hcm::HttpFilter {
    let nobody = rbac::Rbac {
        action: rbac::rbac::Action::Allow.into(),
        ..Default::default()
    };
    http_filter::filter(
        "envoy.filters.http.rbac",
        Rbac {
            rules: Some(nobody),
            ..Default::default()
        },
    )
}

/// Gives what Envoy answers to them by itself their status and words.
pub(super) fn answers(edge: &Edge) -> impl Iterator<Item = hcm::ResponseMapper> {
    refused(edge).map(|(header, (status, words))| {
        let header = accesslog::HeaderFilter {
            header: Some(header),
        };
        hcm::ResponseMapper {
            filter: Some(accesslog::AccessLogFilter {
                filter_specifier: Some(FilterSpecifier::HeaderFilter(header)),
            }),
            status_code: u32_value(status.into()),
            body: Some(core::DataSource {
                specifier: Some(core::data_source::Specifier::InlineString(format!(
                    "{words}\n"
                ))),
                ..Default::default()
            }),
            ..Default::default()
        }
    })
}
