//! `spec.routes`, and the policies that only a route has.

use super::super::super::http_proxy::{
    HttpDirectResponsePolicy, HttpHealthCheckPolicy, HttpInternalRedirectPolicy,
    HttpRequestRedirectPolicy, JwtVerificationPolicy, RetryPolicy, Route, RoutePolicies,
};
use super::super::super::validate::FieldError;
use super::super::json::{Bool, Kept, List, Struct, Whole};
use super::super::schema::{
    At, DURATION_OR_INFINITY, HOST, PATH, each, each_of, long, matching, number, number_of, one_of,
    perhaps, present, some, text,
};
use super::super::wires::wires;
use super::condition::{ConditionWire, condition};
use super::policy::{
    AuthorizationPolicyWire, CookieWire, HeadersWire, IpFilterWire, LoadBalancerWire, TimeoutWire,
    authorization_policy, cookie, headers, ip_filter, load_balancer, timeout,
};
use super::rate_limit::{RateLimitWire, rate_limit};
use super::service::{ServiceWire, service};

wires! {
    struct RouteWire {
        conditions: List<Struct<ConditionWire>>,
        services: List<Struct<ServiceWire>>,
        enable_websockets: Bool,
        permit_insecure: Bool,
        auth_policy: Struct<AuthorizationPolicyWire>,
        timeout_policy: Struct<TimeoutWire>,
        retry_policy: Struct<RetryWire>,
        health_check_policy: Struct<HealthCheckWire>,
        load_balancer_policy: Struct<LoadBalancerWire>,
        path_rewrite_policy: Struct<PathRewriteWire>,
        request_headers_policy: Struct<HeadersWire>,
        response_headers_policy: Struct<HeadersWire>,
        cookie_rewrite_policies: List<Struct<CookieWire>>,
        rate_limit_policy: Struct<RateLimitWire>,
        request_redirect_policy: Struct<RedirectWire>,
        direct_response_policy: Struct<DirectResponseWire>,
        internal_redirect_policy: Struct<InternalRedirectWire>,
        jwt_verification_policy: Struct<JwtVerificationWire>,
        ip_allow_policy: List<Struct<IpFilterWire>>,
        ip_deny_policy: List<Struct<IpFilterWire>>,
    }

    struct RetryWire {
        count: Whole,
        per_try_timeout: Kept,
        retry_on: List<Kept>,
        retriable_status_codes: List<Whole>,
    }

    struct HealthCheckWire {
        path: Kept,
        host: Kept,
        interval_seconds: Whole,
        timeout_seconds: Whole,
        unhealthy_threshold_count: Whole,
        healthy_threshold_count: Whole,
        expected_statuses: List<Struct<StatusRangeWire>>,
    }

    struct StatusRangeWire {
        start: Whole,
        end: Whole,
    }

    struct PathRewriteWire {
        replace_prefix: List<Struct<ReplacePrefixWire>>,
    }

    struct ReplacePrefixWire {
        prefix: Kept,
        replacement: Kept,
    }

    struct RedirectWire {
        scheme: Kept,
        hostname: Kept,
        port: Whole,
        status_code: Whole,
        path: Kept,
        prefix: Kept,
    }

    struct DirectResponseWire {
        status_code: Whole,
        body: Kept,
    }

    struct InternalRedirectWire {
        max_internal_redirects: Whole,
        redirect_response_codes: List<Whole>,
        allow_cross_scheme_redirect: Kept,
        deny_repeated_route_redirect: Bool,
    }

    struct JwtVerificationWire {
        require: Kept,
        disabled: Bool,
    }
}

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

pub(super) fn route(at: At<'_>, mut wire: RouteWire) -> Result<Route, FieldError> {
    let conditions = each_of(at.of("conditions"), wire.conditions.take(), condition)?;
    let services = each_of(at.of("services"), wire.services.take(), service)?;
    let enable_websockets = Bool::of(wire.enable_websockets);
    let permit_insecure = Bool::of(wire.permit_insecure);
    let policies = policies(at, wire)?;
    let is_plain = policies == RoutePolicies::default();
    Ok(Route {
        conditions,
        services,
        enable_websockets,
        permit_insecure,
        policies: (!is_plain).then(|| Box::new(policies)),
    })
}

fn policies(at: At<'_>, wire: RouteWire) -> Result<RoutePolicies, FieldError> {
    let path_rewrite = at.of("pathRewritePolicy");
    let replace_prefix = perhaps(path_rewrite, wire.path_rewrite_policy, |at, wire| {
        each_of(at.of("replacePrefix"), wire.replace_prefix, replacement)
    })?;
    Ok(RoutePolicies {
        auth_policy: perhaps(at.of("authPolicy"), wire.auth_policy, authorization_policy)?,
        timeout_policy: perhaps(at.of("timeoutPolicy"), wire.timeout_policy, timeout)?,
        retry_policy: perhaps(at.of("retryPolicy"), wire.retry_policy, retry)?,
        health_check_policy: perhaps(
            at.of("healthCheckPolicy"),
            wire.health_check_policy,
            health_check,
        )?,
        load_balancer_policy: perhaps(
            at.of("loadBalancerPolicy"),
            wire.load_balancer_policy,
            load_balancer,
        )?,
        replace_prefix: replace_prefix.unwrap_or_default(),
        request_headers_policy: perhaps(
            at.of("requestHeadersPolicy"),
            wire.request_headers_policy,
            headers,
        )?,
        response_headers_policy: perhaps(
            at.of("responseHeadersPolicy"),
            wire.response_headers_policy,
            headers,
        )?,
        cookie_rewrite_policies: each_of(
            at.of("cookieRewritePolicies"),
            wire.cookie_rewrite_policies,
            cookie,
        )?,
        rate_limit_policy: perhaps(at.of("rateLimitPolicy"), wire.rate_limit_policy, rate_limit)?,
        request_redirect_policy: perhaps(
            at.of("requestRedirectPolicy"),
            wire.request_redirect_policy,
            redirect,
        )?,
        direct_response_policy: perhaps(
            at.of("directResponsePolicy"),
            wire.direct_response_policy,
            direct_response,
        )?,
        internal_redirect_policy: perhaps(
            at.of("internalRedirectPolicy"),
            wire.internal_redirect_policy,
            internal_redirect,
        )?,
        jwt_verification_policy: wire.jwt_verification_policy.map(|Struct(wire)| {
            JwtVerificationPolicy {
                require: text(wire.require),
                disabled: Bool::of(wire.disabled),
            }
        }),
        ip_allow_policy: each_of(at.of("ipAllowPolicy"), wire.ip_allow_policy, ip_filter)?,
        ip_deny_policy: each_of(at.of("ipDenyPolicy"), wire.ip_deny_policy, ip_filter)?,
    })
}

type Texts = (std::sync::Arc<str>, std::sync::Arc<str>);

fn replacement(at: At<'_>, wire: ReplacePrefixWire) -> Result<Texts, FieldError> {
    let replacement = present(at.of("replacement"), wire.replacement)?;
    Ok((
        some(at.of("prefix"), wire.prefix)?,
        some(at.of("replacement"), Some(replacement))?,
    ))
}

fn retry(at: At<'_>, wire: RetryWire) -> Result<RetryPolicy, FieldError> {
    const CONDITIONS: [&str; 16] = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ];
    let time_out = at.of("perTryTimeout");
    Ok(RetryPolicy {
        count: number(at.of("count"), wire.count, -1, i64::MAX)?.unwrap_or(1),
        per_try_timeout: matching(time_out, wire.per_try_timeout, &DURATION_OR_INFINITY)?,
        retry_on: each(at.of("retryOn"), wire.retry_on, |at, condition| {
            let condition = one_of(at, Some(condition), &CONDITIONS)?;
            Ok(condition.unwrap_or_default())
        })?,
        retriable_status_codes: each(
            at.of("retriableStatusCodes"),
            wire.retriable_status_codes,
            |at, code| {
                let code = number(at, Some(code), 0, i32::MAX.unsigned_abs())?;
                Ok(code.unwrap_or_default())
            },
        )?,
    })
}

fn health_check(at: At<'_>, wire: HealthCheckWire) -> Result<HttpHealthCheckPolicy, FieldError> {
    let Kept(path) = present(at.of("path"), wire.path)?;
    let whole = |field, value, least| {
        let value = number(at.of(field), value, least, i64::MAX)?;
        Ok::<_, FieldError>(value.unwrap_or_default())
    };
    let (unhealthy, healthy) = ("unhealthyThresholdCount", "healthyThresholdCount");
    Ok(HttpHealthCheckPolicy {
        path,
        host: text(wire.host),
        interval_seconds: whole("intervalSeconds", wire.interval_seconds, i64::MIN)?,
        timeout_seconds: whole("timeoutSeconds", wire.timeout_seconds, i64::MIN)?,
        unhealthy_threshold_count: whole(unhealthy, wire.unhealthy_threshold_count, 0)?,
        healthy_threshold_count: whole(healthy, wire.healthy_threshold_count, 0)?,
        expected_statuses: each_of(
            at.of("expectedStatuses"),
            wire.expected_statuses,
            status_range,
        )?,
    })
}

fn status_range(at: At<'_>, wire: StatusRangeWire) -> Result<(i64, i64), FieldError> {
    let end = present(at.of("end"), wire.end)?;
    let start = present(at.of("start"), wire.start)?;
    let start = number(at.of("start"), Some(start), 100, 599)?;
    let end = number(at.of("end"), Some(end), 101, 600)?;
    Ok((start.unwrap_or_default(), end.unwrap_or_default()))
}

fn redirect(at: At<'_>, wire: RedirectWire) -> Result<HttpRequestRedirectPolicy, FieldError> {
    const HOST_LIMIT: usize = 253;
    let is_named = wire.hostname.is_some();
    let hostname = long(at.of("hostname"), wire.hostname, HOST_LIMIT)?;
    let hostname = matching(at.of("hostname"), is_named.then_some(Kept(hostname)), &HOST)?;
    let path = |field, value: Option<Kept>| {
        let is_there = value.is_some();
        let path = matching(at.of(field), value, &PATH)?;
        Ok::<_, FieldError>(is_there.then_some(path))
    };
    let status = number_of(at.of("statusCode"), wire.status_code, &REDIRECTS)?;
    Ok(HttpRequestRedirectPolicy {
        scheme: one_of(at.of("scheme"), wire.scheme, &["http", "https"])?,
        hostname: is_named.then_some(hostname),
        port: number(at.of("port"), wire.port, 1, u16::MAX)?,
        status_code: status.unwrap_or(302),
        path: path("path", wire.path)?,
        prefix: path("prefix", wire.prefix)?,
    })
}

fn direct_response(
    at: At<'_>,
    wire: DirectResponseWire,
) -> Result<HttpDirectResponsePolicy, FieldError> {
    let status = present(at.of("statusCode"), wire.status_code)?;
    let status = number(at.of("statusCode"), Some(status), 200, 599)?;
    Ok(HttpDirectResponsePolicy {
        status_code: status.unwrap_or(200),
        body: text(wire.body),
    })
}

fn internal_redirect(
    at: At<'_>,
    wire: InternalRedirectWire,
) -> Result<HttpInternalRedirectPolicy, FieldError> {
    let most = number(
        at.of("maxInternalRedirects"),
        wire.max_internal_redirects,
        0,
        i32::MAX.unsigned_abs(),
    )?;
    let schemes = ["Always", "Never", "SafeOnly"];
    let scheme = at.of("allowCrossSchemeRedirect");
    let scheme = one_of(scheme, wire.allow_cross_scheme_redirect, &schemes)?;
    let codes = at.of("redirectResponseCodes");
    Ok(HttpInternalRedirectPolicy {
        max_internal_redirects: most.unwrap_or_default(),
        redirect_response_codes: each(codes, wire.redirect_response_codes, |at, code| {
            Ok(number_of(at, Some(code), &REDIRECTS)?.unwrap_or_default())
        })?,
        allow_cross_scheme_redirect: scheme.unwrap_or_else(|| "Never".into()),
        deny_repeated_route_redirect: Bool::of(wire.deny_repeated_route_redirect),
    })
}
