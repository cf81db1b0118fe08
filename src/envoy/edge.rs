//! What the operator may decide about the edge, each with the default that is safe for most.
//!
//! Most are settings of the shared connection managers ([`super::manager`]) and of route tables: a change holds for new
//! connections and moves no listener. [`Edge::proxy_protocol`] is a setting of the listeners: when it changes, Envoy opens
//! their ports anew and lets the old connections drain.

use std::collections::BTreeSet;
use std::time::Duration;

use super::client_headers::KeptHeader;
use super::log_format::AccessLog;
use crate::model::Tracing;

/// The operator's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Until a whole request is received; zero for no limit.
    pub request_timeout: Duration,
    /// Until a stream on which nothing moves is ended, WebSockets included; zero for no limit.
    pub stream_idle_timeout: Duration,
    /// How long a connection without requests is kept; zero for ever.
    pub idle_timeout: Duration,
    /// How old a connection becomes before it is drained, `None` for as old as it likes.
    pub max_connection_duration: Option<Duration>,
    /// How long a connection that Envoy closes may still be read from, `None` for Envoy's second.
    pub delayed_close_timeout: Option<Duration>,
    /// How long a connection that is drained takes new requests, `None` for Envoy's five seconds.
    pub drain_timeout: Option<Duration>,
    /// After how many requests a connection is drained, `None` for never.
    pub max_requests_per_connection: Option<u32>,
    /// How many requests of a connection of HTTP/2 and HTTP/3 are under way at a time.
    pub max_concurrent_streams: u32,
    /// Whether several slashes in a path are one, for the route and for the back end.
    pub merge_slashes: bool,
    /// What answers say of who serves them.
    pub server_header: ServerHeader,
    /// What becomes of `%2F`, `%2f`, `%5C` and `%5c` in a path.
    pub escaped_slashes: EscapedSlashes,
    /// What becomes of a path with parameters (`/a;x=1`).
    pub path_parameters: PathParameters,
    /// How many proxies in front are trusted to say, in `X-Forwarded-*`, who their client is and what it asked for.
    pub trusted_hops: u32,
    /// What else a request may bring of [`super::client_headers::CLAIMS`].
    pub kept_headers: BTreeSet<KeptHeader>,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The port by which clients reach HTTPS, where it is not 443.
    pub https_port: Option<u16>,
    /// Whether the fleet's listener for TLS is there over QUIC too. A datagram brings no PROXY header, so with
    /// [`Self::proxy_protocol`] nothing is.
    pub http3: bool,
    /// Whether back ends are told the client's address in `X-Real-IP` too.
    pub real_ip: bool,
    /// The protocols that a request may ask to go on in (`Upgrade: websocket`), case aside; an offer of any other is
    /// no part of the request that the back end sees.
    pub upgrades: Vec<String>,
    /// What becomes of a request with an underscore in the name of a header.
    pub underscores: Underscores,
    /// Most header lines of a request.
    pub max_headers: u32,
    /// Most bytes of a request's headers, in KiB.
    pub max_headers_kib: u32,
    /// Most bytes of one HTTP/2 upload that are on the way unasked for, in KiB. A connection may have twice as many.
    pub http2_window_kib: u32,
    /// What is logged of requests.
    pub access_log: AccessLog,
    /// How requests are traced.
    pub tracing: Option<Tracing>,
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
            idle_timeout: Duration::from_secs(3600),
            max_connection_duration: None,
            delayed_close_timeout: None,
            drain_timeout: None,
            max_requests_per_connection: None,
            max_concurrent_streams: 100,
            merge_slashes: true,
            server_header: ServerHeader::default(),
            escaped_slashes: EscapedSlashes::default(),
            path_parameters: PathParameters::default(),
            trusted_hops: 0,
            kept_headers: BTreeSet::new(),
            proxy_protocol: false,
            https_port: None,
            http3: false,
            real_ip: false,
            upgrades: vec!["websocket".to_owned()],
            underscores: Underscores::default(),
            max_headers: 100,
            max_headers_kib: 60,
            http2_window_kib: 2048,
            access_log: AccessLog::default(),
            tracing: None,
            ingress_metrics: true,
            explains: false,
        }
    }
}

impl Edge {
    /// Whether somebody in front says by which scheme a request came, so that the port that it comes in by does not.
    #[must_use]
    pub const fn scheme_is_told(&self) -> bool {
        self.trusted_hops > 0 || self.proxy_protocol
    }
}

/// `server` in answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerHeader {
    /// The back end's own, and none where it has none.
    #[default]
    PassThrough,
    /// `envoy`.
    Overwrite,
    /// The back end's own, and `envoy` where it has none.
    AppendIfAbsent,
}

/// What becomes of a request with an underscore in the name of a header: `X_Real_IP` is `X-Real-IP` to CGI, WSGI and
/// others, so that a stranger could write what only proxies may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// 400; over HTTP/2 a reset of its stream.
    #[default]
    Reject,
    /// The header is left out.
    Drop,
    /// It reaches the back end.
    Keep,
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

/// What becomes of path parameters (RFC 3986, section 3.3): `/admin;x` is `/admin` to a servlet container, and an element
/// of its own to Kubernetes and most others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathParameters {
    /// They are a part of their element, in the route and in the back end alike.
    #[default]
    Keep,
    /// Routes are chosen by what is in front of the first semicolon (Envoy 1.40: `/a;x/b` counts as `/a`), and the back
    /// end gets the path as it is. `/;x/admin` is still `/`, and a servlet container's `/admin`.
    Ignore,
    /// 400.
    Reject,
}
