//! In which order the routes of a host are tried, language by language.
//!
//! Envoy takes the first route that matches, so a language's precedence is the order of its routes. Each order is total:
//! two routes are equal only if they are of one [`Place`], so the same routes come out the same however they came in.
//! Contour's own comparison is none: of two routes each can be "less", and their order flips from build to build.
//!
//! [`http_proxy`] is Contour's wherever that is an order:
//!
//! 1. exact paths, then expressions, then prefixes;
//! 2. the longer text, then the one that sorts last; a prefix by elements before the same as text;
//! 3. a condition on the method, then more conditions on headers, then more on query parameters;
//! 4. the conditions themselves, by name, kind and text;
//! 5. the older object, its name, and where in it the route stands.
//!
//! [`gateway_api`] is that of HTTPRoute and GRPCRoute within one listener:
//!
//! 1. the hostname that the route itself names: an exact one, then the longer wildcard, then none;
//! 2. calls of gRPC before everything else, which takes such calls too;
//! 3. of calls: the longer service, then the longer method, then expressions, then every call;
//! 4. of the rest: exact paths, then expressions (the longer text first: the specification leaves it to us), then the
//!    longer prefix;
//! 5. a condition on the method, then more conditions on headers, then more on query parameters;
//! 6. as 5 above.

use std::cmp::{Ordering, Reverse};

use super::host::Host;
use super::route_match::{PathMatch, RouteMatch};
use super::value_match::{HeaderMatch, QueryMatch};

/// Where a route was written. No two routes of a host have the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the object was created; none is younger than all.
    pub created: Created,
    /// The object's namespace.
    pub namespace: std::sync::Arc<str>,
    /// The object's name.
    pub name: std::sync::Arc<str>,
    /// Which rule of the object, and which of the rule's matches.
    pub index: (u32, u32),
}

/// An object's age, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Created {
    /// Since then.
    At(jiff::Timestamp),
    /// Nobody knows.
    Unknown,
}

/// What a route's place in the order depends on.
pub trait Ranked {
    /// The hostname that the object names for the route, [`Host::any`] where it names none.
    fn hostname(&self) -> &Host;
    /// Which requests.
    fn matches(&self) -> &RouteMatch;
    /// Who wrote it.
    fn place(&self) -> &Place;
}

/// Sorts routes of `HTTPProxy` objects, all of one host.
pub fn http_proxy<T: Ranked>(routes: &mut [T]) {
    routes.sort_by(|a, b| http_proxy_key(a).cmp(&http_proxy_key(b)));
}

/// Sorts routes of the Gateway API, all of one host on one listener.
pub fn gateway_api<T: Ranked>(routes: &mut [T]) {
    routes.sort_by(|a, b| gateway_api_key(a).cmp(&gateway_api_key(b)));
}

/// How [`http_proxy`] orders two routes by what they ask for alone.
#[must_use]
pub fn compare_http_proxy(one: &RouteMatch, other: &RouteMatch) -> Ordering {
    http_proxy_match(one).cmp(&http_proxy_match(other))
}

fn http_proxy_key(route: &impl Ranked) -> impl Ord {
    (http_proxy_match(route.matches()), route.place())
}

fn http_proxy_match(matches: &RouteMatch) -> impl Ord {
    let path = &matches.path;
    let text = path.text();
    let class = match path {
        PathMatch::Exact(_) => 0,
        PathMatch::Regex(_) | PathMatch::RegexPrefix(_) => 1,
        PathMatch::PathPrefix(_) | PathMatch::StringPrefix(_) | PathMatch::Connect => 2,
    };
    let path = (class, Reverse(text.len()), Reverse(text), path);
    (path, count(matches), conditions(matches))
}

fn gateway_api_key(route: &impl Ranked) -> impl Ord {
    let name = route.hostname().as_str();
    let hostname = (route.hostname().is_wildcard(), Reverse(name.len()), name);
    let matches = route.matches();
    let path = match &matches.path {
        PathMatch::PathPrefix(text) if text.len() > 1 => text.trim_end_matches('/'),
        path => path.text(),
    };
    let is_expression = matches.path.expression().is_some();
    let is_exact = matches!(matches.path, PathMatch::Exact(_));
    // A call's path is its service and its method, and the longer service counts before the longer path.
    let (class, service) = match (matches.is_grpc(), path.rsplit_once('/')) {
        (true, Some((service, _))) => match matches.path {
            PathMatch::PathPrefix(_) => (2, 0),
            _ => (u8::from(is_expression), service.len()),
        },
        _ if is_exact => (0, 0),
        _ if is_expression => (1, 0),
        _ => (2, 0),
    };
    let path = (class, Reverse(service), Reverse(path.len()));
    let order = (hostname, !matches.is_grpc(), path, count(matches));
    (order, route.place())
}

/// The more is asked for, the earlier.
fn count(matches: &RouteMatch) -> impl Ord {
    let headers = matches.headers();
    let methods = headers.iter().filter(|header| header.name.is_method());
    let methods = methods.count();
    (
        methods == 0,
        Reverse(headers.len() - methods),
        Reverse(matches.query().len()),
    )
}

/// The conditions, however they are ordered in the object.
fn conditions(matches: &RouteMatch) -> (Vec<&HeaderMatch>, Vec<&QueryMatch>) {
    let mut headers: Vec<_> = matches.headers().iter().collect();
    let mut query: Vec<_> = matches.query().iter().collect();
    headers.sort_unstable();
    query.sort_unstable();
    (headers, query)
}

#[cfg(test)]
mod tests;
