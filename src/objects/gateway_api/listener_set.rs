//! ListenerSet: more listeners of a Gateway, which others than its owner may bring.

use std::fmt;
use std::sync::Arc;

use super::super::{Metadata, NamespacedName};
use super::GROUP;
use super::gateway::Listener;
use super::reference::ParentReference;
use super::status::Status;

/// A ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSet {
    /// Name and age.
    pub metadata: Metadata,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.parentRef`.
    pub parent: ParentReference,
    /// `spec.listeners`.
    pub listeners: Box<[Listener]>,
    /// What is ours of `status`.
    pub status: Arc<Status>,
}

impl ListenerSet {
    /// The Gateway that the listeners are for; `None` where the parent is of another kind.
    #[must_use]
    pub fn gateway(&self) -> Option<NamespacedName> {
        let ParentReference {
            group,
            kind,
            namespace,
            name,
            ..
        } = &self.parent;
        let own = &self.metadata.name.namespace;
        let is_gateway = &**group == GROUP && &**kind == "Gateway";
        is_gateway.then(|| {
            let namespace = namespace.as_ref().unwrap_or(own);
            NamespacedName::new(namespace.clone(), name.clone())
        })
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        (&self.metadata, &self.parent, &self.listeners)
    }
}
