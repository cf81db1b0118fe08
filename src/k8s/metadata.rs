//! The part of `metadata` that every kind shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NamespacedName;

/// What is kept of an object's `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Namespace and name.
    pub name: NamespacedName,
    /// `uid`, which an Event about the object must carry; empty in manifests that name none.
    pub uid: Arc<str>,
    /// `creationTimestamp`: the older of two objects wins a conflict. `None` (manifests) counts as younger
    /// than any time, so that a given time wins over none.
    pub created: Option<jiff::Timestamp>,
    /// The annotations with a meaning to Isobath; all others are dropped while decoding.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
}

impl Metadata {
    /// The value of one annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|value| &**value)
    }

    /// The order in which conflicts are decided: oldest first, then namespace and name.
    #[must_use]
    pub fn seniority(&self) -> (bool, Option<jiff::Timestamp>, NamespacedName) {
        (self.created.is_none(), self.created, self.name.clone())
    }
}
