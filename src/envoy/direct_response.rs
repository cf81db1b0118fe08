//! Answers that no back end gives.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as pb;

/// An answer. Envoy refuses a whole response over a status outside of 200 to 599.
pub(super) fn direct_response(status: u16, body: Option<&str>) -> pb::route::Action {
    let status = if (200..600).contains(&status) {
        status
    } else {
        500
    };
    pb::route::Action::DirectResponse(pb::DirectResponseAction {
        status: status.into(),
        body: body.map(|body| core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(body.to_owned())),
            ..Default::default()
        }),
        ..Default::default()
    })
}
