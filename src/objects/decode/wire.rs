//! What the objects of all kinds have in common while they are decoded.

use serde::Deserialize;

use super::super::validate::{FieldError, Rules};
use super::super::{Object, ObjectRef};
use super::metadata::MetadataWire;

/// An object as it stands in the JSON text.
pub(super) trait Wire<'a>: Default + Deserialize<'a> {
    /// Whether its values must stay out of messages.
    const SECRET: bool = false;

    fn kind(&self) -> &str;

    fn metadata(&self) -> &MetadataWire<'a>;

    fn check(self, rules: Rules) -> Result<Object, FieldError>;

    /// What stands in the place of an object that is wrong as a whole, where that has to close something. Of most kinds
    /// nothing does: who says nothing is served nothing.
    fn closed(_json: &'a str, _reference: &ObjectRef, _reason: &str) -> Option<Object> {
        None
    }
}
