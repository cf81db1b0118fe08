//! What is to be served, as plain data: virtual hosts, routes, clusters, certificates.
//!
//! The model knows neither Kubernetes nor Envoy. It is general on purpose: Ingress and HTTPProxy are, and Gateway API will be
//! translated into the same types. Every value is comparable, and none depends on anything but the objects it
//! was made from (I1). What Envoy would refuse a whole table for can't be said: where a text must be of some form, a
//! constructor says in one sentence why it is not. What few routes have is boxed; there are a million plain ones.

mod balancing;
mod client_certificates;
mod cluster;
mod cluster_name;
mod cookie_rewrite;
mod credentials_file;
mod expansion;
mod filters;
mod front;
mod header;
mod health;
mod host;
mod listener;
pub mod order;
mod percent;
mod redirect;
mod regex;
mod retry;
mod route;
mod route_action;
mod route_match;
mod session;
mod tcp_server;
mod text;
mod tls;
mod tls_parameters;
mod trace;
mod upstream_tls;
mod value_match;
pub mod verdict;

pub use crate::objects::{FieldRef, ObjectRef};
pub use balancing::{HashCookie, HashKey, HashPolicy, LoadBalancing, SetCookie, SlowStart};
pub use client_certificates::{
    ClientCertificates, ClientCheck, ClientVerification, ForwardedCertificate,
};
pub use cluster::{
    CircuitBreakers, Cluster, ClusterSettings, Discovery, DnsLookupFamily, EndpointAddress,
    LoadAssignment, ProxyProtocol, RetryBudget, SocketPath, UpstreamProtocol,
};
pub use cookie_rewrite::{AttributeRewrite, CookieRewrite, CookieRewrites, SameSite};
pub use credentials_file::CredentialsFile;
pub use expansion::{Expansion, paths};
pub use filters::{
    AddressRules, AddressSource, Algorithm, AnswerCache, AskedBody, Authorization, Authorizer,
    BackendPage, BasicAuthentication, Cidr, Claim, Compression, Cors, Descriptor, DescriptorEntry,
    DescriptorValue, Destination, DynamicValue, ErrorPages, Filters, GlobalRateLimit,
    GrpcAuthorizer, Guard, GuardAddresses, HeaderChange, HeaderMode, HeaderPart, HostFilters,
    HttpAuthorizer, JwtKeys, JwtProvider, JwtProviders, JwtRequirement, LiteralPage,
    LocalRateLimit, Origins, Page, PlainName, PublicKeys, Rejection, RemoteKeys, RequestKey,
    RequestText, RequestTextPart, RequestVariable, SignIn, Subrequest, TokenSource, Unanswered,
};
pub use front::{Claimable, Front};
pub use header::{HeaderModifier, HeaderName, HeaderValue, check_host};
pub use health::{HealthCheck, HttpQuestion, OutlierDetection, Question};
pub use host::Host;
pub use listener::{Application, Forwarding, Http3, Listener, Share, Spoken};
pub use percent::Percent;
pub use redirect::{CrossScheme, InternalRedirects, PathRewrite, Redirect, Substitution};
pub use regex::{Expression, MAX_PROGRAM};
pub use retry::{BackOff, RateLimitedBackOff, ResetFormat, RetryPolicy};
pub use route::{Route, VirtualHost};
pub use route_action::{
    BackendOptions, Connect, DirectResponse, Forward, ForwardOptions, Fraction, HostRewrite,
    LocationRewrite, Mirror, Refused, RefusedStatus, RouteAction, Upgrade, WeightedCluster,
};
pub use route_match::{Conditions, GrpcName, PathMatch, RouteMatch, Scheme};
pub use session::{SessionCookie, SessionKey, SessionPersistence};
pub use tcp_server::TcpServer;
pub use text::cut;
pub use tls::{Alpn, Certificate, TlsServer, Validity};
pub use tls_parameters::{CipherSuite, Group, TlsParameters, TlsSettings, TlsVersion};
pub use trace::{RouteTracing, TraceCollector, TraceTag, TraceValue, Tracing};
pub use upstream_tls::{
    Authorities, DnsName, ServerName, SubjectAltName, TrustBundle, UpstreamTls, Uri, Verification,
};
pub use value_match::{
    HeaderMatch, HeaderPredicate, QueryMatch, QueryPredicate, StringMatch, Text, TextMatch,
};
