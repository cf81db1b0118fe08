//! What Contour's operator decides, of what changes the meaning of HTTPProxies.

use std::sync::Arc;

use crate::objects::NamespacedName;
use crate::objects::http_proxy::{AuthorizationServer, GlobalRateLimitPolicy, HeadersPolicy};

/// Decisions of the operator about HTTPProxies, named as Contour names them.
#[derive(Clone, Debug, Default)]
pub struct HttpProxyOptions {
    /// The namespaces that roots, and Secrets that HTTPProxies name, may be in; none for all of them.
    pub root_namespaces: Vec<Arc<str>>,
    /// Whether `permitInsecure` of a route says nothing.
    pub disable_permit_insecure: bool,
    /// The certificate for clients that name nobody in TLS.
    pub fallback_certificate: Option<NamespacedName>,
    /// What is done to the headers of requests and answers, where services and routes do not say.
    pub headers: HeaderPolicies,
    /// Who is asked about requests of all hosts that do not name somebody else.
    pub global_authorization: Option<AuthorizationServer>,
    /// Who counts requests for global rate limits.
    pub rate_limit_service: Option<RateLimitService>,
}

/// What is done to headers everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderPolicies {
    /// Of requests.
    pub requests: HeadersPolicy,
    /// Of answers.
    pub responses: HeadersPolicy,
    /// Whether it is done on routes of Ingresses as well.
    pub apply_to_ingress: bool,
}

/// Who counts requests for global rate limits, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitService {
    /// The ExtensionService.
    pub extension: NamespacedName,
    /// The name of its configuration for these requests.
    pub domain: Arc<str>,
    /// Whether requests pass that it does not answer for.
    pub fail_open: bool,
    /// Whether answers say what the limits are.
    pub enable_x_ratelimit_headers: bool,
    /// Whether a call of gRPC ends with `RESOURCE_EXHAUSTED`.
    pub enable_resource_exhausted_code: bool,
    /// What it is told of requests of a host that says nothing of it.
    pub default_policy: Option<GlobalRateLimitPolicy>,
}
