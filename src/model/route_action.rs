//! What happens to a request that a route takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::balancing::HashPolicy;
use super::cookie_rewrite::CookieRewrites;
use super::filters::HeaderChange;
use super::header::{HeaderModifier, HeaderName, is_token_byte};
use super::redirect::{InternalRedirects, PathRewrite, Redirect};
use super::retry::RetryPolicy;
use super::session::SessionPersistence;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteAction {
    /// It goes to a cluster.
    Forward(Forward),
    /// It is answered with a redirect.
    Redirect(Redirect),
    /// It is answered.
    DirectResponse(DirectResponse),
}

impl RouteAction {
    /// It is answered with this status and an empty body.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::DirectResponse(DirectResponse { status, body: None })
    }

    /// The clusters that requests, or copies of them, go to.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let forward = match self {
            Self::Forward(forward) => Some(forward),
            Self::Redirect(_) | Self::DirectResponse(_) => None,
        };
        forward.into_iter().flat_map(Forward::clusters)
    }
}

/// An answer that no back end gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectResponse {
    status: u16,
    body: Option<Arc<str>>,
}

impl DirectResponse {
    /// Envoy refuses a whole table over one that is longer, as its tables have no other limit.
    pub const MAX_BODY: usize = 4096;

    /// An answer with this body, as plain text.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse the status or the body.
    pub fn new(status: u16, body: &str) -> Result<Self, String> {
        if !(200..600).contains(&status) {
            return Err(format!("{status} is no status from 200 to 599"));
        }
        if body.len() > Self::MAX_BODY {
            let most = Self::MAX_BODY;
            return Err(format!("the body is longer than {most} bytes"));
        }
        Ok(Self {
            status,
            body: (!body.is_empty()).then(|| body.into()),
        })
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        self.body.as_deref()
    }
}

/// Requests that go to clusters. WebSocket upgrades are allowed unless [`ForwardOptions::upgrades`] says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Cluster names with their weights; with none of them the answer is 503, or what [`ForwardOptions::refused`] says.
    pub backends: Vec<WeightedCluster>,
    /// The Service that they are of, for statistics; it need not exist. `None` where there are several.
    pub service: Option<Arc<str>>,
    /// Time-out of the whole response, `None` for no limit.
    pub timeout: Option<Duration>,
    /// Retries instead of the defaults of every route.
    pub retry: Option<Box<RetryPolicy>>,
    /// What to replace the path with.
    pub rewrite: Option<PathRewrite>,
    /// What few routes ask for.
    pub options: Option<Box<ForwardOptions>>,
}

impl Forward {
    /// The clusters that requests, or copies of them, go to.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let backends = self.backends.iter().filter(|backend| backend.weight > 0);
        let served = backends.clone().next().and(self.options.as_ref());
        let options = backends.clone().filter_map(|it| it.options.as_ref());
        let mirrors = options.flat_map(|it| &it.mirrors);
        let mirrors = mirrors.chain(served.into_iter().flat_map(|it| &it.mirrors));
        let mirrors = mirrors.filter(|mirror| mirror.fraction > Fraction::NONE);
        backends
            .map(|backend| &backend.cluster)
            .chain(mirrors.map(|mirror| &mirror.cluster))
    }
}

/// What few routes ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ForwardOptions {
    /// The share of back ends that are no back ends.
    pub refused: Option<Refused>,
    /// Who gets copies.
    pub mirrors: Vec<Mirror>,
    /// What chooses the endpoint, in clusters that balance by a hash.
    pub hash_policies: Vec<HashPolicy>,
    /// Where the Host that the back end sees comes from. A literal one is set as `host` among the request's headers, and
    /// counts before this.
    pub host: Option<HostRewrite>,
    /// How long nothing may move on the stream in either direction, `None` for the listener's limit. Zero is for ever.
    pub idle_timeout: Option<Duration>,
    /// Redirects of the back end that are followed.
    pub internal_redirects: Option<InternalRedirects>,
    /// What keeps a session with an endpoint.
    pub session: Option<SessionPersistence>,
    /// Changes of the cookies that back ends set.
    pub cookie_rewrites: CookieRewrites,
    /// Where a back end leads clients to, if not where it says.
    pub location_rewrite: Option<LocationRewrite>,
    /// Changes of protocol that are allowed or refused (403) on this route, whatever holds elsewhere.
    pub upgrades: BTreeMap<Upgrade, bool>,
    /// What becomes of requests for a tunnel on a route of [`super::PathMatch::Connect`]; `None` answers 403.
    pub connect: Option<Connect>,
}

/// What becomes of `Location`, and of the URL of `Refresh`, in answers, whoever of Envoy and the back end wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocationRewrite {
    from: Arc<str>,
    to: Arc<str>,
}

impl LocationRewrite {
    /// Longest text.
    pub const MAX: usize = 1024;

    /// What begins with `from` begins with `to`.
    ///
    /// # Errors
    ///
    /// One sentence where it can't be a part of a URL, or is nothing to look for.
    pub fn new(from: &str, to: &str) -> Result<Self, String> {
        let is_sent = |text: &str| {
            text.len() <= Self::MAX && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'))
        };
        match !from.is_empty() && is_sent(from) && is_sent(to) {
            true => Ok(Self {
                from: from.into(),
                to: to.into(),
            }),
            false => Err("is no beginning of a URL".into()),
        }
    }

    /// What it begins with.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// What it is to begin with.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }
}

/// What becomes of a request for a tunnel (`CONNECT a.example.com:443`). Its host is found by the name that it asks for, and
/// where the tunnel leads to is the route's: no client can name a place that no route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Connect {
    /// The proxy ends it: what comes through it goes to the back end as it is, over TCP.
    Terminate,
    /// The back end is a proxy, and asked for it by HTTP. **Where it leads then is the client's say.**
    Forward,
}

/// A share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedCluster {
    /// Name of a [`super::Cluster`].
    pub cluster: Arc<str>,
    /// Its share, relative to the sum of all.
    pub weight: u32,
    /// What is done to this share alone.
    pub options: Option<Box<BackendOptions>>,
}

impl WeightedCluster {
    /// A share without changes.
    pub fn new(cluster: impl Into<Arc<str>>, weight: u32) -> Self {
        Self {
            cluster: cluster.into(),
            weight,
            options: None,
        }
    }
}

/// What is done to the share of one back end, besides what is done to all. A header that the route sets too is the
/// route's (Envoy writes the share's first, and the more specific wins): who wants it otherwise sets it for each share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BackendOptions {
    /// Changes of the request's headers; `host` is the Host that the back end sees.
    pub request_headers: HeaderModifier,
    /// Changes of the response's headers.
    pub response_headers: HeaderModifier,
    /// Headers of the request that are there besides those of their name.
    pub added_request_headers: Vec<HeaderChange>,
    /// Headers of the response that are there besides those of their name.
    pub added_response_headers: Vec<HeaderChange>,
    /// What to replace the path with, instead of [`Forward::rewrite`].
    pub rewrite: Option<PathRewrite>,
    /// Who gets copies, besides [`ForwardOptions::mirrors`].
    pub mirrors: Vec<Mirror>,
    /// Changes of the cookies that it sets, which count before [`ForwardOptions::cookie_rewrites`].
    pub cookie_rewrites: CookieRewrites,
}

/// The share of back ends that can't be: their Service is missing, or nobody allowed to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// Their weight, relative to the sum of all.
    pub weight: u32,
    /// What they answer.
    pub status: RefusedStatus,
}

/// What a back end answers that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedStatus {
    /// 500, as the Gateway API asks for.
    InternalServerError,
    /// 503, which gRPC knows as UNAVAILABLE; a 500 would be UNKNOWN.
    ServiceUnavailable,
}

/// Somebody who gets copies of requests, and whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    /// Name of a [`super::Cluster`].
    pub cluster: Arc<str>,
    /// How many of the requests.
    pub fraction: Fraction,
}

/// A part of all requests, to the millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u32);

impl Fraction {
    /// All of them.
    pub const ALL: Self = Self(Self::WHOLE);
    /// None of them.
    pub const NONE: Self = Self(0);
    const WHOLE: u32 = 1_000_000;

    /// So many of so many.
    ///
    /// # Errors
    ///
    /// One sentence where that is more than all, or of none.
    pub fn new(numerator: u32, denominator: u32) -> Result<Self, String> {
        if denominator == 0 || numerator > denominator {
            return Err(format!("{numerator} of {denominator} is no part"));
        }
        Ok(Self::of(numerator.into(), denominator.into()))
    }

    /// A part of a sum that it is in.
    pub(crate) fn of(part: u64, sum: u64) -> Self {
        let millionths = (u128::from(part) * u128::from(Self::WHOLE)).checked_div(sum.into());
        let millionths = millionths.and_then(|part| u32::try_from(part).ok());
        Self(millionths.unwrap_or(Self::WHOLE).min(Self::WHOLE))
    }

    /// In millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

/// Where the Host that a back end sees comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostRewrite {
    /// From a header of the request. Where it is missing or empty, the client's Host stays.
    Header(HeaderName),
    /// The DNS name of the endpoint, for clusters that are found by one.
    Endpoint,
}

/// A protocol that a connection can change to, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upgrade(Arc<str>);

impl Upgrade {
    /// WebSocket.
    #[must_use]
    pub fn websocket() -> Self {
        Self("websocket".into())
    }

    /// A protocol by the name that `Upgrade` has for it.
    ///
    /// # Errors
    ///
    /// One sentence where it is none. `CONNECT` is no upgrade, though Envoy treats it as one.
    pub fn new(name: &str) -> Result<Self, String> {
        let is_name = |byte| is_token_byte(byte) || byte == b'/';
        let name = name.to_ascii_lowercase();
        if name.is_empty() || name == "connect" || !name.bytes().all(is_name) {
            return Err(format!("{name:?} is no protocol to change to"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        for (status, length, is_taken) in [
            (199, 0, false),
            (200, 4096, true),
            (200, 4097, false),
            (599, 0, true),
            (600, 0, false),
        ] {
            let body = "x".repeat(length);
            let got = DirectResponse::new(status, &body);
            assert_eq!(got.is_ok(), is_taken, "{status} {length}");
        }
        assert!(Upgrade::new("SPDY/3.1").is_ok());
        for name in ["", "CONNECT", "a b", "\u{e4}"] {
            assert!(Upgrade::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn fractions_are_millionths() {
        assert_eq!(Fraction::new(1, 3).unwrap().millionths(), 333_333);
        assert_eq!(Fraction::new(7, 7).unwrap(), Fraction::ALL);
        assert!(Fraction::new(2, 1).is_err());
        assert!(Fraction::new(0, 0).is_err());
        assert_eq!(Fraction::of(u64::MAX, u64::MAX), Fraction::ALL);
    }
}
