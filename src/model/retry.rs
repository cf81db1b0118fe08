//! When a request is tried again, and how.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::header::HeaderName;

/// When a request is tried again. What is safe always (the back end has not seen the request) is tried again with any
/// policy whose number is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    /// Envoy's retry conditions, validated, sorted.
    pub retry_on: Vec<Arc<str>>,
    /// How often at most. Zero is never, whatever the conditions are.
    pub num_retries: u32,
    /// Time-out of each try.
    pub per_try_timeout: Option<Duration>,
    /// The longest silence of a back end within a try.
    pub per_try_idle_timeout: Option<Duration>,
    /// Statuses of answers that are tried again.
    pub status_codes: BTreeSet<u16>,
    /// The pause before another try, `None` for Envoy's 25 ms and its tenfold.
    pub back_off: Option<BackOff>,
    /// The pause that an answer asks for. It counts before [`Self::back_off`].
    pub rate_limited_back_off: Option<RateLimitedBackOff>,
    /// Whether another try may go to an endpoint that has failed the request. That is all that is asked of endpoints: Envoy could
    /// leave canaries out as well (`omit_canary_hosts`), but no object says which endpoint is one.
    pub may_repeat_endpoint: bool,
}

impl RetryPolicy {
    /// One try and no more.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }
}

/// A pause that grows with each try, at random between nothing and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BackOff {
    base: Duration,
    max: Duration,
}

impl BackOff {
    /// From `base` on, up to `max`, or to ten times the base.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(base: Duration, max: Option<Duration>) -> Result<Self, String> {
        if base < Duration::from_millis(1) {
            return Err("a pause between tries has at least a millisecond".into());
        }
        let max = max.unwrap_or_else(|| base.saturating_mul(10));
        if max < base {
            return Err("the longest pause between tries is shorter than the first".into());
        }
        Ok(Self { base, max })
    }

    /// The first.
    #[must_use]
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// The longest.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }
}

/// Headers of an answer that say when to come again. The first that is there and says no more than the maximum counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitedBackOff {
    headers: Vec<(HeaderName, ResetFormat)>,
    max: Duration,
}

/// How an answer says when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetFormat {
    /// In so many seconds.
    Seconds,
    /// At this second since 1970.
    UnixTimestamp,
}

impl RateLimitedBackOff {
    /// By these headers, at least one, and no longer than that.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(headers: Vec<(HeaderName, ResetFormat)>, max: Duration) -> Result<Self, String> {
        if headers.is_empty() {
            return Err("no header is named that says when to come again".into());
        }
        if max < Duration::from_millis(1) {
            return Err("the longest pause that an answer can ask for is none".into());
        }
        Ok(Self { headers, max })
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, ResetFormat)] {
        &self.headers
    }

    /// The longest pause.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn pauses_that_envoy_would_refuse_are_refused() {
        let ms = Duration::from_millis;
        for (base, max, is_taken) in [
            (ms(0), None, false),
            (ms(1), None, true),
            (ms(10), Some(ms(9)), false),
            (ms(10), Some(ms(10)), true),
        ] {
            assert_eq!(
                BackOff::new(base, max).is_ok(),
                is_taken,
                "{base:?} {max:?}"
            );
        }
        assert_eq!(BackOff::new(ms(3), None).unwrap().max(), ms(30));
        let header = || {
            vec![(
                HeaderName::new("retry-after").unwrap(),
                ResetFormat::Seconds,
            )]
        };
        assert!(RateLimitedBackOff::new(vec![], ms(1)).is_err());
        assert!(RateLimitedBackOff::new(header(), ms(0)).is_err());
        assert!(RateLimitedBackOff::new(header(), ms(1)).is_ok());
    }
}
