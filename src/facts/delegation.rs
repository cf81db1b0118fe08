//! TLSCertificateDelegations in the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{NamespacedName, TlsCertificateDelegation};

use super::changes::Changes;
use super::delegated::said;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for TlsCertificateDelegation {
    /// Nothing is said of a delegation by itself, so its object is not named among those that differ.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        let pairs = |delegation: &Option<Arc<Self>>| -> BTreeSet<_> {
            let pairs = delegation.as_deref().map(said);
            pairs.into_iter().flatten().collect()
        };
        let said = |store: &Store| {
            let pairs = pairs(&old).into_iter().chain(pairs(&new));
            pairs
                .filter(|(secret, target)| store.delegated.says(secret, target))
                .collect::<BTreeSet<_>>()
        };
        let before = said(store);
        if let Some(old) = &old {
            store.delegated.remove(old);
        }
        if let Some(new) = &new {
            store.delegated.insert(new);
        }
        // What another delegation says as well is as it was.
        for (secret, target) in before.symmetric_difference(&said(store)) {
            changes.flip(Fact::Delegated(secret, target));
        }
        store.tables.put(name, new);
    }
}
