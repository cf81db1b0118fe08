//! What the objects of all kinds have in common while they are decoded.

use serde::Deserialize;

use super::super::Object;
use super::super::validate::{FieldError, Rules};
use super::metadata::MetadataWire;

/// An object as it stands in the JSON text.
pub(super) trait Wire<'a>: Default + Deserialize<'a> {
    /// Whether its values must stay out of messages.
    const SECRET: bool = false;

    fn kind(&self) -> &str;

    fn metadata(&self) -> &MetadataWire<'a>;

    fn check(self, rules: Rules) -> Result<Object, FieldError>;
}
