//! `spec.routes`, and the policies that only a route has.

use std::sync::Arc;

use super::condition::MatchCondition;
use super::policy::{
    AuthorizationPolicy, CookieRewritePolicy, HeadersPolicy, IpFilterPolicy, LoadBalancerPolicy,
    TimeoutPolicy,
};
use super::rate_limit::RateLimitPolicy;
use super::service::Service;

/// `Route`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// `conditions`.
    pub conditions: Box<[MatchCondition]>,
    /// `services`.
    pub services: Box<[Service]>,
    /// `enableWebsockets`.
    pub enable_websockets: bool,
    /// `permitInsecure`.
    pub permit_insecure: bool,
    /// All other policies. Few routes have one.
    pub policies: Option<Box<RoutePolicies>>,
}

/// What few of a `Route`'s fields say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePolicies {
    /// `authPolicy`.
    pub auth_policy: Option<AuthorizationPolicy>,
    /// `timeoutPolicy`.
    pub timeout_policy: Option<TimeoutPolicy>,
    /// `retryPolicy`.
    pub retry_policy: Option<RetryPolicy>,
    /// `healthCheckPolicy`.
    pub health_check_policy: Option<HttpHealthCheckPolicy>,
    /// `loadBalancerPolicy`.
    pub load_balancer_policy: Option<LoadBalancerPolicy>,
    /// `pathRewritePolicy.replacePrefix`: each with its `prefix`, blank where it says nothing, and its `replacement`.
    pub replace_prefix: Box<[(Arc<str>, Arc<str>)]>,
    /// `requestHeadersPolicy`.
    pub request_headers_policy: Option<HeadersPolicy>,
    /// `responseHeadersPolicy`.
    pub response_headers_policy: Option<HeadersPolicy>,
    /// `cookieRewritePolicies`.
    pub cookie_rewrite_policies: Box<[CookieRewritePolicy]>,
    /// `rateLimitPolicy`.
    pub rate_limit_policy: Option<RateLimitPolicy>,
    /// `requestRedirectPolicy`.
    pub request_redirect_policy: Option<HttpRequestRedirectPolicy>,
    /// `directResponsePolicy`.
    pub direct_response_policy: Option<HttpDirectResponsePolicy>,
    /// `internalRedirectPolicy`.
    pub internal_redirect_policy: Option<HttpInternalRedirectPolicy>,
    /// `jwtVerificationPolicy`.
    pub jwt_verification_policy: Option<JwtVerificationPolicy>,
    /// `ipAllowPolicy`.
    pub ip_allow_policy: Box<[IpFilterPolicy]>,
    /// `ipDenyPolicy`.
    pub ip_deny_policy: Box<[IpFilterPolicy]>,
}

/// `RetryPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `count`, at least -1; by default 1.
    pub count: i64,
    /// `perTryTimeout`; blank where it says nothing.
    pub per_try_timeout: Arc<str>,
    /// `retryOn`, of the closed list.
    pub retry_on: Box<[Arc<str>]>,
    /// `retriableStatusCodes`.
    pub retriable_status_codes: Box<[u32]>,
}

/// `HTTPHealthCheckPolicy`; numbers are 0 where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpHealthCheckPolicy {
    /// `path`.
    pub path: Arc<str>,
    /// `host`; blank where it says nothing.
    pub host: Arc<str>,
    /// `intervalSeconds`.
    pub interval_seconds: i64,
    /// `timeoutSeconds`.
    pub timeout_seconds: i64,
    /// `unhealthyThresholdCount`.
    pub unhealthy_threshold_count: i64,
    /// `healthyThresholdCount`.
    pub healthy_threshold_count: i64,
    /// `expectedStatuses`: each from the first to below the second.
    pub expected_statuses: Box<[(i64, i64)]>,
}

/// `HTTPRequestRedirectPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequestRedirectPolicy {
    /// `scheme`: `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// `hostname`.
    pub hostname: Option<Arc<str>>,
    /// `port`.
    pub port: Option<u16>,
    /// `statusCode`, by default 302.
    pub status_code: u16,
    /// `path`.
    pub path: Option<Arc<str>>,
    /// `prefix`.
    pub prefix: Option<Arc<str>>,
}

/// `HTTPDirectResponsePolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpDirectResponsePolicy {
    /// `statusCode`, from 200 to 599.
    pub status_code: u16,
    /// `body`; blank where it says nothing.
    pub body: Arc<str>,
}

/// `HTTPInternalRedirectPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpInternalRedirectPolicy {
    /// `maxInternalRedirects`; 0 where it says nothing.
    pub max_internal_redirects: u32,
    /// `redirectResponseCodes`, each of 301, 302, 303, 307 and 308.
    pub redirect_response_codes: Box<[u16]>,
    /// `allowCrossSchemeRedirect`: `Always`, `Never` or `SafeOnly`; by default `Never`.
    pub allow_cross_scheme_redirect: Arc<str>,
    /// `denyRepeatedRouteRedirect`.
    pub deny_repeated_route_redirect: bool,
}

/// `JWTVerificationPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtVerificationPolicy {
    /// `require`; blank where it says nothing.
    pub require: Arc<str>,
    /// `disabled`.
    pub disabled: bool,
}
