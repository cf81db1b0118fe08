//! Clusters and their load assignments: they are there while a unit names them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::{ClusterSource, Memo};
use crate::xds::{Resource, ResourceType};

use super::render::parallel_map;
use super::unit::Unit;
use super::used_secrets::SecretKey;
use super::{Builder, ClusterState, Work};

impl Builder {
    /// A unit that used the clusters `old` uses those of `new` now. First take, then release: a cluster that is still named
    /// keeps its state.
    pub(super) fn use_clusters(
        &mut self,
        old: &[Arc<str>],
        new: BTreeMap<Arc<str>, ClusterSource>,
        work: &mut Work,
    ) {
        for (name, backend) in new {
            let state = self.clusters.entry(name.clone()).or_insert_with(|| {
                work.units.insert(Unit::Cluster(name.clone()));
                work.units.insert(Unit::Endpoints(name));
                ClusterState {
                    backend: backend.clone(),
                    is_assigned: false,
                    secrets: Box::default(),
                    users: 0,
                }
            });
            // Sources of one name come to the same while nothing differs. When a Service does, all who name it are made
            // again before the cluster is, which has read it as well: then the last of them says what still holds.
            state.backend = backend;
            state.users += 1;
        }
        for name in old {
            if let Some(state) = self.clusters.get_mut(name) {
                state.users -= 1;
                if state.users == 0 {
                    work.released.insert(name.clone());
                }
            }
        }
    }

    /// Builds the clusters that some unit names, and removes the others.
    pub(super) fn build_clusters(&mut self, work: &mut Work, memo: &Memo) {
        let names: Vec<Arc<str>> = work.units.take(|unit| match unit {
            Unit::Cluster(name) => Ok(name),
            other => Err(other),
        });
        let with_backend = |name: &Arc<str>| {
            let (name, state) = self.clusters.get_key_value(name)?;
            Some((name.clone(), state.backend.clone(), state.users > 0))
        };
        let used = names.iter().filter_map(with_backend);
        let used: Vec<_> = used.filter(|(.., is_used)| *is_used).collect();
        let unused = work.released.iter().filter_map(with_backend);
        let unused: Vec<_> = unused.filter(|(.., is_used)| !is_used).collect();
        let renderer = self.renderer(memo);
        let rendered = parallel_map(self.threads, &used, |(_, backend, _)| {
            renderer.cluster(backend)
        });
        for ((name, backend, _), (rendered, reads)) in used.into_iter().zip(rendered) {
            self.translated.clusters += 1;
            self.record(&Unit::Cluster(name.clone()), reads);
            // The units that name a cluster read its Service too, so it can't be named when its Service or port is
            // gone.
            let Some((resource, is_assigned)) = rendered else {
                continue;
            };
            if let Some(state) = self.clusters.get_mut(&name) {
                state.is_assigned = is_assigned;
                let secrets = secrets(&resource);
                self.listeners
                    .used_secrets()
                    .replace(&state.secrets, &secrets);
                state.secrets = secrets;
            }
            if let Some(service) = backend.service() {
                self.record_owner(ObjectRef {
                    kind: Kind::Service,
                    name: service.clone(),
                });
            }
            work.changed |= self.put(ResourceType::Cluster, resource);
        }
        for (name, backend, _) in unused {
            work.changed |= self.remove_cluster(&name, backend.service());
        }
    }

    fn remove_cluster(&mut self, cluster: &Arc<str>, service: Option<&NamespacedName>) -> bool {
        if let Some(gone) = self.clusters.remove(cluster) {
            self.listeners.used_secrets().replace(&gone.secrets, &[]);
        }
        if let Some(service) = service {
            self.forget_owner(service);
        }
        self.forget(&Unit::Cluster(cluster.clone()));
        let endpoints = Unit::Endpoints(cluster.clone());
        self.forget(&endpoints);
        self.problems.set(endpoints, Vec::new());
        let removed = self.snapshot.remove(ResourceType::Cluster, cluster);
        self.snapshot.remove(ResourceType::Endpoint, cluster) || removed
    }

    /// A Service without clusters owns nothing that Envoy could refuse.
    fn forget_owner(&mut self, service: &NamespacedName) {
        // Names of clusters begin with the Service, so the others of it follow.
        let prefix = format!("{service}/");
        let others = (Bound::Included(&*prefix), Bound::Unbounded);
        let mut others = self.clusters.range::<str, _>(others);
        if others
            .next()
            .is_none_or(|(name, _)| !name.starts_with(&prefix))
        {
            self.statuses.owners.remove(&ObjectRef {
                kind: Kind::Service,
                name: service.clone(),
            });
        }
    }

    /// Builds the load assignments of the clusters that have one.
    pub(super) fn build_endpoints(&mut self, work: &mut Work, memo: &Memo) {
        let names: Vec<Arc<str>> = work.units.take(|unit| match unit {
            Unit::Endpoints(name) => Ok(name),
            other => Err(other),
        });
        let assigned: Vec<(Arc<str>, ClusterSource)> = names
            .into_iter()
            .filter_map(|name| {
                let state = self.clusters.get(&name)?;
                state.is_assigned.then(|| (name, state.backend.clone()))
            })
            .collect();
        let renderer = self.renderer(memo);
        let rendered = parallel_map(self.threads, &assigned, |(name, backend)| {
            renderer.load_assignment(name, backend)
        });
        for ((name, _), (resource, problems, reads)) in assigned.into_iter().zip(rendered) {
            self.translated.endpoints += 1;
            let unit = Unit::Endpoints(name);
            self.record(&unit, reads);
            self.problems.set(unit, problems);
            work.changed |= self.put(ResourceType::Endpoint, resource);
        }
    }
}

/// What SDS has to deliver for a cluster.
fn secrets(cluster: &Resource) -> Box<[SecretKey]> {
    let references = cluster.references();
    let secrets = references.filter(|it| it.resource_type == ResourceType::Secret);
    secrets
        .filter_map(|secret| SecretKey::of_name(&secret.name))
        .collect()
}
