//! The words in which something is told of an object.

use crate::objects::Field;

/// What is told of which field: reason and sentence.
pub type Told = (Field, &'static str, String);

/// How many more there are, in words.
pub fn more(count: usize) -> String {
    match count {
        0 => String::new(),
        _ => format!(" (and {count} more like it)"),
    }
}
