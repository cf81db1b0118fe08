//! `x-forwarded-client-cert`: what back ends are told of the certificate that a client has shown.
//!
//! Envoy writes the header before it knows a route, by what the manager says, and the manager is one for all. So the chain of a
//! TLS server says for each of its connections what is told of them, and every manager knows all that can be told: a server
//! that begins to tell something is a change of its chain, and of no manager. Of all other connections nothing is told.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::listener::v3::Filter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3::FilterStateInput;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use envoy_types::util::pack_any;
use hcm::http_connection_manager as inner;
use matcher::matcher::matcher_tree::{MatchMap, TreeType};
use matcher::matcher::{MatcherTree, MatcherType, OnMatch, on_match};
use prost::Message as _;

use super::encode::bool_value;
use super::filter_state;
use crate::model::ForwardedCertificate;

/// What the chain says.
const STATE: &str = "isobath.forwarded-certificate";

/// Says of each connection what is told.
pub(super) fn filter(told: ForwardedCertificate) -> Filter {
    filter_state::set(STATE, told.name())
}

/// The fragments of a manager that tells what chains say. A map of the generated type has a random order, so each entry is a
/// fragment of its own.
pub(super) fn of_manager() -> Vec<u8> {
    let input = FilterStateInput {
        key: STATE.to_owned(),
        ..Default::default()
    };
    let input = TypedExtensionConfig {
        name: "filter-state".to_owned(),
        typed_config: Some(pack_any(input)),
    };
    let mut input = Some(input);
    let fragments = ForwardedCertificate::all().flat_map(|told| {
        let map = HashMap::from([(told.name(), action(told))]);
        let tree = MatcherTree {
            input: input.take(),
            tree_type: Some(TreeType::ExactMatchMap(MatchMap { map })),
        };
        let matcher = matcher::Matcher {
            matcher_type: Some(MatcherType::MatcherTree(tree)),
            ..Default::default()
        };
        let fragment = hcm::HttpConnectionManager {
            forward_client_cert_matcher: Some(matcher),
            ..Default::default()
        };
        fragment.encode_to_vec()
    });
    fragments.collect()
}

fn action(told: ForwardedCertificate) -> OnMatch {
    let details = inner::SetCurrentClientCertDetails {
        subject: bool_value(told.subject),
        cert: told.certificate,
        chain: told.chain,
        dns: told.dns,
        uri: told.uri,
        ..Default::default()
    };
    let config = inner::ForwardClientCertConfig {
        forward_client_cert_details: inner::ForwardClientCertDetails::SanitizeSet.into(),
        set_current_client_cert_details: Some(details),
    };
    OnMatch {
        on_match: Some(on_match::OnMatch::Action(TypedExtensionConfig {
            name: "forward-client-cert".to_owned(),
            typed_config: Some(pack_any(config)),
        })),
        ..Default::default()
    }
}
