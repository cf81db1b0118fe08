//! What the access log says of a request: fields, or a text, of a closed list of Envoy's commands.
//!
//! Envoy refuses a whole manager over a command that it does not know, and some commands read files, secrets or its
//! environment: what is no row of [`COMMANDS`] is refused where the operator writes it.

use std::collections::BTreeMap;

/// The access log on standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// There is none.
    Off,
    /// A JSON object for each request. Envoy writes it, so nothing that a client sends ends a field or a line.
    Json(BTreeMap<String, LogFormat>),
    /// A line of text for each request. **What clients send is in it as it is**: who puts it between quotes finds quotes in it.
    Text(LogFormat),
}

impl Default for AccessLog {
    /// JSON with the usual fields.
    fn default() -> Self {
        let fields = FIELDS.iter();
        Self::Json(
            fields
                .map(|(name, command)| ((*name).to_owned(), LogFormat((*command).to_owned())))
                .collect(),
        )
    }
}

/// The fields of the log unless the operator says otherwise. Names as in Contour's JSON log where both have the field. The
/// query is not logged: it is where tokens and personal data are. The path is the one after a rewrite: Envoy keeps the
/// client's only in a header that back ends are not shown (`suppress_envoy_headers`).
const FIELDS: [(&str, &str); 21] = [
    ("@timestamp", "%START_TIME%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("grpc_status", "%GRPC_STATUS%"),
    ("method", "%REQ(:METHOD)%"),
    ("owner", "%ROUTE_NAME%"),
    ("path", "%PATH(NQ:ORIG_OR_PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
];

/// What else can be asked for by its name, as Contour has it, and the labels of [`super::ingress_metrics`].
const MORE: [(&str, &str); 13] = [
    ("contour_config_name", "%METADATA(ROUTE:isobath:ingress)%"),
    (
        "contour_config_namespace",
        "%METADATA(ROUTE:isobath:namespace)%",
    ),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("host", "%METADATA(ROUTE:isobath:host)%"),
    ("ingress", "%METADATA(ROUTE:isobath:ingress)%"),
    ("namespace", "%METADATA(ROUTE:isobath:namespace)%"),
    ("service", "%METADATA(ROUTE:isobath:service)%"),
    ("tls_version", "%DOWNSTREAM_TLS_VERSION%"),
    ("trace_id", "%TRACE_ID%"),
    ("uber_trace_id", "%REQ(UBER-TRACE-ID)%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    (
        "upstream_request_attempt_count",
        "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    ),
    (
        "upstream_service_time",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    ),
];

/// Most fields, and longest names and texts.
const MAX_FIELDS: usize = 100;
const MAX_NAME: usize = 128;
const MAX_TEXT: usize = 4096;

impl AccessLog {
    /// JSON with these fields: the name of one that is known, or `name=` and a format.
    ///
    /// # Errors
    ///
    /// One sentence where a name is not known, or a format would be refused.
    pub fn json<'a>(fields: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for field in fields {
            let (name, format) = match field.split_once('=') {
                Some((name, format)) => (name, LogFormat::new(format)?),
                None => (field, known(field)?),
            };
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(format!(
                    "the name of a field has from 1 to {MAX_NAME} bytes"
                ));
            }
            if all.insert(name.to_owned(), format).is_some() {
                return Err(format!("the field {name} is there twice"));
            }
            if all.len() > MAX_FIELDS {
                return Err(format!("more than {MAX_FIELDS} fields are for a line"));
            }
        }
        if all.is_empty() {
            return Err("a line without fields says nothing".into());
        }
        Ok(Self::Json(all))
    }

    /// A line of this text.
    ///
    /// # Errors
    ///
    /// One sentence where a command in it is not known.
    pub fn text(text: &str) -> Result<Self, String> {
        LogFormat::new(text).map(Self::Text)
    }
}

impl AccessLog {
    /// Whether it has a label of [`super::ingress_metrics`], which routes have only where that is counted.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        let has = |format: &LogFormat| LABELS.iter().any(|label| format.0.contains(label));
        match self {
            Self::Json(fields) => fields.values().any(has),
            Self::Text(format) => has(format),
            Self::Off => false,
        }
    }
}

fn known(name: &str) -> Result<LogFormat, String> {
    let mut all = FIELDS.iter().chain(&MORE);
    match all.find(|(known, _)| *known == name) {
        Some((_, command)) => Ok(LogFormat((*command).to_owned())),
        None => Err(format!(
            "no field is called {name}; one of your own is {name}=%COMMAND%"
        )),
    }
}

/// Text with commands that Envoy takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat(String);

/// What a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// The name of a header, another one after a `?`, and a length.
    Header,
    /// A format of time, or nothing.
    Time,
    /// One of these, or nothing where that is among them; a path has a length too.
    OneOf(&'static [&'static str]),
}

use Takes::{Header, Nothing, OneOf, Time};

const PATHS: [&str; 6] = [
    "WQ:ORIG",
    "WQ:PATH",
    "WQ:ORIG_OR_PATH",
    "NQ:ORIG",
    "NQ:PATH",
    "NQ:ORIG_OR_PATH",
];
const LABELS: [&str; 4] = [
    "ROUTE:isobath:host",
    "ROUTE:isobath:ingress",
    "ROUTE:isobath:namespace",
    "ROUTE:isobath:service",
];

/// Envoy's commands (1.40) that say something of a request and nothing of Envoy's own machine. Sorted.
pub const COMMANDS: [(&str, Takes); 65] = [
    ("ACCESS_LOG_TYPE", Nothing),
    ("BYTES_RECEIVED", Nothing),
    ("BYTES_SENT", Nothing),
    ("CONNECTION_ID", Nothing),
    ("CONNECTION_TERMINATION_DETAILS", Nothing),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Nothing),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Nothing),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", Nothing),
    ("DOWNSTREAM_HEADER_BYTES_SENT", Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS", Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Nothing),
    ("DOWNSTREAM_LOCAL_PORT", Nothing),
    ("DOWNSTREAM_PEER_CERT_V_END", Nothing),
    ("DOWNSTREAM_PEER_CERT_V_START", Nothing),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Nothing),
    ("DOWNSTREAM_PEER_ISSUER", Nothing),
    ("DOWNSTREAM_PEER_SERIAL", Nothing),
    ("DOWNSTREAM_PEER_SUBJECT", Nothing),
    ("DOWNSTREAM_PEER_URI_SAN", Nothing),
    ("DOWNSTREAM_REMOTE_ADDRESS", Nothing),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Nothing),
    ("DOWNSTREAM_REMOTE_PORT", Nothing),
    ("DOWNSTREAM_TLS_CIPHER", Nothing),
    ("DOWNSTREAM_TLS_SESSION_ID", Nothing),
    ("DOWNSTREAM_TLS_VERSION", Nothing),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", Nothing),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", Nothing),
    ("DOWNSTREAM_WIRE_BYTES_SENT", Nothing),
    ("DURATION", Nothing),
    ("FILTER_CHAIN_NAME", Nothing),
    (
        "GRPC_STATUS",
        OneOf(&["", "CAMEL_STRING", "SNAKE_STRING", "NUMBER"]),
    ),
    ("GRPC_STATUS_NUMBER", Nothing),
    ("HOSTNAME", Nothing),
    ("METADATA", OneOf(&LABELS)),
    ("PATH", OneOf(&PATHS)),
    ("PROTOCOL", Nothing),
    ("REQ", Header),
    ("REQUESTED_SERVER_NAME", Nothing),
    ("REQUEST_DURATION", Nothing),
    ("REQUEST_TX_DURATION", Nothing),
    ("RESP", Header),
    ("RESPONSE_CODE", Nothing),
    ("RESPONSE_CODE_DETAILS", Nothing),
    ("RESPONSE_DURATION", Nothing),
    ("RESPONSE_FLAGS", Nothing),
    ("RESPONSE_FLAGS_LONG", Nothing),
    ("RESPONSE_TX_DURATION", Nothing),
    ("ROUNDTRIP_DURATION", Nothing),
    ("ROUTE_NAME", Nothing),
    ("START_TIME", Time),
    ("STREAM_ID", Nothing),
    ("TRACE_ID", Nothing),
    ("TRAILER", Header),
    ("UPSTREAM_CLUSTER", Nothing),
    ("UPSTREAM_CONNECTION_ID", Nothing),
    ("UPSTREAM_HOST", Nothing),
    ("UPSTREAM_LOCAL_ADDRESS", Nothing),
    ("UPSTREAM_PROTOCOL", Nothing),
    ("UPSTREAM_REMOTE_ADDRESS", Nothing),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Nothing),
    ("UPSTREAM_TLS_VERSION", Nothing),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Nothing),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", Nothing),
    ("UPSTREAM_WIRE_BYTES_SENT", Nothing),
    ("VIRTUAL_CLUSTER_NAME", Nothing),
];

impl LogFormat {
    /// Text with `%COMMAND%`, `%COMMAND(what)%` or `%COMMAND(what):length%` in it; `%%` is the sign itself.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it, or it would read what is no request's.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(format!("a format has from 1 to {MAX_TEXT} bytes"));
        }
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let after = &rest[at + 1..];
            rest = match after.strip_prefix('%') {
                Some(rest) => rest,
                None => command(after)?,
            };
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows a command that begins here.
fn command(text: &str) -> Result<&str, String> {
    let end = text.find(|it: char| !(it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_'));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let row = COMMANDS.iter().find(|(known, _)| *known == name);
    let Some((_, takes)) = row else {
        let shown: String = text.chars().take(40).collect();
        return Err(format!("%{shown} begins no command that is known"));
    };
    let wrong = || format!("%{name} is not written as it has to be");
    let (argument, rest) = match rest.strip_prefix('(') {
        // A time may have `%` in it.
        Some(rest) => {
            let argument = rest.split_once(')').ok_or_else(wrong)?;
            match argument.0.is_empty() {
                true => return Err(wrong()),
                false => argument,
            }
        }
        None => ("", rest),
    };
    let (length, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (length, rest) = rest.split_once('%').ok_or_else(wrong)?;
            (Some(length), rest)
        }
        None => (None, rest.strip_prefix('%').ok_or_else(wrong)?),
    };
    let takes_length = *takes == Header || name == "PATH";
    let is_length = length.is_none_or(|length| {
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        takes_length && is_number && (1..6).contains(&length.len())
    });
    let is_right = match takes {
        Nothing => argument.is_empty(),
        Header => is_header(argument),
        Time => is_time(argument),
        OneOf(all) => all.contains(&argument),
    };
    match is_right && is_length {
        true => Ok(rest),
        false => Err(wrong()),
    }
}

/// `NAME`, or `NAME?OTHER` for where there is none.
fn is_header(argument: &str) -> bool {
    let is_name = |name: &str| {
        let name = name.strip_prefix(':').unwrap_or(name);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !name.is_empty() && name.bytes().all(is_plain)
    };
    match argument.split_once('?') {
        Some((name, other)) => is_name(name) && is_name(other),
        None => is_name(argument),
    }
}

/// As `strftime` has it, with `%1f` to `%9f` for parts of a second.
fn is_time(argument: &str) -> bool {
    let mut rest = argument.bytes();
    while let Some(byte) = rest.next() {
        let is_text = byte.is_ascii_alphanumeric() || b" :.,/_+-".contains(&byte);
        if byte != b'%' {
            if !is_text {
                return false;
            }
            continue;
        }
        match rest.next() {
            Some(b'1'..=b'9') if rest.next() == Some(b'f') => {}
            Some(byte) if b"aAbBcCdDefFgGhHIjmMnpPrRsSTuUVwWxXyYzZ".contains(&byte) => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_as_envoy_reads_them() {
        for (text, is_taken) in [
            ("plain", true),
            ("100%%", true),
            ("%REQ(:METHOD)% %REQ(X-A?:PATH):80%", true),
            ("[%START_TIME%] [%START_TIME(%Y-%m-%dT%H:%M:%S.%3f)%]", true),
            ("%GRPC_STATUS% %GRPC_STATUS(NUMBER)%", true),
            ("%METADATA(ROUTE:isobath:ingress)%", true),
            ("%PATH(NQ:ORIG_OR_PATH):10%", true),
            ("%BYTES_SENT%%%%BYTES_SENT%", true),
            ("", false),
            ("%", false),
            ("100% sure", false),
            ("%REQ%", false),
            ("%REQ()%", false),
            ("%REQ(a b)%", false),
            ("%REQ(a):x%", false),
            ("%REQ(a):%", false),
            ("%REQ(a):123456%", false),
            ("%BYTES_SENT()%", false),
            ("%START_TIME()%", false),
            ("%GRPC_STATUS:3%", false),
            ("%METADATA(ROUTE:isobath:host):3%", false),
            ("%PATH(Q:PATH)%", false),
            ("%REQ(a", false),
            ("%REQ(a)", false),
            ("%REQ(a|b)%", false),
            ("%BYTES_SENT(a)%", false),
            ("%BYTES_SENT:3%", false),
            ("%bytes_sent%", false),
            ("%UNKNOWN%", false),
            ("%START_TIME(%Q)%", false),
            ("%START_TIME(%0f)%", false),
            ("%START_TIME(\n)%", false),
            ("%PATH(X:ORIG)%", false),
            ("%METADATA(CLUSTER:a:b)%", false),
            // These read what is no request's.
            ("%ENVIRONMENT(HOME)%", false),
            ("%FILE_CONTENT(/etc/passwd)%", false),
            ("%SECRET(a)%", false),
            ("%FILTER_STATE(isobath.host)%", false),
            ("%DYNAMIC_METADATA(a)%", false),
        ] {
            assert_eq!(LogFormat::new(text).is_ok(), is_taken, "{text}");
        }
        assert!(LogFormat::new(&"a".repeat(MAX_TEXT + 1)).is_err());
    }

    #[test]
    fn fields_are_known_or_said() {
        let is_taken = |fields: &[&str]| AccessLog::json(fields.iter().copied()).is_ok();
        assert!(is_taken(&[
            "@timestamp",
            "authority",
            "x=%REQ(X-A)%",
            "y=text"
        ]));
        for fields in [
            &[][..],
            &["nothing"],
            &["=%PROTOCOL%"],
            &["a="],
            &["a=%NOTHING%"],
            &["authority", "authority"],
            &["authority", "authority=%PROTOCOL%"],
        ] {
            assert!(!is_taken(fields), "{fields:?}");
        }
        let many: Vec<String> = (0..=MAX_FIELDS).map(|it| format!("f{it}=a")).collect();
        assert!(AccessLog::json(many.iter().map(String::as_str)).is_err());
        assert!(AccessLog::json(many[1..].iter().map(String::as_str)).is_ok());
    }

    #[test]
    fn what_is_known_is_well_written() {
        for (name, command) in FIELDS.iter().chain(&MORE) {
            assert!(LogFormat::new(command).is_ok(), "{name}");
        }
        let names = COMMANDS.map(|(name, _)| name);
        assert!(names.is_sorted());
    }
}
