//! Tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3 as pb;
use envoy_types::pb::google::protobuf::{Any, Empty};
use envoy_types::util::pack_any;
use pb::jwt_provider::JwksSourceSpecifier;
use pb::jwt_requirement::RequiresType;
use prost::Name as _;

use super::super::encode::{duration, nested};
use crate::model::{
    HeaderName, JwtKeys, JwtProvider, JwtProviders, JwtRequirement, RemoteKeys, TokenSource,
};

/// The name of the filter in its chain, and of what a route tells it.
pub(super) const NAME: &str = "isobath.tokens.check";

/// The fields of `JwtAuthentication` that are maps.
const PROVIDERS: u32 = 1;
const REQUIREMENTS: u32 = 5;

/// The filter, with every requirement of the host's routes that can be met. It asks for nothing by itself. Maps are
/// encoded entry by entry, as the generated types are hash maps.
pub(super) fn filter(
    providers: &JwtProviders,
    requirements: &BTreeSet<&JwtRequirement>,
) -> core::TypedExtensionConfig {
    let mut bytes = Vec::new();
    for (name, of_name) in providers.iter() {
        bytes.extend(entry(PROVIDERS, name, &provider(of_name)));
    }
    for required in requirements {
        if let Some(message) = requirement(providers, required) {
            bytes.extend(entry(REQUIREMENTS, &name_of(required), &message));
        }
    }
    core::TypedExtensionConfig {
        name: NAME.to_owned(),
        typed_config: Some(Any {
            type_url: pb::JwtAuthentication::type_url(),
            value: bytes,
        }),
    }
}

/// What a route tells the filter: which requirement is its own. Of one that the filter does not have, no request meets it.
pub(super) fn of_route(required: &JwtRequirement) -> Any {
    let name = pb::per_route_config::RequirementSpecifier::RequirementName(name_of(required));
    pack_any(pb::PerRouteConfig {
        requirement_specifier: Some(name),
    })
}

fn entry(field: u32, key: &str, value: &impl prost::Message) -> Vec<u8> {
    let mut entry = nested(1, key.as_bytes());
    entry.extend(nested(2, &value.encode_to_vec()));
    nested(field, &entry)
}

/// No provider's name has a comma or an exclamation mark.
fn name_of(required: &JwtRequirement) -> String {
    let names: Vec<&str> = required.providers.iter().map(|name| &**name).collect();
    let ending = if required.may_be_missing { "?" } else { "!" };
    format!("{}{ending}", names.join(","))
}

/// Envoy refuses a whole table over a provider that is not there.
fn requirement(providers: &JwtProviders, required: &JwtRequirement) -> Option<pb::JwtRequirement> {
    let of = |requires| pb::JwtRequirement {
        requires_type: Some(requires),
    };
    let known = required
        .providers
        .iter()
        .filter(|name| providers.contains(name));
    let mut any: Vec<_> = known
        .map(|name| of(RequiresType::ProviderName(name.to_string())))
        .collect();
    if any.is_empty() {
        return None;
    }
    if required.may_be_missing {
        any.push(of(RequiresType::AllowMissing(Empty::default())));
    }
    match any.len() {
        1 => any.pop(),
        _ => Some(of(RequiresType::RequiresAny(pb::JwtRequirementOrList {
            requirements: any,
        }))),
    }
}

fn provider(provider: &JwtProvider) -> pb::JwtProvider {
    let text = |name: &Arc<str>| name.to_string();
    let mut message = pb::JwtProvider {
        issuer: provider.issuer.as_ref().map(text).unwrap_or_default(),
        audiences: provider.audiences.iter().map(text).collect(),
        jwks_source_specifier: Some(match &provider.keys {
            JwtKeys::Inline(keys) => JwksSourceSpecifier::LocalJwks(core::DataSource {
                specifier: Some(core::data_source::Specifier::InlineString(
                    keys.as_str().to_owned(),
                )),
                ..Default::default()
            }),
            JwtKeys::Remote(keys) => JwksSourceSpecifier::RemoteJwks(remote(keys)),
        }),
        forward: provider.forwards_token,
        claim_to_headers: provider
            .claims()
            .iter()
            .map(|(claim, header)| pb::JwtClaimToHeader {
                header_name: header.to_string(),
                claim_name: claim.as_str().to_owned(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    for source in &provider.sources {
        match source {
            TokenSource::Header(name) => message.from_headers.push(header(name, "")),
            TokenSource::Bearer(name) => message.from_headers.push(header(name, "Bearer ")),
            TokenSource::Parameter(name) => message.from_params.push(name.to_string()),
            TokenSource::Cookie(name) => message.from_cookies.push(name.to_string()),
        }
    }
    message
}

fn header(name: &HeaderName, prefix: &str) -> pb::JwtHeader {
    pb::JwtHeader {
        name: name.to_string(),
        value_prefix: prefix.to_owned(),
    }
}

fn remote(keys: &RemoteKeys) -> pb::RemoteJwks {
    pb::RemoteJwks {
        http_uri: Some(core::HttpUri {
            uri: keys.uri().to_owned(),
            timeout: duration(keys.timeout()),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                keys.cluster.to_string(),
            )),
        }),
        cache_duration: duration(keys.kept()),
        ..Default::default()
    }
}
