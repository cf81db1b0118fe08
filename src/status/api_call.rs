//! One call to the API server that the data path does not wait for: bounded in time, its failure one line.
//!
//! For the lease, status and Event writers, whose failures are never fatal: they back off, count, and warn once
//! ([`Outage`]). It never retries; when to try again is the caller's to know.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The API server answered with an error status.
    Refused {
        /// The HTTP status.
        code: u16,
        /// What the server said.
        message: String,
        /// How long it asks to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// There was no answer in time.
    TimedOut(Duration),
    /// The server could not be reached, or its answer not be read.
    Broken(String),
    /// It was not made: what is there is somebody else's, as this says.
    Declined(String),
}

impl Failure {
    /// The HTTP status, where there was an answer.
    #[must_use]
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::TimedOut(_) | Self::Broken(_) | Self::Declined(_) => None,
        }
    }

    /// Whether the object would be larger than the server takes. Where it is etcd that says so, Kubernetes 1.36 passes
    /// it on as an internal error.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::Refused { code: 413, .. } => true,
            Self::Refused {
                code: 500, message, ..
            } => message.contains("request is too large"),
            _ => false,
        }
    }

    /// A word for a metric label, out of a small fixed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            _ if self.is_too_large() => "too_large",
            Self::Refused { code: 403, .. } => "forbidden",
            Self::Refused { code: 404, .. } => "not_found",
            Self::Refused { code: 409, .. } => "conflict",
            Self::Refused { code: 429, .. } => "throttled",
            Self::Refused { code: 500.., .. } => "server_error",
            Self::Refused { .. } | Self::Declined(_) => "refused",
            Self::TimedOut(_) => "timeout",
            Self::Broken(_) => "unreachable",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message, .. } => write!(f, "HTTP {code}: {message}"),
            Self::TimedOut(limit) => write!(f, "no answer within {} s", limit.as_secs_f32()),
            Self::Broken(message) | Self::Declined(message) => f.write_str(message),
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                code: status.code,
                retry_after: status
                    .details
                    .as_ref()
                    .map(|details| details.retry_after_seconds)
                    .filter(|seconds| *seconds > 0)
                    .map(|seconds| Duration::from_secs(seconds.into())),
                message: status.message,
            },
            other => {
                let mut message = other.to_string();
                let mut source = other.source();
                // kube's own text often repeats its source; the root cause is what helps.
                while let Some(cause) = source {
                    let text = cause.to_string();
                    if !message.contains(&text) {
                        message = format!("{message}: {text}");
                    }
                    source = cause.source();
                }
                Self::Broken(message)
            }
        }
    }
}

/// Makes one call that ends within `limit`.
///
/// # Errors
/// As the call, or [`Failure::TimedOut`]: then it is unknown whether the server has done it.
pub async fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::TimedOut(limit)),
    }
}

/// Logs an outage once when it begins and once when it is over, however many calls fail.
#[derive(Debug)]
pub struct Outage {
    activity: Cow<'static, str>,
    since: Option<Instant>,
    /// The ways in which calls failed since then.
    told: BTreeSet<&'static str>,
}

impl Outage {
    /// Watches over an activity, for instance `writing status`.
    #[must_use]
    pub fn with(activity: impl Into<Cow<'static, str>>) -> Self {
        Self {
            activity: activity.into(),
            since: None,
            told: BTreeSet::new(),
        }
    }

    /// A call failed. Warns if none failed in this way since the last time that all was well.
    pub fn failed(&mut self, about: &dyn fmt::Display, failure: &Failure) {
        self.since.get_or_insert_with(Instant::now);
        if self.told.insert(failure.label()) {
            warn!(object = %about, error = %failure,
                "{} fails; traffic is not affected, it will be tried again", self.activity);
        } else {
            debug!(object = %about, error = %failure, "{} still fails", self.activity);
        }
    }

    /// A call went well.
    pub fn over(&mut self) {
        self.told.clear();
        if let Some(since) = self.since.take() {
            info!(
                seconds = since.elapsed().as_secs(),
                "{} works again", self.activity
            );
        }
    }
}
