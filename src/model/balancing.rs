//! Which endpoint of a cluster gets a request, and what keeps a client with one.

use std::sync::Arc;
use std::time::Duration;

use super::header::{HeaderName, MAX_VALUE, is_token_byte};
use super::percent::Percent;

/// Which endpoint gets a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadBalancing {
    /// Each in its turn.
    RoundRobin(Option<SlowStart>),
    /// The one with fewer requests under way, of two that are drawn.
    LeastRequest(Option<SlowStart>),
    /// One that is drawn.
    Random,
    /// The one that the request's hash is nearest to on a ring: an endpoint that comes or goes moves few clients. Routes say
    /// what is hashed ([`HashPolicy`]); a request without any of it goes anywhere.
    RingHash,
    /// The same by a table that spreads more evenly and moves more clients. Each change of endpoints makes 65,537 entries
    /// anew: for clusters whose endpoints seldom change.
    Maglev,
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self::RoundRobin(None)
    }
}

/// A new endpoint gets its full share only after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlowStart {
    window: Duration,
    aggression: u32,
    least: Percent,
}

impl SlowStart {
    /// The full share after `window`. It grows as the root of the time that has passed whose degree is `aggression` in
    /// hundredths (100 is evenly), from `least` of the share on.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(window: Duration, aggression: u32, least: Percent) -> Result<Self, String> {
        if window < Duration::from_millis(1) {
            return Err("a slow start lasts a millisecond at least".into());
        }
        if aggression == 0 {
            return Err("the aggression of a slow start is more than 0".into());
        }
        Ok(Self {
            window,
            aggression,
            least,
        })
    }

    /// How long it lasts.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// In hundredths.
    #[must_use]
    pub const fn aggression(&self) -> u32 {
        self.aggression
    }

    /// What an endpoint gets from the first.
    #[must_use]
    pub const fn least(&self) -> Percent {
        self.least
    }
}

/// What of a request is hashed, for clusters that balance by it. Of several all are mixed, up to the first that is
/// there and says that it is enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashPolicy {
    /// What is hashed.
    pub key: HashKey,
    /// Whether those after it are not looked at where this is there.
    pub terminal: bool,
}

impl HashPolicy {
    /// One thing and no other.
    #[must_use]
    pub const fn only(key: HashKey) -> Self {
        Self {
            key,
            terminal: false,
        }
    }
}

/// What of a request is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// The client's address.
    SourceIp,
    /// A header's value, or of a request its `:path` or `:authority`.
    Header(HeaderName),
    /// The first value of a parameter of the query. One without a name is never there.
    Query(Arc<str>),
    /// A cookie's value.
    Cookie(HashCookie),
}

/// A cookie that is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashCookie {
    name: Arc<str>,
    set: Option<SetCookie>,
}

/// How a client that comes without a cookie gets one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SetCookie {
    ttl: Option<Duration>,
    path: Arc<str>,
    attributes: Vec<(Arc<str>, Arc<str>)>,
}

impl HashCookie {
    /// A cookie that somebody else sets.
    ///
    /// # Errors
    ///
    /// One sentence where no cookie can have this name.
    pub fn of_others(name: &str) -> Result<Self, String> {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(format!("{name:?} is no cookie name (RFC 6265, 4.1.1)"));
        }
        Ok(Self {
            name: name.into(),
            set: None,
        })
    }

    /// A cookie that a client without it gets.
    ///
    /// # Errors
    ///
    /// As [`Self::of_others`].
    pub fn new(name: &str, set: SetCookie) -> Result<Self, String> {
        Ok(Self {
            set: Some(set),
            ..Self::of_others(name)?
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is set, where it is.
    #[must_use]
    pub const fn set(&self) -> Option<&SetCookie> {
        self.set.as_ref()
    }
}

impl SetCookie {
    /// With a life of whole seconds, or with none as long as the client's session. `attributes` are such as `SameSite=Lax`
    /// and `Secure`.
    ///
    /// # Errors
    ///
    /// One sentence where a part of it would end the part before it, or is longer than Envoy takes.
    pub fn new(
        ttl: Option<Duration>,
        path: &str,
        attributes: &[(&str, &str)],
    ) -> Result<Self, String> {
        let is_value = |text: &str| {
            let is_sent = |byte| matches!(byte, b' '..=b'~') && byte != b';';
            text.len() <= MAX_VALUE && text.bytes().all(is_sent)
        };
        if !is_value(path) {
            return Err(cut(path, "path"));
        }
        for (name, value) in attributes {
            let is_name = !name.is_empty() && name.bytes().all(is_token_byte) && is_value(name);
            if !is_name || !is_value(value) {
                return Err(cut(name, "attribute"));
            }
        }
        let attributes = attributes.iter();
        Ok(Self {
            // Zero would be a life of none to Envoy, and is a session to the client: that is what none is for.
            ttl: ttl.filter(|ttl| ttl.as_secs() > 0),
            path: path.into(),
            attributes: attributes
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        })
    }

    /// Its life.
    #[must_use]
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// The paths that it is for; empty for that of the request.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.attributes
    }
}

/// Says what is no part of a cookie, in a sentence that stays one.
fn cut(text: &str, what: &str) -> String {
    let text: String = text.chars().take(64).collect();
    format!("{text:?} is no {what} of a cookie (RFC 6265, 4.1.1)")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let percent = Percent::new(10).unwrap();
        let second = Duration::from_secs(1);
        assert!(SlowStart::new(second, 100, percent).is_ok());
        assert!(SlowStart::new(Duration::ZERO, 100, percent).is_err());
        assert!(SlowStart::new(second, 0, percent).is_err());
        assert!(Percent::new(101).is_err());
        assert!(Percent::new(u32::MAX).is_err());
    }

    #[test]
    fn a_cookie_has_no_other_within_it() {
        for name in ["", "a b", "a;b", "a=b", "a\r\nb", "\u{e4}"] {
            assert!(HashCookie::of_others(name).is_err(), "{name:?}");
        }
        let set = |path: &str, attributes: &[(&str, &str)]| SetCookie::new(None, path, attributes);
        assert!(set("/a b", &[("SameSite", "Lax"), ("Secure", "")]).is_ok());
        assert!(set("/; Domain=other.example.com", &[]).is_err());
        assert!(set("/\r\nSet-Cookie: a", &[]).is_err());
        assert!(set("", &[("SameSite", "Lax; Domain=a")]).is_err());
        assert!(set("", &[("Same Site", "")]).is_err());
        // Envoy's limit.
        let [most, longer] = [16_384, 16_385].map(|length| "a".repeat(length));
        assert!(set(&most, &[(&most, &most)]).is_ok());
        assert!(set(&longer, &[]).is_err());
        assert!(set("", &[(&longer, "")]).is_err());
        assert!(set("", &[("a", &longer)]).is_err());
        let life = |seconds| SetCookie::new(Some(Duration::from_millis(seconds)), "", &[]);
        assert_eq!(life(999).unwrap().ttl(), None);
        assert!(life(1000).unwrap().ttl().is_some());
    }
}
