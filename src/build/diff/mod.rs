//! What a change of objects changes for clients: two states of the core, compared host by host and route by route.
//!
//! It looks at the model and not at objects: an object that is written in another way and means the same is no difference. It
//! reads both states and changes neither.

mod detail;
mod hosts;
mod overlap;
mod routes;
mod state;
mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::envoy::ended::{Ended, ended};
use crate::facts::Log;
use crate::model::{Discovery, Route};
use crate::objects::Problem;
use crate::translate::{self, HostUnit, Memo};
use crate::xds::{Resource, ResourceType};

use super::{Builder, ClusterState};
use detail::Settings;
use state::State;

pub use detail::Detail;
pub use hosts::{Answerer, HostDifference};
pub use routes::{Change, RouteDifference};
pub use taken::{Passed, PassedBy};

/// What differs between two states.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Hosts, by front, name and scheme.
    pub hosts: Vec<HostDifference>,
    /// Clusters that are in both, and do something else.
    pub clusters: Vec<ClusterDifference>,
    /// Certificates that are in both under one name, and are other ones.
    pub certificates: Vec<Arc<str>>,
    /// Listeners whose connections are ended, or that are new.
    pub listeners: Vec<ListenerDifference>,
    /// What is wrong now and was not before.
    pub told: Vec<Problem>,
    /// What was wrong before and is not any more.
    pub settled: Vec<Problem>,
    /// What Envoy is sent, by type.
    pub resources: Vec<ResourceDifference>,
}

/// A cluster that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDifference {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is spoken to in another way.
    pub settings: bool,
    /// Its endpoints before and after, where they differ.
    pub endpoints: Option<[Vec<SocketAddr>; 2]>,
}

/// A listener that differs to clients that are connected, or that can connect now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerDifference {
    /// Its name.
    pub name: Arc<str>,
    /// What becomes of it.
    pub change: ListenerChange,
}

/// What becomes of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerChange {
    /// It is opened.
    Opened,
    /// It is closed, and its connections are drained.
    Closed,
    /// It becomes another one: all of its connections are drained.
    Replaced,
    /// The connections for these names are drained.
    Drained(BTreeSet<String>),
}

/// What Envoy is sent of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceDifference {
    /// The type.
    pub resource_type: ResourceType,
    /// How many are new.
    pub added: usize,
    /// How many are other ones.
    pub changed: usize,
    /// How many go.
    pub removed: usize,
    /// The bytes of what is new or another one. Of a route table these are the hosts that differ, and not the table.
    pub bytes: usize,
}

impl Difference {
    /// Whether nothing differs for anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Guards that are gone from hosts and routes that are still there.
    pub fn opened(
        &self,
    ) -> impl Iterator<Item = (&HostDifference, Option<&RouteDifference>, &Detail)> {
        let stays = |change| matches!(change, Change::Changed | Change::Moved);
        let hosts = self.hosts.iter().filter(move |host| stays(host.change));
        hosts.flat_map(move |host| {
            let own = host.details.iter().map(move |detail| (host, None, detail));
            let routes = host.routes.iter().filter(move |route| stays(route.change));
            let routes = routes.flat_map(move |route| {
                route
                    .details
                    .iter()
                    .map(move |detail| (host, Some(route), detail))
            });
            own.chain(routes).filter(|(_, _, detail)| detail.opens())
        })
    }
}

/// What differs between `before` and `after`, as both are after the last [`Builder::build`].
#[must_use]
pub fn difference(before: &Builder, after: &Builder) -> Difference {
    let (old_memo, new_memo) = (Memo::default(), Memo::default());
    let (old_log, new_log) = (Log::default(), Log::default());
    let old = State::new(before, &old_memo, &old_log);
    let new = State::new(after, &new_memo, &new_log);
    let (hosts, chains) = hosts::differences(&old, &new);
    let [told, settled] = problems(before, after);
    Difference {
        hosts,
        clusters: clusters(&old, &new),
        certificates: certificates(before, after),
        listeners: listeners(before, after, &chains),
        told,
        settled,
        resources: ResourceType::ALL
            .into_iter()
            .map(|resource_type| resources(before, after, resource_type))
            .filter(|it| it.added + it.changed + it.removed > 0)
            .collect(),
    }
}

/// All that a route does, setting by setting: what would be told if it were added.
#[must_use]
pub fn route_settings(route: &Route) -> Vec<Detail> {
    Settings::differences(&Settings::default(), &routes::of_route(route))
}

/// All that holds for every request of a host, in clear or by TLS, and for its connections.
#[must_use]
pub fn host_settings(unit: &HostUnit, tls: bool) -> Vec<Detail> {
    let settings = hosts::settings(unit, tls).unwrap_or_default();
    Settings::differences(&Settings::default(), &settings)
}

fn clusters(old: &State<'_>, new: &State<'_>) -> Vec<ClusterDifference> {
    let differs = |resource_type, name: &str| {
        let of = |state: &State<'_>| {
            let resource = state.builder.snapshot.get(resource_type, name);
            resource.map(|resource| resource.version().clone())
        };
        of(old) != of(new)
    };
    let both = old.builder.clusters.iter().filter_map(|(name, before)| {
        let after = new.builder.clusters.get(name)?;
        Some((name, before, after))
    });
    both.filter_map(|(name, before, after)| {
        let [was, is] = [endpoints(old, name, before), endpoints(new, name, after)];
        let settings = differs(ResourceType::Cluster, name);
        let others = was != is || differs(ResourceType::Endpoint, name);
        (settings || others).then(|| ClusterDifference {
            name: name.clone(),
            settings,
            endpoints: others.then_some([was, is]),
        })
    })
    .collect()
}

fn endpoints(state: &State<'_>, name: &Arc<str>, cluster: &ClusterState) -> Vec<SocketAddr> {
    let model = translate::cluster(state.input, &cluster.backend);
    if !model.is_some_and(|it| matches!(it.discovery, Discovery::Endpoints)) {
        return Vec::new();
    }
    let (assignment, _) = translate::endpoints(state.input, name, &cluster.backend);
    let mut endpoints: Vec<SocketAddr> = assignment
        .localities
        .values()
        .flatten()
        .map(|endpoint| SocketAddr::new(endpoint.ip, endpoint.port))
        .collect();
    endpoints.sort_unstable();
    endpoints
}

fn certificates(before: &Builder, after: &Builder) -> Vec<Arc<str>> {
    let old = before.snapshot.resources(ResourceType::Secret);
    let differs = |(name, secret): &(&Arc<str>, &Arc<Resource>)| {
        let new = after.snapshot.get(ResourceType::Secret, name);
        new.is_some_and(|new| new.version() != secret.version())
    };
    let differing = old.iter().filter(differs);
    differing.map(|(name, _)| name.clone()).collect()
}

fn listeners(
    before: &Builder,
    after: &Builder,
    chains: &BTreeMap<(Arc<str>, String), BTreeSet<String>>,
) -> Vec<ListenerDifference> {
    let [old, new] = [before, after].map(|it| it.snapshot.resources(ResourceType::Listener));
    let opened = new.keys().filter(|name| !old.contains_key(*name));
    let opened = opened.map(|name| (name, ListenerChange::Opened));
    let was_there = old.iter().filter_map(|(name, listener)| {
        let after = new.get(name).map(|listener| &**listener);
        let change = match ended(listener, after) {
            Ended::All if after.is_none() => ListenerChange::Closed,
            Ended::All => ListenerChange::Replaced,
            Ended::Chains(names) if names.is_empty() => return None,
            Ended::Chains(names) => {
                let hosts = names.into_iter().flat_map(|chain| {
                    let key = (name.clone(), chain);
                    match chains.get(&key) {
                        Some(hosts) => hosts.clone(),
                        None => BTreeSet::from([key.1]),
                    }
                });
                ListenerChange::Drained(hosts.collect())
            }
        };
        Some((name, change))
    });
    let mut listeners: Vec<_> = opened
        .chain(was_there)
        .map(|(name, change)| ListenerDifference {
            name: name.clone(),
            change,
        })
        .collect();
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    listeners
}

/// What is wrong only after, and what only before.
fn problems(before: &Builder, after: &Builder) -> [Vec<Problem>; 2] {
    let all = |builder: &Builder| -> BTreeSet<Problem> {
        let problems = builder.statuses.problems.values();
        problems
            .flat_map(|it| it.problems.iter().cloned())
            .collect()
    };
    let [old, new] = [before, after].map(all);
    let only = |some: &BTreeSet<Problem>, others| some.difference(others).cloned().collect();
    [only(&new, &old), only(&old, &new)]
}

fn resources(before: &Builder, after: &Builder, resource_type: ResourceType) -> ResourceDifference {
    let [old, new] = [before, after].map(|it| it.snapshot.resources(resource_type));
    let mut difference = ResourceDifference {
        resource_type,
        added: 0,
        changed: 0,
        removed: old.keys().filter(|name| !new.contains_key(*name)).count(),
        bytes: 0,
    };
    for (name, resource) in new {
        match old.get(name) {
            None => {
                difference.added += 1;
                difference.bytes += resource.length();
            }
            Some(before) if before.version() == resource.version() => {}
            Some(before) => {
                difference.changed += 1;
                difference.bytes += bytes_of_change(before, resource);
            }
        }
    }
    difference
}

/// A table that has parts is sent by its parts that differ.
fn bytes_of_change(before: &Resource, after: &Resource) -> usize {
    if after.parts().is_empty() {
        return after.length();
    }
    let differing = after.parts().iter().filter(|(key, part)| {
        let old = before.parts().get(*key);
        old.is_none_or(|old| old.bytes != part.bytes)
    });
    differing.map(|(_, part)| part.bytes.len()).sum()
}
