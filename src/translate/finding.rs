//! What a unit finds wrong with the object that it reads.

use crate::objects::Field;

/// The field, the reason and the sentence for the object's owner.
pub type Finding = (Field, &'static str, String);

/// How many more there are, in words.
pub fn more(count: usize) -> String {
    match count {
        0 => String::new(),
        _ => format!(" (and {count} more like it)"),
    }
}
