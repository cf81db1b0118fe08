//! Objects of kinds that have no type.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Kind, Metadata, ObjectRef};

/// An object whose fields are texts. No source brings one: it is for kinds that are tried out, as the tests do, before
/// they get a row and a type of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untyped {
    /// Which of these kinds it is of.
    pub kind: u8,
    /// Its name and what else every kind has.
    pub metadata: Metadata,
    /// What it says, by key.
    pub fields: BTreeMap<Arc<str>, Arc<str>>,
}

impl Untyped {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::Untyped(self.kind),
            name: self.metadata.name.clone(),
        }
    }
}
