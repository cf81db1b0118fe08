//! The incremental core: objects in, snapshots and verdicts out.
//!
//! [`Builder::apply`] takes events into the [`Store`]; [`Builder::build`] translates and renders the units that have read
//! what these changed, and nothing else (I4). The result depends on the objects only: a builder that was led to them
//! by any sequence of events holds the same bytes as one that got them at once (I1, I2). It is pure: no IO, no
//! clock, no log. The controller owns it and publishes what it makes.

mod audit;
mod by_front;
mod chains;
mod claims;
mod clusters;
pub mod controller;
mod describe;
pub mod diff;
pub mod explain;
mod fallback;
mod hosts;
pub mod http;
mod http3;
pub mod listeners;
mod neighbours;
mod parts;
mod problems;
mod reached;
mod readers;
mod reads;
mod render;
mod secrets;
pub mod tls;
mod unit;
pub mod used_secrets;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::envoy::{self, listener};
use crate::facts::{Changes, ClassSelection, Store};
use crate::model::Cluster;
use crate::model::verdict::Statuses;
use crate::objects::{Event, ObjectRef};
use crate::translate::{ClusterSource, Found, Language, Languages, Memo, Options, Prices};
use crate::xds::{Resource, ResourceType, Snapshot, packed};

use audit::Audit;
use by_front::ByFront;
use listeners::Listeners;
use problems::{Problems, uid};
use reached::Reached;
use reads::Reads;
use render::{ReadFacts, Renderer, parallel_map};
use unit::{Unit, Units};
use used_secrets::SecretKey;

/// What the operator decided, as far as the core is concerned.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which Ingresses are ours.
    pub classes: ClassSelection,
    /// How objects are read.
    pub options: Options,
    /// Where Envoy listens, and how.
    pub listeners: listener::Config,
    /// What managers send to that is no object's, as traces. It is there from the first.
    pub clusters: Vec<Cluster>,
}

impl Config {
    /// For manifests, whose Ingresses need no class, and for an Envoy that listens on the usual ports of IPv4. The program
    /// asks its flags instead.
    #[must_use]
    pub fn of_manifests(options: Options) -> Self {
        let any = |port| ([0, 0, 0, 0], port).into();
        Self {
            classes: ClassSelection {
                names: Arc::default(),
                manifests: true,
            },
            options,
            listeners: listener::Config {
                http: any(8080),
                https: any(8443),
                stats: any(8002),
                edge: Default::default(),
            },
            clusters: Vec::new(),
        }
    }
}

/// How many units were translated since the start: the measure of I4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translated {
    /// Listeners that somebody claims.
    pub listeners: u64,
    /// Hosts.
    pub hosts: u64,
    /// Clusters.
    pub clusters: u64,
    /// Load assignments.
    pub endpoints: u64,
    /// Certificates and trust bundles.
    pub secrets: u64,
}

/// How much was found out beside them since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Derivations {
    /// What is derived from facts for several units.
    pub derived: u64,
    /// Objects of which it is found out what is to be said of each.
    pub objects: u64,
}

/// The state of the core.
#[derive(Debug)]
pub struct Builder {
    options: Options,
    languages: Languages,
    ingress_metrics: bool,
    threads: usize,
    store: Store,
    changes: Changes,
    reads: Reads,
    audit: Option<Audit>,
    is_first: bool,
    /// The clusters that claimed listeners forward to, by listener.
    forwarding: BTreeMap<Arc<str>, Box<[Arc<str>]>>,
    hosts: ByFront<HostState>,
    reached: Reached,
    clusters: BTreeMap<Arc<str>, ClusterState>,
    listeners: Listeners,
    problems: Problems,
    snapshot: Snapshot,
    statuses: Statuses,
    translated: Translated,
    derivations: Derivations,
}

/// What a host refers to, so that it can be released.
#[derive(Debug, Default)]
struct HostState {
    http_key: Option<Arc<str>>,
    clusters: Box<[Arc<str>]>,
    /// The passwords that its routes ask for.
    secrets: Box<[SecretKey]>,
    reached: Box<[ObjectRef]>,
}

#[derive(Debug)]
struct ClusterState {
    backend: ClusterSource,
    /// Whether its endpoints are a load assignment, and no DNS name.
    is_assigned: bool,
    /// What SDS delivers for it.
    secrets: Box<[SecretKey]>,
    /// Units that name it. At zero it goes.
    users: usize,
}

/// What a build has still to do, and what it has changed so far.
struct Work {
    /// Units to be made. One comes in while those before it are made: what is made of a host names clusters.
    units: Units,
    /// Clusters that a unit names no longer, and another may name again.
    released: BTreeSet<Arc<str>>,
    changed: bool,
}

impl Builder {
    /// A builder without objects. Its first build has the listeners and their empty tables.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut snapshot = Snapshot::default();
        let stats = listener::stats(&config.listeners);
        snapshot.insert(ResourceType::Listener, Arc::new(stats));
        for cluster in &config.clusters {
            snapshot.insert(
                ResourceType::Cluster,
                Arc::new(envoy::cluster::cluster(cluster)),
            );
        }
        let edge = &config.listeners.edge;
        let mut listeners = Listeners::new(edge, config.options.https_port);
        for listener in config.listeners.built_in() {
            listeners.declare(listener);
        }
        listeners.publish(&mut snapshot);
        Self {
            options: config.options,
            languages: Languages::default(),
            listeners,
            ingress_metrics: edge.ingress_metrics,
            threads: 1,
            store: Store::new(config.classes),
            changes: Changes::unread(),
            reads: Reads::default(),
            audit: None,
            is_first: true,
            forwarding: BTreeMap::new(),
            hosts: ByFront::default(),
            reached: Reached::default(),
            clusters: BTreeMap::new(),
            problems: Problems::default(),
            snapshot,
            statuses: Statuses::default(),
            translated: Translated::default(),
            derivations: Derivations::default(),
        }
    }

    /// Shares a build of many units, as the first is, between so many threads. The result is the same.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Reads one more language. Without this it is Ingress.
    #[must_use]
    pub fn with_language(mut self, language: &'static dyn Language) -> Self {
        self.languages = self.languages.with(language);
        self
    }

    /// Keeps what every unit reads, so that [`Builder::made_for_nothing`] can tell: for tests, at a multiple of the cost.
    #[must_use]
    pub fn with_audit(mut self) -> Self {
        self.audit = Some(Audit::default());
        self
    }

    /// The published units that were made again since this was asked last although nothing that they read differs. Always
    /// empty without [`Builder::with_audit`].
    pub fn made_for_nothing(&mut self) -> Vec<String> {
        let units = self.audit.as_mut().map(Audit::take).unwrap_or_default();
        units.iter().map(|unit| format!("{unit:?}")).collect()
    }

    /// Takes in one event. What it touches is built by the next [`Builder::build`].
    pub fn apply(&mut self, event: Event) {
        let prices = Prices {
            classes: self.store.selection(),
            nginx_compat: self.options.nginx_compat,
        };
        let event = within_budget(&self.languages, prices, event);
        self.store.apply(event, &mut self.changes);
    }

    /// Makes the units again that read a fact that differs, in the order of their strata. Where a unit's result is what it
    /// was, the change ends. Returns whether the snapshot differs from the one before; the first always does.
    pub fn build(&mut self) -> bool {
        let changes = std::mem::replace(&mut self.changes, Changes::read());
        if let Some(audit) = &mut self.audit {
            audit.start(&changes.objects);
        }
        let memo = Memo::default();
        let is_first = std::mem::take(&mut self.is_first);
        let mut work = Work {
            units: Units::default(),
            released: BTreeSet::new(),
            changed: is_first,
        };
        self.add_changed(changes, &mut work.units);
        if is_first {
            // With each host come a cluster and its endpoints, about; with each cluster, its Service and slices.
            self.reads.reserve(2 * work.units.len());
        }
        self.build_derived(&mut work, &memo);
        self.build_claims(&mut work, &memo);
        self.build_listeners(&mut work, &memo);
        self.build_derived(&mut work, &memo);
        self.build_hosts(&mut work, &memo);
        self.build_clusters(&mut work, &memo);
        self.build_endpoints(&mut work, &memo);
        self.build_secrets(&mut work, &memo);
        work.changed |= self.listeners.publish(&mut self.snapshot);
        self.build_objects(&mut work, &memo);
        let made = memo.into_made();
        self.derivations.derived += u64::try_from(made.len()).unwrap_or_default();
        self.reads.keep(made);
        if is_first {
            self.pack();
        }
        work.changed
    }

    /// The units that are new, gone, or have read what differs.
    fn add_changed(&self, changes: Changes, units: &mut Units) {
        let readers = changes.facts().flat_map(|fact| self.reads.readers(fact));
        units.extend(readers.cloned());
        units.extend(changes.claims.into_iter().filter_map(Unit::of_claim));
        for object in changes.objects {
            if self.languages.makes_claims(object.kind) {
                units.insert(Unit::Claims(object.clone()));
            }
            units.insert(Unit::Object(object));
        }
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

    /// How many reads are recorded, and the bytes that they take, about.
    #[must_use]
    pub fn reads(&self) -> (usize, usize) {
        (self.reads.count(), self.reads.bytes())
    }

    /// How much was translated.
    #[must_use]
    pub const fn translated(&self) -> Translated {
        self.translated
    }

    /// How much was found out since the start beside what was translated.
    #[must_use]
    pub const fn derivations(&self) -> Derivations {
        self.derivations
    }

    fn renderer<'a>(&'a self, memo: &'a Memo) -> Renderer<'a> {
        Renderer {
            store: &self.store,
            options: &self.options,
            languages: &self.languages,
            memo,
            ingress_metrics: self.ingress_metrics,
            is_audited: self.audit.is_some(),
        }
    }

    /// The unit was made of what it has read.
    fn record(&mut self, unit: &Unit, (reads, values): ReadFacts) {
        self.reads.record(unit, reads);
        if let (Some(audit), Some(values)) = (&mut self.audit, values) {
            audit.made(unit, values);
        }
    }

    /// The unit is no more.
    fn forget(&mut self, unit: &Unit) {
        self.reads.forget(unit);
        if let Some(audit) = &mut self.audit {
            audit.gone(unit);
        }
    }

    fn build_derived(&mut self, work: &mut Work, memo: &Memo) {
        // One at a time: whoever reads it sorts behind it, and may be derived itself.
        while let Some(derived) = work.units.take_first(|unit| match unit {
            Unit::Derived(derived) => Ok(derived),
            other => Err(other),
        }) {
            let value = self.renderer(memo).derived(&derived);
            if self.reads.value(&derived) != Some(value) {
                work.units
                    .extend(self.reads.readers(derived.fact()).cloned());
            }
        }
    }

    /// The first build files everything there is in the order of its names, which leaves every map half empty.
    fn pack(&mut self) {
        self.store.pack();
        self.reads.pack();
        self.hosts.pack();
        self.clusters = std::mem::take(&mut self.clusters).into_iter().collect();
        self.listeners.pack();
        self.snapshot.pack();
        let statuses = &mut self.statuses;
        statuses.ingresses = packed(&statuses.ingresses);
        statuses.http_proxies = packed(&statuses.http_proxies);
        statuses.extension_services = packed(&statuses.extension_services);
        statuses.gateway_api = packed(&statuses.gateway_api);
        statuses.certificates = packed(&statuses.certificates);
        statuses.owners = packed(&statuses.owners);
    }

    /// What is to be said of objects, and the verdicts that are published.
    fn build_objects(&mut self, work: &mut Work, memo: &Memo) {
        let objects: Vec<ObjectRef> = work.units.take(|unit| match unit {
            Unit::Object(object) => Ok(object),
            other => Err(other),
        });
        self.derivations.objects += u64::try_from(objects.len()).unwrap_or_default();
        let renderer = self.renderer(memo);
        let made = parallel_map(self.threads, &objects, |object| renderer.object(object));
        let mut wanted = BTreeMap::new();
        for (object, ((problems, status), reads)) in objects.iter().zip(made) {
            wanted.extend(status.map(|status| (object.clone(), status)));
            let unit = Unit::Object(object.clone());
            match self.store.contains(object) {
                true => self.record(&unit, reads),
                false => self.forget(&unit),
            }
            self.problems.set(unit, problems);
        }
        let mut concerned =
            self.problems
                .publish(&self.store, &objects, &mut self.statuses.problems);
        concerned.append(&mut self.reached.take_touched());
        concerned.retain(|object| self.languages.enters_what_is_found(object.kind));
        concerned.extend(objects);
        for object in concerned {
            let found = Found {
                problems: self.problems.of(&object),
                is_reached: self.reached.contains(&object),
                status: wanted.get(&object).cloned(),
            };
            self.languages
                .enter(&self.store, &object, &found, &mut self.statuses);
        }
    }

    /// Something is made from this object.
    fn record_owner(&mut self, owner: ObjectRef) {
        let uid = uid(&self.store, &owner);
        if self.statuses.owners.get(&owner) != Some(&uid) {
            self.statuses.owners.insert(owner, uid);
        }
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

/// Every object without what is beyond its budget.
fn within_budget(languages: &Languages, prices: Prices<'_>, event: Event) -> Event {
    match event {
        Event::Apply(object) => Event::Apply(languages.within_budget(object, prices)),
        Event::Delete(reference) => Event::Delete(reference),
        Event::Replace {
            kind,
            namespace,
            objects,
        } => {
            let objects = objects.into_iter();
            Event::Replace {
                kind,
                namespace,
                objects: objects
                    .map(|object| languages.within_budget(object, prices))
                    .collect(),
            }
        }
        Event::Batch(events) => {
            let events = events.into_iter();
            Event::Batch(
                events
                    .map(|event| within_budget(languages, prices, event))
                    .collect(),
            )
        }
    }
}
