//! How a route's services are balanced and asked whether they are well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    HashCookie, HashKey, HashPolicy, HeaderName, HealthCheck, HttpQuestion, LoadBalancing,
    Question, SetCookie,
};
use crate::objects::http_proxy::{
    HttpHealthCheckPolicy, LoadBalancerPolicy, RequestHashPolicy, TcpHealthCheckPolicy,
};

use super::condition::{self, Fault};
use super::headers::canonical;

/// Contour's cookie.
const COOKIE: &str = "X-Contour-Session-Affinity";

/// What a policy comes to, and what of it is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancing {
    /// Which endpoint gets a request.
    pub load_balancing: LoadBalancing,
    /// What of a request is hashed.
    pub hash_policies: Vec<HashPolicy>,
    /// Warnings.
    pub ignored: Vec<Fault>,
}

/// Reads a policy. A strategy that Contour does not know is round robin.
#[must_use]
pub fn balancing(policy: Option<&LoadBalancerPolicy>) -> Balancing {
    let mut balancing = Balancing::default();
    let Some(policy) = policy else {
        return balancing;
    };
    match &*policy.strategy {
        "WeightedLeastRequest" => balancing.load_balancing = LoadBalancing::LeastRequest(None),
        "Random" => balancing.load_balancing = LoadBalancing::Random,
        "Cookie" => {
            balancing.load_balancing = LoadBalancing::RingHash;
            // A cookie of this name and path is always one.
            let set = SetCookie::new(None, "/", &[]);
            let cookie = set.and_then(|set| HashCookie::new(COOKIE, set));
            let policy = cookie.map(|cookie| HashPolicy::only(HashKey::Cookie(cookie)));
            balancing.hash_policies.extend(policy);
        }
        "RequestHash" => request_hash(&policy.request_hash_policies, &mut balancing),
        _ => {}
    }
    balancing
}

fn request_hash(policies: &[RequestHashPolicy], balancing: &mut Balancing) {
    let mut seen = BTreeSet::new();
    let mut ignored = |message: &str| {
        let fault = Fault::new(condition::IGNORED_FIELD, message);
        balancing.ignored.push(fault);
    };
    for policy in policies {
        let set = usize::from(policy.hash_source_ip)
            + usize::from(policy.header_name.is_some())
            + usize::from(policy.parameter_name.is_some());
        if set != 1 {
            ignored(
                "ignoring invalid request hash policy, must set exactly one of hashSourceIP or headerHashOptions or queryParameterHashOptions",
            );
            continue;
        }
        let (key, name, twice) = if policy.hash_source_ip {
            let twice =
                "ignoring invalid request hash policy, hashSourceIP specified multiple times";
            (HashKey::SourceIp, "source".to_owned(), twice.to_owned())
        } else if let Some(header) = &policy.header_name {
            match HeaderName::new(header) {
                Ok(name) => {
                    let text = format!("header {name}");
                    let twice = format!(
                        "ignoring invalid header hash policy options with duplicated header name {}",
                        canonical(header)
                    );
                    (HashKey::Header(name), text, twice)
                }
                Err(why) => {
                    ignored(&format!(
                        "ignoring invalid header hash policy options with invalid header name {header:?}: {why}"
                    ));
                    continue;
                }
            }
        } else {
            let parameter = policy.parameter_name.clone().unwrap_or_default();
            if parameter.is_empty() {
                ignored(
                    "ignoring invalid query parameter hash policy options with an invalid empty query parameter name",
                );
                continue;
            }
            // As Contour writes it; the request's is as the client writes it.
            let parameter = parameter.to_ascii_lowercase();
            let text = format!("parameter {parameter}");
            let twice = format!(
                "ignoring invalid query parameter hash policy options with duplicated query parameter name {parameter}"
            );
            (HashKey::Query(Arc::from(parameter)), text, twice)
        };
        if !seen.insert(name) {
            ignored(&twice);
            continue;
        }
        balancing.hash_policies.push(HashPolicy {
            key,
            terminal: policy.terminal,
        });
    }
    if balancing.hash_policies.is_empty() {
        ignored(
            "ignoring invalid request hash policy options, setting load balancer strategy to default RoundRobin",
        );
        return;
    }
    balancing.load_balancing = LoadBalancing::RingHash;
}

/// Reads a health check by HTTP.
///
/// # Errors
///
/// What Envoy would refuse.
pub fn http_health_check(policy: &HttpHealthCheckPolicy) -> Result<HealthCheck, Fault> {
    const HOST: &str = "contour-envoy-healthcheck";
    let fault = |message: String| Fault::new(condition::HEALTH_CHECK, message);
    let host = match policy.host.is_empty() {
        true => HOST,
        false => &policy.host,
    };
    let statuses = policy.expected_statuses.iter().map(|(first, end)| {
        let wrong = || fault(format!("{first} to {end} is no range of statuses"));
        // The end is beyond the range.
        let first = u16::try_from(*first).map_err(|_| wrong())?;
        let last = u16::try_from(end.saturating_sub(1)).map_err(|_| wrong())?;
        Ok((first, last))
    });
    let statuses = statuses.collect::<Result<Vec<_>, Fault>>()?;
    let question = HttpQuestion::new(&policy.path, Some(host), &statuses).map_err(fault)?;
    health_check(
        Question::Http(question),
        [policy.interval_seconds, policy.timeout_seconds],
        [
            policy.healthy_threshold_count,
            policy.unhealthy_threshold_count,
        ],
    )
}

/// Reads a health check by connections.
///
/// # Errors
///
/// What Envoy would refuse.
pub fn tcp_health_check(policy: &TcpHealthCheckPolicy) -> Result<HealthCheck, Fault> {
    health_check(
        Question::Tcp,
        [policy.interval_seconds, policy.timeout_seconds],
        [
            policy.healthy_threshold_count.into(),
            policy.unhealthy_threshold_count.into(),
        ],
    )
}

fn health_check(
    question: Question,
    [interval, timeout]: [i64; 2],
    [healthy, unhealthy]: [i64; 2],
) -> Result<HealthCheck, Fault> {
    let fault = |message: String| Fault::new(condition::HEALTH_CHECK, message);
    let seconds = |what: &str, value: i64, default: u64| match value {
        0 => Ok(Duration::from_secs(default)),
        // A day bounds what Envoy's timers must bear.
        1..=86_400 => Ok(Duration::from_secs(value.unsigned_abs())),
        _ => Err(fault(format!(
            "{what} {value} is not from 1 to 86400 seconds"
        ))),
    };
    let count = |what: &str, value: i64, default: u32| match value {
        0 => Ok(default),
        _ => u32::try_from(value).map_err(|_| fault(format!("{what} {value} is no count"))),
    };
    let interval = seconds("intervalSeconds", interval, 10)?;
    let timeout = seconds("timeoutSeconds", timeout, 2)?;
    let thresholds = [
        count("healthyThresholdCount", healthy, 2)?,
        count("unhealthyThresholdCount", unhealthy, 3)?,
    ];
    HealthCheck::new(question, interval, timeout, thresholds).map_err(fault)
}
