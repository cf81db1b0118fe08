//! What the operator says of all hosts, where it is not the host's to say: header policies, who is asked about requests, the
//! certificate that endpoints are shown. Routes of Ingresses get their part of it here as well.

use crate::model::{HeaderModifier, Route, RouteAction, VirtualHost};
use crate::objects::http_proxy::HeadersPolicy;
use crate::translate::{HostUnit, Input, budget};

use super::authorization::{self, Asked};
use super::condition::{self, Fault};
use super::context::Context;
use super::global_rate_limit;
use super::headers::{Headers, Of, Own, headers};
use super::options::{HeaderPolicies, HttpProxyOptions};

/// That what the operator says can be honoured: else every HTTPProxy would be wrong for it, and each owner told of what is not
/// theirs.
///
/// # Errors
///
/// The setting, and one sentence.
pub fn check(options: &HttpProxyOptions) -> Result<(), String> {
    let HeaderPolicies {
        requests,
        responses,
        apply_to_ingress: _,
    } = &options.headers;
    let own = Own {
        namespace: "namespace",
        service: Some(("service", Some(80))),
    };
    let kind = condition::SERVICE_REQUEST_HEADERS;
    for (policy, of, flag) in [
        (requests, Of::Requests, "--policy-request-headers"),
        (responses, Of::Responses, "--policy-response-headers"),
    ] {
        let read = headers(Some(policy), of, kind, own);
        read.map_err(|fault| format!("{flag}-set and -remove: {}", fault.message()))?;
    }
    let service = options.rate_limit_service.as_ref();
    let checked = service.map_or(Ok(()), global_rate_limit::check);
    checked.map_err(|why| format!("--rate-limit-service-domain and -default-policy: {why}"))
}

/// What the operator says of the headers of requests to a service, and of its answers.
///
/// # Errors
///
/// What is wrong with it.
pub fn header_policies(input: Input<'_>, own: Own<'_>) -> Result<[Headers; 2], Fault> {
    let policies = &input.options.http_proxy.headers;
    let kinds = [
        condition::SERVICE_REQUEST_HEADERS,
        condition::SERVICE_RESPONSE_HEADERS,
    ];
    Ok([
        headers(Some(&policies.requests), Of::Requests, kinds[0], own)?,
        headers(Some(&policies.responses), Of::Responses, kinds[1], own)?,
    ])
}

/// What it costs that the operator says something of the headers of each service.
pub fn cost_of_headers(input: Input<'_>) -> u64 {
    let policies = &input.options.http_proxy.headers;
    let of = |policy: &HeadersPolicy| {
        let set = policy.set.iter();
        let set = set.map(|header| header.name.len() + header.value.len());
        budget::headers(set.chain(policy.remove.iter().map(|name| name.len())))
    };
    of(&policies.requests).saturating_add(of(&policies.responses))
}

/// Whether the operator says anything of headers.
pub fn has_header_policies(input: Input<'_>) -> bool {
    let policies = &input.options.http_proxy.headers;
    let mut all = [&policies.requests, &policies.responses].into_iter();
    all.any(|policy| !policy.set.is_empty() || !policy.remove.is_empty())
}

/// Who is asked about requests of all hosts.
///
/// # Errors
///
/// Why nobody can be asked: then no HTTPProxy's host is served, whomever it names itself, as in clear its requests are asked about
/// there. Routes of other languages answer 503, but for redirects.
pub fn global_authorization(context: &mut Context<'_>) -> Result<Option<Asked>, Fault> {
    let Some(server) = &context.input.options.http_proxy.global_authorization else {
        return Ok(None);
    };
    authorization::of_server(context, &server.extension_ref.namespace, server)
}

/// Puts on the routes of Ingresses what holds for them: they say nothing of any of it.
pub fn on_ingress(input: Input<'_>, unit: &mut HostUnit) {
    let options = &input.options.http_proxy;
    let has_headers = options.headers.apply_to_ingress && has_header_policies(input);
    if !has_headers && options.global_authorization.is_none() {
        return;
    }
    let mut context = Context::new(input);
    let asked = global_authorization(&mut context);
    let https = unit.https.as_mut().map(|https| &mut https.virtual_host);
    for host in unit.http.iter_mut().chain(https) {
        // A host that only redirects is one of many that share their routes.
        if host.is_https_redirect(input.options.https_port) {
            continue;
        }
        for route in &mut host.routes {
            if has_headers {
                add_headers(input, route);
            }
            guard(route, asked.as_ref());
        }
    }
    use_clusters(context, unit);
}

/// Asks whom the operator names about requests of a host that says nothing of it, in whatever language it is written.
pub fn guard_host(input: Input<'_>, unit: &mut HostUnit) {
    if input.options.http_proxy.global_authorization.is_none() {
        return;
    }
    let mut context = Context::new(input);
    let asked = global_authorization(&mut context);
    let https = unit.https.as_mut().map(|https| &mut https.virtual_host);
    let hosts = unit.http.iter_mut().chain(https);
    for route in hosts.flat_map(|host| &mut host.routes) {
        guard(route, asked.as_ref());
    }
    use_clusters(context, unit);
}

/// The clusters of who is asked are the host's, where it asks.
fn use_clusters(mut context: Context<'_>, unit: &mut HostUnit) {
    let used = |host: &VirtualHost| {
        host.clusters()
            .any(|name| context.clusters.contains_key(name))
    };
    let https = unit.https.as_ref().map(|https| &https.virtual_host);
    if unit.http.iter().chain(https).any(used) {
        unit.clusters.append(&mut context.clusters);
    }
}

/// Who is to be asked is asked; where nobody can be, nothing is answered.
fn guard(route: &mut Route, asked: Result<&Option<Asked>, &Fault>) {
    match (asked, &route.action) {
        (_, RouteAction::Redirect(_)) | (Ok(None), _) => {}
        (Ok(Some(asked)), _) => {
            if let Some(asked) = asked.of_route(None) {
                route.filters.get_or_insert_default().authorization = Some(asked);
            }
        }
        (Err(_), _) => route.close(),
    }
}

/// What an Ingress says itself holds.
fn add_headers(input: Input<'_>, route: &mut Route) {
    let RouteAction::Forward(forward) = &route.action else {
        return;
    };
    let service = forward.service.clone();
    let own = Own {
        namespace: &route.source.object.name.namespace,
        service: service.as_deref().map(|name| (name, None)),
    };
    let Ok([requests, responses]) = header_policies(input, own) else {
        return;
    };
    let filters = route.filters.get_or_insert_default();
    for (said, ours, dynamic) in [
        (
            &mut route.request_headers,
            requests,
            &mut filters.request_headers,
        ),
        (
            &mut route.response_headers,
            responses,
            &mut filters.response_headers,
        ),
    ] {
        let is_set = |said: &HeaderModifier, name: &str| {
            said.set.contains_key(name) || said.remove.contains(name)
        };
        let changes = ours.dynamic.into_iter();
        dynamic.extend(changes.filter(|change| !is_set(said, change.name())));
        for (name, value) in ours.literal.set {
            if !is_set(said, name.as_str()) {
                said.set.insert(name, value);
            }
        }
        for name in ours.literal.remove {
            if !said.set.contains_key(&name) {
                said.remove.insert(name);
            }
        }
    }
    if route.filters.as_deref() == Some(&crate::model::Filters::default()) {
        route.filters = None;
    }
}
