//! ConfigMaps in the store.

use std::sync::Arc;

use crate::objects::{CaCertificates, ConfigMap, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for ConfigMap {
    /// Nothing is said of a ConfigMap by itself.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        let verdict = |it: &Option<Arc<Self>>| {
            let authorities = it.as_ref().map(|it| it.authorities.as_ref());
            authorities.map(|it| it.map(CaCertificates::pieces).map_err(Arc::clone))
        };
        if verdict(&old) != verdict(&new) {
            changes.fact(Fact::ConfigMapAuthorities(name));
        }
        changes.fact(Fact::ConfigMap(name));
        store.tables.put(name, new);
    }
}

impl Store {
    /// One ConfigMap.
    #[must_use]
    pub fn config_map(&self, name: &NamespacedName) -> Option<&Arc<ConfigMap>> {
        self.tables.of().get(name)
    }
}
