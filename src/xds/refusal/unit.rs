//! What can be refused by itself.

use std::sync::Arc;

use imbl::ordmap::DiffItem;

use crate::xds::{Part, Resource};

/// One unit with the bytes that it had: a part of a resource, or what the resource is without its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// The resource.
    pub name: Arc<str>,
    /// The part's key; `None` is the head, which comes before its parts in every order.
    pub key: Option<Arc<str>>,
    /// The hash of the unit's bytes.
    pub hash: u64,
}

impl Unit {
    fn new(resource: &Resource, key: Option<&Arc<str>>, part: &Part) -> Self {
        Self {
            name: resource.name().clone(),
            key: key.cloned(),
            hash: part.bytes.hash(),
        }
    }

    /// The units of `resource` that the client has not taken already, in order.
    #[must_use]
    pub fn new_in(resource: &Resource, accepted: Option<&Resource>) -> Vec<Self> {
        let mut units = Vec::new();
        if accepted.is_none_or(|accepted| accepted.head().bytes != resource.head().bytes) {
            units.push(Self::new(resource, None, resource.head()));
        }
        match accepted {
            Some(accepted) => {
                for item in accepted.parts().diff(resource.parts()) {
                    let (key, part) = match item {
                        DiffItem::Add(key, part)
                        | DiffItem::Update {
                            new: (key, part), ..
                        } => (key, part),
                        DiffItem::Remove(..) => continue,
                    };
                    if accepted
                        .parts()
                        .get(key)
                        .is_none_or(|old| old.bytes != part.bytes)
                    {
                        units.push(Self::new(resource, Some(key), part));
                    }
                }
            }
            None => units.extend(
                resource
                    .parts()
                    .iter()
                    .map(|(key, part)| Self::new(resource, Some(key), part)),
            ),
        }
        units
    }

    /// The part of `resource` that is this unit, if it still has the same bytes.
    #[must_use]
    pub fn part<'a>(&self, resource: &'a Resource) -> Option<&'a Part> {
        let part = match &self.key {
            None => resource.head(),
            Some(key) => resource.parts().get(key)?,
        };
        (part.bytes.hash() == self.hash).then_some(part)
    }
}
