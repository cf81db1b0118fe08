//! Which Secrets may be used from other namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::{NamespacedName, TlsCertificateDelegation};

/// All namespaces, where it is the only target.
pub const ALL: &str = "*";

/// What all TLSCertificateDelegations say together, so that a host asks one question and reads no list.
#[derive(Debug, Default)]
pub struct Delegated {
    /// Secret → namespace, or [`ALL`] → how often that is said.
    targets: BTreeMap<NamespacedName, BTreeMap<Arc<str>, usize>>,
}

impl Delegated {
    /// Whether a Secret's own namespace gives it to this other one: by its name, or with `*` alone to all.
    pub fn contains(&self, secret: &NamespacedName, namespace: &str) -> bool {
        self.targets
            .get(secret)
            .is_some_and(|targets| targets.contains_key(namespace) || targets.contains_key(ALL))
    }

    /// Whether a delegation says exactly that.
    pub fn says(&self, secret: &NamespacedName, target: &str) -> bool {
        let targets = self.targets.get(secret);
        targets.is_some_and(|targets| targets.contains_key(target))
    }

    /// Takes in what a delegation says.
    pub fn insert(&mut self, delegation: &TlsCertificateDelegation) {
        for (secret, target) in said(delegation) {
            *self
                .targets
                .entry(secret)
                .or_default()
                .entry(target)
                .or_default() += 1;
        }
    }

    /// Takes out what [`Delegated::insert`] took in.
    pub fn remove(&mut self, delegation: &TlsCertificateDelegation) {
        for (secret, target) in said(delegation) {
            let Some(targets) = self.targets.get_mut(&secret) else {
                continue;
            };
            if let Some(count) = targets.get_mut(&target) {
                *count -= 1;
                if *count == 0 {
                    targets.remove(&target);
                }
            }
            if targets.is_empty() {
                self.targets.remove(&secret);
            }
        }
    }
}

/// The Secrets that a delegation is about.
fn secrets(
    delegation: &TlsCertificateDelegation,
) -> impl Iterator<Item = NamespacedName> + use<'_> {
    let namespace = &delegation.metadata.name.namespace;
    let names = delegation.delegations.iter().map(|(name, _)| name);
    names.map(|name| NamespacedName::new(namespace.clone(), name.clone()))
}

/// Each Secret that a delegation is about with each namespace that it names for it.
pub fn said(
    delegation: &TlsCertificateDelegation,
) -> impl Iterator<Item = (NamespacedName, Arc<str>)> + use<'_> {
    let targets = delegation.delegations.iter().map(|(_, targets)| targets);
    secrets(delegation)
        .zip(targets)
        .flat_map(|(secret, targets)| {
            let is_alone = targets.len() == 1;
            let targets = targets
                .iter()
                .filter(move |target| is_alone || &***target != ALL);
            targets.map(move |target| (secret.clone(), target.clone()))
        })
}
