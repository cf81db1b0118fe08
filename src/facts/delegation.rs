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
        let of = |delegation: Option<&Arc<Self>>| -> BTreeSet<_> {
            let pairs = delegation.map(|delegation| said(delegation));
            pairs.into_iter().flatten().collect()
        };
        // What another delegation says as well does not change; whoever reads it comes out the same.
        for (secret, target) in of(old.as_ref()).symmetric_difference(&of(new.as_ref())) {
            changes.fact(Fact::Delegated(secret, target));
        }
        if let Some(old) = &old {
            store.delegated.remove(old);
        }
        if let Some(new) = &new {
            store.delegated.insert(new);
        }
        store.tables.put(name, new);
    }
}
