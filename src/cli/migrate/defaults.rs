//! Where Contour 1.33 and Isobath have other defaults: what a configuration that does not say a setting means from now on.

use super::document::Node;
use super::report::{Report, Weight};

/// A setting whose default differs.
#[derive(Clone, Copy, Debug)]
pub struct Unset {
    /// Its keys in the file, and below `spec` of a ContourConfiguration: blank where the defaults are the same by that way, or there
    /// is no such setting.
    pub keys: [&'static str; 2],
    /// What it is about.
    pub what: &'static str,
    /// What Contour does.
    pub contour: &'static str,
    /// What Isobath does.
    pub isobath: &'static str,
    /// The flags that keep Contour's; without one, what to do.
    pub keeps: Keeps,
    /// Whom it concerns.
    pub concerns: Concerns,
}

/// How Contour's default is kept.
#[derive(Clone, Copy, Debug)]
pub enum Keeps {
    /// By these flags.
    Flags(&'static [&'static str]),
    /// There is no flag, and this follows.
    Nothing(&'static str),
}

/// Which configurations a default is told of.
#[derive(Clone, Copy, Debug)]
pub enum Concerns {
    /// All.
    All,
    /// Those whose log is text.
    TextLog,
    /// Those whose log is JSON.
    JsonLog,
    /// Those that say something of the group that the setting is in.
    Group,
}

/// What stands for a setting that Contour does not have: what it does cannot be set there.
const NO_SETTING: &str = "no setting";
/// Where each configuration says of what form the log is.
const LOG_FORM: [&str; 2] = ["accesslog-format", "envoy.logging.accessLogFormat"];

/// All of them.
pub const DEFAULTS: &[Unset] = &[
    Unset {
        keys: ["timeouts.request-timeout", "envoy.timeouts.requestTimeout"],
        what: "how long a request may take to arrive",
        contour: "no limit",
        isobath: "`5m`, then 408",
        keeps: Keeps::Flags(&["--envoy-request-timeout=0s"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["timeouts.connection-idle-timeout", ""],
        what: "how long a client's connection without requests is kept",
        contour: "`60s`",
        isobath: "`1h`, as with a ContourConfiguration",
        keeps: Keeps::Flags(&["--envoy-idle-timeout=60s"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "listener.http2-max-concurrent-streams",
            "envoy.listener.httpMaxConcurrentStreams",
        ],
        what: "requests of one connection of HTTP/2 at a time",
        contour: "Envoy's: `1024`",
        isobath: "`100`",
        keeps: Keeps::Flags(&["--envoy-http2-max-concurrent-streams=1024"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "serverHeaderTransformation",
            "envoy.listener.serverHeaderTransformation",
        ],
        what: "the header `server` of answers",
        contour: "`envoy`",
        isobath: "the back end's own",
        keeps: Keeps::Flags(&["--envoy-server-header=overwrite"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "compression.algorithm",
            "envoy.listener.compression.algorithm",
        ],
        what: "compression of answers",
        contour: "gzip",
        isobath: "none",
        keeps: Keeps::Nothing(
            "answers are passed on as back ends write them, and take more bandwidth where these do not compress: let them",
        ),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "disableAllowChunkedLength",
            "envoy.listener.disableAllowChunkedLength",
        ],
        what: "a message with Content-Length and Transfer-Encoding",
        contour: "passed on without its Content-Length",
        isobath: "refused",
        keeps: Keeps::Nothing(
            "clients that send both get 400, and back ends that do are answered for with 502",
        ),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "network.strip-trailing-host-dot",
            "envoy.network.stripTrailingHostDot",
        ],
        what: "a host with a dot at its end",
        contour: "another host: 404",
        isobath: "the host without",
        keeps: Keeps::Nothing("more requests are answered"),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["", ""],
        what: "`%2F` in a path",
        contour: "kept",
        isobath: "redirected to the path with slashes",
        keeps: Keeps::Flags(&["--envoy-escaped-slashes=keep"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["", ""],
        what: "a header with an underscore in its name",
        contour: "kept",
        isobath: "400",
        keeps: Keeps::Flags(&["--envoy-underscores=keep"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["", ""],
        what: "`Forwarded` and `X-Real-Ip` of clients",
        contour: "reach back ends",
        isobath: "removed, as others that deploy/reference.md lists",
        keeps: Keeps::Flags(&[
            "--envoy-keep-request-header=forwarded",
            "--envoy-keep-request-header=x-real-ip",
        ]),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["", ""],
        what: "`X-Request-Id` of clients",
        contour: "kept",
        isobath: "another in its place",
        keeps: Keeps::Nothing("a request has a name that no client chose"),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["", ""],
        what: "how long the back end of an Ingress may take to answer",
        contour: "`15s`, then 504",
        isobath: "as long as it likes",
        keeps: Keeps::Nothing("an Ingress says it by projectcontour.io/response-timeout"),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "listener.per-connection-buffer-limit-bytes",
            "envoy.listener.per-connection-buffer-limit-bytes",
        ],
        what: "bytes that a client's connection holds back",
        contour: "Envoy's: `1048576`",
        isobath: "`32768`",
        keeps: Keeps::Nothing(
            "a connection takes less memory, and a slow client slows its back end down sooner",
        ),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "listener.max-connections-per-listener",
            "envoy.listener.maxConnectionsPerListener",
        ],
        what: "connections of clients",
        contour: "any number",
        isobath: "50,000 for each Envoy",
        keeps: Keeps::Nothing("more are closed at once: add Envoys"),
        concerns: Concerns::All,
    },
    Unset {
        keys: ["cluster.dns-lookup-family", "envoy.cluster.dnsLookupFamily"],
        what: "addresses of a DNS name",
        contour: "`auto`",
        isobath: "`v4-preferred`",
        keeps: Keeps::Flags(&["--envoy-dns-lookup-family=auto"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "cluster.per-connection-buffer-limit-bytes",
            "envoy.cluster.per-connection-buffer-limit-bytes",
        ],
        what: "bytes that a connection to an endpoint holds back",
        contour: "Envoy's: `1048576`",
        isobath: "`32768`",
        keeps: Keeps::Flags(&["--envoy-upstream-buffer-limit=1048576"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "cluster.circuit-breakers.max-connections",
            "envoy.cluster.circuitBreakers.maxConnections",
        ],
        what: "connections to a Service at once",
        contour: "Envoy's: `1024`",
        isobath: "no limit",
        keeps: Keeps::Flags(&["--circuit-breakers-max-connections=1024"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "cluster.circuit-breakers.max-pending-requests",
            "envoy.cluster.circuitBreakers.maxPendingRequests",
        ],
        what: "requests that wait for a connection",
        contour: "Envoy's: `1024`",
        isobath: "no limit",
        keeps: Keeps::Flags(&["--circuit-breakers-max-pending-requests=1024"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "cluster.circuit-breakers.max-requests",
            "envoy.cluster.circuitBreakers.maxRequests",
        ],
        what: "requests to a Service at once",
        contour: "Envoy's: `1024`",
        isobath: "no limit",
        keeps: Keeps::Flags(&["--circuit-breakers-max-requests=1024"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "cluster.circuit-breakers.max-retries",
            "envoy.cluster.circuitBreakers.maxRetries",
        ],
        what: "retries at once",
        contour: "Envoy's: `3`",
        isobath: "as many as requests",
        keeps: Keeps::Flags(&["--circuit-breakers-max-retries=3"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: LOG_FORM,
        what: "the form of the log",
        contour: "text",
        isobath: "JSON",
        keeps: Keeps::Flags(&["--envoy-access-log=text"]),
        concerns: Concerns::All,
    },
    Unset {
        keys: [
            "accesslog-format-string",
            "envoy.logging.accessLogFormatString",
        ],
        what: "a line of the log as text",
        contour: "Envoy's",
        isobath: "the combined log format, without queries",
        keeps: Keeps::Flags(&[TEXT]),
        concerns: Concerns::TextLog,
    },
    Unset {
        keys: ["json-fields", "envoy.logging.accessLogJSONFields"],
        what: "the fields of the log as JSON",
        contour: "its own",
        isobath: "others, and the path without its query",
        keeps: Keeps::Flags(&[FIELDS]),
        concerns: Concerns::JsonLog,
    },
    Unset {
        keys: ["tracing.serviceName", "tracing.serviceName"],
        what: "the service that spans are of",
        contour: "`contour`",
        isobath: "`isobath`",
        keeps: Keeps::Flags(&["--envoy-tracing-service=contour"]),
        concerns: Concerns::Group,
    },
];

/// The line of Envoy's log where nobody says another, but for its header with the path before a rewrite, which nobody is shown.
const TEXT: &str = "--envoy-access-log-text=[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% \
     %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \
     \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";
/// Contour's fields.
const FIELDS: &str = "--envoy-access-log-fields=@timestamp,authority,bytes_received,bytes_sent,downstream_local_address,\
     downstream_remote_address,duration,method,path=%REQ(:PATH)%,protocol,request_id,requested_server_name,response_code,\
     response_flags,uber_trace_id,upstream_cluster,upstream_host,upstream_local_address,upstream_service_time,user_agent,\
     x_forwarded_for,grpc_status,grpc_status_number=%GRPC_STATUS_NUMBER%";

/// Tells of each default that differs and that the settings do not say. `way` is 0 for a file and 1 for a ContourConfiguration,
/// `at` the field that the settings of that are below.
pub fn tell(settings: &Node, way: usize, at: &str, report: &mut Report) {
    for unset in DEFAULTS {
        let (Some(key), Some(form)) = (unset.keys.get(way), LOG_FORM.get(way)) else {
            continue;
        };
        let has_setting = unset.keys.iter().any(|key| !key.is_empty());
        let is_json = said(settings, form).is_some_and(|node| node.word() == Some("json"));
        let group = key.rsplit_once('.').map(|(group, _)| group);
        let is_concerned = match unset.concerns {
            Concerns::All => true,
            Concerns::TextLog => !is_json,
            Concerns::JsonLog => is_json,
            Concerns::Group => group.is_some_and(|group| said(settings, group).is_some()),
        };
        if !is_concerned || (has_setting && (key.is_empty() || said(settings, key).is_some())) {
            continue;
        }
        let name = match (has_setting, at) {
            (false, _) => NO_SETTING.to_owned(),
            (true, "") => (*key).to_owned(),
            (true, at) => format!("{at}.{key}"),
        };
        let Unset {
            what,
            contour,
            isobath,
            ..
        } = unset;
        let keeps = match unset.keeps {
            Keeps::Flags(flags) => {
                let flags: Vec<String> = flags.iter().map(|flag| quoted(flag)).collect();
                format!("{} keeps Contour's", flags.join(" "))
            }
            Keeps::Nothing(follows) => format!("there is no flag, and {follows}"),
        };
        let sentence = format!("{what}: in Contour {contour}, in Isobath {isobath}; {keeps}");
        let sentence = sentence.replace('`', "");
        report.note(settings.line, &name, Weight::Unset, sentence);
    }
}

/// As a shell takes it.
fn quoted(flag: &str) -> String {
    match flag.split_once('=') {
        Some((name, value)) if value.contains(' ') || value.contains('(') => {
            format!("{name}='{value}'")
        }
        _ => flag.to_owned(),
    }
}

/// What a setting says, where it says anything: `false`, 0 and the empty text are what Contour's defaults are.
fn said<'a>(settings: &'a Node, path: &str) -> Option<&'a Node> {
    let found = path.split('.').try_fold(settings, Node::of)?;
    (!found.is_unsaid()).then_some(found)
}
