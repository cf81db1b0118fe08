//! Retries of routes.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_types::util::pack_any;
use pb::retry_policy::{RateLimitedRetryBackOff, ResetHeader, ResetHeaderFormat, RetryBackOff};

use super::encode::{duration, u32_value};
use crate::model::{BackOff, RateLimitedBackOff, ResetFormat, RetryPolicy};

/// Safe for every request, because the back end has not seen it. Requests that may be repeated add `reset`, see
/// [`super::request_headers`].
const RETRY_ON: [&str; 2] = ["connect-failure", "refused-stream"];
const RETRIES: u32 = 2;

/// The condition under which Envoy looks at the policy's statuses.
const STATUS_CODES: &str = "retriable-status-codes";

/// The retries of every route that has no others. On the virtual host, once, as it is long.
pub(super) fn default_retry() -> pb::RetryPolicy {
    pb::RetryPolicy {
        retry_on: RETRY_ON.join(","),
        num_retries: u32_value(RETRIES),
        // Another endpoint than the one that just failed.
        retry_host_predicate: vec![pb::retry_policy::RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
            config_type: Some(
                pb::retry_policy::retry_host_predicate::ConfigType::TypedConfig(pack_any(
                    PreviousHostsPredicate::default(),
                )),
            ),
        }],
        host_selection_retry_max_attempts: 5,
        ..Default::default()
    }
}

/// A route's policy replaces the virtual host's, so it repeats what is safe always.
pub(super) fn retry(policy: &RetryPolicy) -> pb::RetryPolicy {
    let per_try_timeout = policy.per_try_timeout.and_then(duration);
    let per_try_idle_timeout = policy.per_try_idle_timeout.and_then(duration);
    if policy.num_retries == 0 {
        // Under no condition, and of endpoints nothing. It stands on every route of an HTTPProxy that says nothing of retries.
        return pb::RetryPolicy {
            num_retries: u32_value(0),
            per_try_timeout,
            per_try_idle_timeout,
            ..Default::default()
        };
    }
    let mut conditions: Vec<&str> = RETRY_ON.to_vec();
    let of_codes = (!policy.status_codes.is_empty()).then_some(STATUS_CODES);
    for condition in policy.retry_on.iter().map(|it| &**it).chain(of_codes) {
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let mut retry = pb::RetryPolicy {
        retry_on: conditions.join(","),
        num_retries: u32_value(policy.num_retries),
        per_try_timeout,
        per_try_idle_timeout,
        retriable_status_codes: policy.status_codes.iter().copied().map(u32::from).collect(),
        retry_back_off: policy.back_off.as_ref().map(back_off),
        rate_limited_retry_back_off: policy.rate_limited_back_off.as_ref().map(rate_limited),
        ..default_retry()
    };
    if policy.may_repeat_endpoint {
        retry.retry_host_predicate.clear();
        retry.host_selection_retry_max_attempts = 0;
    }
    retry
}

fn back_off(back_off: &BackOff) -> RetryBackOff {
    RetryBackOff {
        base_interval: duration(back_off.base()),
        max_interval: duration(back_off.max()),
    }
}

fn rate_limited(back_off: &RateLimitedBackOff) -> RateLimitedRetryBackOff {
    let header = |(name, format): &(_, ResetFormat)| ResetHeader {
        name: ToString::to_string(name),
        format: match format {
            ResetFormat::Seconds => ResetHeaderFormat::Seconds,
            ResetFormat::UnixTimestamp => ResetHeaderFormat::UnixTimestamp,
        }
        .into(),
    };
    RateLimitedRetryBackOff {
        reset_headers: back_off.headers().iter().map(header).collect(),
        max_interval: duration(back_off.max()),
    }
}
