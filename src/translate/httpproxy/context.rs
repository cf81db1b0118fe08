//! What is read on the way to one host, and what is found wrong: shared by all that is made of its HTTPProxies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::UpstreamProtocol;
use crate::objects::{NamespacedName, ObjectRef};
use crate::translate::{ClusterSource, Input, budget};

use super::condition::{self, Fault, Faults};

/// What is gathered for one host.
#[derive(Debug)]
pub struct Context<'a> {
    /// The objects.
    pub input: Input<'a>,
    /// What is found wrong.
    pub faults: Faults,
    /// The clusters that routes name.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// The ports that have one of them.
    ports: BTreeSet<(NamespacedName, u16)>,
    /// What is spoken to them.
    pub protocols: BTreeMap<Arc<str>, UpstreamProtocol>,
    /// The HTTPProxies that the host's routes come through.
    pub reached: BTreeSet<ObjectRef>,
    /// What its routes come to.
    pub account: Account,
}

impl<'a> Context<'a> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(input: Input<'a>) -> Self {
        Self {
            input,
            faults: Faults(Vec::new()),
            clusters: BTreeMap::new(),
            ports: BTreeSet::new(),
            protocols: BTreeMap::new(),
            reached: BTreeSet::new(),
            account: Account::NEW,
        }
    }

    /// Pays for a cluster that is about to be named: of a port of a Service, or else of a name. The first of a port is its
    /// Service's, which is an object of its own; each one more has settings that this host alone asks for.
    ///
    /// # Errors
    ///
    /// As [`Account::pay`].
    pub fn pay_cluster(
        &mut self,
        cluster: &Arc<str>,
        port: Option<(NamespacedName, u16)>,
    ) -> Result<(), Fault> {
        if self.clusters.contains_key(cluster) {
            return Ok(());
        }
        match port.is_some_and(|port| self.ports.insert(port)) {
            true => Ok(()),
            false => self.account.pay(budget::CLUSTER),
        }
    }

    /// Whether a Secret with a bundle of authorities can be used from a namespace.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn authorities(&self, secret: &NamespacedName, namespace: &str) -> Result<(), Unusable> {
        self.usable(secret, namespace, |input| input.reader.authorities(secret))
    }

    /// Whether a Secret with lists of revoked certificates can be used from a namespace.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn revocations(&self, secret: &NamespacedName, namespace: &str) -> Result<(), Unusable> {
        self.usable(secret, namespace, |input| input.reader.revocations(secret))
    }

    fn usable(
        &self,
        secret: &NamespacedName,
        namespace: &str,
        find: impl Fn(Input<'a>) -> Result<(), Option<&'a str>>,
    ) -> Result<(), Unusable> {
        if !self.input.reader.is_delegated(secret, namespace) {
            return Err(Unusable::NotPermitted);
        }
        if !self.sees(secret) {
            return Err(Unusable::Missing);
        }
        find(self.input).map_err(Unusable::of)
    }

    /// Whether Secrets of its namespace are looked at: with root namespaces only theirs are, delegated or not.
    #[must_use]
    pub fn sees(&self, secret: &NamespacedName) -> bool {
        is_root_namespace(self.input, &secret.namespace)
    }
}

/// Why a Secret can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is another namespace's.
    NotPermitted,
    /// It is not there.
    Missing,
    /// It is of no use.
    Broken(String),
}

impl Unusable {
    /// What a reader says of one.
    #[must_use]
    pub fn of(why: Option<&str>) -> Self {
        why.map_or(Self::Missing, |why| Self::Broken(why.to_owned()))
    }

    /// In Contour's words, where it has any.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::NotPermitted => "certificate delegation not permitted".to_owned(),
            Self::Missing => "Secret not found".to_owned(),
            Self::Broken(why) => why.clone(),
        }
    }
}

/// Whether roots may be in a namespace.
#[must_use]
pub fn is_root_namespace(input: Input<'_>, namespace: &str) -> bool {
    let named = &input.options.http_proxy.root_namespaces;
    named.is_empty() || named.iter().any(|name| **name == *namespace)
}

/// The Secret that a reference means: `name` in the namespace of the object that says it, or `namespace/name`.
#[must_use]
pub fn secret_reference(reference: &str, namespace: &Arc<str>) -> NamespacedName {
    match reference.split_once('/') {
        Some((namespace, name)) => NamespacedName::new(namespace, name),
        None => NamespacedName::new(namespace.clone(), reference),
    }
}

/// What the routes of a host come to, with what is read and told of them. It is paid before it is done: once it is too much,
/// whatever comes after is too.
#[derive(Debug)]
pub struct Account {
    cost: u64,
    /// What it may be: of the whole object, or up to the end of what is included now.
    limit: u64,
    /// What of it is paid of the route that is being made and will be in its cost.
    ahead: u64,
    /// How many routes there are.
    pub routes: usize,
}

impl Account {
    const NEW: Self = Self {
        cost: 0,
        limit: budget::BASE,
        ahead: 0,
        routes: 0,
    };

    /// Until [`Self::widen`] no more than this may be added; returns what it takes to widen it again.
    #[must_use]
    pub fn narrow(&mut self, most: u64) -> Outer {
        let outer = Outer {
            limit: self.limit,
            routes: self.routes,
        };
        self.limit = self.limit.min(self.cost.saturating_add(most));
        outer
    }

    /// What was included is made, or can't be.
    pub const fn widen(&mut self, outer: &Outer) {
        self.limit = outer.limit;
    }

    /// Gives up what was begun since it was narrowed: whether it was too much for that, and is not for what is around it.
    pub const fn give_up(&mut self, outer: &Outer) -> bool {
        self.widen(outer);
        if self.cost > self.limit {
            return false;
        }
        self.ahead = 0;
        self.routes = outer.routes;
        true
    }

    /// Pays for something.
    ///
    /// # Errors
    ///
    /// Where it would be more than one object may come to.
    pub fn pay(&mut self, cost: u64) -> Result<(), Fault> {
        self.cost = self.cost.saturating_add(cost);
        within(self.cost, self.limit, self.routes)
    }

    /// Pays for a part of the next route.
    ///
    /// # Errors
    ///
    /// As [`Self::pay`].
    pub fn pay_ahead(&mut self, cost: u64) -> Result<(), Fault> {
        self.ahead = self.ahead.saturating_add(cost);
        self.pay(cost)
    }

    /// Pays for the rest of the next route, which costs so much as a whole.
    ///
    /// # Errors
    ///
    /// As [`Self::pay`].
    pub fn pay_route(&mut self, cost: u64) -> Result<(), Fault> {
        let ahead = std::mem::take(&mut self.ahead);
        self.pay(cost.saturating_sub(ahead))
    }
}

/// What was the limit of an [`Account`] before it was narrowed.
#[derive(Debug)]
pub struct Outer {
    limit: u64,
    routes: usize,
}

/// That what many HTTPProxies include of one would be too much, told on each that is left out.
pub fn left_out(child: &NamespacedName, includer: &NamespacedName) -> Fault {
    let namespace = &includer.namespace;
    let message = format!(
        "include {child} is left out: with what older HTTPProxies of namespace {namespace} include of it, it would be more than one child may come to"
    );
    Fault::new(condition::TOO_LARGE, message)
}

/// What a route comes to must be bounded before it is made.
///
/// # Errors
///
/// Where it would be more than one object may come to.
pub fn within(cost: u64, limit: u64, routes: usize) -> Result<(), Fault> {
    if cost <= limit {
        return Ok(());
    }
    let message = format!(
        "its routes and includes come to more than one object may come to, at {routes} routes"
    );
    Err(Fault::new(condition::TOO_LARGE, message))
}
