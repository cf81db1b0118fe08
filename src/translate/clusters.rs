//! Clusters and their endpoints, whatever they are made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Cluster, LoadAssignment};
use crate::objects::Problem;

use super::endpoints::endpoints as endpoints_of_port;
use super::{ClusterSource, Input, backend};

/// The cluster, `None` where its Service or port is gone.
#[must_use]
pub fn cluster(input: Input<'_>, source: &ClusterSource) -> Option<Cluster> {
    match source {
        ClusterSource::Port(port) => backend::cluster(input, port),
        ClusterSource::Ports(ports) => {
            // All of them are there, or the cluster is not.
            let mut clusters = ports
                .iter()
                .map(|port| backend::cluster(input, port))
                .collect::<Option<Vec<_>>>()?;
            let (name, _) = ClusterSource::of_ports(ports.to_vec())?;
            (!clusters.is_empty()).then(|| Cluster {
                name,
                ..clusters.swap_remove(0)
            })
        }
        ClusterSource::Name(named) => Some(Cluster {
            name: named.cluster_name(),
            discovery: named.discovery(),
            settings: input.options.upstream.complete(named.settings.clone()),
            source: Some(named.source.clone()),
        }),
    }
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
        ClusterSource::Name(_) => {
            let none = LoadAssignment {
                cluster: cluster.clone(),
                localities: BTreeMap::new(),
            };
            (none, Vec::new())
        }
    }
}
