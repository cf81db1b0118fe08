//! What the controller found out about the objects, for those who tell it to Kubernetes and to people.
//!
//! Finished values only: the controller makes them, the status task and the metrics read them. The maps are
//! persistent, so that a new [`Statuses`] costs what changed, and so does the difference between two of them
//! (`OrdMap::diff` skips the parts that both share). Nothing in here does IO.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;

use super::tls::Validity;
use crate::objects::gateway_api;
use crate::objects::http_proxy::{Status, SubCondition};
use crate::objects::{Field, Ingress, LoadBalancerAddress, NamespacedName, ObjectRef, Problem};

/// The verdicts on all objects at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statuses {
    /// The number of the snapshot that was the newest when they last changed: all that they say is in it. 0 before the first.
    pub snapshot: u64,
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
    /// Of a Gateway or a ListenerSet: where each of its listeners is, by the name of the model's listener, and its place in
    /// [`gateway_api::Status::listeners`].
    pub places: Box<[(Arc<str>, usize)]>,
    /// What is to be kept for a Gateway.
    pub infrastructure: Option<Arc<Infrastructure>>,
    /// Services of ours that are there for a Gateway and are to be no longer, by name.
    pub leftovers: Box<[Arc<str>]>,
    /// Whether the object is not ours, as its class is another controller's or gone, so that no status of it is written.
    pub is_foreign: bool,
}

/// What is kept for a Gateway: a Service that bears what it says of its infrastructure, and the one by which it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// The name of the Service, in the Gateway's namespace.
    pub service: Arc<str>,
    /// Its labels, sorted.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// Its annotations, sorted.
    pub annotations: Box<[(Arc<str>, Arc<str>)]>,
    /// The Service by which the Gateway is reached, where it has one of its own.
    pub load_balancer: Option<LoadBalancer>,
    /// The names of those that can't be written for now: one of the name is being deleted, or is somebody else's.
    pub in_the_way: Box<[Arc<str>]>,
    /// Whether the Services are there, whatever their slices lead to.
    pub has_services: bool,
    /// Whether all of it is there.
    pub is_there: bool,
}

/// A Service of type LoadBalancer for one Gateway. Its ports lead to those ports of the pods that are its node ports, which no
/// other Service has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    /// The name of the Service, in the Gateway's namespace.
    pub service: Arc<str>,
    /// Its ports, sorted, and whether each is one of UDP.
    pub ports: Box<[(u16, bool)]>,
    /// The address that the Gateway asks for.
    pub address: Option<IpAddr>,
    /// The pods of Envoy.
    pub pods: Box<[PodEndpoint]>,
}

/// A pod as an endpoint of such a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodEndpoint {
    /// Its address.
    pub address: IpAddr,
    /// `conditions.ready`.
    pub ready: bool,
    /// `conditions.serving`.
    pub serving: bool,
    /// `conditions.terminating`.
    pub terminating: bool,
    /// `zone`.
    pub zone: Option<Arc<str>>,
}

impl Infrastructure {
    /// Whether all of it would be the same.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        self.has_services_as(other) && self.load_balancer == other.load_balancer
    }

    /// Whether the Services would be the same, whatever the pods are.
    #[must_use]
    pub fn has_services_as(&self, other: &Self) -> bool {
        let of = |it: &Self| {
            let own = it.load_balancer.as_ref();
            own.map(|it| (it.service.clone(), it.ports.clone(), it.address))
        };
        self.service == other.service
            && self.labels == other.labels
            && self.annotations == other.annotations
            && of(self) == of(other)
    }
}

/// What the Envoys of this process have made of what was published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The number of the newest snapshot of which any of them has acknowledged all; 0 for none.
    pub acknowledged: u64,
    /// Whether any is connected: without one, what is published counts as acknowledged.
    pub is_connected: bool,
    /// The listeners that one of them refuses as a whole, by the name of the model's listener, and why.
    pub refused_listeners: Arc<BTreeMap<Arc<str>, Arc<str>>>,
}

impl Delivery {
    /// Whether what is in the snapshot of this number is with an Envoy, or there is none to wait for.
    #[must_use]
    pub const fn has(&self, number: u64) -> bool {
        !self.is_connected || self.acknowledged >= number
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
