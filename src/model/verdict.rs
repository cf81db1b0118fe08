//! What the controller found out about the objects, for those who tell it to Kubernetes and to people.
//!
//! Finished values only: the controller makes them, the status task and the metrics read them. The maps are
//! persistent, so that a new [`Statuses`] costs what changed, and so does the difference between two of them
//! (`OrdMap::diff` skips the parts that both share). Nothing in here does IO.

use std::sync::Arc;

use imbl::OrdMap;

use super::tls::Validity;
use crate::objects::gateway_api;
use crate::objects::http_proxy::{Status, SubCondition};
use crate::objects::{Field, Ingress, LoadBalancerAddress, NamespacedName, ObjectRef, Problem};

/// The verdicts on all objects at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statuses {
    /// Every Ingress that is seen, served or not.
    pub ingresses: OrdMap<NamespacedName, IngressFacts>,
    /// Every HTTPProxy that is seen, where they are served.
    pub http_proxies: OrdMap<NamespacedName, ConditionFacts>,
    /// The same of ExtensionServices.
    pub extension_services: OrdMap<NamespacedName, ConditionFacts>,
    /// Every object of the Gateway API that is seen and has a status.
    pub gateway_api: OrdMap<ObjectRef, GatewayApiFacts>,
    /// What is wrong, by object. An object without problems is not in here.
    pub problems: OrdMap<ObjectRef, ObjectProblems>,
    /// When each certificate in use is good, by Secret.
    pub certificates: OrdMap<NamespacedName, Validity>,
    /// `metadata.uid` of the Services and Secrets that clusters and certificates are made from: Envoy may refuse one.
    pub owners: OrdMap<ObjectRef, Arc<str>>,
}

/// What the status task has to know of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressFacts {
    /// `metadata.uid`: an Ingress of the same name that was created anew is another one.
    pub uid: Arc<str>,
    /// Whether it is of our class, so that we serve it in whole or in part and publish our addresses on it.
    /// Where this is false, addresses that we once wrote are taken away again.
    pub served: bool,
    /// `status.loadBalancer.ingress` as last seen.
    pub load_balancer: Arc<[LoadBalancerAddress]>,
    /// The Ingress itself, for `isobath run`, which says what became of it.
    pub ingress: Option<Arc<Ingress>>,
}

/// What the status task has to know of an object whose status lists what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionFacts {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.generation`: what the verdict is about.
    pub generation: i64,
    /// Whether it is of our class. What is of another's is not written to.
    pub served: bool,
    /// What keeps it, or a part of it, from being served, in the order in which it was found.
    pub errors: Arc<[SubCondition]>,
    /// What is ignored of it.
    pub warnings: Arc<[SubCondition]>,
    /// `status` as last seen.
    pub seen: Arc<Status>,
}

/// What the status task has to know of an object of the Gateway API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayApiFacts {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// When it was created: the older one is given an address first.
    pub created: Option<jiff::Timestamp>,
    /// What is to be written; `None` for what is not ours.
    pub wanted: Option<Arc<WantedStatus>>,
    /// How many entries its status has room for, of a kind that may be out of it: those of others are there before ours.
    pub room: Option<usize>,
    /// What is ours of `status` as last seen.
    pub seen: Arc<gateway_api::Status>,
}

/// What the status of an object of the Gateway API is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedStatus {
    /// What is to be written.
    pub status: gateway_api::Status,
    /// How many addresses a Gateway is still to be given. They stand in its status before anybody binds them.
    pub wanted_addresses: u32,
    /// Whether a Gateway is reached as Ingresses are, so that its addresses are those that are published on them.
    pub has_fleet_addresses: bool,
    /// What the Service of a Gateway is to bear.
    pub infrastructure: Option<Arc<Infrastructure>>,
}

/// A Service that bears what a Gateway says of its infrastructure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// The name of the Service, in the Gateway's namespace.
    pub service: Arc<str>,
    /// Its labels, sorted.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// Its annotations, sorted.
    pub annotations: Box<[(Arc<str>, Arc<str>)]>,
    /// Whether there is a Service of the name.
    pub is_there: bool,
}

impl Infrastructure {
    /// Whether the Service would be the same.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        self.service == other.service
            && self.labels == other.labels
            && self.annotations == other.annotations
    }
}

/// The problems of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectProblems {
    /// `metadata.uid`. `kubectl describe` finds Events by it; empty where it is not known.
    pub uid: Arc<str>,
    /// At least one, sorted, without duplicates.
    pub problems: Arc<[Problem]>,
}

/// An object of whose resources Envoy refused one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusedObject {
    /// The owning object as `Kind namespace/name`, for instance `Ingress shop/web`.
    pub owner: String,
    /// The field of it, where one is known.
    pub field: Field,
    /// Why, in one sentence; never Envoy's own words about a Secret (I10).
    pub reason: String,
}
