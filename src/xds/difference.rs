//! What differs between two snapshots, at the cost of what differs.

use std::sync::Arc;

use imbl::ordmap::DiffItem;

use super::{Resource, ResourceType, Snapshot};

/// A resource that differs and has no parts, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub change: Change,
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// The resource.
    pub resource: Arc<str>,
    /// The part of it; `None` where it is told as a whole.
    pub part: Option<Arc<str>>,
    /// The objects that it is made from, or was.
    pub owners: Arc<[Arc<str>]>,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It is another one.
    Changed,
}

impl Snapshot {
    /// What is otherwise in a newer snapshot. A resource that is new, or gone, is told once, and of one with parts that is in both
    /// only parts are.
    pub fn changes_to<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = Difference> + 'a {
        ResourceType::ALL.into_iter().flat_map(move |of| {
            let items = self.resources(of).diff(newer.resources(of));
            items.flat_map(move |item| of_resource(of, item))
        })
    }
}

fn of_resource(
    of: ResourceType,
    item: DiffItem<'_, '_, Arc<str>, Arc<Resource>>,
) -> Vec<Difference> {
    match item {
        DiffItem::Add(_, resource) => vec![whole(Change::Added, of, resource)],
        DiffItem::Remove(_, resource) => vec![whole(Change::Removed, of, resource)],
        DiffItem::Update {
            old: (_, old),
            new: (_, new),
        } if old.parts().is_empty() && new.parts().is_empty() => {
            vec![whole(Change::Changed, of, new)]
        }
        DiffItem::Update {
            old: (_, old),
            new: (_, new),
        } => {
            let parts = old.parts().diff(new.parts());
            parts
                .map(|part| {
                    let (change, key, part) = match part {
                        DiffItem::Add(key, part) => (Change::Added, key, part),
                        DiffItem::Remove(key, part) => (Change::Removed, key, part),
                        DiffItem::Update {
                            new: (key, part), ..
                        } => (Change::Changed, key, part),
                    };
                    Difference {
                        change,
                        resource_type: of,
                        resource: new.name().clone(),
                        part: Some(key.clone()),
                        owners: part.owners.clone(),
                    }
                })
                .collect()
        }
    }
}

fn whole(change: Change, resource_type: ResourceType, resource: &Resource) -> Difference {
    Difference {
        change,
        resource_type,
        resource: resource.name().clone(),
        part: None,
        owners: resource.head().owners.clone(),
    }
}
