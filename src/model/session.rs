//! Sessions that stay with an endpoint.

use super::balancing::{HashCookie, SetCookie};
use super::header::HeaderName;

/// Requests of one session go to the endpoint that the first of them went to, whatever the cluster balances by. The address
/// of that endpoint is in the cookie or header, **for everybody to read and to choose**; Envoy takes no address that is none
/// of the cluster's, and balances instead. Envoy has a line of warning on its log for a cookie that somebody made up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionPersistence {
    /// What a client brings with it.
    pub key: SessionKey,
    /// Whether a request whose endpoint is gone is answered 503. Otherwise its session begins anew with another endpoint.
    pub is_strict: bool,
}

/// What tells one session from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SessionKey {
    /// A cookie. One for all paths keeps the session with the one of several back ends too, by a second cookie, whose name has
    /// [`SessionCookie::OF_SHARE`] at the end; one whose weight becomes zero loses its sessions. One for some paths does as
    /// a header does: a request that is not under them would be given another back end, and move the session there.
    Cookie(SessionCookie),
    /// A header of answers, which the client sends back. Of several back ends each request chooses one anew, so that it finds
    /// its endpoint in its share of requests only.
    Header(HeaderName),
}

/// A cookie that is set. `HttpOnly` it always is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionCookie(HashCookie);

impl SessionCookie {
    /// What follows a cookie's name in the name of the one that tells the back end.
    pub const OF_SHARE: &str = "-backend";

    /// A cookie of this name. **Requests whose path is not under the cookie's are not held**, and get none.
    ///
    /// # Errors
    ///
    /// One sentence where no cookie can have this name.
    pub fn new(name: &str, set: SetCookie) -> Result<Self, String> {
        Ok(Self(HashCookie::new(name, set)?))
    }

    /// Whether it is for all paths, or for those of the request that gets it.
    #[must_use]
    pub fn is_for_all_paths(&self) -> bool {
        matches!(self.0.set().map_or("", SetCookie::path), "" | "/")
    }

    /// It.
    #[must_use]
    pub const fn cookie(&self) -> &HashCookie {
        &self.0
    }
}
