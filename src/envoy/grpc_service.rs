//! Services that Envoy itself calls by gRPC.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as pb;

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

/// Unset it would be the cluster's name, whose slashes make it none: servers on `h2` reset the call for that (seen).
fn authority(cluster: &str) -> String {
    let is_kept = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let kept = |character| if is_kept(character) { character } else { '.' };
    cluster.chars().map(kept).collect()
}
