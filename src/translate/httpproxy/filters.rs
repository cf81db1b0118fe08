//! Policies of a host or of a route that guard it: CORS, local rate limits, addresses.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    AddressRules, AddressSource, Cidr, Cors, HeaderName, LocalRateLimit, Origins, Rejection,
    StringMatch,
};
use crate::objects::http_proxy::{
    CorsPolicy, IpFilterPolicy, IpFilterSource, LocalRateLimitPolicy, RateLimitPolicy,
    RateLimitUnit,
};

use super::condition::{self, Fault};
use super::duration::duration;

/// Reads a host's CORS policy.
///
/// # Errors
///
/// What is wrong with it.
pub fn cors(policy: &CorsPolicy) -> Result<Cors, Fault> {
    let fault = |why: String| {
        let message = format!("Spec.VirtualHost.CORSPolicy: {why}");
        Fault::new(condition::CORS, message)
    };
    let mut patterns = Vec::new();
    let mut is_all = false;
    for origin in &policy.allow_origin {
        match &**origin {
            "*" => is_all = true,
            origin if is_origin(origin) => {
                let pattern = StringMatch::exact(origin).ignoring_case();
                patterns.push(pattern.map_err(fault)?);
            }
            origin => {
                // Contour's words, which do not say what is wrong with an expression.
                let invalid = |_| {
                    let why = "allowed origin is invalid exact match and invalid regex match";
                    fault(format!("invalid allowed origin {origin:?}: {why}"))
                };
                patterns.push(StringMatch::regex(origin).map_err(invalid)?);
            }
        }
    }
    let origins = match is_all {
        true => Origins::All,
        false => Origins::Like(patterns),
    };
    let all = |names: &[Arc<str>]| names.to_vec();
    let (methods, headers) = (all(&policy.allow_methods), all(&policy.allow_headers));
    let exposed = all(&policy.expose_headers);
    let mut cors = Cors::new(
        origins,
        methods.iter().map(|it| &**it),
        headers.iter().map(|it| &**it),
        exposed.iter().map(|it| &**it),
    )
    .map_err(fault)?;
    cors.max_age = match policy.max_age.is_empty() {
        true => None,
        false => {
            let age = duration(&policy.max_age)
                .map_err(|why| fault(format!("unable to parse max age: {why}")))?;
            Some(Duration::from_secs(age.as_secs()))
        }
    };
    cors.allows_credentials = policy.allow_credentials;
    cors.allows_private_network = policy.allow_private_network;
    cors.forwards_other_preflights = true;
    Ok(cors)
}

/// Exactly a scheme, a host and perhaps a port.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|it| it.is_ascii_lowercase());
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it));
    is_scheme && is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Reads the local part of a rate limit policy. `of` stands before what is wrong.
///
/// # Errors
///
/// What is wrong with it.
pub fn local_rate_limit(
    policy: Option<&RateLimitPolicy>,
    kind: condition::Kind,
    of: &str,
) -> Result<Option<LocalRateLimit>, Fault> {
    let Some(local) = policy.and_then(|policy| policy.local.as_ref()) else {
        return Ok(None);
    };
    let limit = read_local(local);
    limit
        .map(Some)
        .map_err(|why| Fault::new(kind, format!("{of} is invalid: {why}")))
}

fn read_local(local: &LocalRateLimitPolicy) -> Result<LocalRateLimit, String> {
    let per = match local.unit {
        RateLimitUnit::Second => 1,
        RateLimitUnit::Minute => 60,
        RateLimitUnit::Hour => 3600,
    };
    let mut limit = LocalRateLimit::new(local.requests, Duration::from_secs(per), local.burst)?;
    let mut headers: Vec<(HeaderName, Arc<str>)> = Vec::new();
    for header in &local.response_headers_to_add {
        let name = HeaderName::new(&header.name)?;
        if headers.iter().any(|(other, _)| *other == name) {
            return Err(format!("duplicate header addition: {:?}", header.name));
        }
        headers.push((name, header.value.clone()));
    }
    let status = match local.response_status_code {
        0 => 429,
        status => u16::try_from(status).map_err(|_| format!("{status} is no status"))?,
    };
    limit.rejection = Rejection::new(status, headers)?;
    Ok(limit)
}

/// Reads the addresses that may, or may not, come in. In Contour a bad range that a good one follows does not count; here it
/// closes what it was to guard.
///
/// # Errors
///
/// The ranges that are none, or that both lists are there.
pub fn addresses(
    allow: &[IpFilterPolicy],
    deny: &[IpFilterPolicy],
    incompatible: &str,
) -> Result<Option<AddressRules>, Vec<Fault>> {
    if !allow.is_empty() && !deny.is_empty() {
        let fault = Fault::new(condition::ADDRESSES_INCOMPATIBLE, incompatible);
        return Err(vec![fault]);
    }
    let mut faults = Vec::new();
    let mut ranges = Vec::new();
    for policy in allow.iter().chain(deny) {
        let source = match policy.source {
            IpFilterSource::Peer => AddressSource::Peer,
            IpFilterSource::Remote => AddressSource::Client,
        };
        match Cidr::new(&policy.cidr) {
            Ok(range) => ranges.push((source, range)),
            Err(_) => {
                // Contour quotes Go's parser, which has got a length by then.
                let length = match (policy.cidr.contains('/'), policy.cidr.contains(':')) {
                    (true, _) => "",
                    (false, true) => "/128",
                    (false, false) => "/32",
                };
                let cidr = &policy.cidr;
                let message =
                    format!("{cidr} failed to parse: invalid CIDR address: {cidr}{length}");
                faults.push(Fault::new(condition::INVALID_CIDR, message));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(match (allow.is_empty(), deny.is_empty()) {
        (true, true) => None,
        (false, _) => Some(AddressRules::allow(ranges)),
        (true, false) => Some(AddressRules::deny(ranges)),
    })
}
