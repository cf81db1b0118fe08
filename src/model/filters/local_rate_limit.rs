//! How many requests one Envoy takes.

use std::sync::Arc;
use std::time::Duration;

use super::address::Cidr;
use super::header_change::PlainName;
use super::status::error_status;
use crate::model::header::{HeaderName, check_literal};

/// How many requests are taken of all together, or of each who can be told from the others: so many in each span of time,
/// gained evenly, and a burst beyond that.
///
/// Each Envoy counts for itself, and each table for itself: a host has one count on HTTP and one on HTTPS, and a route
/// that is several to Envoy (shares with paths of their own, a prefix that is taken away) has one for each of these.
/// **Every change of the table that the host is in begins all counts anew** (Envoy 1.40 makes the filters of all its routes
/// again): on HTTPS those are changes of the hosts of one certificate, on HTTP of any host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalRateLimit {
    requests: u32,
    per: Duration,
    burst: u32,
    /// Who is counted apart: of no keys all are one. A request that lacks one of them is not counted.
    pub keys: Vec<RequestKey>,
    /// Whose requests are not counted, by the client's address.
    pub exempt: Vec<Cidr>,
    /// What is answered to those that are too many.
    pub rejection: Rejection,
}

impl LocalRateLimit {
    /// How many that keys tell apart are remembered at a time; then who has been away the longest is forgotten, and begins
    /// anew. It is memory that strangers fill: a few hundred bytes for each.
    pub const MAX_KEPT: u32 = 10_000;

    /// So many requests in such a time, and so many at once beyond that.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(requests: u32, per: Duration, burst: u32) -> Result<Self, String> {
        if requests == 0 {
            return Err("a rate of no requests is none".into());
        }
        if per < Duration::from_millis(50) {
            return Err("a rate counts for 50 ms at least".into());
        }
        Ok(Self {
            requests,
            per,
            burst,
            keys: Vec::new(),
            exempt: Vec::new(),
            rejection: Rejection::default(),
        })
    }

    /// How many are gained in [`Self::per`].
    #[must_use]
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// In which time.
    #[must_use]
    pub const fn per(&self) -> Duration {
        self.per
    }

    /// How many there can be at once.
    #[must_use]
    pub const fn at_once(&self) -> u32 {
        self.requests.saturating_add(self.burst)
    }
}

/// What tells those who ask apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKey {
    /// The client's address; of IPv6 the first 64 bits, as nobody is given less.
    ClientAddress,
    /// The first 128 bytes of a header's value. Whoever can choose it can choose to be new.
    Header(PlainName),
}

/// What is answered to requests that are too many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rejection {
    status: u16,
    headers: Vec<(HeaderName, Arc<str>)>,
}

impl Default for Rejection {
    /// 429.
    fn default() -> Self {
        Self {
            status: 429,
            headers: Vec::new(),
        }
    }
}

impl Rejection {
    /// Envoy takes no more.
    pub const MAX_HEADERS: usize = 10;

    /// This status, with these headers.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, or answer something else.
    pub fn new(status: u16, headers: Vec<(HeaderName, Arc<str>)>) -> Result<Self, String> {
        error_status(status)?;
        if headers.len() > Self::MAX_HEADERS {
            let most = Self::MAX_HEADERS;
            return Err(format!("more than {most} headers are for an answer"));
        }
        for (name, value) in &headers {
            check_literal(name, value)?;
        }
        Ok(Self { status, headers })
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The headers, with literal values.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, Arc<str>)] {
        &self.headers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let ms = Duration::from_millis;
        for (requests, per, is_taken) in [
            (0, ms(1000), false),
            (1, ms(49), false),
            (1, ms(50), true),
            (u32::MAX, ms(3_600_000), true),
        ] {
            let limit = LocalRateLimit::new(requests, per, 5);
            assert_eq!(limit.is_ok(), is_taken, "{requests} {per:?}");
        }
        let most = LocalRateLimit::new(u32::MAX, ms(50), 1).unwrap();
        assert_eq!(most.at_once(), u32::MAX);
        for (status, headers, is_taken) in [
            (399, 0, false),
            (400, 10, true),
            (511, 10, true),
            (511, 11, false),
            (499, 0, false),
            (599, 0, false),
        ] {
            let header = (HeaderName::new("x-limit").unwrap(), Arc::from("1"));
            let rejection = Rejection::new(status, vec![header; headers]);
            assert_eq!(rejection.is_ok(), is_taken, "{status} {headers}");
        }
        for (length, is_taken) in [(8192, true), (8193, false)] {
            let header = (
                HeaderName::new("x-limit").unwrap(),
                "%".repeat(length).into(),
            );
            assert_eq!(
                Rejection::new(429, vec![header]).is_ok(),
                is_taken,
                "{length}"
            );
        }
    }
}
