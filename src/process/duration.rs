//! Lengths of time on the command line and in annotations of ours.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;

/// Reads a length of time: `90s`, `5m`, `1h30m`, `500ms`.
///
/// # Errors
///
/// One sentence.
pub fn duration(text: &str) -> Result<Duration, String> {
    let sentence = || "it is a length of time such as 90s, 5m or 500ms".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| sentence())?;
    duration.try_into().map_err(|_| sentence())
}

/// Reads one that is neither too short nor too long; a range up to [`Duration::MAX`] has no end.
///
/// # Errors
///
/// One sentence.
pub fn duration_within(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let time = duration(text)?;
    if range.contains(&time) {
        return Ok(time);
    }
    let (least, most) = range.into_inner();
    let [least, most] = [least, most].map(SignedDuration::try_from);
    // What is too long to be said has no end.
    Err(match (least, most) {
        (Ok(least), Ok(most)) => format!("it is from {least:#} to {most:#}"),
        (Ok(least), Err(_)) => format!("it is at least {least:#}"),
        (Err(_), _) => "there is no such length of time".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_bounds() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        for (text, range, expected) in [
            ("1ms", ms(1)..=s(3600), Ok(ms(1))),
            ("1h", ms(1)..=s(3600), Ok(s(3600))),
            ("0s", ms(1)..=s(3600), Err("it is from 1ms to 1h")),
            ("61m", ms(1)..=s(3600), Err("it is from 1ms to 1h")),
            ("499ms", ms(500)..=s(600), Err("it is from 500ms to 10m")),
            ("9h", ms(1)..=Duration::MAX, Ok(s(9 * 3600))),
            ("0s", ms(1)..=Duration::MAX, Err("it is at least 1ms")),
            (
                "soon",
                ms(1)..=Duration::MAX,
                Err("it is a length of time such as 90s, 5m or 500ms"),
            ),
        ] {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(duration_within(text, range), expected, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_read() {
        for (text, milliseconds) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "90", "-5s", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
