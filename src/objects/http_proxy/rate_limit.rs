//! Rate limits, of a host or of a route.

use std::sync::Arc;

use super::condition::HeaderMatchCondition;
use super::policy::HeaderValue;

/// `RateLimitPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitPolicy {
    /// `local`.
    pub local: Option<LocalRateLimitPolicy>,
    /// `global`.
    pub global: Option<GlobalRateLimitPolicy>,
}

/// `LocalRateLimitPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRateLimitPolicy {
    /// `requests`, at least 1.
    pub requests: u32,
    /// `unit`.
    pub unit: RateLimitUnit,
    /// `burst`.
    pub burst: u32,
    /// `responseStatusCode`; 0 where it says nothing.
    pub response_status_code: u32,
    /// `responseHeadersToAdd`.
    pub response_headers_to_add: Box<[HeaderValue]>,
}

/// `unit` of a `LocalRateLimitPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitUnit {
    /// `second`.
    Second,
    /// `minute`.
    Minute,
    /// `hour`.
    Hour,
}

/// `GlobalRateLimitPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalRateLimitPolicy {
    /// `disabled`.
    pub disabled: bool,
    /// The `entries` of each of `descriptors`, at least one each.
    pub descriptors: Box<[Box<[RateLimitDescriptorEntry]>]>,
}

/// `RateLimitDescriptorEntry`, of which exactly one field is to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitDescriptorEntry {
    /// `genericKey`: its `key`, blank for `generic_key`, and its `value`.
    pub generic_key: Option<(Arc<str>, Arc<str>)>,
    /// `requestHeader`: its `headerName` and `descriptorKey`.
    pub request_header: Option<(Arc<str>, Arc<str>)>,
    /// `requestHeaderValueMatch`.
    pub request_header_value_match: Option<RequestHeaderValueMatch>,
    /// Whether there is a `remoteAddress`.
    pub remote_address: bool,
}

/// `RequestHeaderValueMatchDescriptor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeaderValueMatch {
    /// `headers`.
    pub headers: Box<[HeaderMatchCondition]>,
    /// `expectMatch`, by default true.
    pub expect_match: bool,
    /// `value`.
    pub value: Arc<str>,
}
