//! Secrets in the store.

use std::sync::Arc;

use crate::objects::{Credentials, NamespacedName, Secret, TlsCertificate};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for Secret {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        let is_same = match (&old, &new) {
            (Some(old), Some(new)) => same_names(&old.certificate, &new.certificate),
            _ => false,
        };
        if !is_same {
            changes.fact(Fact::SecretNames(name));
        }
        let authorities = |secret: &Self| secret.check_authorities().map(drop).map_err(Arc::from);
        if verdict(old.as_deref(), authorities) != verdict(new.as_deref(), authorities) {
            changes.fact(Fact::Authorities(name));
        }
        let revocations = |secret: &Self| secret.check_revocations().map(drop).map_err(Arc::from);
        if verdict(old.as_deref(), revocations) != verdict(new.as_deref(), revocations) {
            changes.fact(Fact::Revocations(name));
        }
        let credentials = |secret: &Self| {
            [false, true].map(|is_map| {
                secret
                    .check_credentials(is_map)
                    .map(Credentials::unusable)
                    .map_err(Arc::<str>::from)
            })
        };
        if old.as_deref().map(credentials) != new.as_deref().map(credentials) {
            changes.fact(Fact::Credentials(name));
        }
        changes.fact(Fact::Secret(name));
        changes.object::<Self>(name);
        store.tables.put(name, new);
    }
}

/// What is to be known of a part of a Secret by those who name it; `None` where there is no Secret.
fn verdict(
    secret: Option<&Secret>,
    check: impl Fn(&Secret) -> Result<(), Arc<str>>,
) -> Option<Result<(), Arc<str>>> {
    secret.map(check)
}

/// Whether hosts see a difference between two certificates of one Secret.
fn same_names(
    old: &Result<Arc<TlsCertificate>, Arc<str>>,
    new: &Result<Arc<TlsCertificate>, Arc<str>>,
) -> bool {
    match (old, new) {
        (Ok(old), Ok(new)) => {
            old.names == new.names
                && old.common_name == new.common_name
                && old.key_algorithm == new.key_algorithm
        }
        (Err(old), Err(new)) => old == new,
        _ => false,
    }
}
