//! The access log: one JSON object per request on standard output.

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log::ConfigType};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
use envoy_types::pb::google::protobuf::Any;
use prost::Name;

use super::encode::{nested, struct_bytes};

/// Envoy writes the JSON itself (`json_format`), so nothing that a client sends can forge a line or a field
/// (CVE-2025-25294 was a format made by hand). Names as in Contour's JSON log where both have the field. The query
/// is not logged: it is where tokens and personal data are. The path is the one after a rewrite: Envoy keeps the
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

/// `StdoutAccessLog.log_format`.
const LOG_FORMAT: u32 = 1;
/// `SubstitutionFormatString.json_format`.
const JSON_FORMAT: u32 = 2;

/// The JSON access log on standard output.
pub(super) fn json() -> AccessLog {
    AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: StdoutAccessLog::type_url(),
            value: nested(LOG_FORMAT, &nested(JSON_FORMAT, &struct_bytes(&FIELDS))),
        })),
        ..Default::default()
    }
}
