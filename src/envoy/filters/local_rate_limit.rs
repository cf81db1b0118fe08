//! Limits that one Envoy keeps.

use envoy_types::pb::envoy::config::core::v3::{HeaderValueOption, TypedExtensionConfig};
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3 as common;
use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3::AddressMatcher;
use envoy_types::pb::envoy::r#type::v3::{HttpStatus, TokenBucket};
use envoy_types::pb::xds::core::v3::CidrRange;
use route::rate_limit::action::ActionSpecifier;
use route::rate_limit::{Action, action};

use super::super::encode::{bool_value, duration, u32_value};
use super::super::forward::fraction;
use super::super::header;
use super::super::http_filter::in_chain;
use crate::model::{Cidr, Fraction, LocalRateLimit, Rejection, RequestKey};

/// A filter for each.
pub(super) fn filters(
    limits: &[LocalRateLimit],
) -> impl Iterator<Item = TypedExtensionConfig> + use<'_> {
    let limits = (0..).zip(limits);
    limits.map(|(index, limit): (u32, _)| {
        in_chain(format!("local-rate-limit/{index}"), filter(limit))
    })
}

fn filter(limit: &LocalRateLimit) -> pb::LocalRateLimit {
    let bucket = |at_once, gained| TokenBucket {
        max_tokens: at_once,
        tokens_per_fill: u32_value(gained),
        fill_interval: duration(limit.per()),
    };
    let own = bucket(limit.at_once(), limit.requests());
    let all = pb::LocalRateLimit {
        stat_prefix: "limit".to_owned(),
        status: Some(HttpStatus {
            code: i32::from(limit.rejection.status()),
        }),
        response_headers_to_add: headers(&limit.rejection),
        token_bucket: Some(own),
        filter_enabled: Some(fraction(Fraction::ALL)),
        filter_enforced: Some(fraction(Fraction::ALL)),
        ..Default::default()
    };
    if limit.keys.is_empty() && limit.exempt.is_empty() {
        return all;
    }
    // Who is exempt has nothing to be counted by.
    let counted = (!limit.exempt.is_empty()).then(|| Action {
        action_specifier: Some(outside(&limit.exempt)),
    });
    let as_counted = counted
        .as_ref()
        .map(|_| common::rate_limit_descriptor::Entry {
            key: COUNTED.to_owned(),
            value: COUNTED.to_owned(),
        });
    pb::LocalRateLimit {
        // For those who lack a key: Envoy wants a bucket for them, and this one is never empty.
        token_bucket: Some(bucket(u32::MAX, u32::MAX)),
        always_consume_default_token_bucket: bool_value(false),
        rate_limits: vec![route::RateLimit {
            actions: (0..).zip(&limit.keys).map(key).chain(counted).collect(),
            ..Default::default()
        }],
        descriptors: vec![common::LocalRateLimitDescriptor {
            entries: (0..)
                .zip(&limit.keys)
                .map(entry)
                .chain(as_counted)
                .collect(),
            token_bucket: Some(own),
            ..Default::default()
        }],
        max_dynamic_descriptors: u32_value(LocalRateLimit::MAX_KEPT),
        ..all
    }
}

/// What is said of requests that are counted where some are not.
const COUNTED: &str = "counted";

/// Says it of all clients but these.
fn outside(exempt: &[Cidr]) -> ActionSpecifier {
    ActionSpecifier::RemoteAddressMatch(action::RemoteAddressMatch {
        descriptor_key: COUNTED.to_owned(),
        descriptor_value: COUNTED.to_owned(),
        address_matcher: Some(AddressMatcher {
            ranges: exempt.iter().map(range).collect(),
            invert_match: true,
        }),
        ..Default::default()
    })
}

fn range(range: &Cidr) -> CidrRange {
    CidrRange {
        address_prefix: range.address().to_string(),
        prefix_len: u32_value(range.prefix().into()),
    }
}

/// What a header's value is cut to: Envoy keeps it.
const HEADER_BYTES: usize = 128;

/// What a request is asked for.
fn key((index, key): (u32, &RequestKey)) -> Action {
    let specifier = match key {
        RequestKey::ClientAddress => {
            ActionSpecifier::MaskedRemoteAddress(action::MaskedRemoteAddress {
                v4_prefix_mask_len: u32_value(32),
                v6_prefix_mask_len: u32_value(64),
            })
        }
        RequestKey::Header(name) => {
            let format = format!("%REQ({}):{HEADER_BYTES}%", name.as_str());
            formatted(name_of(index, key), format)
        }
    };
    Action {
        action_specifier: Some(specifier),
    }
}

/// The one action of Envoy 1.39 and 1.40 whose value is a format, so that it can be cut. It is for all addresses that are in
/// no range.
pub(super) fn formatted(key: String, format: String) -> ActionSpecifier {
    ActionSpecifier::RemoteAddressMatch(action::RemoteAddressMatch {
        descriptor_key: key,
        descriptor_value: format,
        address_matcher: Some(AddressMatcher {
            invert_match: true,
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// Any value of it.
fn entry((index, key): (u32, &RequestKey)) -> common::rate_limit_descriptor::Entry {
    common::rate_limit_descriptor::Entry {
        key: name_of(index, key),
        ..Default::default()
    }
}

fn name_of(index: u32, key: &RequestKey) -> String {
    match key {
        RequestKey::ClientAddress => "masked_remote_address".to_owned(),
        RequestKey::Header(_) => index.to_string(),
    }
}

pub(super) fn headers(rejection: &Rejection) -> Vec<HeaderValueOption> {
    let headers = rejection.headers().iter();
    headers
        .map(|(name, value)| header::set(name.as_str(), value))
        .collect()
}
