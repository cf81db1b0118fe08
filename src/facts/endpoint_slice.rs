//! EndpointSlices in the store.

use std::sync::Arc;

use crate::objects::{EndpointSlice, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for EndpointSlice {
    /// Nothing is said of a slice by itself, so its object is not named among those that differ.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        let service_of = |slice: &Self| {
            let service = slice.service.clone()?;
            Some(NamespacedName::new(name.namespace.clone(), service))
        };
        let (old, service) = (
            old.as_deref().and_then(service_of),
            new.as_deref().and_then(service_of),
        );
        for service in old.iter().chain(&service) {
            changes.fact(Fact::EndpointSlices(service));
        }
        if old != service {
            if let Some(old) = &old {
                store.slices_by_service.remove(old, name);
            }
            if let Some(service) = service {
                store.slices_by_service.insert(service, name.clone());
            }
        }
        store.tables.put(name, new);
    }
}
