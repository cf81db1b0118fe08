//! Services in the store.

use std::sync::Arc;

use crate::objects::{NamespacedName, Service};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for Service {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        _: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.fact(Fact::Service(name));
        changes.object::<Self>(name);
        store.tables.put(name, new);
    }
}
