//! Flags of the edge: what a client may do, and what is said of its requests.

use std::time::Duration;

use crate::envoy::client_headers::KeptHeader;
use crate::envoy::edge::{Edge, EscapedSlashes, PathParameters, ServerHeader, Underscores};
use crate::envoy::http_connection_manager::MAX_WINDOW_KIB;
use crate::envoy::log_format::AccessLog;
use crate::process::duration::duration;

use super::traces::TracingArgs;

/// What holds for every request from outside.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Edge")]
pub struct EdgeArgs {
    /// How long a whole request may take to arrive, uploads included; 0s for no limit.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_REQUEST_TIMEOUT",
        value_name = "TIME",
        default_value = "5m",
        value_parser = duration
    )]
    pub envoy_request_timeout: Duration,
    /// When a request, response or WebSocket is ended on which nothing moves; 0s for never.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_STREAM_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value = "5m",
        value_parser = duration
    )]
    pub envoy_stream_idle_timeout: Duration,
    /// How long a client's connection without requests is kept; 0s for ever.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value = "1h",
        value_parser = duration
    )]
    pub envoy_idle_timeout: Duration,
    /// How old a client's connection becomes before it is closed once its requests are answered; without it, or with 0s, as old as
    /// it likes.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_MAX_CONNECTION_DURATION",
        value_name = "TIME",
        value_parser = duration
    )]
    pub envoy_max_connection_duration: Option<Duration>,
    /// How long Envoy waits for the client to close a connection that it closes itself; without it 1s.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_DELAYED_CLOSE_TIMEOUT",
        value_name = "TIME",
        value_parser = duration
    )]
    pub envoy_delayed_close_timeout: Option<Duration>,
    /// How long a connection that is being closed takes requests that are on their way to it; without it 5s.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_CONNECTION_SHUTDOWN_GRACE_PERIOD",
        value_name = "TIME",
        value_parser = duration
    )]
    pub envoy_connection_shutdown_grace_period: Option<Duration>,
    /// Close a client's connection after so many requests.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_MAX_REQUESTS_PER_CONNECTION",
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub envoy_max_requests_per_connection: Option<u32>,
    /// Most requests of one connection of HTTP/2 or HTTP/3 at a time.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTP2_MAX_CONCURRENT_STREAMS",
        value_name = "NUMBER",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX))
    )]
    pub envoy_http2_max_concurrent_streams: u32,
    /// Whether several slashes in a path are one, for routes and for back ends.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_MERGE_SLASHES",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub envoy_merge_slashes: bool,
    /// The `server` of answers: the back end's own, `envoy`, or `envoy` where the back end says none.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_SERVER_HEADER",
        value_name = "ACTION",
        default_value = "pass-through"
    )]
    pub envoy_server_header: ServerHeaderAction,
    /// The port in the Location of a redirect to HTTPS, where clients do not reach that by 443; without it the port of
    /// the request stays, unless it is 80.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTPS_REDIRECT_TO",
        value_name = "PORT",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub envoy_https_redirect_to: Option<u16>,
    /// What becomes of an escaped slash (%2F, %5C) in a path. `keep` is for back ends that need it, and that no path
    /// of an Ingress protects.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_ESCAPED_SLASHES",
        value_name = "ACTION",
        default_value = "redirect"
    )]
    pub envoy_escaped_slashes: SlashAction,
    /// What becomes of a path with parameters (/a;x=1), which servlet containers read without them. `ignore` chooses
    /// routes by what is in front of the first semicolon, and lets /;x/a pass for /.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_PATH_PARAMETERS",
        value_name = "ACTION",
        default_value = "keep"
    )]
    pub envoy_path_parameters: ParameterAction,
    /// How many proxies in front of Envoy are believed what they say in X-Forwarded-For, -Proto, -Host and -Port. What is
    /// redirected to HTTPS then follows X-Forwarded-Proto.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_TRUSTED_HOPS",
        value_name = "NUMBER",
        default_value_t = 0
    )]
    pub envoy_trusted_hops: u32,
    /// A request header that is let through though strangers can write it, because a proxy in front does: one of those
    /// that `deploy/reference.md` lists as removed, by name.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_KEEP_REQUEST_HEADER",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub envoy_keep_request_header: Vec<KeptHeader>,
    /// Take the client's address from a PROXY header, which every connection for HTTP and HTTPS must then begin with. Its
    /// port says the scheme: 80, or 443 and the port of --envoy-https-redirect-to.
    #[arg(long, env = "ISOBATH_ENVOY_PROXY_PROTOCOL")]
    pub envoy_proxy_protocol: bool,
    /// Serve HTTPS by HTTP/3 too, over UDP at the port of --envoy-https-address, and say so in answers (alt-svc, with the port
    /// of --envoy-https-redirect-to or 443). Not for hosts that ask clients for certificates.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTP3",
        conflicts_with = "envoy_proxy_protocol"
    )]
    pub envoy_http3: bool,
    /// Tell back ends the client's address in X-Real-IP too.
    #[arg(long, env = "ISOBATH_ENVOY_REAL_IP")]
    pub envoy_real_ip: bool,
    /// The protocols that a request may ask to go on in (`Upgrade`), such as websocket,SPDY/3.1; offers of others are
    /// ignored.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_UPGRADES",
        value_name = "NAMES",
        default_value = "websocket",
        value_delimiter = ',',
        value_parser = upgrade
    )]
    pub envoy_upgrades: Vec<String>,
    /// What becomes of a request with an underscore in the name of a header. Programs that read headers as CGI does take
    /// X_Real_IP for X-Real-IP.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_UNDERSCORES",
        value_name = "ACTION",
        default_value = "reject"
    )]
    pub envoy_underscores: UnderscoreAction,
    /// Most header lines of a request.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_MAX_HEADERS",
        value_name = "NUMBER",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub envoy_max_headers: u32,
    /// Most bytes of a request's headers, in KiB.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_MAX_HEADERS_KIB",
        value_name = "KIB",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=8192)
    )]
    pub envoy_max_headers_kib: u32,
    /// How much of one HTTP/2 upload may be on its way at a time, in KiB, and so how fast clients far away are. A
    /// connection may have twice as much.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTP2_WINDOW_KIB",
        value_name = "KIB",
        default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(64..=i64::from(MAX_WINDOW_KIB))
    )]
    pub envoy_http2_window_kib: u32,
    /// What Envoy writes on its standard output about each request: an object of JSON, a line of text, or nothing.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_ACCESS_LOG",
        value_name = "FORMAT",
        default_value = "json"
    )]
    pub envoy_access_log: LogForm,
    /// The fields of the JSON access log instead of those by default: names of fields, and others as name=%COMMAND%, such as
    /// authority,agent=%REQ(USER-AGENT)%.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_ACCESS_LOG_FIELDS",
        value_name = "FIELDS",
        value_parser = access_log_fields
    )]
    pub envoy_access_log_fields: Option<AccessLog>,
    /// The line of the text access log, with Envoy's commands in it. What clients send is in it as it is, quotes included.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_ACCESS_LOG_TEXT",
        value_name = "TEXT",
        default_value = DEFAULT_TEXT,
        value_parser = AccessLog::text
    )]
    pub envoy_access_log_text: AccessLog,
    /// Whether Envoy counts requests, their time and bytes by namespace, Ingress, Service and host (envoy_ingress_* in
    /// its /metrics).
    #[arg(
        long,
        env = "ISOBATH_ENVOY_INGRESS_METRICS",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub envoy_ingress_metrics: bool,
    /// How requests are traced.
    #[command(flatten)]
    pub tracing: TracingArgs,
}

/// `--envoy-escaped-slashes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SlashAction {
    /// Redirect to the path with slashes.
    Redirect,
    /// Forward the path with slashes.
    Forward,
    /// Answer 400.
    Reject,
    /// Leave them.
    Keep,
}

/// `--envoy-server-header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerHeaderAction {
    /// The back end's own.
    PassThrough,
    /// `envoy`.
    Overwrite,
    /// The back end's own, else `envoy`.
    AppendIfAbsent,
}

/// `--envoy-path-parameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ParameterAction {
    /// They are a part of the path.
    Keep,
    /// Choose routes without them.
    Ignore,
    /// Answer 400.
    Reject,
}

/// `--envoy-underscores`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UnderscoreAction {
    /// Answer 400; over HTTP/2 reset the stream.
    Reject,
    /// Leave the header out.
    Drop,
    /// Forward it.
    Keep,
}

/// `--envoy-access-log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogForm {
    /// An object for each request.
    Json,
    /// A line for each request.
    Text,
    /// Nothing.
    Off,
}

/// The combined log format, which most tools read. The path has its query there by custom; here it has none.
const DEFAULT_TEXT: &str = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% - - [%START_TIME(%d/%b/%Y:%H:%M:%S %z)%] \
     \"%REQ(:METHOD)% %PATH(NQ:ORIG_OR_PATH)% %PROTOCOL%\" %RESPONSE_CODE% %BYTES_SENT% \"-\" \"%REQ(USER-AGENT)%\"";

/// With commas between them: a format in one of them has none.
fn access_log_fields(text: &str) -> Result<AccessLog, String> {
    AccessLog::json(text.split(',').map(str::trim))
}

/// The name of a protocol, with its version if it has one (RFC 9110, 7.8). `CONNECT` is a tunnel to wherever the client
/// says and no upgrade, but Envoy would take it as one.
fn upgrade(text: &str) -> Result<String, String> {
    let is_token = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~/".contains(&byte));
    if !is_token || text.len() > 64 || text.to_ascii_lowercase().starts_with("connect") {
        return Err("it is the name of a protocol such as websocket or SPDY/3.1".to_owned());
    }
    Ok(text.to_owned())
}

impl EdgeArgs {
    /// What they say of Envoy's connection managers.
    pub(super) fn edge(&self) -> Edge {
        Edge {
            request_timeout: self.envoy_request_timeout,
            stream_idle_timeout: self.envoy_stream_idle_timeout,
            idle_timeout: self.envoy_idle_timeout,
            // To Envoy zero is no time at all.
            max_connection_duration: self
                .envoy_max_connection_duration
                .filter(|most| !most.is_zero()),
            delayed_close_timeout: self.envoy_delayed_close_timeout,
            drain_timeout: self.envoy_connection_shutdown_grace_period,
            max_requests_per_connection: self.envoy_max_requests_per_connection,
            max_concurrent_streams: self.envoy_http2_max_concurrent_streams,
            merge_slashes: self.envoy_merge_slashes,
            server_header: match self.envoy_server_header {
                ServerHeaderAction::PassThrough => ServerHeader::PassThrough,
                ServerHeaderAction::Overwrite => ServerHeader::Overwrite,
                ServerHeaderAction::AppendIfAbsent => ServerHeader::AppendIfAbsent,
            },
            escaped_slashes: match self.envoy_escaped_slashes {
                SlashAction::Redirect => EscapedSlashes::UnescapeAndRedirect,
                SlashAction::Forward => EscapedSlashes::UnescapeAndForward,
                SlashAction::Reject => EscapedSlashes::Reject,
                SlashAction::Keep => EscapedSlashes::Keep,
            },
            path_parameters: match self.envoy_path_parameters {
                ParameterAction::Keep => PathParameters::Keep,
                ParameterAction::Ignore => PathParameters::Ignore,
                ParameterAction::Reject => PathParameters::Reject,
            },
            trusted_hops: self.envoy_trusted_hops,
            kept_headers: self.envoy_keep_request_header.iter().copied().collect(),
            proxy_protocol: self.envoy_proxy_protocol,
            https_port: self.envoy_https_redirect_to,
            http3: self.envoy_http3,
            real_ip: self.envoy_real_ip,
            upgrades: self.envoy_upgrades.clone(),
            underscores: match self.envoy_underscores {
                UnderscoreAction::Reject => Underscores::Reject,
                UnderscoreAction::Drop => Underscores::Drop,
                UnderscoreAction::Keep => Underscores::Keep,
            },
            max_headers: self.envoy_max_headers,
            max_headers_kib: self.envoy_max_headers_kib,
            http2_window_kib: self.envoy_http2_window_kib,
            access_log: match self.envoy_access_log {
                LogForm::Json => self.envoy_access_log_fields.clone().unwrap_or_default(),
                LogForm::Text => self.envoy_access_log_text.clone(),
                LogForm::Off => AccessLog::Off,
            },
            tracing: self.tracing.tracing(),
            ingress_metrics: self.envoy_ingress_metrics,
            explains: false,
        }
    }

    /// That what is logged is there.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.edge().access_log.has_labels() && !self.envoy_ingress_metrics {
            return Err("host, namespace, ingress, service and contour_config_* of the access log are labels that routes have for --envoy-ingress-metrics: they would be empty without it".to_owned());
        }
        Ok(())
    }
}
