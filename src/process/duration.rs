//! Lengths of time on the command line and in annotations of ours.

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

#[cfg(test)]
mod tests {
    use super::*;

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
