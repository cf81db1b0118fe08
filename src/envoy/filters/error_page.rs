//! Pages instead of errors.
//!
//! A literal page takes the answer's place where the filter finds it. For one that a back end has, Envoy asks again, as if
//! the request had come with a header that no client can send ([`PAGE`]): the host has a route for each such page, before
//! all others, which takes it by that header. Of the first request too much has changed by then (the table has removed
//! what found it, the route may have rewritten path and Host), so what is needed again is kept beside it ([`super::kept`]).

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::custom_response::v3::CustomResponse;
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

use super::super::encode::inline_text;
use super::super::header::{self, formatted};
use super::super::http_filter::in_chain;
use super::super::private_header::{PAGE, SCOPE, SERVER_NAME};
use super::kept;
use crate::model::{
    BackendPage, DynamicValue, ErrorPages, Host, LiteralPage, Page, Route, RouteAction,
};
use core::header_value_option::HeaderAppendAction;

/// What a request for that page has in [`PAGE`]: the host, and the places of its route and of the page. A request that comes to
/// another host by a mistake of ours finds no page there.
pub(in crate::envoy) fn key(host: &Host, route: usize, page: usize) -> String {
    format!("{host}/{route}/{page}")
}

/// The pages of a route that back ends have, with their places among all. None where a wildcard has a route that gives its
/// requests another Host: Envoy would ask that host for the page.
pub(in crate::envoy) fn of_backends<'a>(
    host: &Host,
    route: &'a Route,
) -> impl Iterator<Item = (usize, &'a BackendPage)> {
    let filters = route.filters.as_deref().filter(|_| finds_back(host, route));
    let pages = filters.and_then(|filters| filters.error_pages.as_ref());
    pages.into_iter().flat_map(ErrorPages::of_backends)
}

fn finds_back(host: &Host, route: &Route) -> bool {
    !host.is_wildcard() || !rewrites_host(route)
}

/// Whether a back end may see another Host than the client's.
fn rewrites_host(route: &Route) -> bool {
    let RouteAction::Forward(forward) = &route.action else {
        return false;
    };
    let of_shares = forward.backends.iter();
    let of_shares = of_shares.filter_map(|share| share.options.as_deref());
    header::host(&route.request_headers).is_some()
        || forward.options.as_ref().is_some_and(|it| it.host.is_some())
        || of_shares
            .into_iter()
            .any(|share| header::host(&share.request_headers).is_some())
}

/// The filter of a route with these pages, which is the one with this place in its host.
pub(super) fn filter(
    pages: &ErrorPages,
    host: &Host,
    index: usize,
    route: &Route,
) -> Option<core::TypedExtensionConfig> {
    let with_backends = finds_back(host, route);
    let matchers = matchers(pages, host, index, with_backends);
    (!matchers.is_empty()).then(|| in_chain("error-pages", custom_response(matchers)))
}

/// The filter of a page's own route that gives it the status of before.
pub(super) fn keeps_status() -> core::TypedExtensionConfig {
    in_chain("error-pages", CustomResponse::default())
}

fn matchers(
    pages: &ErrorPages,
    host: &Host,
    route: usize,
    with_backends: bool,
) -> Vec<FieldMatcher> {
    let matchers = pages.iter().enumerate();
    let matchers = matchers.filter_map(|(index, (page, statuses))| {
        let action = match page {
            Page::Literal(page) => named("literal", &literal(page)),
            Page::Backend(page) if with_backends => {
                named("backend", &backend(page, host, key(host, route, index)))
            }
            Page::Backend(_) => return None,
        };
        Some(FieldMatcher {
            predicate: Some(both(any_of(statuses.map(is).collect()), not_head())),
            on_match: Some(OnMatch {
                on_match: Some(on_match::OnMatch::Action(action)),
                ..Default::default()
            }),
        })
    });
    matchers.collect()
}

/// Envoy wants one of them at least.
fn custom_response(matchers: Vec<FieldMatcher>) -> CustomResponse {
    CustomResponse {
        custom_response_matcher: Some(matcher::Matcher {
            matcher_type: Some(MatcherType::MatcherList(MatcherList { matchers })),
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
        body: Some(inline_text(page.body())),
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
        (SCOPE, kept::SCOPE.format()),
        (SERVER_NAME, kept::SERVER_NAME.format()),
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

/// What is no more what the client sent.
fn kept_format(value: &DynamicValue) -> Option<String> {
    match value {
        DynamicValue::Host => Some(kept::HOST.format()),
        DynamicValue::Method => Some(kept::METHOD.format()),
        DynamicValue::Path => Some(kept::PATH.format()),
        _ => None,
    }
}
