//! One type on one stream: what the client wants, has been sent, has taken, has refused, and what is due to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use xxhash_rust::xxh3::Xxh3;

use super::held::{Held, Holdings};
use super::names::Names;
use super::refusal::{Containment, Refused};
use super::report::Rejected;
use super::subscription::Subscription;
use super::{Resource, ResourceType};

/// Why a resource is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// It may differ from what the client was sent: to be sent if it does.
    Changed,
    /// The client asked for it, or needs it for something else that was sent: to be sent in any case.
    Asked,
}

/// A response that was sent and not yet answered.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its nonce.
    pub nonce: u64,
    /// When it was sent.
    pub at: Instant,
    /// Its version.
    pub version: Arc<str>,
    /// What was in it.
    pub resources: Vec<Arc<Resource>>,
    /// What it took away, and what the client held of it: if it refuses, it may hold it still.
    pub removed: Vec<(Arc<str>, Option<Held>)>,
    /// The set of its resources.
    pub digest: u64,
}

/// One type on one stream.
#[derive(Debug)]
pub struct Channel {
    /// The type.
    pub resource_type: ResourceType,
    /// What the client wants.
    pub subscription: Subscription,
    /// What it holds, by name.
    pub held: Holdings,
    /// What may have to be sent.
    pub due: BTreeMap<Arc<str>, Due>,
    /// Names whose removal is to be sent.
    pub pending_removals: BTreeSet<Arc<str>>,
    /// Names that the client is to be told do not exist, though it does not ask for them any more.
    pub unknown: Names,
    /// Names of resources that do not exist, remembered because the client has named them.
    pub nonexistent: Names,
    /// Whether the client says that it has something of an earlier stream.
    pub brought: bool,
    /// The next response is sent even if nothing is in it.
    pub must_answer: bool,
    /// The one response that waits for its answer.
    pub pending: Option<Pending>,
    /// The nonce of the last response; 0 before the first.
    pub last_nonce: u64,
    /// The nonce of the last response that was answered.
    pub answered: u64,
    /// Names that were asked for again while a response was under way.
    pub renewed: BTreeSet<Arc<str>>,
    /// The search for bad units, while there is one.
    pub containment: Option<Containment>,
    /// What is left out.
    pub refused: Refused,
    /// Sets of resources that the client refused, and why: none of them is sent again.
    pub refused_sets: RefusedSets,
    /// The version of the last response.
    pub sent_version: Option<Arc<str>>,
    /// The version of the last acknowledged response.
    pub acknowledged_version: Option<Arc<str>>,
    /// The last answered response, if it was refused.
    pub rejected: Option<Rejected>,
    /// When the last response was acknowledged.
    pub acknowledged_at: Option<Instant>,
}

impl Channel {
    /// A type that the client has not asked for.
    #[must_use]
    pub fn new(resource_type: ResourceType) -> Self {
        Self {
            resource_type,
            subscription: Subscription::new(resource_type),
            held: Holdings::default(),
            due: BTreeMap::new(),
            pending_removals: BTreeSet::new(),
            unknown: Names::default(),
            nonexistent: Names::default(),
            brought: false,
            must_answer: false,
            pending: None,
            last_nonce: 0,
            answered: 0,
            renewed: BTreeSet::new(),
            containment: None,
            refused: Refused::default(),
            refused_sets: RefusedSets::default(),
            sent_version: None,
            acknowledged_version: None,
            rejected: None,
            acknowledged_at: None,
        }
    }

    /// A resource may differ from what the client holds.
    pub fn changed(&mut self, name: &Arc<str>) {
        if self.subscription.covers(name) {
            self.due.entry(name.clone()).or_insert(Due::Changed);
        }
    }

    /// A resource has to be sent, if the client wants it.
    pub fn asked(&mut self, name: &Arc<str>) {
        if self.subscription.covers(name) {
            self.due.insert(name.clone(), Due::Asked);
        }
    }

    /// The client does not want a resource any more: nothing of it is kept or sent.
    pub fn drop_name(&mut self, name: &Arc<str>) {
        self.held.remove(name);
        self.due.remove(name);
        self.pending_removals.remove(name);
        self.unknown.remove(name);
        self.nonexistent.remove(name);
        self.renewed.remove(name);
    }

    /// The removal of a name is sent: it is remembered only if the client still asks for it, or is to be told of it.
    pub fn removed(&mut self, name: &Arc<str>) -> Option<Held> {
        if !self.subscription.names().contains(name) && !self.due.contains_key(name) {
            self.nonexistent.remove(name);
        }
        self.held.remove(name)
    }

    /// The client wants nothing that it does not name. Returns what that is.
    pub fn drop_unnamed(&mut self) -> Vec<Arc<str>> {
        let unnamed: Vec<Arc<str>> = self
            .held
            .names()
            .chain(self.due.keys())
            .chain(&self.pending_removals)
            .chain(self.unknown.iter())
            .filter(|name| !self.subscription.covers(name))
            .cloned()
            .collect();
        for name in &unnamed {
            self.drop_name(name);
        }
        unnamed
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.waiting() == 0
    }

    /// How many names wait to be sent or to be taken away.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.due.len() + self.pending_removals.len() + self.unknown.len()
    }

    /// Whether the response of this nonce was answered.
    #[must_use]
    pub fn answered(&self, nonce: u64) -> bool {
        self.pending
            .as_ref()
            .is_none_or(|pending| pending.nonce > nonce)
    }
}

/// Sets of resources that a client refused.
#[derive(Debug, Default)]
pub struct RefusedSets {
    sets: VecDeque<(u64, Arc<str>)>,
}

impl RefusedSets {
    /// How many are remembered. The search for one bad unit among 50,000 refuses fewer than 20 sets.
    const LIMIT: usize = 1024;

    /// Remembers a set and what the client said about it.
    pub fn insert(&mut self, digest: u64, reason: Arc<str>) {
        if self.get(digest).is_none() {
            if self.sets.len() == Self::LIMIT {
                self.sets.pop_front();
            }
            self.sets.push_back((digest, reason));
        }
    }

    /// What the client said about this set, if it refused it.
    #[must_use]
    pub fn get(&self, digest: u64) -> Option<&Arc<str>> {
        self.sets
            .iter()
            .find(|(set, _)| *set == digest)
            .map(|(_, reason)| reason)
    }
}

/// The hash of the names and versions of a set of resources.
#[must_use]
pub fn digest(resources: &[Arc<Resource>]) -> u64 {
    let mut hasher = Xxh3::new();
    for resource in resources {
        hasher.update(&(resource.name().len() as u64).to_le_bytes());
        hasher.update(resource.name().as_bytes());
        hasher.update(resource.version().as_bytes());
    }
    hasher.digest()
}
