//! `projectcontour.io/v1` HTTPProxy, field for field as in Contour's custom resource definition, less what Isobath does not use.
//!
//! What the definition's schema asks for holds here. Texts that Contour reads itself (durations, addresses, expressions, conditions)
//! stand as written: what is wrong with one is told by the translation in Contour's words.

mod condition;
mod policy;
mod rate_limit;
mod route;
mod service;
mod status;
mod virtual_host;

use std::fmt;
use std::sync::Arc;

pub use condition::{HeaderMatchCondition, Include, MatchCondition, QueryParameterMatchCondition};
pub use policy::{
    AuthorizationPolicy, CookieRewritePolicy, HeaderValue, HeadersPolicy, IpFilterPolicy,
    IpFilterSource, LoadBalancerPolicy, RequestHashPolicy, TimeoutPolicy, UpstreamValidation,
};
pub use rate_limit::{
    GlobalRateLimitPolicy, LocalRateLimitPolicy, RateLimitDescriptorEntry, RateLimitPolicy,
    RateLimitUnit, RequestHeaderValueMatch,
};
pub use route::{
    HttpDirectResponsePolicy, HttpHealthCheckPolicy, HttpInternalRedirectPolicy,
    HttpRequestRedirectPolicy, JwtVerificationPolicy, RetryPolicy, Route, RoutePolicies,
};
pub use service::{Service, ServicePolicies, SlowStartPolicy, TcpHealthCheckPolicy, TcpProxy};
pub use status::{Status, SubCondition, ValidCondition};
pub use virtual_host::{
    AuthorizationServer, AuthorizationServerBufferSettings, ClientCertificateDetails, CorsPolicy,
    DownstreamValidation, ExtensionServiceReference, JwtProvider, RemoteJwks, Tls, VirtualHost,
};

use super::{Kind, Metadata, ObjectRef};

/// An HTTPProxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProxy {
    /// Name, age, annotations.
    pub metadata: Metadata,
    /// `spec.ingressClassName`.
    pub class_name: Option<Arc<str>>,
    /// `spec.virtualhost`: with it the HTTPProxy is a root, and without it is served only below one.
    pub virtual_host: Option<Box<VirtualHost>>,
    /// `spec.routes`.
    pub routes: Box<[Route]>,
    /// `spec.includes`.
    pub includes: Box<[Include]>,
    /// `spec.tcpproxy`.
    pub tcp_proxy: Option<Box<TcpProxy>>,
    /// Why it is wrong as a whole, where it is kept as it asks for a guard of its host: nothing but the host's name is known of it.
    pub wrong: Option<Arc<str>>,
    /// `metadata.generation`, which says in a status what it is about. No route depends on it.
    pub generation: i64,
    /// `status`, which the status writer compares before it writes. No route depends on it.
    pub status: Arc<Status>,
}

impl HttpProxy {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::HttpProxy,
            name: self.metadata.name.clone(),
        }
    }

    /// Whether both are the same but for their status, which no route depends on.
    #[must_use]
    pub fn same_spec(&self, other: &Self) -> bool {
        self.spec() == other.spec()
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        let Self {
            metadata,
            class_name,
            virtual_host,
            routes,
            includes,
            tcp_proxy,
            wrong,
            generation: _,
            status: _,
        } = self;
        let head = (metadata, class_name, virtual_host, wrong);
        (head, routes, includes, tcp_proxy)
    }
}
