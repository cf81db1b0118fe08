//! ReferenceGrant: which objects of other namespaces may name those of its own.

use std::sync::Arc;

use super::super::Metadata;

/// A ReferenceGrant: each of `from` may name each of `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// Its name and namespace, which is that of what may be named.
    pub metadata: Metadata,
    /// `spec.from`.
    pub from: Box<[GrantFrom]>,
    /// `spec.to`.
    pub to: Box<[GrantTo]>,
}

/// Who may name something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFrom {
    /// `group`.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `namespace`.
    pub namespace: Arc<str>,
}

/// What may be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTo {
    /// `group`.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `name`; all of the kind where none is said.
    pub name: Option<Arc<str>>,
}

impl ReferenceGrant {
    /// Whether it lets objects of a kind in a namespace name an object of its own.
    #[must_use]
    pub fn permits(&self, from: (&str, &str, &str), to: (&str, &str, &str)) -> bool {
        let is_from = |it: &GrantFrom| (&*it.group, &*it.kind, &*it.namespace) == from;
        let (group, kind, name) = to;
        let is_to = |it: &GrantTo| {
            (&*it.group, &*it.kind) == (group, kind)
                && it.name.as_deref().is_none_or(|named| named == name)
        };
        self.from.iter().any(is_from) && self.to.iter().any(is_to)
    }
}
