//! Clusters and their endpoints, whatever they are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::model::{Cluster, EndpointAddress, LoadAssignment};
use crate::objects::Problem;

use super::endpoints::endpoints as endpoints_of_port;
use super::{BackendPort, ClusterSource, Input, backend};

/// The cluster, `None` where its Service or port is gone.
#[must_use]
pub fn cluster(input: Input<'_>, source: &ClusterSource) -> Option<Cluster> {
    match source {
        ClusterSource::Port(port) => backend::cluster(input, port),
        ClusterSource::Ports(ports) => of_all(input, source.joined_name()?, ports.iter()),
        ClusterSource::Shares(shares) => {
            let ports = shares.iter().map(|(port, _)| port);
            of_all(input, source.joined_name()?, ports)
        }
        ClusterSource::Name(named) => Some(Cluster {
            name: named.cluster_name(),
            discovery: named.discovery(),
            settings: input.options.upstream.complete(named.settings.clone()),
            source: Some(named.source.clone()),
        }),
    }
}

/// All of them are there, or the cluster is not.
fn of_all<'a>(
    input: Input<'_>,
    name: Arc<str>,
    ports: impl Iterator<Item = &'a BackendPort>,
) -> Option<Cluster> {
    let clusters = ports.map(|port| backend::cluster(input, port));
    let mut clusters = clusters.collect::<Option<Vec<_>>>()?;
    (!clusters.is_empty()).then(|| Cluster {
        name,
        ..clusters.swap_remove(0)
    })
}

/// What the shares of all ports come to together.
const WHOLE: u64 = 1_000_000;

/// The endpoints of ports with shares: each has an even part of its port's. One of several ports has the sum.
fn shared(
    input: Input<'_>,
    cluster: &Arc<str>,
    shares: &[(BackendPort, NonZeroU32)],
) -> (LoadAssignment, Vec<Problem>) {
    let sum: u64 = shares.iter().map(|(_, share)| u64::from(share.get())).sum();
    let mut weights: BTreeMap<(Arc<str>, EndpointAddress), u64> = BTreeMap::new();
    let mut problems = Vec::new();
    for (port, share) in shares {
        let (assignment, found) = endpoints_of_port(input, cluster, port);
        problems.extend(found);
        let count: usize = assignment.localities.values().map(BTreeSet::len).sum();
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        let each = u64::from(share.get()) * WHOLE / sum.max(1) / count;
        for (zone, endpoints) in assignment.localities {
            for endpoint in endpoints {
                *weights.entry((zone.clone(), endpoint)).or_default() += each.max(1);
            }
        }
    }
    let mut all = LoadAssignment {
        cluster: cluster.clone(),
        localities: BTreeMap::new(),
    };
    for ((zone, endpoint), weight) in weights {
        let weight = u32::try_from(weight).ok().and_then(NonZeroU32::new);
        let endpoints = all.localities.entry(zone).or_default();
        endpoints.insert(EndpointAddress { weight, ..endpoint });
    }
    (all, problems)
}

/// The endpoints of a cluster that has a load assignment, and what is wrong with them.
#[must_use]
pub fn endpoints(
    input: Input<'_>,
    cluster: &Arc<str>,
    source: &ClusterSource,
) -> (LoadAssignment, Vec<Problem>) {
    match source {
        ClusterSource::Port(port) => endpoints_of_port(input, cluster, port),
        ClusterSource::Ports(ports) => {
            let mut all = LoadAssignment {
                cluster: cluster.clone(),
                localities: BTreeMap::new(),
            };
            let mut problems = Vec::new();
            for port in ports.iter() {
                let (assignment, found) = endpoints_of_port(input, cluster, port);
                problems.extend(found);
                for (zone, endpoints) in assignment.localities {
                    all.localities.entry(zone).or_default().extend(endpoints);
                }
            }
            (all, problems)
        }
        ClusterSource::Shares(shares) => shared(input, cluster, shares),
        ClusterSource::Name(_) => {
            let none = LoadAssignment {
                cluster: cluster.clone(),
                localities: BTreeMap::new(),
            };
            (none, Vec::new())
        }
    }
}
