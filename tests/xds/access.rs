//! No service but the aggregated one, and no connection for a peer that is gone.

use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use http::uri::PathAndQuery;
use isobath::xds::{Address, ResourceType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tonic_prost::ProstCodec;

use super::server::{Server, connect, snapshot};

/// Every service of Envoy's API that hands out resources or takes reports, what servers have beside them, and names
/// that nobody has.
const SERVICES: &[(&str, &[&str])] = &[
    (
        "envoy.service.cluster.v3.ClusterDiscoveryService",
        &["StreamClusters", "DeltaClusters", "FetchClusters"],
    ),
    (
        "envoy.service.endpoint.v3.EndpointDiscoveryService",
        &["StreamEndpoints", "DeltaEndpoints", "FetchEndpoints"],
    ),
    (
        "envoy.service.listener.v3.ListenerDiscoveryService",
        &["StreamListeners", "DeltaListeners", "FetchListeners"],
    ),
    (
        "envoy.service.route.v3.RouteDiscoveryService",
        &["StreamRoutes", "DeltaRoutes", "FetchRoutes"],
    ),
    (
        "envoy.service.route.v3.VirtualHostDiscoveryService",
        &["DeltaVirtualHosts"],
    ),
    (
        "envoy.service.route.v3.ScopedRoutesDiscoveryService",
        &[
            "StreamScopedRoutes",
            "DeltaScopedRoutes",
            "FetchScopedRoutes",
        ],
    ),
    (
        "envoy.service.secret.v3.SecretDiscoveryService",
        &["StreamSecrets", "DeltaSecrets", "FetchSecrets"],
    ),
    (
        "envoy.service.runtime.v3.RuntimeDiscoveryService",
        &["StreamRuntime", "DeltaRuntime", "FetchRuntime"],
    ),
    (
        "envoy.service.extension.v3.ExtensionConfigDiscoveryService",
        &[
            "StreamExtensionConfigs",
            "DeltaExtensionConfigs",
            "FetchExtensionConfigs",
        ],
    ),
    (
        "envoy.service.status.v3.ClientStatusDiscoveryService",
        &["StreamClientStatus", "FetchClientStatus"],
    ),
    (
        "envoy.service.load_stats.v3.LoadReportingService",
        &["StreamLoadStats"],
    ),
    (
        "envoy.service.health.v3.HealthDiscoveryService",
        &["StreamHealthCheck", "FetchHealthCheck"],
    ),
    (
        "envoy.service.discovery.v3.AggregatedDiscoveryService",
        &["FetchAggregatedResources", "streamAggregatedResources", ""],
    ),
    (
        "envoy.service.discovery.v2.AggregatedDiscoveryService",
        &["StreamAggregatedResources"],
    ),
    ("envoy.api.v2.SecretDiscoveryService", &["FetchSecrets"]),
    (
        "grpc.reflection.v1.ServerReflection",
        &["ServerReflectionInfo"],
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &["ServerReflectionInfo"],
    ),
    ("grpc.health.v1.Health", &["Check", "Watch"]),
    (
        "grpc.channelz.v1.Channelz",
        &["GetServers", "GetTopChannels"],
    ),
    ("", &["", "StreamAggregatedResources"]),
];

/// Whatever is asked of another service is not implemented, unary or as a stream.
#[tokio::test]
async fn no_other_service() {
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[(
        ResourceType::Secret,
        "default/web",
        "PRIVATE",
    )]));
    let Address::Unix(socket) = server.address.clone() else {
        unreachable!()
    };
    let channel = connect(socket).await;
    let mut asked = 0;
    for (service, methods) in SERVICES {
        for method in *methods {
            let path: PathAndQuery = format!("/{service}/{method}").parse().unwrap();
            let request = DiscoveryRequest {
                type_url: ResourceType::Secret.type_url().into(),
                resource_names: vec!["default/web".into()],
                ..DiscoveryRequest::default()
            };
            let mut client = tonic::client::Grpc::new(channel.clone());
            let codec = ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default;
            client.ready().await.unwrap();
            let unary = client
                .unary(tonic::Request::new(request.clone()), path.clone(), codec())
                .await;
            client.ready().await.unwrap();
            let stream = tonic::Request::new(tokio_stream::once(request));
            let stream = client.streaming(stream, path.clone(), codec()).await;
            for status in [unary.unwrap_err(), stream.unwrap_err()] {
                assert_eq!(
                    status.code(),
                    tonic::Code::Unimplemented,
                    "{path}: {status}"
                );
            }
            asked += 2;
        }
    }
    println!("{asked} requests to other methods");
    server.stop().await;
}

/// An HTTP/2 peer that says nothing any more, as one whose host is gone, is asked once and then let go. Time is
/// paused: it passes where everybody waits.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_let_go() {
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    let Address::Unix(socket) = server.address.clone() else {
        unreachable!()
    };
    let mut peer = UnixStream::connect(socket).await.unwrap();
    let start = Instant::now();
    // The preface and empty SETTINGS.
    let greeting = Bytes::from_static(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    peer.write_all(&greeting).await.unwrap();
    let mut received = Vec::new();
    peer.read_to_end(&mut received).await.unwrap();
    let after = start.elapsed();
    let (least, most) = (Duration::from_secs(30), Duration::from_secs(60));
    assert!((least..most).contains(&after), "{after:?}");
    // A PING without ACK: length 8, type 6, flags 0.
    let ping = b"\0\0\x08\x06\0";
    assert!(
        received.windows(ping.len()).any(|window| window == ping),
        "it was asked"
    );
    server.stop().await;
}
