//! ConfigMaps in the store.

use std::sync::Arc;

use crate::objects::{CaCertificates, ConfigMap, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for ConfigMap {
    /// Something is said by itself of one that may be ingress-nginx's.
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
        let has_settings =
            |it: &Option<Arc<Self>>| it.as_ref().is_some_and(|it| it.nginx.is_some());
        if has_settings(&old) || has_settings(&new) {
            changes.object::<Self>(name);
        }
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
