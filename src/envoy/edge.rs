//! What the operator may decide about the edge, each with the default that is safe for most.
//!
//! They are settings of the listeners, because Envoy has them nowhere else. A changed one is a changed listener: Envoy
//! opens its ports anew and lets the old connections drain.

use std::collections::BTreeSet;
use std::time::Duration;

use super::client_headers::KeptHeader;

/// The operator's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Until a whole request is received; zero for no limit.
    pub request_timeout: Duration,
    /// Until a stream on which nothing moves is ended, WebSockets included; zero for no limit.
    pub stream_idle_timeout: Duration,
    /// What becomes of `%2F`, `%2f`, `%5C` and `%5c` in a path.
    pub escaped_slashes: EscapedSlashes,
    /// How many proxies in front are trusted to say, in `X-Forwarded-For`, who their client is.
    pub trusted_hops: u32,
    /// What else a request may bring of [`super::client_headers::CLAIMS`].
    pub kept_headers: BTreeSet<KeptHeader>,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Whether requests are counted by Ingress, Service and host.
    pub ingress_metrics: bool,
    /// Whether Envoy's own answers say why: on a laptop.
    pub explains: bool,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(300),
            stream_idle_timeout: Duration::from_secs(300),
            escaped_slashes: EscapedSlashes::default(),
            trusted_hops: 0,
            kept_headers: BTreeSet::new(),
            proxy_protocol: false,
            ingress_metrics: true,
            explains: false,
        }
    }
}

/// What becomes of an escaped slash in a path: `/a%2F..%2Fb` must not pass a route for `/a` and arrive as `/b`
/// (CVE-2021-29492).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// A redirect to the path with slashes, which a browser follows. Envoy refuses a gRPC request instead, which is
    /// right for gRPC, whose paths hold no escapes.
    #[default]
    UnescapeAndRedirect,
    /// The path with slashes chooses the route and reaches the back end.
    UnescapeAndForward,
    /// 400.
    Reject,
    /// They stay, in the route and on the way to the back end: for back ends that need them and tell them from
    /// slashes everywhere.
    Keep,
}
