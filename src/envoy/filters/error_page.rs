//! Pages instead of errors.
//!
//! A literal page takes the answer's place where the filter finds it. For one that a back end has, Envoy asks again, as if
//! the request had come with a header that no client can send ([`PAGE`]): the host has a route for each such page, before
//! all others, which takes it by that header. Of the first request too much has changed by then (the table has removed
//! what found it, the route may have rewritten path and Host), so what is needed again is kept beside it.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3 as state;
use envoy_types::pb::envoy::extensions::filters::http::custom_response::v3::CustomResponse;
use envoy_types::pb::envoy::extensions::filters::http::set_filter_state::v3 as set_filter_state;
use envoy_types::pb::envoy::extensions::http::custom_response as policies;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    HttpRequestHeaderMatchInput, HttpResponseStatusCodeMatchInput,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use envoy_types::util::pack_any;
use matcher::matcher::matcher_list::predicate::{self, single_predicate};
use matcher::matcher::matcher_list::{FieldMatcher, Predicate};
use matcher::matcher::{MatcherList, MatcherType, OnMatch, on_match};
use policies::local_response_policy::v3::{LocalResponsePolicy, local_response_policy};
use policies::redirect_policy::v3::{RedirectPolicy, redirect_policy};

use super::super::header::{self, formatted};
use super::super::http_filter::in_chain;
use super::super::private_header::{PAGE, SCOPE, SERVER_NAME};
use crate::model::{BackendPage, DynamicValue, ErrorPages, Host, LiteralPage, Page};
use core::header_value_option::HeaderAppendAction;

/// What a request for that page has in [`PAGE`]: the places of its route and of the page.
pub(in crate::envoy) fn key(route: usize, page: usize) -> String {
    format!("{route}/{page}")
}

/// What is kept of a request, and where it comes from.
const KEPT: [(&str, &str); 5] = [
    ("isobath.page.host", "%REQ(:AUTHORITY)%"),
    ("isobath.page.method", "%REQ(:METHOD)%"),
    ("isobath.page.path", "%REQ(:PATH)%"),
    ("isobath.page.scope", "%REQ(X-ISOBATH-SCOPE)%"),
    ("isobath.page.server-name", "%REQ(X-ISOBATH-SERVER-NAME)%"),
];

/// The filters of a route.
pub(super) fn filters(
    pages: &ErrorPages,
    host: &Host,
    route: usize,
) -> Vec<core::TypedExtensionConfig> {
    let answers = in_chain("error-pages", custom_response(pages, host, route));
    let keeps = pages.of_backends().next().is_some();
    let kept = keeps.then(|| in_chain("kept-for-error-pages", kept()));
    kept.into_iter().chain([answers]).collect()
}

/// The filter of a page's own route that gives it the status of before.
pub(super) fn keeps_status() -> core::TypedExtensionConfig {
    in_chain("error-pages", CustomResponse::default())
}

fn kept() -> set_filter_state::Config {
    let kept = KEPT.iter().map(|(key, format)| state::FilterStateValue {
        key: Some(state::filter_state_value::Key::ObjectKey((*key).to_owned())),
        factory_key: "envoy.string".to_owned(),
        skip_if_empty: true,
        value: Some(state::filter_state_value::Value::FormatString(
            core::SubstitutionFormatString {
                omit_empty_values: true,
                format: Some(core::substitution_format_string::Format::TextFormatSource(
                    text(format),
                )),
                ..Default::default()
            },
        )),
        ..Default::default()
    });
    set_filter_state::Config {
        on_request_headers: kept.collect(),
        ..Default::default()
    }
}

fn text(text: &str) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.to_owned())),
        ..Default::default()
    }
}

fn custom_response(pages: &ErrorPages, host: &Host, route: usize) -> CustomResponse {
    let matchers = pages.iter().enumerate().map(|(index, (page, statuses))| {
        let action = match page {
            Page::Literal(page) => named("literal", &literal(page)),
            Page::Backend(page) => named("backend", &backend(page, host, key(route, index))),
        };
        FieldMatcher {
            predicate: Some(both(any_of(statuses.map(is).collect()), not_head())),
            on_match: Some(OnMatch {
                on_match: Some(on_match::OnMatch::Action(action)),
                ..Default::default()
            }),
        }
    });
    CustomResponse {
        custom_response_matcher: Some(matcher::Matcher {
            matcher_type: Some(MatcherType::MatcherList(MatcherList {
                matchers: matchers.collect(),
            })),
            ..Default::default()
        }),
    }
}

fn named<M: prost::Name + prost::Message>(name: &str, config: &M) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(Any {
            type_url: M::type_url(),
            value: config.encode_to_vec(),
        }),
    }
}

/// Envoy wants two of them at least for a list.
fn any_of(mut predicates: Vec<Predicate>) -> Predicate {
    match predicates.len() {
        1 => predicates.remove(0),
        _ => Predicate {
            match_type: Some(predicate::MatchType::OrMatcher(predicate::PredicateList {
                predicate: predicates,
            })),
        },
    }
}

fn both(one: Predicate, other: Predicate) -> Predicate {
    Predicate {
        match_type: Some(predicate::MatchType::AndMatcher(predicate::PredicateList {
            predicate: vec![one, other],
        })),
    }
}

fn is(status: u16) -> Predicate {
    input(
        pack_any(HttpResponseStatusCodeMatchInput {}),
        status.to_string(),
    )
}

/// Envoy sends the page to a client that asked by HEAD too (1.40), who would take it for the next answer.
fn not_head() -> Predicate {
    let method = HttpRequestHeaderMatchInput {
        header_name: ":method".to_owned(),
    };
    let head = input(pack_any(method), "HEAD".to_owned());
    Predicate {
        match_type: Some(predicate::MatchType::NotMatcher(Box::new(head))),
    }
}

fn input(input: Any, exact: String) -> Predicate {
    let exact = matcher::StringMatcher {
        match_pattern: Some(matcher::string_matcher::MatchPattern::Exact(exact)),
        ..Default::default()
    };
    Predicate {
        match_type: Some(predicate::MatchType::SinglePredicate(
            predicate::SinglePredicate {
                input: Some(TypedExtensionConfig {
                    name: "input".to_owned(),
                    typed_config: Some(input),
                }),
                matcher: Some(single_predicate::Matcher::ValueMatch(exact)),
            },
        )),
    }
}

fn literal(page: &LiteralPage) -> LocalResponsePolicy {
    LocalResponsePolicy {
        body: Some(text(page.body())),
        response_headers_to_add: vec![header::set("content-type", page.content_type())],
        response_code_details_action: Some(
            local_response_policy::ResponseCodeDetailsAction::PreserveResponseCodeDetails(true),
        ),
        ..Default::default()
    }
}

fn backend(page: &BackendPage, host: &Host, key: String) -> RedirectPolicy {
    let overwrite = HeaderAppendAction::OverwriteIfExistsOrAdd;
    let found_by = [
        (PAGE, key),
        (SCOPE, kept_value("scope")),
        (SERVER_NAME, kept_value("server-name")),
    ];
    let found_by = found_by.map(|(name, format)| formatted(name, format, overwrite));
    let told = page.told.iter();
    let told = told.map(|change| header::change_as(change, kept_format));
    RedirectPolicy {
        redirect_action_specifier: Some(redirect_policy::RedirectActionSpecifier::RedirectAction(
            route::RedirectAction {
                // The route may have rewritten it. A wildcard has no name of its own.
                host_redirect: match host.is_wildcard() {
                    true => String::new(),
                    false => host.as_str().to_owned(),
                },
                ..Default::default()
            },
        )),
        request_headers_to_add: found_by.into_iter().chain(told).collect(),
        ..Default::default()
    }
}

fn kept_value(key: &str) -> String {
    format!("%FILTER_STATE(isobath.page.{key}:PLAIN)%")
}

/// What is no more what the client sent.
fn kept_format(value: &DynamicValue) -> Option<String> {
    match value {
        DynamicValue::Host => Some(kept_value("host")),
        DynamicValue::Method => Some(kept_value("method")),
        DynamicValue::Path => Some(kept_value("path")),
        _ => None,
    }
}
