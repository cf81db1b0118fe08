//! What ends a list-watch, in one line that names the kind and the cause.

use std::fmt;
use std::sync::Arc;

use crate::objects::Kind;

/// No usable configuration. One clear sentence, for an exit with code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigurationError(pub(super) String);

/// A list-watch ended.
#[derive(Debug)]
pub struct SourceError {
    /// The kind that was listed or watched.
    pub kind: Kind,
    /// The namespace, `None` for all of them.
    pub namespace: Option<Arc<str>>,
    /// The API server's URL, where it is known.
    pub server: Option<Arc<str>>,
    /// Why.
    pub cause: Cause,
}

/// Why a list-watch ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The request or its answer did not get through: refused, cut, TLS, time-out, no credentials.
    #[error("the API server can't be reached: {0}")]
    Unreachable(String),
    /// An answer that the protocol has no other use for.
    #[error("the API server answered {code}: {message}")]
    Status {
        /// The HTTP status, or that of an ERROR event within a watch.
        code: u16,
        /// The message of the API server's `Status`, or the status's ordinary name.
        message: String,
    },
    /// An answer that is not what was asked for. Never quotes the answer: it may hold a key.
    #[error("the API server's answer can't be decoded: {0}")]
    Undecodable(String),
    /// A consistent list that is older than what was seen before: the cluster was restored from a backup, or
    /// something between lags behind. Going on would roll the configuration back in time.
    #[error(
        "the API server listed resourceVersion {listed}, older than {seen} which it sent before"
    )]
    WentBack {
        /// The list's version.
        listed: u64,
        /// The newest version seen before.
        seen: u64,
    },
    /// The receiver of the events is gone.
    #[error("nobody receives its events any more")]
    NoReceiver,
}

/// Why the source could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Flags, environment or files: nothing that a restart would cure.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The API server could not be asked what it serves.
    #[error(transparent)]
    Discovery(#[from] SourceError),
    /// Nobody answers there. No kind is named: it is none's fault.
    #[error("can't reach the API server at {server}: {why}")]
    Unreachable {
        /// Its URL.
        server: Arc<str>,
        /// What the client says.
        why: String,
    },
}

impl std::error::Error for SourceError {}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "list-watch of {}", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace}")?;
        }
        match (&self.cause, &self.server) {
            (Cause::Unreachable(why), Some(server)) => {
                write!(f, ": the API server at {server} can't be reached: {why}")
            }
            (cause, _) => write!(f, ": {cause}"),
        }
    }
}

/// A text of somebody else's as part of one line: control characters become spaces, and it has an end.
pub(super) fn one_line(text: &str) -> String {
    const MOST: usize = 400;
    let mut line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST + 1)
        .collect();
    if line.chars().count() > MOST {
        line.pop();
        line.push('…');
    }
    line
}
