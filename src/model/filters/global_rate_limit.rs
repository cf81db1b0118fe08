//! How many requests are taken in all, as a service counts them for every Envoy that asks it.

use std::sync::Arc;
use std::time::Duration;

use super::authorization::Unanswered;
use super::local_rate_limit::Rejection;
use crate::model::header::HeaderName;
use crate::model::text::bounded_text;
use crate::model::value_match::HeaderMatch;

/// A service that each request is described to, and that says whether it is one too many
/// (`envoy.service.ratelimit.v3`, by gRPC). How many are too many is the service's own configuration.
///
/// It is asked after who may pass at all is known ([`super::Authorization`]). A request of which no descriptor can be made
/// passes without a question. **Envoy does not ask about routes that answer by themselves or redirect** (1.40).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalRateLimit {
    /// Name of a [`crate::model::Cluster`] of HTTP/2.
    pub cluster: Arc<str>,
    domain: Arc<str>,
    descriptors: Vec<Descriptor>,
    timeout: Duration,
    unanswered: Unanswered,
    /// Whether answers say `X-RateLimit-Limit`, `-Remaining` and `-Reset`, as the service has them.
    pub tells_limits: bool,
    /// Whether a call of gRPC ends with `RESOURCE_EXHAUSTED` instead of `UNAVAILABLE`.
    pub exhausts_grpc: bool,
    /// What is answered to those that are too many.
    pub rejection: Rejection,
}

/// What the service is told of a request: all of these entries, in this order. A request that lacks one of them has not this
/// descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor(Vec<DescriptorEntry>);

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescriptorEntry {
    key: Arc<str>,
    value: DescriptorValue,
}

/// What a value is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DescriptorValue {
    /// Always this.
    Fixed(Arc<str>),
    /// A header of the request, the first of this name. Its value is never cut: it is the service's memory that strangers
    /// fill.
    Header(HeaderName),
    /// This, for requests that have all of these headers, or that have not (`expected`).
    Matching {
        /// The value.
        value: Arc<str>,
        /// The headers.
        headers: Vec<HeaderMatch>,
        /// Whether they are to match.
        expected: bool,
    },
    /// The client's address, as the proxies say that the operator trusts.
    ClientAddress,
    /// So many first bits of it, with their number: `10.0.0.0/8`.
    ClientRange {
        /// Of IPv4.
        v4: u8,
        /// Of IPv6.
        v6: u8,
    },
    /// A parameter of the query: the first of this name, decoded.
    Query(Arc<str>),
    /// The path that the client asked for, without its query, cut after [`Self::MAX_PATH`] bytes.
    Path,
}

impl DescriptorValue {
    /// What is told of a path.
    pub const MAX_PATH: usize = 1024;
}

impl DescriptorEntry {
    /// A fixed key and value.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn fixed(key: &str, value: &str) -> Result<Self, String> {
        let value = bounded_text(value, "the value of a descriptor")?;
        Self::new(key, DescriptorValue::Fixed(value))
    }

    /// A header of the request.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn header(key: &str, name: HeaderName) -> Result<Self, String> {
        Self::new(key, DescriptorValue::Header(name))
    }

    /// A value for requests that have all of these headers, or that have not (`expected`).
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it: a list without headers is refused with the whole table.
    pub fn matching(
        key: &str,
        value: &str,
        headers: Vec<HeaderMatch>,
        expected: bool,
    ) -> Result<Self, String> {
        if headers.is_empty() {
            return Err("a descriptor by headers names no header".into());
        }
        let value = bounded_text(value, "the value of a descriptor")?;
        Self::new(
            key,
            DescriptorValue::Matching {
                value,
                headers,
                expected,
            },
        )
    }

    /// The client's address. Envoy calls it `remote_address`.
    #[must_use]
    pub fn client_address() -> Self {
        Self {
            key: "remote_address".into(),
            value: DescriptorValue::ClientAddress,
        }
    }

    /// So many first bits of the client's address. Envoy calls it `masked_remote_address`.
    ///
    /// # Errors
    ///
    /// One sentence where an address has fewer bits.
    pub fn client_range(v4: u8, v6: u8) -> Result<Self, String> {
        if v4 > 32 || v6 > 128 {
            return Err("an IPv4 address has 32 bits and an IPv6 address 128".into());
        }
        Ok(Self {
            key: "masked_remote_address".into(),
            value: DescriptorValue::ClientRange { v4, v6 },
        })
    }

    /// A parameter of the query.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn query(key: &str, parameter: &str) -> Result<Self, String> {
        let parameter = bounded_text(parameter, "the name of a parameter")?;
        Self::new(key, DescriptorValue::Query(parameter))
    }

    /// The path that the client asked for, without its query.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse the key.
    pub fn path(key: &str) -> Result<Self, String> {
        Self::new(key, DescriptorValue::Path)
    }

    fn new(key: &str, value: DescriptorValue) -> Result<Self, String> {
        let key = bounded_text(key, "the key of a descriptor")?;
        Ok(Self { key, value })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the value is of.
    #[must_use]
    pub const fn value(&self) -> &DescriptorValue {
        &self.value
    }
}

impl Descriptor {
    /// These entries, in this order.
    ///
    /// # Errors
    ///
    /// One sentence where there are none, which Envoy refuses with the whole table.
    pub fn new(entries: Vec<DescriptorEntry>) -> Result<Self, String> {
        if entries.is_empty() {
            return Err("a descriptor has no entries".into());
        }
        Ok(Self(entries))
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[DescriptorEntry] {
        &self.0
    }
}

impl GlobalRateLimit {
    /// Tells the service at this cluster these of a request, under the name that its configuration has for them, and waits
    /// so long. What it does not answer is refused with 500 unless said.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, or would never ask.
    pub fn new(
        cluster: impl Into<Arc<str>>,
        domain: &str,
        descriptors: Vec<Descriptor>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let domain = bounded_text(domain, "the domain of a rate limit")?;
        if descriptors.is_empty() {
            return Err("a rate limit has no descriptors".into());
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&timeout) {
            return Err("a rate limit service has from 1 ms to an hour to answer".into());
        }
        Ok(Self {
            cluster: cluster.into(),
            domain,
            descriptors,
            timeout,
            unanswered: Unanswered::Refused(500),
            tells_limits: false,
            exhausts_grpc: false,
            rejection: Rejection::default(),
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

    /// What the service calls these descriptors together.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What it is told.
    #[must_use]
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// How long is waited.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What becomes of a request that nobody answers for.
    #[must_use]
    pub const fn unanswered(&self) -> Unanswered {
        self.unanswered
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::text::MAX_TEXT;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let entry = || DescriptorEntry::fixed("generic_key", "all").unwrap();
        let one = || vec![Descriptor::new(vec![entry()]).unwrap()];
        let second = Duration::from_secs(1);
        let limit = |domain, descriptors, timeout| {
            GlobalRateLimit::new("limits", domain, descriptors, timeout)
        };
        assert!(limit("shop", one(), second).is_ok());
        assert!(limit("", one(), second).is_err());
        assert!(limit("shop", vec![], second).is_err());
        for (millis, is_taken) in [(0, false), (1, true), (3_600_000, true), (3_600_001, false)] {
            let timeout = Duration::from_millis(millis);
            assert_eq!(limit("shop", one(), timeout).is_ok(), is_taken, "{millis}");
        }
        for (status, is_taken) in [(200, false), (503, true), (599, false)] {
            let limit = limit("shop", one(), second).unwrap();
            let limit = limit.with_unanswered(Unanswered::Refused(status));
            assert_eq!(limit.is_ok(), is_taken, "{status}");
        }
        assert!(Descriptor::new(vec![]).is_err());
        assert!(DescriptorEntry::matching("a", "b", vec![], true).is_err());
        let long = "a".repeat(MAX_TEXT + 1);
        for text in ["", "a\nb", &long] {
            assert!(DescriptorEntry::fixed(text, "b").is_err(), "{text:?}");
            assert!(DescriptorEntry::fixed("a", text).is_err(), "{text:?}");
            assert!(DescriptorEntry::query("a", text).is_err(), "{text:?}");
            assert!(DescriptorEntry::path(text).is_err(), "{text:?}");
        }
        for (v4, v6, is_taken) in [
            (0, 0, true),
            (32, 128, true),
            (33, 0, false),
            (0, 129, false),
        ] {
            assert_eq!(DescriptorEntry::client_range(v4, v6).is_ok(), is_taken);
        }
    }
}
