//! What Envoy is told to serve, read back out of the snapshot: the list for a person must say what is, and not what an
//! Ingress asks for.
//!
//! Work follows the change: a part of a route table is decoded when it is another one than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::route::v3 as pb;
use imbl::ordmap::DiffItem;
use pb::route::Action;
use pb::route_action::ClusterSpecifier;
use prost::Message as _;

use crate::envoy::listener::HTTP;
use crate::xds::{Part, Resource, ResourceType, Snapshot};

use super::sample::{Paths, Pattern};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It goes to this cluster.
    Forward(Arc<str>),
    /// It is redirected with this status.
    Redirect(u16),
    /// Envoy answers it itself.
    Status(u16),
}

/// A request that can be sent to a host, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The path, as a URL has it.
    pub path: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Who asked for the route, as `Kind namespace/name`; empty where nobody did.
    pub owner: String,
}

/// One host on one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This request is answered.
    Sample(Sample),
    /// It has routes, and no path is known that one of them takes: these are their expressions.
    Patterns(Vec<String>),
    /// It has no route: every request is answered 404.
    Nothing,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// In clear.
    pub http: Option<Answer>,
    /// Under TLS.
    pub https: Option<Answer>,
}

/// Reads snapshots, one after the other.
#[derive(Debug, Default)]
pub struct Served {
    tables: BTreeMap<Arc<str>, Table>,
    snapshot: Arc<Snapshot>,
}

#[derive(Debug)]
struct Table {
    resource: Arc<Resource>,
    /// By the key of their part.
    hosts: BTreeMap<Arc<str>, Vec<(String, Answer)>>,
}

impl Served {
    /// Takes in the snapshot of now.
    pub fn update(&mut self, snapshot: &Arc<Snapshot>) {
        self.snapshot = snapshot.clone();
        let tables = snapshot.resources(ResourceType::Route);
        self.tables.retain(|name, _| tables.contains_key(name));
        for (name, resource) in tables {
            let is_http = &**name == HTTP;
            match self.tables.get_mut(name) {
                None => {
                    let parts = resource.parts().iter();
                    let hosts = parts.map(|(key, part)| (key.clone(), hosts(part, is_http)));
                    let table = Table {
                        resource: resource.clone(),
                        hosts: hosts.collect(),
                    };
                    self.tables.insert(name.clone(), table);
                }
                Some(table) if Arc::ptr_eq(&table.resource, resource) => {}
                Some(table) => {
                    for difference in table.resource.parts().diff(resource.parts()) {
                        match difference {
                            DiffItem::Add(key, part)
                            | DiffItem::Update {
                                new: (key, part), ..
                            } => {
                                table.hosts.insert(key.clone(), hosts(part, is_http));
                            }
                            DiffItem::Remove(key, _) => {
                                table.hosts.remove(key);
                            }
                        }
                    }
                    table.resource = resource.clone();
                }
            }
        }
    }

    /// Every host, `*` for all that nobody names.
    #[must_use]
    pub fn hosts(&self) -> BTreeMap<&str, Host> {
        let mut all: BTreeMap<&str, Host> = BTreeMap::new();
        for (name, table) in &self.tables {
            for (host, answer) in table.hosts.values().flatten() {
                let entry = all.entry(host).or_default();
                let listener = match &**name == HTTP {
                    true => &mut entry.http,
                    false => &mut entry.https,
                };
                *listener = Some(answer.clone());
            }
        }
        all
    }

    /// Whether a cluster has nobody to send a request to.
    #[must_use]
    pub fn is_empty(&self, cluster: &str) -> bool {
        let assignment = self.snapshot.get(ResourceType::Endpoint, cluster);
        assignment.is_some_and(|resource| {
            let decoded = ClusterLoadAssignment::decode(resource.bytes());
            decoded.is_ok_and(|assignment| {
                let mut localities = assignment.endpoints.iter();
                localities.all(|locality| locality.lb_endpoints.is_empty())
            })
        })
    }
}

/// The hosts of a part of a table, less those that another TLS server serves.
fn hosts(part: &Part, is_http: bool) -> Vec<(String, Answer)> {
    // What we encoded ourselves a moment ago.
    let table = pb::RouteConfiguration::decode(part.bytes.to_bytes()).unwrap_or_default();
    let mut found = Vec::new();
    for host in table.virtual_hosts {
        let is_misdirected = |route: &pb::Route| outcome(route) == Outcome::Status(421);
        if !is_http && !host.routes.is_empty() && host.routes.iter().all(is_misdirected) {
            continue;
        }
        let answer = answer(&host.routes);
        found.extend(host.domains.into_iter().map(|name| (name, answer.clone())));
    }
    found
}

/// So many routes are tried: the shortest path is seldom the thousandth.
const TRIED: usize = 100;

fn answer(routes: &[pb::Route]) -> Answer {
    // Those with further conditions are for names that only Envoy's idea of a wildcard brings here.
    let unconditional = |route: &&pb::Route| {
        let matches = route.r#match.as_ref();
        matches.is_some_and(|matches| matches.headers.is_empty())
    };
    let routes: Vec<_> = routes
        .iter()
        .filter(unconditional)
        .filter_map(|route| Some((Pattern::of(route.r#match.as_ref()?)?, route)))
        .collect();
    if routes.is_empty() {
        return Answer::Nothing;
    }
    let paths = Paths::new(routes.iter().map(|(pattern, _)| pattern));
    let mut candidates: Vec<_> = routes
        .iter()
        .filter_map(|(pattern, _)| pattern.sample())
        .collect();
    candidates.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    candidates.dedup();
    let samples = candidates.into_iter().take(TRIED).filter_map(|path| {
        let (_, route) = routes.get(paths.first(&path)?)?;
        Some(Sample {
            path,
            outcome: outcome(route),
            owner: route.name.clone(),
        })
    });
    // A request that reaches a back end says more than one that doesn't.
    let rank = |sample: &Sample| match sample.outcome {
        Outcome::Forward(_) => 0,
        Outcome::Redirect(_) => 1,
        Outcome::Status(_) => 2,
    };
    match samples.min_by_key(rank) {
        Some(sample) => Answer::Sample(sample),
        None => Answer::Patterns(
            routes
                .iter()
                .map(|(pattern, _)| pattern.to_string())
                .collect(),
        ),
    }
}

fn outcome(route: &pb::Route) -> Outcome {
    match &route.action {
        Some(Action::Route(action)) => match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => Outcome::Forward(name.as_str().into()),
            Some(ClusterSpecifier::WeightedClusters(clusters)) => {
                let first = clusters.clusters.first();
                Outcome::Forward(first.map_or("", |cluster| cluster.name.as_str()).into())
            }
            _ => Outcome::Forward("".into()),
        },
        Some(Action::Redirect(redirect)) => Outcome::Redirect(match redirect.response_code() {
            pb::redirect_action::RedirectResponseCode::MovedPermanently => 301,
            pb::redirect_action::RedirectResponseCode::Found => 302,
            pb::redirect_action::RedirectResponseCode::SeeOther => 303,
            pb::redirect_action::RedirectResponseCode::TemporaryRedirect => 307,
            pb::redirect_action::RedirectResponseCode::PermanentRedirect => 308,
        }),
        Some(Action::DirectResponse(answer)) => {
            Outcome::Status(u16::try_from(answer.status).unwrap_or(500))
        }
        _ => Outcome::Status(404),
    }
}
