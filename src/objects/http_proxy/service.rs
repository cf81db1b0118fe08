//! Services that requests or connections go to, and `spec.tcpproxy`.

use std::sync::Arc;

use super::policy::{CookieRewritePolicy, HeadersPolicy, LoadBalancerPolicy, UpstreamValidation};

/// `Service`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `name`.
    pub name: Arc<str>,
    /// `port`.
    pub port: u16,
    /// `weight`, at least 0.
    pub weight: i64,
    /// `protocol`: `h2`, `h2c` or `tls`.
    pub protocol: Option<Arc<str>>,
    /// `mirror`.
    pub mirror: bool,
    /// All other policies. Few services have one.
    pub policies: Option<Box<ServicePolicies>>,
}

/// What few of a `Service`'s fields say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePolicies {
    /// `healthPort`; 0 where it says nothing.
    pub health_port: u16,
    /// `validation`.
    pub validation: Option<UpstreamValidation>,
    /// `requestHeadersPolicy`.
    pub request_headers_policy: Option<HeadersPolicy>,
    /// `responseHeadersPolicy`.
    pub response_headers_policy: Option<HeadersPolicy>,
    /// `cookieRewritePolicies`.
    pub cookie_rewrite_policies: Box<[CookieRewritePolicy]>,
    /// `slowStartPolicy`.
    pub slow_start_policy: Option<SlowStartPolicy>,
}

/// `SlowStartPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowStartPolicy {
    /// `window`.
    pub window: Arc<str>,
    /// `aggression`, by default `1.0`.
    pub aggression: Arc<str>,
    /// `minWeightPercent`, by default 10.
    pub min_weight_percent: u32,
}

/// `TCPProxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpProxy {
    /// `loadBalancerPolicy`.
    pub load_balancer_policy: Option<LoadBalancerPolicy>,
    /// `services`.
    pub services: Box<[Service]>,
    /// `include`, or else its older spelling `includes`: name, and namespace, blank for its own.
    pub include: Option<(Arc<str>, Arc<str>)>,
    /// `healthCheckPolicy`.
    pub health_check_policy: Option<TcpHealthCheckPolicy>,
}

/// `TCPHealthCheckPolicy`; numbers are 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHealthCheckPolicy {
    /// `intervalSeconds`.
    pub interval_seconds: i64,
    /// `timeoutSeconds`.
    pub timeout_seconds: i64,
    /// `unhealthyThresholdCount`.
    pub unhealthy_threshold_count: u32,
    /// `healthyThresholdCount`.
    pub healthy_threshold_count: u32,
}
