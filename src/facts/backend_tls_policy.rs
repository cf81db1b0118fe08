//! BackendTLSPolicies in the store, by the Services that they are about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{BackendTlsPolicy, NamespacedName};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

/// The Services that a policy is about.
fn services(policy: &BackendTlsPolicy) -> BTreeSet<NamespacedName> {
    let namespace = &policy.metadata.name.namespace;
    let names = policy.targets.iter().filter_map(|target| target.service());
    names
        .map(|name| NamespacedName::new(namespace.clone(), name.clone()))
        .collect()
}

impl Indexed for BackendTlsPolicy {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        let of = |policy: &Option<Arc<Self>>| policy.as_deref().map(services);
        let [left, named] = [of(&old), of(&new)].map(Option::unwrap_or_default);
        let both = old.as_deref().zip(new.as_deref());
        if !both.is_some_and(|(old, new)| old.spec() == new.spec()) {
            for service in left.union(&named) {
                changes.fact(Fact::BackendTlsPolicies(service));
            }
        }
        store.policies_by_service.refile(&left, &named, name);
        store.tables.put(name, new);
    }
}

impl Store {
    /// One BackendTLSPolicy.
    #[must_use]
    pub fn backend_tls_policy(&self, name: &NamespacedName) -> Option<&Arc<BackendTlsPolicy>> {
        self.tables.of().get(name)
    }

    /// The policies that are about a Service, oldest first.
    pub(super) fn backend_tls_policies(
        &self,
        service: &NamespacedName,
    ) -> Vec<&Arc<BackendTlsPolicy>> {
        let names = self.policies_by_service.get(service);
        let mut policies: Vec<_> = names
            .filter_map(|name| self.backend_tls_policy(name))
            .collect();
        policies.sort_by_cached_key(|policy| policy.metadata.seniority());
        policies
    }
}
