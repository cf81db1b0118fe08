//! Answers that are made smaller.

use compressor::Compressor;
use compressor::compressor::{CommonDirectionConfig, ResponseDirectionConfig};
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::compression as pb;
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3 as compressor;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use crate::envoy::encode::u32_value;
use crate::envoy::http_filter::in_chain;
use crate::model::{Algorithm, Compression};

/// One filter for each algorithm. Envoy lets them agree on one for each answer: the client's favourite, and of several the one
/// that comes first.
pub(super) fn filters(asked: &Compression) -> impl Iterator<Item = TypedExtensionConfig> {
    asked.algorithms().iter().map(|algorithm| {
        let (name, library) = match algorithm {
            Algorithm::Brotli => (
                "brotli",
                in_chain("library", pb::brotli::compressor::v3::Brotli::default()),
            ),
            Algorithm::Zstd => (
                "zstd",
                in_chain("library", pb::zstd::compressor::v3::Zstd::default()),
            ),
            Algorithm::Gzip => (
                "gzip",
                in_chain("library", pb::gzip::compressor::v3::Gzip::default()),
            ),
        };
        let types = asked.content_types().iter();
        let filter = Compressor {
            compressor_library: Some(library),
            response_direction_config: Some(ResponseDirectionConfig {
                common_config: Some(CommonDirectionConfig {
                    min_content_length: u32_value(asked.min_length),
                    content_type_matcher: types.flat_map(|name| of_type(name)).collect(),
                    ..Default::default()
                }),
                // Else an answer with a strong validator would have the same one in two forms.
                weaken_etag_on_compress: true,
                ..Default::default()
            }),
            choose_first: Some(algorithm) == asked.algorithms().first(),
            ..Default::default()
        };
        in_chain(name, filter)
    })
}

/// A content type without parameters, and with some.
fn of_type(name: &str) -> [StringMatcher; 2] {
    [
        MatchPattern::Exact(name.to_owned()),
        MatchPattern::Prefix(format!("{name};")),
    ]
    .map(|pattern| StringMatcher {
        match_pattern: Some(pattern),
        ignore_case: true,
    })
}
