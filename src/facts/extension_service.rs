//! ExtensionServices in the store.

use std::sync::Arc;

use crate::objects::{ExtensionService, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for ExtensionService {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        let status_only = matches!((&old, &new), (Some(old), Some(new)) if old.same_spec(new));
        if !status_only {
            changes.fact(Fact::ExtensionService(name));
        }
        store.tables.put(name, new);
    }
}
