//! Policies that several parts of an HTTPProxy have.

use std::sync::Arc;

/// `AuthorizationPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// `disabled`.
    pub disabled: bool,
    /// `context`, sorted by key, each key once.
    pub context: Box<[(Arc<str>, Arc<str>)]>,
}

/// `IPFilterPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpFilterPolicy {
    /// `source`.
    pub source: IpFilterSource,
    /// `cidr`, as written.
    pub cidr: Arc<str>,
}

/// `IPFilterSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFilterSource {
    /// `Peer`.
    Peer,
    /// `Remote`.
    Remote,
}

/// `TimeoutPolicy`; texts are blank where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// `response`.
    pub response: Arc<str>,
    /// `idle`.
    pub idle: Arc<str>,
    /// `idleConnection`.
    pub idle_connection: Arc<str>,
}

/// `LoadBalancerPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancerPolicy {
    /// `strategy`; blank where it says nothing.
    pub strategy: Arc<str>,
    /// `requestHashPolicies`.
    pub request_hash_policies: Box<[RequestHashPolicy]>,
}

/// `RequestHashPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHashPolicy {
    /// `terminal`.
    pub terminal: bool,
    /// `headerHashOptions.headerName`.
    pub header_name: Option<Arc<str>>,
    /// `queryParameterHashOptions.parameterName`.
    pub parameter_name: Option<Arc<str>>,
    /// `hashSourceIP`.
    pub hash_source_ip: bool,
}

/// `HeadersPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadersPolicy {
    /// `set`.
    pub set: Box<[HeaderValue]>,
    /// `remove`.
    pub remove: Box<[Arc<str>]>,
}

/// `HeaderValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderValue {
    /// `name`.
    pub name: Arc<str>,
    /// `value`.
    pub value: Arc<str>,
}

/// `CookieRewritePolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieRewritePolicy {
    /// `name`.
    pub name: Arc<str>,
    /// `pathRewrite.value`.
    pub path_rewrite: Option<Arc<str>>,
    /// `domainRewrite.value`.
    pub domain_rewrite: Option<Arc<str>>,
    /// `secure`.
    pub secure: Option<bool>,
    /// `sameSite`: `Strict`, `Lax` or `None`.
    pub same_site: Option<Arc<str>>,
}

/// `UpstreamValidation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamValidation {
    /// `caSecret`: `name` or `namespace/name`.
    pub ca_secret: Arc<str>,
    /// `subjectNames`, or `subjectName` where there are none.
    pub subject_names: Box<[Arc<str>]>,
}
