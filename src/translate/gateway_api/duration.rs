//! Durations (GEP-2257): one to four numbers with a unit of hours, minutes, seconds or milliseconds.

use std::time::Duration;

/// Reads one; `None` for what is none.
pub fn duration(text: &str) -> Option<Duration> {
    const MOST_UNITS: usize = 4;
    const MOST_DIGITS: usize = 5;
    let mut rest = text;
    let mut sum = Duration::ZERO;
    let mut units = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(unit)?;
        let millis = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        units += 1;
        if digits == 0 || digits > MOST_DIGITS || units > MOST_UNITS {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = after;
    }
    (units > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_of_the_api() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("99999h", Some(359_996_400_000)),
            ("100000s", None),
            ("1s1s1s1s1s", None),
            ("1", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("1d", None),
            ("-1s", None),
        ] {
            assert_eq!(
                duration(text),
                expected.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }
}
