//! `isobath xds` at a server.

use std::process::Command;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::EdsClusterConfig;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use isobath::xds::ResourceType;
use prost::Message as _;

use crate::ads::{self, Resources};
use crate::process::{isobath, output, text};

fn served() -> Resources {
    let cluster = Cluster {
        name: "web".to_owned(),
        eds_cluster_config: Some(EdsClusterConfig {
            service_name: "default/web".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let assignment = ClusterLoadAssignment {
        cluster_name: "default/web".to_owned(),
        ..Default::default()
    };
    let bytes = |bytes: Vec<u8>| Bytes::from(bytes);
    Resources::from([
        (
            (ResourceType::Cluster, "web".to_owned()),
            bytes(cluster.encode_to_vec()),
        ),
        (
            (ResourceType::Endpoint, "default/web".to_owned()),
            bytes(assignment.encode_to_vec()),
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("xds.sock");
    let (_sender, refusals) = ads::serve(&socket, served());
    let address = format!("unix:{}", socket.display());
    for (arguments, head, content) in [
        (
            vec!["cds"],
            "--- # cds web version ",
            "service_name: default/web",
        ),
        (
            vec!["eds"],
            "--- # eds default/web version ",
            "cluster_name: default/web",
        ),
        (
            vec!["eds", "default/web"],
            "--- # eds default/web version ",
            "cluster_name: default/web",
        ),
    ] {
        let mut command: Command = isobath(&["xds"]);
        command.args(&arguments).args(["--xds-address", &address]);
        let result = tokio::task::spawn_blocking(move || output(&mut command))
            .await
            .unwrap();
        let (stdout, stderr) = (text(&result.stdout), text(&result.stderr));
        assert_eq!(result.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(
            stdout.starts_with(head) && stdout.contains(content),
            "{arguments:?}: {stdout}"
        );
    }
    assert!(refusals.lock().unwrap().is_empty());
}
