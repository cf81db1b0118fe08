//! What is to be served, as plain data: virtual hosts, routes, clusters, certificates.
//!
//! The model knows neither Kubernetes nor Envoy. It is general on purpose: HTTPProxy and Gateway API will be
//! translated into the same types. Every value is comparable, and none depends on anything but the objects it
//! was made from (I1).

pub mod verdict;

pub use crate::objects::{FieldRef, ObjectRef};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::objects::private_key::{KeyAlgorithm, PrivateKeyPem};

/// A lower-case host name without port: exact (`a.example.com`), for one label (`*.example.com`), or for every
/// host (`*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The host of rules that name none.
    #[must_use]
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Takes a name that was validated and lower-cased when its object was decoded.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Whether it is `*`.
    #[must_use]
    pub fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    /// Whether it stands for names that nobody names: `*.example.com` or `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// For `*.example.com` the part after the star, `.example.com`.
    #[must_use]
    pub fn wildcard_suffix(&self) -> Option<&str> {
        if self.is_any() {
            None
        } else {
            self.0.strip_prefix('*')
        }
    }

    /// For an exact host of two or more labels the wildcard that covers it: `*.example.com` for `a.example.com`.
    #[must_use]
    pub fn covering_wildcard(&self) -> Option<Self> {
        if self.0.starts_with('*') {
            return None;
        }
        let (_, parent) = self.0.split_once('.')?;
        Some(Self(format!("*.{parent}").into()))
    }

    /// The wildcards whose suffix the host has, the longest first. Envoy tries them in this order; all but
    /// [`Self::covering_wildcard`] are for names of fewer labels.
    pub fn wildcards_above(&self) -> impl Iterator<Item = Self> {
        let name = self.0.trim_start_matches("*.");
        let dots = name.match_indices('.');
        dots.map(|(dot, _)| Self(format!("*{}", &name[dot..]).into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The routes of one host on one listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualHost {
    /// The host. `*.example.com` matches exactly one label more than its suffix.
    pub host: Host,
    /// In the order in which they are tried; a request that none matches is answered 404.
    pub routes: Vec<Route>,
}

impl VirtualHost {
    /// A host that redirects every request to HTTPS (see [`Redirect::to_https`]) and does nothing else.
    #[must_use]
    pub fn https_redirect(host: Host, source: FieldRef, port: Option<u16>) -> Self {
        let redirect = Route {
            matches: RouteMatch::path(PathMatch::PathPrefix("/".into())),
            action: RouteAction::Redirect(Redirect::to_https(port)),
            request_headers: HeaderModifier::default(),
            response_headers: HeaderModifier::default(),
            source,
        };
        Self {
            host,
            routes: vec![redirect],
        }
    }

    /// Whether it is one of [`Self::https_redirect`]: all of these are alike but for their names.
    #[must_use]
    pub fn is_https_redirect(&self) -> bool {
        let [route] = &self.routes[..] else {
            return false;
        };
        let RouteAction::Redirect(redirect) = &route.action else {
            return false;
        };
        *self == Self::https_redirect(self.host.clone(), route.source.clone(), redirect.port)
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Which requests.
    pub matches: RouteMatch,
    /// What happens to them.
    pub action: RouteAction,
    /// Changes of the request's headers on its way to the back end.
    pub request_headers: HeaderModifier,
    /// Changes of the response's headers on its way to the client.
    pub response_headers: HeaderModifier,
    /// Who asked for the route.
    pub source: FieldRef,
}

/// All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteMatch {
    /// The path.
    pub path: PathMatch,
    /// Headers; `:method` is one as in Envoy.
    pub headers: Vec<ValueMatch>,
    /// Query parameters.
    pub query: Vec<ValueMatch>,
    /// The scheme by which the client asked, where somebody in front says which that was.
    pub scheme: Option<Scheme>,
}

/// How a client asked, as `X-Forwarded-Proto` says it when the routes are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// By anything but HTTPS.
    Http,
    /// By HTTPS.
    Https,
}

impl RouteMatch {
    /// A match on the path alone.
    #[must_use]
    pub const fn path(path: PathMatch) -> Self {
        Self {
            path,
            headers: Vec::new(),
            query: Vec::new(),
            scheme: None,
        }
    }
}

/// A match on the path, without the query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// An RE2 expression that must match the whole path; validated and bounded by the translation.
    Regex(Arc<str>),
    /// The path by elements, without trailing slash: `/foo` matches `/foo` and `/foo/bar`. The root is `/`.
    PathPrefix(Arc<str>),
    /// A prefix of the string: `/foo` matches `/foobar`.
    StringPrefix(Arc<str>),
}

/// A match on a named header or query parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueMatch {
    /// Its name.
    pub name: Arc<str>,
    /// What its value must be.
    pub value: ValuePredicate,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValuePredicate {
    /// Exactly this.
    Exact(Arc<str>),
    /// There, whatever it is.
    Present,
    /// A full match of this RE2 expression.
    Regex(Arc<str>),
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteAction {
    /// It goes to a cluster.
    Forward(Forward),
    /// It is answered with a redirect.
    Redirect(Redirect),
    /// It is answered with this HTTP status and an empty body.
    DirectResponse(u16),
}

/// Requests that go to clusters. WebSocket upgrades are always allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Cluster names with their weights; with none of them the answer is 503.
    pub backends: Vec<WeightedCluster>,
    /// The Service that they are of, for statistics; it need not exist. `None` where there are several.
    pub service: Option<Arc<str>>,
    /// Time-out of the whole response, `None` for no limit.
    pub timeout: Option<Duration>,
    /// Retries beyond the defaults of every route.
    pub retry: Option<RetryPolicy>,
    /// What to replace the path with.
    pub rewrite: Option<PathRewrite>,
    /// Whether the client's address chooses the endpoint (session affinity).
    pub hash_source_ip: bool,
}

/// A share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedCluster {
    /// Name of a [`Cluster`].
    pub cluster: Arc<str>,
    /// Its share, relative to the sum of all.
    pub weight: u32,
}

/// When a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    /// Envoy's retry conditions, validated, sorted.
    pub retry_on: Vec<Arc<str>>,
    /// How often at most.
    pub num_retries: u32,
    /// Time-out of each try.
    pub per_try_timeout: Option<Duration>,
}

/// A new path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathRewrite {
    /// The matched prefix becomes this one. The rendering takes care that no slash is doubled or lost.
    ReplacePrefix(Arc<str>),
    /// The whole path becomes this one; the query stays.
    ReplaceFullPath(Arc<str>),
}

/// A redirect. What is `None` stays as the client sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// `https` or `http`.
    pub scheme: Option<&'static str>,
    /// Host of the location.
    pub hostname: Option<Arc<str>>,
    /// Port of the location.
    pub port: Option<u16>,
    /// Path of the location.
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Redirect {
    /// The redirect from HTTP to HTTPS: 301, as Contour answers. Without a port the request's stays, unless it is 80.
    #[must_use]
    pub fn to_https(port: Option<u16>) -> Self {
        Self {
            scheme: Some("https"),
            port,
            status: 301,
            ..Self::default()
        }
    }
}

/// Changes of headers. Names are lower-case; values are literal text, never a format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderModifier {
    /// Headers that are replaced or added.
    pub set: BTreeMap<Arc<str>, Arc<str>>,
    /// Headers that are removed.
    pub remove: BTreeSet<Arc<str>>,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Unique per settings: no two different clusters ever have the same name.
    pub name: Arc<str>,
    /// How its endpoints are found.
    pub discovery: Discovery,
    /// What is spoken to them.
    pub protocol: UpstreamProtocol,
    /// Limits.
    pub circuit_breakers: CircuitBreakers,
    /// Whether the source address chooses the endpoint.
    pub hash_source_ip: bool,
    /// How long a connection is kept for the next request, `None` for Envoy's hour. Zero is for ever.
    pub idle_timeout: Option<Duration>,
    /// The Service.
    pub source: FieldRef,
}

/// How a cluster finds its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// A [`LoadAssignment`] of the cluster's name.
    Endpoints,
    /// DNS look-ups of a name, for Services of type ExternalName.
    Dns {
        /// The name, validated.
        hostname: Arc<str>,
        /// The port.
        port: u16,
    },
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 in clear.
    #[default]
    Http1,
    /// HTTP/2 in clear, by prior knowledge.
    H2c,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    H2,
}

/// Limits per cluster, `None` for one that nobody reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CircuitBreakers {
    /// Connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests under way.
    pub max_requests: Option<u32>,
    /// Retries under way.
    pub max_retries: Option<u32>,
    /// Connections to one endpoint.
    pub per_host_max_connections: Option<u32>,
}

/// The endpoints of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadAssignment {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// By zone, the empty name first where endpoints have none; without duplicates and sorted.
    pub localities: BTreeMap<Arc<str>, BTreeSet<EndpointAddress>>,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointAddress {
    /// Its address.
    pub ip: IpAddr,
    /// Its TCP port.
    pub port: u16,
}

/// A set of certificates and TLS settings, and the host names that are served with them: one filter chain and
/// one route table. The translation decides the grouping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsServer {
    /// Unique and stable; also the name of its route table.
    pub name: Arc<str>,
    /// Names of [`Certificate`]s, sorted, at most one for each kind of key.
    pub certificates: Vec<Arc<str>>,
    /// Versions.
    pub settings: TlsSettings,
    /// Who brought it.
    pub source: FieldRef,
}

/// TLS versions of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsSettings {
    /// The lowest version.
    pub minimum: TlsVersion,
    /// The highest version.
    pub maximum: TlsVersion,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            minimum: TlsVersion::V1_2,
            maximum: TlsVersion::V1_3,
        }
    }
}

/// A version of TLS that is still safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// When a certificate is good, as it says itself. Whether it is depends on the clock: it is served in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore` of the leaf.
    pub not_before: jiff::Timestamp,
    /// `notAfter` of the leaf.
    pub not_after: jiff::Timestamp,
}

/// A certificate with its key, as SDS delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// `namespace/name` of its Secret, stable over rotations.
    pub name: Arc<str>,
    /// The chain as PEM.
    pub chain: Arc<str>,
    /// The key.
    pub key: PrivateKeyPem,
    /// What kind of key.
    pub key_algorithm: KeyAlgorithm,
    /// When it is good.
    pub validity: Validity,
    /// The Secret.
    pub source: FieldRef,
}
