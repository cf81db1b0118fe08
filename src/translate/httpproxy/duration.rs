//! Durations as Contour reads them: Go's, `infinity`, and nothing.

use std::time::Duration;

/// What a time-out says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Nothing, or zero.
    Default,
    /// `infinity` or `infinite`.
    Infinite,
    /// So long.
    Of(Duration),
}

/// Envoy counts in milliseconds; a year bounds what its arithmetic must bear.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a time-out. Zero is the default, as in Contour.
///
/// # Errors
///
/// Contour's words.
pub fn timeout(text: &str) -> Result<Timeout, String> {
    match text {
        "" => Ok(Timeout::Default),
        "infinity" | "infinite" => Ok(Timeout::Infinite),
        _ => {
            let duration = duration(text)
                .map_err(|why| format!("unable to parse timeout string {text:?}: {why}"))?;
            Ok(match duration.is_zero() {
                true => Timeout::Default,
                false => Timeout::Of(duration),
            })
        }
    }
}

/// Reads a duration as Go's `time.ParseDuration` does, but for signs: `1h2m3.5s`, `250ms`, `0`. What is not zero is a millisecond at
/// least and a year at most.
///
/// # Errors
///
/// Go's words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let digits = rest.find(|c| !is_number(c));
        let Some(digits) = digits else {
            return Err(format!("time: missing unit in duration {text:?}"));
        };
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(is_number).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                unit => {
                    return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
                }
            };
        rest = &rest[unit..];
    }
    if !seconds.is_finite() || seconds > LONGEST.as_secs_f64() {
        return Ok(LONGEST);
    }
    let duration = Duration::from_secs_f64(seconds);
    let shortest = Duration::from_millis(1);
    Ok(match duration.is_zero() {
        true => Duration::ZERO,
        false => Duration::from_millis(
            u64::try_from(duration.max(shortest).as_millis()).unwrap_or(u64::MAX),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Timeout, &str>) {
        let found = timeout(text);
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{text:?}"),
            Err(part) => assert!(
                found
                    .as_ref()
                    .is_err_and(|why| why.contains(part) && why.contains(text)),
                "{text:?}: {found:?}"
            ),
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        let ms = |ms| Ok(Timeout::Of(Duration::from_millis(ms)));
        check("", Ok(Timeout::Default));
        check("0", Ok(Timeout::Default));
        check("0s", Ok(Timeout::Default));
        check("infinity", Ok(Timeout::Infinite));
        check("infinite", Ok(Timeout::Infinite));
        check("1h2m3.5s", ms(3_723_500));
        check("250ms", ms(250));
        check(".5s", ms(500));
        check("1ns", ms(1));
        check("999999h", Ok(Timeout::Of(LONGEST)));
        check("hs", Err("invalid duration"));
        check("600", Err("missing unit"));
        check("5x", Err("unknown unit"));
        check("1.2.3s", Err("invalid duration"));
        check("-1s", Err("invalid duration"));
    }
}
