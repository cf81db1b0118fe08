//! The endpoints of a cluster.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::{self as core, Locality};
use envoy_types::pb::envoy::config::endpoint::v3 as pb;

use super::encode::{own_part, peer_address, u32_value};
use crate::model::{EndpointAddress, LoadAssignment};
use crate::xds::Resource;

/// The assignment under its cluster's name; without endpoints it is an empty message, which is what Envoy must be
/// told (an absent one makes it wait for 15 seconds).
///
/// Zones are told as localities without weights. Clusters do not balance by locality weight, so every endpoint gets
/// an equal share wherever it is; a snapshot knows no node, so nothing here can prefer a zone.
#[must_use]
pub fn load_assignment(assignment: &LoadAssignment) -> Resource {
    let message = pb::ClusterLoadAssignment {
        cluster_name: assignment.cluster.to_string(),
        endpoints: assignment
            .localities
            .iter()
            .filter(|(_, endpoints)| !endpoints.is_empty())
            .map(|(zone, endpoints)| locality(zone, endpoints))
            .collect(),
        ..Default::default()
    };
    Resource::whole(
        assignment.cluster.clone(),
        own_part(&message, BTreeSet::new()),
    )
}

fn locality(zone: &str, endpoints: &BTreeSet<EndpointAddress>) -> pb::LocalityLbEndpoints {
    pb::LocalityLbEndpoints {
        locality: (!zone.is_empty()).then(|| Locality {
            zone: zone.to_owned(),
            ..Default::default()
        }),
        lb_endpoints: endpoints
            .iter()
            .map(|endpoint| {
                let ip = endpoint.ip.to_string();
                pb::LbEndpoint {
                    load_balancing_weight: endpoint.weight.and_then(|it| u32_value(it.get())),
                    ..lb_endpoint(ip, endpoint.port, endpoint.health_port)
                }
            })
            .collect(),
        ..Default::default()
    }
}

/// One endpoint by address or, in a DNS cluster, by name, and the port where it is asked whether it is well.
pub(super) fn lb_endpoint(host: String, port: u16, health_port: Option<u16>) -> pb::LbEndpoint {
    endpoint_at(peer_address(host, port), health_port)
}

/// One that is a Unix socket.
pub(super) fn socket_endpoint(path: String) -> pb::LbEndpoint {
    let address = core::Address {
        address: Some(core::address::Address::Pipe(core::Pipe {
            path,
            ..Default::default()
        })),
    };
    endpoint_at(address, None)
}

fn endpoint_at(address: core::Address, health_port: Option<u16>) -> pb::LbEndpoint {
    pb::LbEndpoint {
        host_identifier: Some(pb::lb_endpoint::HostIdentifier::Endpoint(pb::Endpoint {
            address: Some(address),
            health_check_config: health_port.map(|port| pb::endpoint::HealthCheckConfig {
                port_value: port.into(),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..Default::default()
    }
}
