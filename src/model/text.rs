//! Names and values that Envoy keeps or sends for each request.

use std::sync::Arc;

/// Longest of them, in bytes.
pub(in crate::model) const MAX_TEXT: usize = 1024;

/// # Errors
///
/// A sentence about `what` where the text is empty, too long, or has control characters.
pub(in crate::model) fn bounded_text(text: &str, what: &str) -> Result<Arc<str>, String> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!(
            "{what} has from 1 to {MAX_TEXT} bytes, none of which is a control character"
        ));
    }
    Ok(text.into())
}
