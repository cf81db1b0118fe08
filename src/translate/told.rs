//! The words in which something is told of an object.

/// Reason and sentence of what is told.
pub type Told = (&'static str, String);

/// How many more there are, in words.
pub fn more(count: usize) -> String {
    match count {
        0 => String::new(),
        _ => format!(" (and {count} more like it)"),
    }
}
