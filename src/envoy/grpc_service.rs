//! Services that Envoy itself calls by gRPC.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as pb;

use super::bootstrap::AUTHZ_CLUSTER;
use super::encode::duration;

/// Calls to a cluster, each of which may take so long.
pub(super) fn grpc_service(cluster: &str, timeout: Duration) -> pb::GrpcService {
    let envoy_grpc = pb::grpc_service::EnvoyGrpc {
        cluster_name: cluster.to_owned(),
        authority: authority(cluster),
        ..Default::default()
    };
    pb::GrpcService {
        timeout: duration(timeout),
        target_specifier: Some(pb::grpc_service::TargetSpecifier::EnvoyGrpc(envoy_grpc)),
        ..Default::default()
    }
}

/// The header of a call to `isobath authz` that says whose request it is: the client's address, as the proxies say that the
/// operator trusts. The message of the call has the peer's of the connection.
pub const CLIENT_ADDRESS: &str = "x-isobath-client-address";

/// Calls to `isobath authz` in Envoy's pod.
pub(super) fn guard_service(timeout: Duration) -> pb::GrpcService {
    pb::GrpcService {
        initial_metadata: vec![pb::HeaderValue {
            key: CLIENT_ADDRESS.to_owned(),
            value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%".to_owned(),
            ..Default::default()
        }],
        ..grpc_service(AUTHZ_CLUSTER, timeout)
    }
}

/// Unset it would be the cluster's name, whose slashes make it none: servers on `h2` reset the call for that (seen).
fn authority(cluster: &str) -> String {
    let is_kept = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let kept = |character| if is_kept(character) { character } else { '.' };
    cluster.chars().map(kept).collect()
}
