//! Which requests a rule takes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{
    Conditions, Expression, GrpcName, HeaderMatch, HeaderName, HeaderPredicate, PathMatch,
    QueryMatch, QueryPredicate, RouteMatch, StringMatch, TextMatch,
};
use crate::objects::gateway_api as api;

use super::context::Unserved;

/// The matches of a rule of an HTTPRoute: any of them will do, and without one every request.
pub fn http_matches(matches: &[api::HttpMatch]) -> Result<Vec<RouteMatch>, Unserved> {
    if matches.is_empty() {
        return Ok(vec![RouteMatch::path(PathMatch::PathPrefix("/".into()))]);
    }
    matches.iter().map(http_match).collect()
}

/// The same of a GRPCRoute, and every call.
pub fn grpc_matches(matches: &[api::GrpcMatch]) -> Result<Vec<RouteMatch>, Unserved> {
    if matches.is_empty() {
        let every = RouteMatch::grpc(None, None).map_err(Unserved)?;
        return Ok(vec![every]);
    }
    matches.iter().map(grpc_match).collect()
}

fn http_match(written: &api::HttpMatch) -> Result<RouteMatch, Unserved> {
    let path = match &written.path {
        None => PathMatch::PathPrefix("/".into()),
        Some(api::PathMatch::Exact(path)) => PathMatch::Exact(path.clone()),
        Some(api::PathMatch::Prefix(path)) => PathMatch::PathPrefix(prefix(path)),
        Some(api::PathMatch::RegularExpression(text)) => {
            PathMatch::Regex(Expression::new(text.clone()).map_err(Unserved)?)
        }
    };
    let mut headers = headers(&written.headers)?;
    if let Some(method) = &written.method {
        headers.push(HeaderMatch::method(method).map_err(Unserved)?);
    }
    let mut seen = BTreeSet::new();
    let mut query = Vec::new();
    for it in &written.query {
        // Of two of one name the first counts.
        if seen.insert(&it.name) {
            let value = QueryPredicate::Is(string_match(it)?);
            query.push(QueryMatch::new(&it.name, value).map_err(Unserved)?);
        }
    }
    Ok(RouteMatch::path(path).and(Conditions {
        headers,
        query,
        grpc: false,
        without_certificate: false,
    }))
}

fn grpc_match(written: &api::GrpcMatch) -> Result<RouteMatch, Unserved> {
    let headers = headers(&written.headers)?;
    let method = written.method.as_ref();
    let is_regex = method.is_some_and(|method| method.is_regex);
    let name = |name: Option<&Arc<str>>| {
        let name = name.map(|name| match is_regex {
            true => Expression::new(name.clone()).map(GrpcName::Regex),
            false => GrpcName::exact(name),
        });
        name.transpose().map_err(Unserved)
    };
    let service = name(method.and_then(|it| it.service.as_ref()))?;
    let called = name(method.and_then(|it| it.method.as_ref()))?;
    let matches = RouteMatch::grpc(service.as_ref(), called.as_ref()).map_err(Unserved)?;
    Ok(matches.and(Conditions {
        headers,
        query: Vec::new(),
        grpc: true,
        without_certificate: false,
    }))
}

/// By elements, without trailing slash.
fn prefix(path: &Arc<str>) -> Arc<str> {
    match path.trim_end_matches('/') {
        "" => "/".into(),
        trimmed if trimmed.len() == path.len() => path.clone(),
        trimmed => trimmed.into(),
    }
}

/// Of two of one name the first counts, whatever the case of its letters is.
fn headers(written: &[api::ValueMatch]) -> Result<Vec<HeaderMatch>, Unserved> {
    let mut seen = BTreeSet::new();
    let mut headers = Vec::new();
    for it in written {
        let name = HeaderName::new(&it.name).map_err(Unserved)?;
        if seen.insert(name.clone()) {
            let value = HeaderPredicate::Is(TextMatch::of(string_match(it)?));
            headers.push(HeaderMatch { name, value });
        }
    }
    Ok(headers)
}

fn string_match(written: &api::ValueMatch) -> Result<StringMatch, Unserved> {
    match written.is_regex {
        true => StringMatch::regex(&written.value).map_err(Unserved),
        false => Ok(StringMatch::exact(&written.value)),
    }
}
