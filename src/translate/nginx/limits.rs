//! Which clients are let in, and how often.

use std::time::Duration;

use crate::model::{AddressRules, Cidr, LocalRateLimit, Rejection, RequestKey};

use super::reader::{Closed, Reader};
use super::value;

/// The lists of addresses. A client that is denied stays out, also where it is allowed.
pub fn addresses(reader: &mut Reader<'_>, allow: &str) -> Option<AddressRules> {
    let allowed = reader.guard(allow, value::addresses);
    let denied = reader.guard("denylist-source-range", value::addresses);
    let blocked = &reader.settings.blocked;
    let denied = match (denied, blocked.is_empty()) {
        (denied, true) => denied,
        (denied, false) => {
            let denied = denied.into_iter().flatten();
            Some(denied.chain(blocked.iter().cloned()).collect())
        }
    };
    match (allowed, denied) {
        (None, None) => None,
        (Some(allowed), denied) => {
            Some(AddressRules::allow(allowed).but_not(denied.unwrap_or_default()))
        }
        (None, Some(denied)) => Some(AddressRules::deny(denied)),
    }
}

/// `limit-rps` and `limit-rpm`: with nginx a burst and one more at once, and then so many evenly.
pub fn rates(reader: &mut Reader<'_>) -> Vec<LocalRateLimit> {
    let multiplier = reader.read("limit-burst-multiplier", value::count);
    let multiplier = multiplier.unwrap_or(5);
    let list = match reader.get("limit-allowlist") {
        Some(_) => "limit-allowlist",
        None => "limit-whitelist",
    };
    // Whose list is none is counted: that is the safe side.
    let exempt = reader.read(list, value::addresses).unwrap_or_default();
    let exempt: Vec<Cidr> = exempt.into_iter().map(|(_, range)| range).collect();
    let spans = [("limit-rps", 1), ("limit-rpm", 60)];
    let limits = spans.map(|(name, seconds)| {
        let rate = reader.guard(name, value::number)?;
        // None below one.
        let rate = u32::try_from(rate.min(i64::from(u32::MAX))).ok();
        let rate = rate.filter(|rate| *rate > 0)?;
        let status = reader.settings.limit_status;
        match limit(rate, Duration::from_secs(seconds), multiplier, status) {
            Ok(mut limit) => {
                limit.exempt.clone_from(&exempt);
                Some(limit)
            }
            Err(why) => {
                reader.close(name, Closed::All, &why);
                None
            }
        }
    });
    limits.into_iter().flatten().collect()
}

/// Envoy gains what it gains in steps of 50 ms at least, so a higher rate gains more at a time.
fn limit(rate: u32, per: Duration, multiplier: u32, status: u16) -> Result<LocalRateLimit, String> {
    const STEP: u128 = 50_000_000;
    let (rate, per) = (u128::from(rate), per.as_nanos());
    let gained = (rate * STEP).div_ceil(per).max(1);
    let span = (per * gained).div_ceil(rate);
    let at_once = rate * u128::from(multiplier) + 1;
    let as_count = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
    let span = Duration::from_nanos(u64::try_from(span).unwrap_or(u64::MAX));
    let burst = as_count(at_once.saturating_sub(gained));
    let mut limit = LocalRateLimit::new(as_count(gained), span, burst)?;
    limit.keys = vec![RequestKey::ClientAddress];
    limit.rejection = Rejection::new(status, Vec::new())?;
    Ok(limit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_rate_is_a_burst_and_one_more() {
        for (rate, seconds, multiplier, expected) in [
            (1, 1, 5, (1, 1000, 6)),
            (1, 60, 5, (1, 60_000, 6)),
            (2, 1, 0, (1, 500, 1)),
            (20, 1, 5, (1, 50, 101)),
            (100, 1, 1, (5, 50, 101)),
        ] {
            let limit = limit(rate, Duration::from_secs(seconds), multiplier, 503).unwrap();
            let found = (limit.requests(), limit.per().as_millis(), limit.at_once());
            assert_eq!(found, expected, "{rate} {seconds} {multiplier}");
        }
        assert!(limit(u32::MAX, Duration::from_secs(1), u32::MAX, 429).is_ok());
    }
}
