//! HTTPRoute and GRPCRoute, and the routes of what is not looked into: TLSRoute, TCPRoute and
//! UDPRoute.

use std::fmt;
use std::sync::Arc;

use super::super::{Kind, Metadata, ObjectRef};
use super::reference::{BackendRef, ParentReference};
use super::status::Status;

/// What all routes have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteHead {
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.parentRefs`.
    pub parents: Box<[ParentReference]>,
    /// `spec.hostnames`.
    pub hostnames: Hostnames,
    /// Whether `spec.useDefaultGateways`, of the experimental channel, is other than `None`.
    pub uses_default_gateways: bool,
    /// What is ours of `status`.
    pub status: Arc<Status>,
}

/// Names, sorted and each once: one is found without a look at the others, of which a file may have thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hostnames(Box<[Arc<str>]>);

impl Hostnames {
    /// Whether there are none, which stands for all names.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }

    /// Whether this is one, by its own text.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|it| (**it).cmp(name)).is_ok()
    }
}

impl FromIterator<Arc<str>> for Hostnames {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(names: I) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }
}

impl RouteHead {
    fn spec(&self) -> impl PartialEq + fmt::Debug {
        (&self.parents, &self.hostnames, self.uses_default_gateways)
    }
}

/// An HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    /// Name and age.
    pub metadata: Metadata,
    /// What all routes have.
    pub head: RouteHead,
    /// `spec.rules`.
    pub rules: Box<[HttpRule]>,
}

/// A GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcRoute {
    /// Name and age.
    pub metadata: Metadata,
    /// What all routes have.
    pub head: RouteHead,
    /// `spec.rules`.
    pub rules: Box<[GrpcRule]>,
}

impl HttpRoute {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::HttpRoute,
            name: self.metadata.name.clone(),
        }
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        (&self.metadata, self.head.spec(), &self.rules)
    }
}

impl GrpcRoute {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::GrpcRoute,
            name: self.metadata.name.clone(),
        }
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        (&self.metadata, self.head.spec(), &self.rules)
    }
}

macro_rules! opaque_routes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// Name and age.
            pub metadata: Metadata,
            /// What all routes have.
            pub head: RouteHead,
            /// `spec.rules[0].backendRefs`.
            pub backends: Box<[BackendRef]>,
        }

        impl $name {
            /// All of it but the status.
            #[must_use]
            pub fn spec(&self) -> impl PartialEq + fmt::Debug {
                (&self.metadata, self.head.spec(), &self.backends)
            }
        }
    )*};
}
opaque_routes! {
    /// A TLSRoute.
    TlsRoute;
    /// A TCPRoute.
    TcpRoute;
    /// A UDPRoute.
    UdpRoute;
}

/// `spec.rules[]` of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRule {
    /// `matches`; every request where there are none.
    pub matches: Box<[HttpMatch]>,
    /// `filters`.
    pub filters: Box<[Filter]>,
    /// `backendRefs`.
    pub backends: Box<[RuleBackend]>,
    /// `timeouts.request`.
    pub request_timeout: Option<Arc<str>>,
    /// `timeouts.backendRequest`.
    pub backend_timeout: Option<Arc<str>>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// Whether there is a `sessionPersistence`, of the experimental channel.
    pub has_session_persistence: bool,
}

/// `spec.rules[]` of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcRule {
    /// `matches`; every call where there are none.
    pub matches: Box<[GrpcMatch]>,
    /// `filters`.
    pub filters: Box<[Filter]>,
    /// `backendRefs`.
    pub backends: Box<[RuleBackend]>,
    /// Whether there is a `sessionPersistence`, of the experimental channel.
    pub has_session_persistence: bool,
}

/// `matches[]` of an HTTPRoute: all of it has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    /// `path`; every path where there is none.
    pub path: Option<PathMatch>,
    /// `headers`.
    pub headers: Box<[ValueMatch]>,
    /// `queryParams`.
    pub query: Box<[ValueMatch]>,
    /// `method`.
    pub method: Option<Arc<str>>,
}

/// `path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// This one.
    Exact(Arc<str>),
    /// This one, and what is below it.
    Prefix(Arc<str>),
    /// What an expression matches as a whole.
    RegularExpression(Arc<str>),
}

/// A header or a query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMatch {
    /// `name`.
    pub name: Arc<str>,
    /// `value`.
    pub value: Arc<str>,
    /// Whether `type` is `RegularExpression`.
    pub is_regex: bool,
}

/// `matches[]` of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcMatch {
    /// `method`.
    pub method: Option<GrpcMethod>,
    /// `headers`.
    pub headers: Box<[ValueMatch]>,
}

/// `method` of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMethod {
    /// `service`.
    pub service: Option<Arc<str>>,
    /// `method`.
    pub method: Option<Arc<str>>,
    /// Whether `type` is `RegularExpression`.
    pub is_regex: bool,
}

/// `backendRefs[]` of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleBackend {
    /// Where requests go.
    pub backend: BackendRef,
    /// `filters`.
    pub filters: Box<[Filter]>,
}

/// `filters[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `RequestHeaderModifier`.
    RequestHeaderModifier(HeaderModifier),
    /// `ResponseHeaderModifier`.
    ResponseHeaderModifier(HeaderModifier),
    /// `RequestRedirect`.
    RequestRedirect(RedirectFilter),
    /// `URLRewrite`.
    UrlRewrite(UrlRewriteFilter),
    /// `RequestMirror`.
    RequestMirror(MirrorFilter),
    /// `CORS`.
    Cors(CorsFilter),
    /// `ExtensionRef`: group, kind and name.
    ExtensionRef([Arc<str>; 3]),
    /// One of another type.
    Other(Arc<str>),
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderModifier {
    /// `set`.
    pub set: Box<[NameValue]>,
    /// `add`.
    pub add: Box<[NameValue]>,
    /// `remove`.
    pub remove: Box<[Arc<str>]>,
}

/// A header with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameValue {
    /// `name`.
    pub name: Arc<str>,
    /// `value`.
    pub value: Arc<str>,
}

/// `requestRedirect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectFilter {
    /// `scheme`: `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// `hostname`.
    pub hostname: Option<Arc<str>>,
    /// `path`.
    pub path: Option<PathModifier>,
    /// `port`.
    pub port: Option<u16>,
    /// `statusCode`.
    pub status: u16,
}

/// `path` of a redirect or a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathModifier {
    /// `ReplaceFullPath`.
    ReplaceFullPath(Arc<str>),
    /// `ReplacePrefixMatch`.
    ReplacePrefixMatch(Arc<str>),
}

/// `urlRewrite`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlRewriteFilter {
    /// `hostname`.
    pub hostname: Option<Arc<str>>,
    /// `path`.
    pub path: Option<PathModifier>,
}

/// `requestMirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorFilter {
    /// `backendRef`.
    pub backend: BackendRef,
    /// So many of so many, from `percent` or `fraction`.
    pub fraction: (u32, u32),
}

/// `cors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsFilter {
    /// `allowOrigins`.
    pub origins: Box<[Arc<str>]>,
    /// `allowMethods`.
    pub methods: Box<[Arc<str>]>,
    /// `allowHeaders`.
    pub headers: Box<[Arc<str>]>,
    /// `exposeHeaders`.
    pub exposed: Box<[Arc<str>]>,
    /// `allowCredentials`.
    pub credentials: bool,
    /// `maxAge`, in seconds.
    pub max_age: u32,
}

/// `retry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `codes`.
    pub codes: Box<[u16]>,
    /// `attempts`.
    pub attempts: u32,
    /// `backoff`.
    pub backoff: Option<Arc<str>>,
}
