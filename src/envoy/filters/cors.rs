//! CORS.

use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;

use super::super::encode::bool_value;
use super::super::string_matcher::{exact, string_matcher};
use crate::model::{Cors, Origins};

pub(super) fn policy(cors: &Cors) -> Any {
    let origins = match cors.origins() {
        Origins::All => vec![exact("*")],
        Origins::Like(patterns) => patterns.iter().map(string_matcher).collect(),
    };
    let max_age = cors.max_age.map(|age| age.as_secs().to_string());
    pack_any(CorsPolicy {
        allow_origin_string_match: origins,
        allow_methods: cors.methods().to_owned(),
        allow_headers: cors.headers().to_owned(),
        expose_headers: cors.exposed().to_owned(),
        max_age: max_age.unwrap_or_default(),
        allow_credentials: bool_value(cors.allows_credentials),
        allow_private_network_access: bool_value(cors.allows_private_network),
        forward_not_matching_preflights: bool_value(cors.forwards_other_preflights),
        ..Default::default()
    })
}
