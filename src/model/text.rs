//! Names and values that Envoy keeps or sends for each request, and messages that have to end somewhere.

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

/// As much of a text as so many bytes hold.
#[must_use]
pub fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, expected) in [
            ("abc", 4, "abc"),
            ("abc", 2, "ab"),
            ("a\u{e9}", 2, "a"),
            ("\u{e9}", 0, ""),
        ] {
            assert_eq!(cut(text, most), expected, "{text} {most}");
        }
    }
}
