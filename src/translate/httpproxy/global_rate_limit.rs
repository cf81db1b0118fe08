//! The global part of a rate limit policy: what the operator's rate limit service is told of a request.

use std::time::Duration;

use crate::model::{Descriptor, DescriptorEntry, GlobalRateLimit, HeaderName, Unanswered};
use crate::objects::http_proxy::{
    GlobalRateLimitPolicy, RateLimitDescriptorEntry, RateLimitPolicy, RequestHeaderValueMatch,
};

use super::condition::{self, Fault, Kind};
use super::conditions::header_match;
use super::context::Context;
use super::extension_service::extension;
use super::options::RateLimitService;

/// What Envoy waits for an answer where the service does not say.
const TIMEOUT: Duration = Duration::from_millis(20);

/// What a policy comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Global {
    /// It says nothing.
    Unsaid,
    /// No request is counted.
    Disabled,
    /// These are.
    Limit(Box<GlobalRateLimit>),
    /// It asks for a count, and nobody counts, for this reason.
    Nobody(Fault),
}

/// Reads the global part of a policy. `of` stands before what is wrong.
///
/// # Errors
///
/// What is wrong with it, or that the operator's service can't be asked and does not fail open.
pub fn global(
    context: &mut Context<'_>,
    policy: Option<&RateLimitPolicy>,
    kind: Kind,
    of: &str,
) -> Result<Global, Fault> {
    match policy.and_then(|policy| policy.global.as_ref()) {
        Some(policy) => of_policy(context, policy, kind, of),
        None => Ok(Global::Unsaid),
    }
}

/// What the operator's service is told of requests of a host that says nothing of it.
///
/// # Errors
///
/// As [`global`].
pub fn of_all(context: &mut Context<'_>) -> Result<Option<GlobalRateLimit>, Fault> {
    let service = context.input.options.http_proxy.rate_limit_service.as_ref();
    let Some(policy) = service.and_then(|service| service.default_policy.as_ref()) else {
        return Ok(None);
    };
    let of = "Default Global RateLimit Policy";
    Ok(
        match of_policy(context, policy, condition::HOST_RATE_LIMIT, of)? {
            Global::Limit(limit) => Some(*limit),
            Global::Unsaid | Global::Disabled | Global::Nobody(_) => None,
        },
    )
}

fn of_policy(
    context: &mut Context<'_>,
    policy: &GlobalRateLimitPolicy,
    kind: Kind,
    of: &str,
) -> Result<Global, Fault> {
    if policy.disabled {
        return Ok(Global::Disabled);
    }
    let fault = |why: String| Fault::new(kind, format!("{of} is invalid: {why}"));
    let descriptors = descriptors(policy).map_err(fault)?;
    if descriptors.is_empty() {
        return Ok(Global::Unsaid);
    }
    let options = context.input.options.http_proxy.rate_limit_service.as_ref();
    let ignored = |why: &str| {
        let message = format!("ignoring field \"rateLimitPolicy.global\"; {why}");
        Global::Nobody(Fault::new(condition::IGNORED_FIELD, message))
    };
    let Some(service) = options else {
        let why = "no rate limit service is configured (--rate-limit-service-extension)";
        return Ok(ignored(why));
    };
    let found = context.input.reader.extension_service(&service.extension);
    let usable = found.and_then(|found| extension(context, found).ok());
    let Some(usable) = usable else {
        let why = format!(
            "the rate limit service {} can't be asked",
            service.extension
        );
        return match service.fail_open {
            true => Ok(ignored(&format!(
                "{why}, and what it does not answer for passes (--rate-limit-service-fail-open)"
            ))),
            false => Err(fault(why)),
        };
    };
    let timeout = usable.timeout.unwrap_or(TIMEOUT);
    let limit = GlobalRateLimit::new(
        usable.cluster.clone(),
        &service.domain,
        descriptors,
        timeout,
    );
    let mut limit = limit.map_err(fault)?;
    if service.fail_open {
        limit = limit.with_unanswered(Unanswered::Passed).map_err(fault)?;
    }
    limit.tells_limits = service.enable_x_ratelimit_headers;
    limit.exhausts_grpc = service.enable_resource_exhausted_code;
    context.clusters.insert(usable.cluster, usable.source);
    Ok(Global::Limit(Box::new(limit)))
}

/// That the operator's own settings of it can be honoured, whatever there is to ask.
///
/// # Errors
///
/// What is wrong with them.
pub fn check(service: &RateLimitService) -> Result<(), String> {
    let own = service.default_policy.as_ref();
    let mut own = own.map_or(Ok(Vec::new()), descriptors)?;
    if own.is_empty() {
        let any = DescriptorEntry::client_address();
        own.push(Descriptor::new(vec![any])?);
    }
    GlobalRateLimit::new("any", &service.domain, own, TIMEOUT).map(|_| ())
}

fn descriptors(policy: &GlobalRateLimitPolicy) -> Result<Vec<Descriptor>, String> {
    let descriptors = policy.descriptors.iter();
    let read = |entries: &[RateLimitDescriptorEntry]| {
        let entries = entries.iter().map(entry).collect::<Result<_, _>>()?;
        Descriptor::new(entries)
    };
    descriptors.map(|entries| read(entries)).collect()
}

fn entry(entry: &RateLimitDescriptorEntry) -> Result<DescriptorEntry, String> {
    let one = "rate limit descriptor entry must have exactly one field set";
    let set = usize::from(entry.generic_key.is_some())
        + usize::from(entry.request_header.is_some())
        + usize::from(entry.request_header_value_match.is_some())
        + usize::from(entry.remote_address);
    if set != 1 {
        return Err(one.to_owned());
    }
    if let Some((key, value)) = &entry.generic_key {
        let key = match key.is_empty() {
            true => "generic_key",
            false => key,
        };
        return DescriptorEntry::fixed(key, value);
    }
    if let Some((name, key)) = &entry.request_header {
        return DescriptorEntry::header(key, HeaderName::new(name)?);
    }
    match &entry.request_header_value_match {
        Some(matching) => by_headers(matching),
        None => Ok(DescriptorEntry::client_address()),
    }
}

fn by_headers(matching: &RequestHeaderValueMatch) -> Result<DescriptorEntry, String> {
    let mut headers = Vec::new();
    for header in &matching.headers {
        headers.extend(header_match(header).map_err(Fault::into_message)?);
    }
    let value = &matching.value;
    DescriptorEntry::matching("header_match", value, headers, matching.expect_match)
}
