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
            changes.fact(Fact::BackendTlsPolicy(name));
        }
        let place = |it: &Self| (it.metadata.seniority(), it.targets.clone());
        if both.is_none_or(|(old, new)| place(old) != place(new)) {
            for service in left.union(&named) {
                changes.fact(Fact::BackendTlsPolicies(service));
            }
        }
        let concerned: Vec<_> = left.symmetric_difference(&named).collect();
        let were: Vec<bool> = concerned.iter().map(|it| store.is_policed(it)).collect();
        store.policies_by_service.refile(&left, &named, name);
        for (service, was) in concerned.into_iter().zip(were) {
            if store.is_policed(service) != was {
                changes.flip(Fact::Policed(service));
            }
        }
        store.tables.put(name, new);
    }
}

impl Store {
    /// One BackendTLSPolicy.
    #[must_use]
    pub fn backend_tls_policy(&self, name: &NamespacedName) -> Option<&Arc<BackendTlsPolicy>> {
        self.tables.of().get(name)
    }

    /// Whether a policy is about a Service.
    pub(super) fn is_policed(&self, service: &NamespacedName) -> bool {
        self.policies_by_service.contains_key(service)
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
