//! What happens to a request that a route takes.

use std::sync::Arc;
use std::time::Duration;

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
    /// Name of a [`super::Cluster`].
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
