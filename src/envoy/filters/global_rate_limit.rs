//! Limits that a service counts.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::ratelimit::v3::RateLimitServiceConfig;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::ratelimit::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use pb::rate_limit::XRateLimitHeadersRfcVersion;
use route::rate_limit::Action;
use route::rate_limit::action::{self, ActionSpecifier};

use super::super::encode::{bool_value, duration, u32_value};
use super::super::grpc_service::grpc_service;
use super::super::http_filter::in_chain;
use super::super::route_match;
use super::local_rate_limit;
use crate::model::{Descriptor, DescriptorEntry, DescriptorValue, GlobalRateLimit, Unanswered};

/// The filter, with its own descriptors: those of tables would be each route's own.
pub(super) fn filter(limit: &GlobalRateLimit) -> core::TypedExtensionConfig {
    let (is_closed, on_error) = match limit.unanswered() {
        Unanswered::Passed => (false, None),
        Unanswered::Refused(status) => (true, Some(status)),
    };
    let headers = match limit.tells_limits {
        true => XRateLimitHeadersRfcVersion::DraftVersion03,
        false => XRateLimitHeadersRfcVersion::Off,
    };
    let status = |code: u16| HttpStatus { code: code.into() };
    let config = pb::RateLimit {
        domain: limit.domain().to_owned(),
        // Of the filter itself; unset it would be 20 ms, whatever the service's is.
        timeout: duration(limit.timeout()),
        failure_mode_deny: is_closed,
        status_on_error: on_error.map(status),
        rate_limited_as_resource_exhausted: limit.exhausts_grpc,
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(grpc_service(&limit.cluster, limit.timeout())),
            transport_api_version: core::ApiVersion::V3.into(),
        }),
        enable_x_ratelimit_headers: headers.into(),
        disable_x_envoy_ratelimited_header: true,
        rate_limited_status: Some(status(limit.rejection.status())),
        response_headers_to_add: local_rate_limit::headers(&limit.rejection),
        rate_limits: limit.descriptors().iter().map(rate_limit).collect(),
        ..Default::default()
    };
    in_chain("isobath.global-rate-limit", config)
}

fn rate_limit(descriptor: &Descriptor) -> route::RateLimit {
    route::RateLimit {
        actions: descriptor.entries().iter().map(action).collect(),
        ..Default::default()
    }
}

fn action(entry: &DescriptorEntry) -> Action {
    let descriptor_key = entry.key().to_owned();
    let specifier = match entry.value() {
        DescriptorValue::Fixed(value) => ActionSpecifier::GenericKey(action::GenericKey {
            descriptor_value: value.to_string(),
            descriptor_key,
            ..Default::default()
        }),
        DescriptorValue::Header(name) => ActionSpecifier::RequestHeaders(action::RequestHeaders {
            header_name: name.to_string(),
            descriptor_key,
            ..Default::default()
        }),
        DescriptorValue::Matching {
            value,
            headers,
            expected,
        } => ActionSpecifier::HeaderValueMatch(action::HeaderValueMatch {
            descriptor_value: value.to_string(),
            descriptor_key,
            expect_match: bool_value(*expected),
            headers: headers.iter().map(route_match::header).collect(),
            ..Default::default()
        }),
        DescriptorValue::ClientAddress => {
            ActionSpecifier::RemoteAddress(action::RemoteAddress::default())
        }
        DescriptorValue::ClientRange { v4, v6 } => {
            ActionSpecifier::MaskedRemoteAddress(action::MaskedRemoteAddress {
                v4_prefix_mask_len: u32_value((*v4).into()),
                v6_prefix_mask_len: u32_value((*v6).into()),
            })
        }
        DescriptorValue::Query(name) => ActionSpecifier::QueryParameters(action::QueryParameters {
            query_parameter_name: name.to_string(),
            descriptor_key,
            ..Default::default()
        }),
        DescriptorValue::Path => {
            let most = DescriptorValue::MAX_PATH;
            let format = format!("%PATH(NQ:ORIG_OR_PATH):{most}%");
            local_rate_limit::formatted(descriptor_key, format)
        }
    };
    Action {
        action_specifier: Some(specifier),
    }
}
