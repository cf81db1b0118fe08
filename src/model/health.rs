//! Whether an endpoint is well: what it is asked, and what requests tell.
//!
//! Kubernetes asks as well, and leaves out who is not ready. This is for who must know sooner, or asks another question.

use std::sync::Arc;
use std::time::Duration;

use super::percent::Percent;

/// What is asked, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked.
    pub question: Question,
    /// The port of the Service that is asked, where it is another than the one that gets requests. An endpoint that does not have
    /// it is asked where it gets requests.
    pub port: Option<u16>,
    interval: Duration,
    timeout: Duration,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// To take a connection.
    Tcp,
    /// To answer a GET.
    Http(HttpQuestion),
    /// `grpc.health.v1.Health/Check` for this service, or for the server where it is empty. Who does not speak HTTP/2 is
    /// asked to take a connection instead.
    Grpc(Arc<str>),
}

/// A GET, and which answers are good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpQuestion {
    path: Arc<str>,
    host: Option<Arc<str>>,
    statuses: Vec<(u16, u16)>,
}

impl HttpQuestion {
    /// With this path, and a Host of its own where the usual one won't do. Without statuses (each a first and a last) 200 is
    /// the good one.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, or send no HTTP.
    pub fn new(path: &str, host: Option<&str>, statuses: &[(u16, u16)]) -> Result<Self, String> {
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !path.starts_with('/') || !is_visible(path) {
            return Err(format!("{path:?} is no path to ask for"));
        }
        if let Some(host) = host.filter(|host| host.is_empty() || !is_visible(host)) {
            return Err(format!("{host:?} is no Host to ask with"));
        }
        let is_range = |&(first, last): &(u16, u16)| {
            (100..600).contains(&first) && (first..600).contains(&last)
        };
        if let Some((first, last)) = statuses.iter().find(|range| !is_range(range)) {
            return Err(format!("{first} to {last} are no statuses from 100 to 599"));
        }
        Ok(Self {
            path: path.into(),
            host: host.map(Into::into),
            statuses: statuses.into(),
        })
    }

    /// The path, with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The Host where it is another than the usual one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The good statuses, each a first and a last.
    #[must_use]
    pub fn statuses(&self) -> &[(u16, u16)] {
        &self.statuses
    }
}

impl HealthCheck {
    /// Asked every `interval`; without an answer within `timeout` it is a bad one. An endpoint that was well is ill after
    /// `unhealthy` bad ones in a row, and well again after `healthy` good ones.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(
        question: Question,
        interval: Duration,
        timeout: Duration,
        [healthy_threshold, unhealthy_threshold]: [u32; 2],
    ) -> Result<Self, String> {
        let least = Duration::from_millis(1);
        if interval < least || timeout < least {
            return Err(
                "interval and time-out of a health check have a millisecond at least".into(),
            );
        }
        if healthy_threshold == 0 || unhealthy_threshold == 0 {
            return Err("the thresholds of a health check are 1 at least".into());
        }
        Ok(Self {
            question,
            port: None,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        })
    }

    /// Between two questions.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long an answer may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Good answers in a row after which who was ill is well.
    #[must_use]
    pub const fn healthy_threshold(&self) -> u32 {
        self.healthy_threshold
    }

    /// Bad answers in a row after which who was well is ill.
    #[must_use]
    pub const fn unhealthy_threshold(&self) -> u32 {
        self.unhealthy_threshold
    }
}

/// What is learnt from requests: an endpoint that fails is left alone for a while. By default only by what happens to
/// connections (refused, timed out, reset) and never by answers: a 500 is the application's own affair, and an attacker
/// could provoke it to have endpoints ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutlierDetection {
    /// Connections in a row that come to nothing; zero for any number.
    pub consecutive_local_origin_failure: u32,
    /// Answers of 500 and above in a row; zero for any number.
    pub consecutive_5xx: u32,
    /// Answers of 502, 503 and 504 in a row; zero for any number.
    pub consecutive_gateway_failure: u32,
    /// How often it is looked whether who was left alone may come back.
    pub interval: Duration,
    /// How long it is left alone, times the number of times so far: short, so that one who is back is used.
    pub base_ejection_time: Duration,
    /// The longest.
    pub max_ejection_time: Duration,
    /// So many of the endpoints at once, and never the only one unless it is 100.
    pub max_ejection_percent: Percent,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_local_origin_failure: 5,
            consecutive_5xx: 0,
            consecutive_gateway_failure: 0,
            interval: Duration::from_secs(1),
            base_ejection_time: Duration::from_secs(5),
            max_ejection_time: Duration::from_secs(60),
            max_ejection_percent: Percent::HALF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        let second = Duration::from_secs(1);
        let check = |interval, timeout, thresholds| {
            HealthCheck::new(Question::Tcp, interval, timeout, thresholds).is_ok()
        };
        assert!(check(second, second, [1, 1]));
        assert!(!check(Duration::ZERO, second, [1, 1]));
        assert!(!check(second, Duration::from_nanos(1), [1, 1]));
        assert!(!check(second, second, [0, 1]));
        assert!(!check(second, second, [1, 0]));
    }

    #[test]
    fn a_question_is_http() {
        let asks =
            |path, host, statuses: &[(u16, u16)]| HttpQuestion::new(path, host, statuses).is_ok();
        assert!(asks("/", None, &[]));
        assert!(asks(
            "/healthz?full=1",
            Some("a.example.com"),
            &[(200, 299), (404, 404)]
        ));
        for path in ["", "healthz", "/a b", "/a\r\nX-Evil: 1", "/\u{e4}"] {
            assert!(!asks(path, None, &[]), "{path:?}");
        }
        for host in ["", "a b", "a\r\nb: c"] {
            assert!(!asks("/", Some(host), &[]), "{host:?}");
        }
        for range in [(99, 100), (200, 199), (200, 600), (600, 600)] {
            assert!(!asks("/", None, &[range]), "{range:?}");
        }
    }
}
