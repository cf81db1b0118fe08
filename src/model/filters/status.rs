//! Statuses that filters answer.

/// Envoy refuses a whole table over a status of a filter that it does not list by name.
pub(super) fn error_status(status: u16) -> Result<u16, String> {
    match status {
        400..=417 | 421..=424 | 426 | 428 | 429 | 431 | 500..=508 | 510 | 511 => Ok(status),
        _ => Err(format!(
            "{status} is no status of an error that Envoy lists"
        )),
    }
}
