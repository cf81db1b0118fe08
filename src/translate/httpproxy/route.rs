//! One route of an HTTPProxy: what is done to its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{
    CrossScheme, DirectResponse, Filters, Forward, ForwardOptions, HeaderModifier,
    InternalRedirects, PathRewrite, Redirect, RetryPolicy, Route, RouteAction, RouteMatch, Upgrade,
};
use crate::objects::http_proxy::{
    self, AuthorizationPolicy, HttpInternalRedirectPolicy, HttpProxy, HttpRequestRedirectPolicy,
    JwtVerificationPolicy, RoutePolicies,
};
use crate::objects::{Field, FieldRef};

use super::balancing::{balancing, http_health_check};
use super::condition::{self, Fault};
use super::conditions::{Chain, check_route};
use super::context::Context;
use super::cookies;
use super::duration::{Timeout, timeout};
use super::filters;
use super::global_rate_limit::{Global, global};
use super::headers::{Headers, Of, Own, headers};
use super::rewrite::rewrite;
use super::services::{Asked, Backends, backends, unset_in_shares};

/// Contour leaves Envoy's own limit to routes that say none.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// A route of a host, before it is known what its host asks of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it was written: the older proxy, its name, and which of its routes.
    pub place: crate::model::order::Place,
    /// The route. Its filters are its own alone.
    pub route: Route,
    /// Whether it is served in clear where its host is redirected to HTTPS.
    pub permit_insecure: bool,
    /// What it says of who is asked about its requests.
    pub auth_policy: Option<AuthorizationPolicy>,
    /// What it says of the token that its requests must bring.
    pub jwt_policy: Option<JwtVerificationPolicy>,
    /// Whether a filter of its own takes the place of its host's.
    pub replaces: Replaced,
}

/// What a route says in the place of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// From which addresses it takes requests.
    pub addresses: bool,
    /// How many requests it takes.
    pub local_rate_limit: bool,
}

/// Reads a route.
///
/// # Errors
///
/// What ends its HTTPProxy.
pub fn route(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    index: usize,
    route: &http_proxy::Route,
    chain: &Chain<'_>,
) -> Result<Entry, Fault> {
    let at = format!("spec.routes[{index}]");
    check_route(&route.conditions)?;
    let chain = chain.then(&route.conditions);
    chain.check()?;
    let none = RoutePolicies::default();
    let policies = route.policies.as_deref().unwrap_or(&none);
    let [requests, responses] = route_headers(proxy, policies)?;
    let is_redirect = policies.request_redirect_policy.is_some();
    let is_answer = policies.direct_response_policy.is_some();
    let is_forward = !route.services.is_empty();
    if usize::from(is_redirect) + usize::from(is_answer) + usize::from(is_forward) != 1 {
        let message = "must set exactly one of route.services or route.requestRedirectPolicy or route.directResponsePolicy";
        return Err(Fault::new(condition::ROUTE_ACTION_COUNT, message));
    }
    let jwt = policies.jwt_verification_policy.as_ref();
    if jwt.is_some_and(|jwt| jwt.disabled && !jwt.require.is_empty()) {
        let message = "route's JWT verification policy cannot specify both require and disabled";
        return Err(Fault::new(condition::JWT_POLICY, message));
    }
    let (mut own_filters, replaces) = own_filters(policies, is_forward)?;
    add_global_limit(context, proxy, &at, policies, &mut own_filters)?;
    let mut made = Made {
        requests,
        responses,
        filters: own_filters,
    };
    let rewritten = rewrite(&policies.replace_prefix, &chain)?;
    let action = if let Some(redirect) = &policies.request_redirect_policy {
        made.drop_headers();
        RouteAction::Redirect(redirected(redirect)?)
    } else if let Some(answer) = &policies.direct_response_policy {
        made.drop_headers();
        let fault = |why| Fault::new(condition::DIRECT_RESPONSE, why);
        let answer = DirectResponse::new(answer.status_code, &answer.body).map_err(fault)?;
        RouteAction::DirectResponse(answer)
    } else {
        forward(context, proxy, &at, route, policies, rewritten, &mut made)?
    };
    let matches = chain.matches()?;
    Ok(Entry {
        place: place(proxy, index),
        route: made.route(matches, action, proxy, &at),
        permit_insecure: route.permit_insecure,
        auth_policy: policies.auth_policy.clone(),
        jwt_policy: policies.jwt_verification_policy.clone(),
        replaces,
    })
}

fn route_headers(proxy: &HttpProxy, policies: &RoutePolicies) -> Result<[Headers; 2], Fault> {
    let own = Own {
        namespace: &proxy.metadata.name.namespace,
        service: None,
    };
    let requests = policies.request_headers_policy.as_ref();
    let responses = policies.response_headers_policy.as_ref();
    let kinds = [
        condition::ROUTE_REQUEST_HEADERS,
        condition::ROUTE_RESPONSE_HEADERS,
    ];
    Ok([
        headers(requests, Of::Requests, kinds[0], own)?,
        headers(responses, Of::Responses, kinds[1], own)?,
    ])
}

fn add_global_limit(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    at: &str,
    policies: &RoutePolicies,
    own_filters: &mut Filters,
) -> Result<(), Fault> {
    let global = global(
        context,
        policies.rate_limit_policy.as_ref(),
        condition::ROUTE_RATE_LIMIT,
        "route.rateLimitPolicy",
    )?;
    match global {
        Global::Unsaid => {}
        Global::Disabled => own_filters.ignores_global_limit = true,
        Global::Limit(limit) => {
            own_filters.global_rate_limit = Some(*limit);
            // Descriptors of a route are told instead of its host's.
            own_filters.ignores_global_limit = true;
        }
        Global::Nobody(warning) => {
            let at = format!("{at}.rateLimitPolicy.global");
            context.faults.warning(&proxy.reference(), &at, warning);
        }
    }
    Ok(())
}

/// Where a route was written.
pub fn place(proxy: &HttpProxy, index: usize) -> crate::model::order::Place {
    use crate::model::order::{Created, Place};
    let metadata = &proxy.metadata;
    Place {
        created: metadata.created.map_or(Created::Unknown, Created::At),
        namespace: metadata.name.namespace.clone(),
        name: metadata.name.name.clone(),
        index: (crate::objects::as_place(index), 0),
    }
}

/// What is done to a route's requests and answers.
struct Made {
    requests: Headers,
    responses: Headers,
    filters: Filters,
}

impl Made {
    /// Contour has no header policies on redirects and answers of its own.
    fn drop_headers(&mut self) {
        self.requests = Headers::default();
        self.responses = Headers::default();
    }

    /// What a route's only service says, where the route says nothing: the route's wins, be it set or removed.
    fn add_service(&mut self, [mut requests, mut responses]: [Headers; 2]) {
        self.requests
            .unset(&mut requests.literal, &mut requests.dynamic);
        self.responses
            .unset(&mut responses.literal, &mut responses.dynamic);
        self.requests.add(requests);
        self.responses.add(responses);
    }

    fn route(
        mut self,
        matches: RouteMatch,
        action: RouteAction,
        proxy: &HttpProxy,
        at: &str,
    ) -> Route {
        self.filters.request_headers.extend(self.requests.dynamic);
        self.filters.response_headers.extend(self.responses.dynamic);
        Route {
            matches,
            action,
            request_headers: modifier(self.requests.literal),
            response_headers: modifier(self.responses.literal),
            filters: (self.filters != Filters::default()).then(|| Box::new(self.filters)),
            source: FieldRef::new(proxy.reference(), Field::At(at.into())),
        }
    }
}

/// What is set is not removed afterwards.
fn modifier(mut literal: HeaderModifier) -> HeaderModifier {
    let set = &literal.set;
    literal.remove.retain(|name| !set.contains_key(name));
    literal
}

fn own_filters(policies: &RoutePolicies, is_forward: bool) -> Result<(Filters, Replaced), Fault> {
    let mut filters = Filters::default();
    let mut replaces = Replaced::default();
    let incompatible = "cannot specify both `ipAllowPolicy` and `ipDenyPolicy`";
    let addresses = filters::addresses(
        &policies.ip_allow_policy,
        &policies.ip_deny_policy,
        incompatible,
    );
    let first = |mut faults: Vec<Fault>| faults.swap_remove(0);
    filters.addresses = addresses.map_err(first)?;
    replaces.addresses = filters.addresses.is_some();
    let limit = filters::local_rate_limit(
        policies.rate_limit_policy.as_ref(),
        condition::ROUTE_RATE_LIMIT,
        "route.rateLimitPolicy",
    )?;
    // As in Contour: a route's own limit is for requests that are passed on.
    if let Some(limit) = limit.filter(|_| is_forward) {
        filters.local_rate_limits.push(limit);
        filters.ignores_host = true;
        replaces.local_rate_limit = true;
    }
    Ok((filters, replaces))
}

fn forward(
    context: &mut Context<'_>,
    proxy: &HttpProxy,
    at: &str,
    route: &http_proxy::Route,
    policies: &RoutePolicies,
    rewrite: Option<PathRewrite>,
    made: &mut Made,
) -> Result<RouteAction, Fault> {
    let timeouts = timeouts(policies)?;
    let balancing = balancing(policies.load_balancer_policy.as_ref());
    for warning in balancing.ignored {
        let at = format!("{at}.loadBalancerPolicy");
        context.faults.warning(&proxy.reference(), &at, warning);
    }
    let health_check = policies.health_check_policy.as_ref();
    let asked = Asked {
        load_balancing: balancing.load_balancing,
        health_check: health_check.map(http_health_check).transpose()?,
        idle_connection: timeouts.idle_connection,
        host: made.requests.host().cloned(),
        of_connections: false,
    };
    let Backends {
        mut shares,
        mirrors,
        service,
        own,
        mut cookies,
        speaks_http2,
    } = backends(context, proxy, at, &route.services, &asked)?;
    if let Some(own) = own {
        made.add_service(own);
    }
    unset_in_shares([&made.requests, &made.responses], &mut shares);
    // Contour translates it always; only by HTTP/2 is there anybody who would understand it.
    made.filters.grpc_web = speaks_http2;
    // What a service says of a cookie's attribute counts before what the route says.
    cookies.extend(cookies::rewrites(
        &policies.cookie_rewrite_policies,
        condition::ROUTE_COOKIES,
        "route",
    )?);
    let internal_redirects = policies.internal_redirect_policy.as_ref();
    let options = ForwardOptions {
        refused: None,
        session: None,
        mirrors,
        hash_policies: balancing.hash_policies,
        host: made.requests.host.clone(),
        idle_timeout: timeouts.idle,
        internal_redirects: internal_redirects.map(followed).transpose()?,
        cookie_rewrites: cookies::all(cookies, condition::ROUTE_COOKIES)?,
        location_rewrite: None,
        connect: None,
        // Contour allows WebSocket where a route asks for it, and nowhere else.
        upgrades: BTreeMap::from([(Upgrade::websocket(), route.enable_websockets)]),
    };
    Ok(RouteAction::Forward(Forward {
        backends: shares,
        service,
        timeout: timeouts.response,
        retry: Some(Box::new(retry(policies)?)),
        rewrite,
        options: Some(Box::new(options)),
    }))
}

struct Timeouts {
    response: Option<Duration>,
    idle: Option<Duration>,
    idle_connection: Option<Duration>,
}

fn timeouts(policies: &RoutePolicies) -> Result<Timeouts, Fault> {
    let mut timeouts = Timeouts {
        response: Some(RESPONSE_TIMEOUT),
        idle: None,
        idle_connection: None,
    };
    let Some(policy) = &policies.timeout_policy else {
        return Ok(timeouts);
    };
    let read = |what: &str, text: &str| {
        timeout(text).map_err(|why| {
            let message =
                format!("route.timeoutPolicy failed to parse: error parsing {what} timeout: {why}");
            Fault::new(condition::TIMEOUT_POLICY, message)
        })
    };
    timeouts.response = match read("response", &policy.response)? {
        Timeout::Default => Some(RESPONSE_TIMEOUT),
        Timeout::Infinite => None,
        Timeout::Of(duration) => Some(duration),
    };
    let or_zero = |timeout| match timeout {
        Timeout::Default => None,
        Timeout::Infinite => Some(Duration::ZERO),
        Timeout::Of(duration) => Some(duration),
    };
    timeouts.idle = or_zero(read("idle", &policy.idle)?);
    timeouts.idle_connection = or_zero(read("idle connection", &policy.idle_connection)?);
    Ok(timeouts)
}

/// No policy is no retry. A count of -1 is none either, as its documentation says and Contour's main branch does.
fn retry(policies: &RoutePolicies) -> Result<RetryPolicy, Fault> {
    /// More would be a storm.
    const MOST: i64 = 100;
    let Some(policy) = &policies.retry_policy else {
        return Ok(RetryPolicy::never());
    };
    let fault = |why: String| {
        let message = format!("route.retryPolicy is invalid: {why}");
        Fault::new(condition::RETRY_POLICY, message)
    };
    let num_retries = match policy.count {
        -1 => return Ok(RetryPolicy::never()),
        0 => 1,
        count @ 1..=MOST => u32::try_from(count).unwrap_or(1),
        count => return Err(fault(format!("count {count} is not from -1 to {MOST}"))),
    };
    let per_try = timeout(&policy.per_try_timeout)
        .map_err(|why| fault(format!("error parsing per-try timeout: {why}")))?;
    let mut retry_on = policy.retry_on.to_vec();
    if retry_on.is_empty() {
        retry_on.push("5xx".into());
    }
    retry_on.sort();
    retry_on.dedup();
    let status = |status: &u32| match u16::try_from(*status) {
        Ok(status) if (100..600).contains(&status) => Ok(status),
        _ => Err(fault(format!("{status} is no status"))),
    };
    let codes = policy.retriable_status_codes.iter().map(status);
    Ok(RetryPolicy {
        retry_on,
        num_retries,
        per_try_timeout: match per_try {
            Timeout::Default | Timeout::Infinite => None,
            Timeout::Of(duration) => Some(duration),
        },
        status_codes: codes.collect::<Result<BTreeSet<_>, _>>()?,
        ..RetryPolicy::default()
    })
}

fn redirected(policy: &HttpRequestRedirectPolicy) -> Result<Redirect, Fault> {
    let fault = |why: &str| {
        let message = format!("route.requestRedirectPolicy is invalid: {why}");
        Fault::new(condition::REQUEST_REDIRECT, message)
    };
    let texts = [&policy.path, &policy.prefix, &policy.hostname];
    let is_sent = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(text) = texts.into_iter().flatten().find(|text| !is_sent(text)) {
        return Err(fault(&format!("{text:?} can't stand in a location")));
    }
    let path = match (&policy.path, &policy.prefix) {
        (Some(_), Some(_)) => {
            return Err(fault(
                "cannot specify both redirect path and redirect prefix",
            ));
        }
        (Some(path), None) => Some(PathRewrite::ReplaceFullPath(path.clone())),
        (None, Some(prefix)) => Some(PathRewrite::ReplacePrefix(prefix.clone())),
        (None, None) => None,
    };
    let scheme = match policy.scheme.as_deref() {
        None => None,
        Some("http") => Some("http"),
        Some("https") => Some("https"),
        Some(other) => return Err(fault(&format!("{other:?} is no scheme"))),
    };
    Ok(Redirect {
        scheme,
        hostname: policy.hostname.clone(),
        port: policy.port,
        path,
        strip_query: false,
        status: policy.status_code,
    })
}

fn followed(policy: &HttpInternalRedirectPolicy) -> Result<InternalRedirects, Fault> {
    let fault = |why| Fault::new(condition::INTERNAL_REDIRECT, why);
    let mut statuses: BTreeSet<u16> = policy.redirect_response_codes.iter().copied().collect();
    if statuses.is_empty() {
        statuses.insert(302);
    }
    let max = policy.max_internal_redirects.max(1);
    let mut followed = InternalRedirects::new(max, statuses).map_err(fault)?;
    followed.cross_scheme = match &*policy.allow_cross_scheme_redirect {
        "Always" => CrossScheme::Always,
        "SafeOnly" => CrossScheme::SafeOnly,
        _ => CrossScheme::Never,
    };
    followed.deny_repeated_route = policy.deny_repeated_route_redirect;
    Ok(followed)
}
