//! What a change touches.

use std::collections::BTreeSet;

use crate::model::Host;
use crate::objects::{NamespacedName, ObjectRef};

/// The units that events may have changed. Each is translated again from what the store now holds; a unit that
/// comes out with the same bytes changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Hosts whose routes or certificates may differ.
    pub hosts: BTreeSet<Host>,
    /// Services whose clusters may differ.
    pub services: BTreeSet<NamespacedName>,
    /// Services whose endpoints may differ.
    pub endpoints: BTreeSet<NamespacedName>,
    /// Secrets whose certificate may differ.
    pub secrets: BTreeSet<NamespacedName>,
    /// Objects whose own problems and status may differ.
    pub objects: BTreeSet<ObjectRef>,
}

impl Dirty {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
            && self.services.is_empty()
            && self.endpoints.is_empty()
            && self.secrets.is_empty()
            && self.objects.is_empty()
    }
}
