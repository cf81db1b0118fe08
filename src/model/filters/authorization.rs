//! Somebody else is asked whether a request may pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::guard::Guard;
use super::status::error_status;
use crate::model::header::{HeaderName, check_literal, given};

/// A service that is asked about each request, and whose no is the answer. What it does not answer in time, or answers
/// wrongly, is a no too ([`Unanswered`]).
///
/// A request that is asked about counts as the client's until it is answered: nothing of it reaches the back end before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorization {
    /// Who is asked.
    pub authorizer: Authorizer,
    /// How long it may take. At least a millisecond, at most an hour.
    timeout: Duration,
    /// What becomes of a request that nobody answers for.
    unanswered: Unanswered,
    /// What it sees of the body: nothing, unless said.
    pub body: Option<AskedBody>,
    /// What it is told about the route. By HTTP it is told nothing of it.
    pub context: BTreeMap<Arc<str>, Arc<str>>,
}

/// Who is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authorizer {
    /// `envoy.service.auth.v3.Authorization` by gRPC. It says itself which headers are set or removed.
    Grpc(GrpcAuthorizer),
    /// A request of the same method, without body unless said. 200 is a yes; 5xx is an error of the service, which is no
    /// answer ([`Unanswered`]); and any other status, with headers and body, is the client's answer.
    Http(HttpAuthorizer),
    /// `isobath authz` in Envoy's pod, which is told all that it is to ask. It answers for all of the guard.
    Guard(Box<Guard>),
}

/// A service that speaks gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrpcAuthorizer {
    /// Name of a [`crate::model::Cluster`] of HTTP/2.
    pub cluster: Arc<str>,
    /// What headers of the request it sees, besides the method, the path and the host: all, unless said.
    pub sees: Option<Vec<HeaderName>>,
}

/// A service that speaks HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpAuthorizer {
    /// Name of a [`crate::model::Cluster`].
    pub cluster: Arc<str>,
    /// The path that it is asked for.
    path: AskedPath,
    /// Which headers of the request it sees, besides `Host`, the method, the path, `Content-Length` and `Authorization`.
    pub sees: Vec<HeaderName>,
    /// Headers that it sees besides, with literal values.
    told: Vec<(HeaderName, Arc<str>)>,
    /// Which headers of a yes the back end sees.
    gives_to_backend: Vec<HeaderName>,
    /// Which headers of a no the client sees, besides the status and what goes with a body: all, where there are none.
    pub gives_to_client: Vec<HeaderName>,
    /// Which headers of a yes the client sees in its answer.
    pub gives_on_success: Vec<HeaderName>,
}

/// The path that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum AskedPath {
    /// The client's.
    #[default]
    Own,
    /// The client's, after this.
    After(Arc<str>),
    /// This one.
    Fixed(Arc<str>),
}

/// What becomes of a request that nobody answers for: in time, or at all; an authorizer's 5xx by HTTP is no answer either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// It is refused with this status, an error that Envoy lists ([`Authorization::with_unanswered`]).
    Refused(u16),
    /// It passes, as if the answer were yes. **Who can keep the service from answering passes.**
    Passed,
}

impl Default for Unanswered {
    /// 403.
    fn default() -> Self {
        Self::Refused(403)
    }
}

impl Unanswered {
    /// The same, where Envoy takes its status.
    pub(super) fn checked(self) -> Result<Self, String> {
        if let Self::Refused(status) = self {
            error_status(status)?;
        }
        Ok(self)
    }
}

/// What is seen of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskedBody {
    max_bytes: u32,
    /// Whether a longer one is cut. Otherwise it is answered 413.
    pub may_be_cut: bool,
    /// Whether it comes as bytes. As text, one that is no UTF-8 is not sent.
    pub as_bytes: bool,
}

impl AskedBody {
    /// Most bytes that may be kept of a body: strangers fill it.
    pub const MOST: u32 = 1 << 24;

    /// So many bytes of it.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, or where it is memory without end.
    pub fn new(max_bytes: u32) -> Result<Self, String> {
        if max_bytes == 0 || max_bytes > Self::MOST {
            let most = Self::MOST;
            return Err(format!(
                "a body that is asked about has from 1 to {most} bytes"
            ));
        }
        Ok(Self {
            max_bytes,
            may_be_cut: false,
            as_bytes: false,
        })
    }

    /// So many.
    #[must_use]
    pub const fn max_bytes(self) -> u32 {
        self.max_bytes
    }
}

impl Authorization {
    /// Asks it, and waits so long.
    ///
    /// # Errors
    ///
    /// One sentence where that is no time.
    pub fn new(authorizer: Authorizer, timeout: Duration) -> Result<Self, String> {
        let ms = Duration::from_millis(1);
        if !(ms..=Duration::from_secs(3600)).contains(&timeout) {
            return Err("an authorizer has from 1 ms to an hour to answer".into());
        }
        Ok(Self {
            authorizer,
            timeout,
            unanswered: Unanswered::default(),
            body: None,
            context: BTreeMap::new(),
        })
    }

    /// What is not answered is passed, or refused with this status.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse the status.
    pub fn with_unanswered(mut self, unanswered: Unanswered) -> Result<Self, String> {
        self.unanswered = unanswered.checked()?;
        Ok(self)
    }

    /// The same, where what is not answered is refused as soon as one of the two says so.
    #[must_use]
    pub const fn refusing_as(mut self, other: &Self) -> Self {
        if let (Unanswered::Passed, refused) = (self.unanswered, other.unanswered) {
            self.unanswered = refused;
        }
        self
    }

    /// What becomes of a request that nobody answers for.
    #[must_use]
    pub const fn unanswered(&self) -> Unanswered {
        self.unanswered
    }

    /// How long is waited.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The cluster of what is asked: by Envoy, or by the authorizer in its pod, where that asks one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<str>> {
        match &self.authorizer {
            Authorizer::Grpc(grpc) => Some(&grpc.cluster),
            Authorizer::Http(http) => Some(&http.cluster),
            Authorizer::Guard(guard) => guard.cluster(),
        }
    }
}

impl HttpAuthorizer {
    /// Asks there for the client's own path.
    pub fn new(cluster: impl Into<Arc<str>>) -> Self {
        Self {
            cluster: cluster.into(),
            ..Self::default()
        }
    }

    /// Asks for the client's path after this.
    ///
    /// # Errors
    ///
    /// One sentence where that is no path.
    pub fn path_prefix(mut self, path: &str) -> Result<Self, String> {
        self.path = AskedPath::After(path_of(path)?);
        Ok(self)
    }

    /// Asks for this path, which may have a query.
    ///
    /// # Errors
    ///
    /// One sentence where that is no path.
    pub fn fixed_path(mut self, path: &str) -> Result<Self, String> {
        self.path = AskedPath::Fixed(path_of(path)?);
        Ok(self)
    }

    /// Tells it this as well.
    ///
    /// # Errors
    ///
    /// One sentence where the value is none that Envoy takes.
    pub fn tell(mut self, name: HeaderName, value: &str) -> Result<Self, String> {
        check_literal(&name, value)?;
        self.told.push((name, value.into()));
        Ok(self)
    }

    /// Lets the back end see this header of a yes, in the place of the client's own. **What the client sends under this name
    /// never arrives**, whatever is answered.
    ///
    /// # Errors
    ///
    /// One sentence where it is Host.
    pub fn give_to_backend(mut self, name: HeaderName) -> Result<Self, String> {
        self.gives_to_backend.push(given(name)?);
        Ok(self)
    }

    /// Which headers of a yes the back end sees.
    #[must_use]
    pub fn gives_to_backend(&self) -> &[HeaderName] {
        &self.gives_to_backend
    }

    /// What stands before the client's path.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        match &self.path {
            AskedPath::After(path) => Some(path),
            AskedPath::Own | AskedPath::Fixed(_) => None,
        }
    }

    /// What stands in the place of the client's path.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match &self.path {
            AskedPath::Fixed(path) => Some(path),
            AskedPath::Own | AskedPath::After(_) => None,
        }
    }

    /// What it is told besides.
    #[must_use]
    pub fn told(&self) -> &[(HeaderName, Arc<str>)] {
        &self.told
    }
}

fn path_of(path: &str) -> Result<Arc<str>, String> {
    let is_path = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !path.starts_with('/') || !path.bytes().all(is_path) {
        return Err(format!("{path:?} is no path to ask for"));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let http = || HttpAuthorizer::new("authz");
        let asks = |timeout| Authorization::new(Authorizer::Http(http()), timeout);
        for (millis, is_taken) in [(0, false), (1, true), (3_600_000, true), (3_600_001, false)] {
            let timeout = Duration::from_millis(millis);
            assert_eq!(asks(timeout).is_ok(), is_taken, "{millis}");
        }
        for (status, is_taken) in [
            (200, false),
            (400, true),
            (418, false),
            (511, true),
            (599, false),
        ] {
            let authorization = asks(Duration::from_secs(1)).unwrap();
            let refused = authorization.with_unanswered(Unanswered::Refused(status));
            assert_eq!(refused.is_ok(), is_taken, "{status}");
        }
        for (bytes, is_taken) in [(0, false), (1, true), (1 << 24, true), (1 << 25, false)] {
            assert_eq!(AskedBody::new(bytes).is_ok(), is_taken, "{bytes}");
        }
        for (path, is_taken) in [
            ("/a?b=c", true),
            ("a", false),
            ("/a b", false),
            ("/a#b", false),
        ] {
            assert_eq!(http().fixed_path(path).is_ok(), is_taken, "{path}");
            assert_eq!(http().path_prefix(path).is_ok(), is_taken, "{path}");
        }
        let name = || HeaderName::new("x-a").unwrap();
        assert!(http().tell(name(), "a\nb").is_err());
        assert!(http().tell(name(), &"%".repeat(8193)).is_err());
        assert_eq!(http().tell(name(), "a").unwrap().told().len(), 1);
        assert!(http().give_to_backend(name()).is_ok());
        let host = HeaderName::new("Host").unwrap();
        assert!(http().give_to_backend(host).is_err());
    }
}
