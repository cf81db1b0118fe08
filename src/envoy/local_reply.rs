//! The bodies of responses that Envoy makes itself (local replies). They explain the cause on a laptop only
//! (`isobath run`): at an edge a client learns no more than what is wrong with its own request.

use accesslog::access_log_filter::FilterSpecifier;
use accesslog::comparison_filter::Op;
use core::substitution_format_string::Format;
use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;

use super::edge::Edge;
use super::request_checks;

/// Which answers, and what they say. The first that fits is taken. Envoy fills in the fields; the text is plain, so
/// nothing that a client sends is more than text.
const WORDS: [(Answer, &str); 6] = [
    (
        Answer::Status(404),
        "404: no Ingress has a rule for the path %PATH(NQ:ORIG_OR_PATH)% of the host %REQ(:AUTHORITY)%.\n",
    ),
    (
        Answer::Status(421),
        "421: this connection was opened for another name (%REQUESTED_SERVER_NAME%) than the host \
         %REQ(:AUTHORITY)%, and its certificate is not that host's.\n",
    ),
    (
        Answer::Flag("UF"),
        "503: nothing answers at %UPSTREAM_HOST%, where %UPSTREAM_CLUSTER% is (%ROUTE_NAME%): \
         %UPSTREAM_TRANSPORT_FAILURE_REASON%\n",
    ),
    (
        Answer::Flag("UH"),
        "503: %UPSTREAM_CLUSTER% has no endpoint that is ready (%ROUTE_NAME%).\n",
    ),
    (
        Answer::Flag("UC"),
        "503: %UPSTREAM_CLUSTER% closed the connection instead of an answer: does it speak what its Service says \
         (%ROUTE_NAME%)?\n",
    ),
    (
        Answer::Status(503),
        "503: %ROUTE_NAME% names a Service or a port for this path that is not there, or not served.\n",
    ),
];

#[derive(Clone, Copy)]
enum Answer {
    Status(u32),
    /// A response flag.
    Flag(&'static str),
}

/// The answers to what [`request_checks`] refuses; with [`Edge::explains`] the others too.
pub(super) fn config(edge: &Edge) -> hcm::LocalReplyConfig {
    let words = WORDS.iter().filter(|_| edge.explains).map(in_words);
    hcm::LocalReplyConfig {
        mappers: request_checks::answers(edge).chain(words).collect(),
        ..Default::default()
    }
}

fn in_words((answer, words): &(Answer, &str)) -> hcm::ResponseMapper {
    hcm::ResponseMapper {
        filter: Some(filter(*answer)),
        body_format_override: Some(core::SubstitutionFormatString {
            omit_empty_values: true,
            format: Some(Format::TextFormatSource(core::DataSource {
                specifier: Some(core::data_source::Specifier::InlineString(
                    (*words).to_owned(),
                )),
                ..Default::default()
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn filter(answer: Answer) -> accesslog::AccessLogFilter {
    let specifier = match answer {
        Answer::Flag(flag) => FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter {
            flags: vec![flag.to_owned()],
        }),
        Answer::Status(status) => FilterSpecifier::StatusCodeFilter(accesslog::StatusCodeFilter {
            comparison: Some(accesslog::ComparisonFilter {
                op: Op::Eq.into(),
                value: Some(core::RuntimeUInt32 {
                    default_value: status,
                    // Envoy wants a name, and nobody gives it a value.
                    runtime_key: "isobath.local_reply".to_owned(),
                }),
            }),
        }),
    };
    accesslog::AccessLogFilter {
        filter_specifier: Some(specifier),
    }
}
