//! The access log on standard output, as the operator wants it ([`super::log_format`]).

use envoy_types::pb::envoy::config::accesslog::v3 as pb;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
use envoy_types::pb::envoy::extensions::filters::http::set_metadata::v3 as set_metadata;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf::Any;
use matcher::metadata_matcher::{PathSegment, path_segment};
use pb::access_log::ConfigType;
use pb::access_log_filter::FilterSpecifier;
use prost::Name;

use super::encode::{nested, struct_bytes, text_struct};
use super::log_format::AccessLog;
use super::string_matcher::exact;

/// `StdoutAccessLog.log_format`.
const LOG_FORMAT: u32 = 1;
/// `SubstitutionFormatString.json_format`, and `text_format_source.inline_string`.
const JSON_FORMAT: u32 = 2;
const TEXT_FORMAT: u32 = 5;
const INLINE_STRING: u32 = 3;

/// What a route says of a request that is not to be logged: dynamic metadata, as filters of a log see no other. Envoy takes
/// no heed of `invert` there (1.40), so whatever is not [`ON`] is off.
const METADATA: &str = "isobath";
const KEY: &str = "log";
const OFF: &str = "off";
const ON: &str = "on";

/// The access log, where there is one. Envoy writes JSON itself (`json_format`), so nothing that a client sends can forge a
/// line or a field (CVE-2025-25294 was a format made by hand).
pub(super) fn access_log(log: &AccessLog) -> Option<pb::AccessLog> {
    let format = match log {
        AccessLog::Off => return None,
        AccessLog::Json(fields) => {
            let fields = fields.iter();
            let fields: Vec<_> = fields.map(|(name, it)| (&**name, it.as_str())).collect();
            nested(JSON_FORMAT, &struct_bytes(&fields))
        }
        AccessLog::Text(format) => {
            let line = format!("{}\n", format.as_str().trim_end_matches('\n'));
            nested(TEXT_FORMAT, &nested(INLINE_STRING, line.as_bytes()))
        }
    };
    Some(pb::AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        filter: Some(unless_off()),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: StdoutAccessLog::type_url(),
            value: nested(LOG_FORMAT, &format),
        })),
    })
}

/// All requests but those of routes that are not logged.
fn unless_off() -> pb::AccessLogFilter {
    let key = PathSegment {
        segment: Some(path_segment::Segment::Key(KEY.to_owned())),
    };
    let on = matcher::value_matcher::MatchPattern::StringMatch(exact(ON));
    let matcher = matcher::MetadataMatcher {
        filter: METADATA.to_owned(),
        path: vec![key],
        value: Some(matcher::ValueMatcher {
            match_pattern: Some(on),
        }),
        invert: false,
    };
    pb::AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::MetadataFilter(pb::MetadataFilter {
            matcher: Some(matcher),
            // Without the key it is logged.
            match_if_key_not_found: None,
        })),
    }
}

/// The filter of a route that is not logged.
pub(super) fn off() -> set_metadata::Config {
    set_metadata::Config {
        metadata: vec![set_metadata::Metadata {
            metadata_namespace: METADATA.to_owned(),
            value: Some(text_struct(KEY, OFF)),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_text_is_a_line() {
        let text = |text| {
            let log = AccessLog::text(text).ok();
            let log = log.as_ref().and_then(access_log);
            log.map(|it| it.encode_to_vec()).unwrap_or_default()
        };
        assert_eq!(text("a"), text("a\n"));
        assert!(access_log(&AccessLog::Off).is_none());
    }
}
