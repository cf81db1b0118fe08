//! The filters of routes and hosts, and where a manager has room for them.
//!
//! Every manager has the same few filters from the first, disabled: CORS, chains without any filter in them, and what changes
//! cookies ([`installed`]). A route or a host that asks for something brings the filters themselves, in a chain of its own
//! (`typed_per_filter_config`): so whatever is asked for is a change of a route table and of nothing else, no setting of a
//! filter is out of reach of a route, and a connection from before a guard meets the guard. Envoy 1.40 makes any filter
//! within a route's chain; what 1.39 can't make there says so at its type.
//!
//! The order of a request is `cors`, `access` (the route's), `host`, `tokens` (the host's), `route`, `limits` (the host's),
//! `pages` (the route's):
//! preflights bring no credentials and any refusal is readable to a page that may read answers; what is cheap comes before
//! what asks somebody; and what a service counts is asked when all others have let the request pass. No page
//! takes the place of a guard that was asked before it. Cookies come last, so
//! that of an answer they are changed first: those that filters set are not a back end's.

pub(super) mod address;
mod authorization;
mod client_subject;
mod compression;
pub(super) mod cookies;
mod cors;
mod error_page;
mod global_rate_limit;
mod jwt;
mod kept;
mod local_rate_limit;
mod session;

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::route::v3::FilterConfig;
use envoy_types::pb::envoy::extensions::filters::http as pb;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use pb::body_size_limit::v3::BodySizeLimit;
use pb::cors::v3::Cors;
use pb::filter_chain::v3::{FilterChain, FilterChainConfig, FilterChainConfigPerRoute};
use pb::grpc_web::v3::GrpcWeb;
use prost::Message as _;
use prost::encoding::{DecodeContext, decode_key, skip_field};

pub(super) use error_page::{key as page_key, of_backends as pages_of_backends};
pub(super) use kept::headers as kept_headers;

use super::encode::{nested, u64_value};
use super::{access_log, http_filter};
use crate::model::{
    BackendPage, Filters, HostFilters, Route, RouteAction, SessionPersistence, VirtualHost,
};

const CORS: &str = "envoy.filters.http.cors";
/// The same filter in the chain of a route that is not logged.
const UNLOGGED_CORS: &str = "isobath.access.cors";
/// A chain of the route that is asked first.
const ACCESS: &str = "isobath.access";
/// The chain of the host.
const HOST: &str = "isobath.host";
/// The chain of the host that knows tokens.
const TOKENS: &str = "isobath.tokens";
/// A chain of the route that is asked after those.
const ROUTE: &str = "isobath.route";
/// The chain of the host that asks a service how many there were.
const LIMITS: &str = "isobath.limits";
/// The chain of the route that has pages for errors.
const PAGES: &str = "isobath.pages";

/// The filters of every manager. **To change these is to change every manager**, and connections from before keep those
/// that they have.
pub(super) fn installed() -> impl Iterator<Item = hcm::HttpFilter> {
    let chains = [ACCESS, HOST, TOKENS, ROUTE, LIMITS, PAGES]
        .map(|name| http_filter::filter(name, FilterChainConfig::default()));
    let cors = http_filter::filter(CORS, Cors::default());
    let filters = [cors].into_iter().chain(chains);
    let filters = filters.chain([cookies::filter()]);
    filters.map(|filter| hcm::HttpFilter {
        disabled: true,
        ..filter
    })
}

/// `Route.typed_per_filter_config`, encoded, of the route with this place in its host.
pub(super) fn of_route(host: &VirtualHost, index: usize, route: &Route) -> Vec<u8> {
    let mut bytes = of_action(&route.action);
    let session = session_of(&route.action);
    let follows = kept::follows_redirects(route);
    if route.filters.is_none() && session.is_none() && !follows {
        return bytes;
    }
    let nothing = Filters::default();
    let filters = route.filters.as_deref().unwrap_or(&nothing);
    let has_host = host.filters.is_some();
    let limits = local_rate_limit::filters(&filters.local_rate_limits);
    let addresses = filters.addresses.as_ref().and_then(address::filter);
    let subject = filters.client_subject.as_ref().map(client_subject::filter);
    let access = unlogged(filters).chain(subject).chain(limits);
    let access = chain(access.chain(addresses).collect());
    let own = (has_host && filters.ignores_host).then(disabled);
    let counted = (has_host && filters.ignores_global_limit).then(disabled);
    let asked = filters.authorization.as_ref();
    let told = asked.and_then(authorization::of_route);
    let pages = filters.error_pages.as_ref();
    let pages = pages.and_then(|pages| error_page::filter(pages, &host.host, index, route));
    let is_kept = follows || pages_of_backends(&host.host, route).next().is_some();
    let pages = is_kept.then(kept::filter).into_iter().chain(pages);
    let all = [
        cors_policy(filters),
        (ACCESS, access),
        (HOST, own),
        (ROUTE, last_asked(filters, session)),
        (LIMITS, counted),
        (PAGES, chain(pages.collect())),
        (authorization::NAME, told),
        (jwt::NAME, filters.jwt.as_ref().map(jwt::of_route)),
    ];
    bytes.extend(entries(ROUTE_CONFIGS, all));
    bytes
}

/// What comes first on a route that is not logged, so that no answer of its filters is logged either. Preflights are
/// answered there too, and not by the manager's own filter, which is before all others.
fn unlogged(filters: &Filters) -> impl Iterator<Item = TypedExtensionConfig> + use<> {
    let answers = filters.is_not_logged && filters.cors.is_some();
    let cors = answers.then(|| http_filter::in_chain(UNLOGGED_CORS, Cors::default()));
    not_logged(filters).chain(cors)
}

fn not_logged(filters: &Filters) -> impl Iterator<Item = TypedExtensionConfig> + use<> {
    let off = || http_filter::in_chain("not-logged", access_log::off());
    filters.is_not_logged.then(off).into_iter()
}

/// Who may use the route from elsewhere, and which filter is told.
fn cors_policy(filters: &Filters) -> (&'static str, Option<Any>) {
    let name = match filters.is_not_logged {
        true => UNLOGGED_CORS,
        false => CORS,
    };
    (name, filters.cors.as_ref().map(cors::policy))
}

/// The chain that is asked last of the route's.
fn last_asked(filters: &Filters, session: Option<&SessionPersistence>) -> Option<Any> {
    let bound = filters.max_body.map(body_limit);
    let asked = filters.authorization.iter();
    let asks = asked.flat_map(authorization::filters);
    let limit = filters.global_rate_limit.as_ref();
    let limit = limit.map(global_rate_limit::filter);
    let grpc = filters
        .grpc_web
        .then(|| http_filter::in_chain("grpc-web", GrpcWeb {}));
    let compressed = filters.compression.iter().flat_map(compression::filters);
    chain(
        bound
            .into_iter()
            .chain(asks)
            .chain(limit)
            .chain(grpc)
            .chain(compressed)
            .chain(session.map(session::filter))
            .collect(),
    )
}

fn session_of(action: &RouteAction) -> Option<&SessionPersistence> {
    match action {
        RouteAction::Forward(forward) => forward.options.as_deref()?.session.as_ref(),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => None,
    }
}

/// The part of `Route.typed_per_filter_config` that is about what a back end sends, encoded.
fn of_action(action: &RouteAction) -> Vec<u8> {
    let RouteAction::Forward(forward) = action else {
        return Vec::new();
    };
    let options = forward.options.iter();
    let rewrites = options.clone().flat_map(|it| it.cookie_rewrites.iter());
    let location = options.filter_map(|it| it.location_rewrite.as_ref()).next();
    let context = cookies::context(rewrites, location);
    entries(ROUTE_CONFIGS, [(cookies::NAME, context)])
}

/// `Route.typed_per_filter_config`, encoded, of what takes requests for a page of a route with these filters: whoever asked
/// first was asked about already.
pub(super) fn of_page(
    host: &VirtualHost,
    filters: &Filters,
    page: &BackendPage,
    route: &Route,
) -> Vec<u8> {
    let mut bytes = of_action(&route.action);
    let kept = kept::follows_redirects(route).then(kept::filter);
    let compressed = filters.compression.iter().flat_map(compression::filters);
    let keeps = page.keeps_status.then(error_page::keeps_status);
    let has_host = host.filters.is_some();
    let all = [
        cors_policy(filters),
        (ACCESS, chain(unlogged(filters).collect())),
        (HOST, has_host.then(disabled)),
        (ROUTE, chain(compressed.collect())),
        (LIMITS, has_host.then(disabled)),
        (PAGES, chain(kept.into_iter().chain(keeps).collect())),
    ];
    bytes.extend(entries(ROUTE_CONFIGS, all));
    bytes
}

/// `VirtualHost.typed_per_filter_config`, encoded.
pub(super) fn of_host(host: &VirtualHost) -> Vec<u8> {
    let of_routes = host.routes.iter().filter_map(|it| it.filters.as_deref());
    let required: BTreeSet<_> = of_routes.filter_map(|it| it.jwt.as_ref()).collect();
    if host.filters.is_none() && required.is_empty() {
        return Vec::new();
    }
    let nothing = HostFilters::default();
    let filters = host.filters.as_deref().unwrap_or(&nothing);
    let limits = local_rate_limit::filters(&filters.local_rate_limits);
    // Where tokens are required and nobody issues any, it is this filter that refuses.
    let tokens = (!required.is_empty()).then(|| jwt::filter(&filters.jwt_providers, &required));
    let limit = filters.global_rate_limit.as_ref();
    let limit = limit.map(global_rate_limit::filter);
    let all = [
        (HOST, chain(limits.collect())),
        (TOKENS, chain(tokens.into_iter().collect())),
        (LIMITS, chain(limit.into_iter().collect())),
    ];
    entries(HOST_CONFIGS, all)
}

/// `Route.typed_per_filter_config`, encoded, of a route of a host with filters that answers for others.
pub(super) fn of_nobody() -> Vec<u8> {
    let all = [(HOST, Some(disabled())), (LIMITS, Some(disabled()))];
    entries(ROUTE_CONFIGS, all)
}

/// `Route.typed_per_filter_config`, encoded, of what answers the preflights of a route with these filters.
pub(super) fn of_preflights(host: &VirtualHost, filters: &Filters) -> Vec<u8> {
    let has_host = host.filters.is_some();
    let all = [
        (ACCESS, chain(not_logged(filters).collect())),
        (HOST, has_host.then(disabled)),
        (LIMITS, has_host.then(disabled)),
    ];
    entries(ROUTE_CONFIGS, all)
}

/// Whether an encoded virtual host has filters, by [`of_host`].
pub(super) fn has_some(mut virtual_host: &[u8]) -> bool {
    while let Ok((field, wire_type)) = decode_key(&mut virtual_host) {
        if field == HOST_CONFIGS {
            return true;
        }
        let context = DecodeContext::default();
        if skip_field(wire_type, field, &mut virtual_host, context).is_err() {
            break;
        }
    }
    false
}

/// `Route.typed_per_filter_config` and `VirtualHost.typed_per_filter_config`.
const ROUTE_CONFIGS: u32 = 13;
const HOST_CONFIGS: u32 = 15;

/// Entries of a map in the order of the list: the generated type is a hash map, whose order is random.
fn entries<const N: usize>(field: u32, configs: [(&str, Option<Any>); N]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, config) in configs {
        let Some(config) = config else { continue };
        let mut entry = nested(1, name.as_bytes());
        entry.extend(nested(2, &config.encode_to_vec()));
        bytes.extend(nested(field, &entry));
    }
    bytes
}

fn chain(filters: Vec<TypedExtensionConfig>) -> Option<Any> {
    let chain = FilterChainConfigPerRoute {
        filter_chain: Some(FilterChain { filters }),
    };
    let has_filters = chain
        .filter_chain
        .as_ref()
        .is_some_and(|it| !it.filters.is_empty());
    has_filters.then(|| pack_any(chain))
}

fn body_limit(bytes: NonZeroU64) -> TypedExtensionConfig {
    let limit = BodySizeLimit {
        max_request_bytes: Some(u64_value(bytes.get())),
    };
    http_filter::in_chain("body-limit", limit)
}

fn disabled() -> Any {
    pack_any(FilterConfig {
        disabled: true,
        ..Default::default()
    })
}
