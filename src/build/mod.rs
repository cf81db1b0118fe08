//! The incremental core: objects in, snapshots and verdicts out.
//!
//! [`Builder::apply`] takes events into the [`Store`]; [`Builder::build`] translates and renders the units that
//! they touched, and nothing else (I4). The result depends on the objects only: a builder that was led to them
//! by any sequence of events holds the same bytes as one that got them at once (I1, I2). It is pure: no IO, no
//! clock, no log. The controller owns it and publishes what it makes.

pub mod controller;
mod https;
mod parts;
mod problems;
mod render;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::envoy::route::TableHead;
use crate::envoy::{listener, route, secret};
use crate::facts::{ClassSelection, Dirty, Index, Store};
use crate::model::Host;
use crate::model::verdict::{IngressFacts, Statuses};
use crate::objects::{Event, Kind, NamespacedName, Object, ObjectRef};
use crate::translate::{self, BackendPort, Input, Memo, Options};
use crate::xds::{Part, Resource, ResourceType, Snapshot, packed};

use https::HttpsListener;
use parts::replace;
use problems::{Problems, Unit, uid};
use render::{RenderedHost, Renderer, each};

/// What the operator decided, as far as the core is concerned.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which Ingresses are ours.
    pub classes: ClassSelection,
    /// How objects are read.
    pub options: Options,
    /// Where Envoy listens, and how.
    pub listeners: listener::Config,
}

/// How many units were translated since the start: the measure of I4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translated {
    /// Hosts.
    pub hosts: u64,
    /// Clusters.
    pub clusters: u64,
    /// Load assignments.
    pub endpoints: u64,
    /// Certificates.
    pub secrets: u64,
}

/// The state of the core.
#[derive(Debug)]
pub struct Builder {
    options: Options,
    ingress_metrics: bool,
    table_head: TableHead,
    threads: usize,
    store: Store,
    dirty: Dirty,
    is_first: bool,
    hosts: BTreeMap<Host, HostState>,
    clusters: BTreeMap<Arc<str>, ClusterState>,
    clusters_of: Index<NamespacedName, Arc<str>>,
    http_table: OrdMap<Arc<str>, Arc<Part>>,
    /// The exact hosts that only redirect: one part of the table stands for all of them.
    redirects: OrdSet<Host>,
    https: HttpsListener,
    problems: Problems,
    snapshot: Snapshot,
    statuses: Statuses,
    translated: Translated,
}

/// What a host refers to, so that it can let go of it.
#[derive(Debug, Default)]
struct HostState {
    http_key: Option<Arc<str>>,
    clusters: Box<[Arc<str>]>,
}

#[derive(Debug)]
struct ClusterState {
    backend: BackendPort,
    /// Hosts whose routes name it. At zero it goes.
    users: usize,
}

/// The units that a build has to look at, gathered from the dirty ones.
#[derive(Default)]
struct Touched {
    clusters: BTreeSet<Arc<str>>,
    endpoints: BTreeSet<Arc<str>>,
    http_table: bool,
    redirects: bool,
    changed: bool,
}

impl Builder {
    /// A builder without objects. Its first build has the listeners and their empty tables.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut snapshot = Snapshot::default();
        for listener in [
            listener::http(&config.listeners),
            listener::stats(&config.listeners),
        ] {
            snapshot.insert(ResourceType::Listener, Arc::new(listener));
        }
        let mut builder = Self {
            options: config.options,
            https: HttpsListener::new(&config.listeners),
            ingress_metrics: config.listeners.edge.ingress_metrics,
            table_head: TableHead::new(&config.listeners.edge),
            threads: 1,
            store: Store::new(config.classes),
            dirty: Dirty::default(),
            is_first: true,
            hosts: BTreeMap::new(),
            clusters: BTreeMap::new(),
            clusters_of: Index::default(),
            http_table: OrdMap::new(),
            redirects: OrdSet::new(),
            problems: Problems::default(),
            snapshot,
            statuses: Statuses::default(),
            translated: Translated::default(),
        };
        builder.put_http_table();
        builder.https.publish(&mut builder.snapshot);
        builder
    }

    /// Shares a build of many units, as the first is, between so many threads. The result is the same.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Takes in one event. What it touches is built by the next [`Builder::build`].
    pub fn apply(&mut self, event: Event) {
        self.store.apply(within_budget(event), &mut self.dirty);
    }

    /// Builds what was touched. Returns whether the snapshot differs from the one before; the first always does.
    pub fn build(&mut self) -> bool {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.store.spread(&mut dirty);
        let memo = &Memo::default();
        let is_first = std::mem::take(&mut self.is_first);
        let mut touched = Touched {
            changed: is_first,
            ..Touched::default()
        };
        self.build_hosts(&dirty, memo, &mut touched);
        for service in &dirty.services {
            touched
                .clusters
                .extend(self.clusters_of.get(service).cloned());
        }
        for service in &dirty.endpoints {
            touched
                .endpoints
                .extend(self.clusters_of.get(service).cloned());
        }
        touched.changed |= self.build_clusters(&touched.clusters, memo);
        touched.changed |= self.build_endpoints(&touched.endpoints, memo);
        touched.changed |= self.build_secrets(&dirty, memo);
        if touched.redirects {
            let (key, part) = route::redirects(&self.redirects, self.options.https_port);
            let part = (!self.redirects.is_empty()).then(|| (key.clone(), part));
            touched.http_table |= replace(&mut self.http_table, Some(&key), part);
        }
        if touched.http_table {
            self.put_http_table();
            touched.changed = true;
        }
        touched.changed |= self.https.publish(&mut self.snapshot);
        self.judge(&dirty, memo);
        if is_first {
            self.pack();
        }
        touched.changed
    }

    /// The resources as they were built last.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The verdicts as they were built last.
    #[must_use]
    pub fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    /// The objects.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How much was translated.
    #[must_use]
    pub const fn translated(&self) -> Translated {
        self.translated
    }

    fn renderer<'a>(&'a self, memo: &'a Memo) -> Renderer<'a> {
        Renderer {
            input: self.input(memo),
            ingress_metrics: self.ingress_metrics,
        }
    }

    fn input<'a>(&'a self, memo: &'a Memo) -> Input<'a> {
        Input {
            store: &self.store,
            options: &self.options,
            memo,
        }
    }

    fn build_hosts(&mut self, dirty: &Dirty, memo: &Memo, touched: &mut Touched) {
        let hosts: Vec<&Host> = dirty.hosts.iter().collect();
        let renderer = self.renderer(memo);
        let rendered = each(self.threads, &hosts, |host| renderer.host(host));
        for (host, rendered) in hosts.into_iter().zip(rendered) {
            self.file_host(host, rendered, touched);
        }
    }

    fn file_host(&mut self, host: &Host, unit: RenderedHost, touched: &mut Touched) {
        self.translated.hosts += 1;
        let old = self.hosts.remove(host).unwrap_or_default();
        touched.redirects |= match unit.redirects {
            true => self.redirects.insert(host.clone()).is_none(),
            false => self.redirects.remove(host).is_some(),
        };
        let http_key = unit.http.as_ref().map(|(key, _)| key.clone());
        let old_key = old.http_key.as_ref();
        touched.http_table |= replace(&mut self.http_table, old_key, unit.http);
        self.https.set(host, unit.https);
        // First take, then let go: a cluster that is still named keeps its state.
        for (name, backend) in &unit.clusters {
            let state = self.clusters.entry(name.clone()).or_insert_with(|| {
                self.clusters_of
                    .insert(backend.service.clone(), name.clone());
                touched.clusters.insert(name.clone());
                touched.endpoints.insert(name.clone());
                ClusterState {
                    backend: backend.clone(),
                    users: 0,
                }
            });
            state.users += 1;
        }
        for name in &old.clusters {
            if let Some(state) = self.clusters.get_mut(name) {
                state.users -= 1;
                if state.users == 0 {
                    touched.clusters.insert(name.clone());
                }
            }
        }
        self.problems.set(Unit::Host(host.clone()), unit.problems);
        let state = HostState {
            http_key,
            clusters: unit.clusters.into_keys().collect(),
        };
        if self.store.names_host(host) {
            self.hosts.insert(host.clone(), state);
        }
    }

    /// Builds the clusters that some host names, and lets go of the others.
    fn build_clusters(&mut self, names: &BTreeSet<Arc<str>>, memo: &Memo) -> bool {
        let mut changed = false;
        let (used, unused): (Vec<_>, Vec<_>) = names
            .iter()
            .filter_map(|name| self.clusters.get_key_value(name))
            .map(|(name, state)| (name.clone(), state.backend.clone(), state.users))
            .partition(|(_, _, users)| *users > 0);
        let renderer = self.renderer(memo);
        let rendered = each(self.threads, &used, |(_, backend, _)| {
            renderer.cluster(backend)
        });
        for ((_, backend, _), rendered) in used.into_iter().zip(rendered) {
            self.translated.clusters += 1;
            // The hosts that name a cluster are translated whenever its Service changes, so it can't be named when
            // its Service or port is gone.
            let Some(resource) = rendered else {
                continue;
            };
            self.own(ObjectRef {
                kind: Kind::Service,
                name: backend.service,
            });
            changed |= self.put(ResourceType::Cluster, resource);
        }
        for (name, backend, _) in unused {
            changed |= self.let_go(&name, backend.service);
        }
        changed
    }

    fn let_go(&mut self, cluster: &Arc<str>, service: NamespacedName) -> bool {
        let was_last = self.clusters_of.remove(&service, cluster);
        if was_last {
            self.statuses.owners.remove(&ObjectRef {
                kind: Kind::Service,
                name: service,
            });
        }
        self.clusters.remove(cluster);
        self.problems
            .set(Unit::Endpoints(cluster.clone()), Vec::new());
        let removed = self.snapshot.remove(ResourceType::Cluster, cluster);
        self.snapshot.remove(ResourceType::Endpoint, cluster) || removed
    }

    /// Builds the load assignments of the clusters that have one.
    fn build_endpoints(&mut self, names: &BTreeSet<Arc<str>>, memo: &Memo) -> bool {
        let assigned: Vec<_> = names
            .iter()
            .filter(|name| {
                let cluster = self.snapshot.get(ResourceType::Cluster, name);
                cluster.is_some_and(|cluster| cluster.references().next().is_some())
            })
            .filter_map(|name| Some((name, &self.clusters.get(name)?.backend)))
            .collect();
        let renderer = self.renderer(memo);
        let rendered = each(self.threads, &assigned, |(name, backend)| {
            renderer.load_assignment(name, backend)
        });
        let names: Vec<_> = assigned.iter().map(|(name, _)| (*name).clone()).collect();
        let mut changed = false;
        for (name, (resource, problems)) in names.into_iter().zip(rendered) {
            self.translated.endpoints += 1;
            self.problems.set(Unit::Endpoints(name), problems);
            changed |= self.put(ResourceType::Endpoint, resource);
        }
        changed
    }

    fn build_secrets(&mut self, dirty: &Dirty, memo: &Memo) -> bool {
        let mut changed = false;
        let touched = self.https.take_touched_secrets();
        for name in touched.iter().chain(&dirty.secrets) {
            let resource = name.to_string();
            let certificate = if self.https.uses(name) {
                translate::certificate(self.input(memo), name)
            } else {
                None
            };
            let owner = ObjectRef {
                kind: Kind::Secret,
                name: name.clone(),
            };
            changed |= match certificate {
                None => {
                    self.statuses.certificates.remove(name);
                    self.statuses.owners.remove(&owner);
                    self.snapshot.remove(ResourceType::Secret, &resource)
                }
                Some(certificate) => {
                    self.translated.secrets += 1;
                    self.statuses
                        .certificates
                        .insert(name.clone(), certificate.validity);
                    self.own(owner);
                    self.put(ResourceType::Secret, secret::secret(&certificate))
                }
            };
        }
        changed
    }

    /// The first build files everything there is in the order of its names, which leaves every map half empty.
    fn pack(&mut self) {
        self.store.pack();
        self.clusters_of.pack();
        self.hosts = std::mem::take(&mut self.hosts).into_iter().collect();
        self.clusters = std::mem::take(&mut self.clusters).into_iter().collect();
        self.https.pack();
        self.snapshot.pack();
        let statuses = &mut self.statuses;
        statuses.ingresses = packed(&statuses.ingresses);
        statuses.certificates = packed(&statuses.certificates);
        statuses.owners = packed(&statuses.owners);
    }

    fn judge(&mut self, dirty: &Dirty, memo: &Memo) {
        let objects: Vec<&ObjectRef> = dirty.objects.iter().collect();
        let input = self.input(memo);
        let problems = each(self.threads, &objects, |object| {
            translate::object_problems(input, object)
        });
        for (object, problems) in objects.into_iter().zip(problems) {
            self.problems.set(Unit::Object(object.clone()), problems);
            if object.kind == Kind::Ingress {
                let facts = facts(&self.store, object);
                match facts {
                    Some(facts) => self.statuses.ingresses.insert(object.name.clone(), facts),
                    None => self.statuses.ingresses.remove(&object.name),
                };
            }
        }
        self.problems
            .publish(&self.store, &dirty.objects, &mut self.statuses.problems);
    }

    /// Something is made from this object.
    fn own(&mut self, owner: ObjectRef) {
        let uid = uid(&self.store, &owner);
        if self.statuses.owners.get(&owner) != Some(&uid) {
            self.statuses.owners.insert(owner, uid);
        }
    }

    fn put_http_table(&mut self) {
        let name: Arc<str> = listener::HTTP.into();
        let head = self.table_head.named(&name);
        let table = Resource::composite(name, head, self.http_table.clone());
        self.snapshot.insert(ResourceType::Route, Arc::new(table));
    }

    fn put(&mut self, resource_type: ResourceType, resource: Resource) -> bool {
        let current = self.snapshot.get(resource_type, resource.name());
        if current.is_some_and(|current| **current == resource) {
            return false;
        }
        self.snapshot.insert(resource_type, Arc::new(resource));
        true
    }
}

/// Every Ingress without what is beyond its budget.
fn within_budget(event: Event) -> Event {
    let object = |object| match object {
        Object::Ingress(ingress) => Object::Ingress(translate::within_budget(ingress)),
        other => other,
    };
    match event {
        Event::Apply(applied) => Event::Apply(object(applied)),
        Event::Delete(reference) => Event::Delete(reference),
        Event::Replace {
            kind,
            namespace,
            objects,
        } => Event::Replace {
            kind,
            namespace,
            objects: objects.into_iter().map(object).collect(),
        },
        Event::Batch(events) => Event::Batch(events.into_iter().map(within_budget).collect()),
    }
}

fn facts(store: &Store, object: &ObjectRef) -> Option<IngressFacts> {
    let ingress = store.ingress(&object.name)?;
    Some(IngressFacts {
        uid: ingress.metadata.uid.clone(),
        served: store.serves(ingress),
        load_balancer: ingress.load_balancer.clone(),
        ingress: Some(ingress.clone()),
    })
}
