//! The server over real sockets and real gRPC: what transcripts of the state machine cannot show.

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use isobath::xds::{Address, ResourceType, Snapshot};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::server::{Delta, SOON, Server, connect, names, resource, snapshot};
use crate::support::eventually::eventually;

/// I3: what a delta response says; then a change, an acknowledgement, a refusal, and what is seen of it.
#[tokio::test]
async fn delta_over_a_unix_socket() {
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[
        (ResourceType::Cluster, "a", "1"),
        (ResourceType::Cluster, "b", "1"),
    ]));
    let mut stream = Delta::open(server.client().await).await;
    stream.subscribe(ResourceType::Cluster, &[]).await;
    let first = stream.next().await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(
        first.control_plane.as_ref().unwrap().identifier,
        "isobath-test"
    );
    let a = &first.resources[0];
    assert_eq!(a.resource.as_ref().unwrap().value, b"1");
    assert_eq!(a.version.len(), 16);
    assert!(a.ttl.is_none());
    stream.answer(&first, None).await;

    server.publish(&snapshot(&[
        (ResourceType::Cluster, "a", "1"),
        (ResourceType::Cluster, "b", "2"),
    ]));
    let second = stream.next().await;
    assert_eq!(names(&second), ["b"]);
    assert_ne!(second.nonce, first.nonce);
    let mut refused = server.reports.refused();
    stream.answer(&second, Some("b is bad")).await;
    let found = tokio::time::timeout(SOON, refused.wait_for(|refused| !refused.is_empty()))
        .await
        .unwrap()
        .unwrap()
        .clone();
    let unit = found.get_min().unwrap();
    assert_eq!((&*unit.resource, &*unit.reason), ("b", "b is bad"));
    let reports = server.reports.streams();
    let report = reports.values().next().unwrap();
    assert_eq!(report.node.as_deref(), Some("envoy-1"));
    assert_eq!(report.refused.len(), 1);

    let text = server.metrics();
    for line in [
        "isobath_xds_streams{variant=\"delta\"} 1",
        "isobath_xds_pushes_total{type=\"cds\"} 2",
        "isobath_xds_nack_total{type=\"cds\",owner=\"Ingress shop/web\"} 1",
        "isobath_xds_ack_seconds_count{type=\"cds\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    drop(stream);
    tokio::time::timeout(SOON, refused.wait_for(|refused| refused.is_empty()))
        .await
        .expect("gone with the stream")
        .unwrap();
    assert!(
        server
            .metrics()
            .contains("isobath_xds_streams{variant=\"delta\"} 0")
    );
    server.stop().await;
}

#[tokio::test]
async fn state_of_the_world_over_a_unix_socket() {
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[
        (ResourceType::Listener, "x", "1"),
        (ResourceType::Listener, "y", "1"),
    ]));
    let (requests, receiver) = mpsc::channel(8);
    let ask = |nonce: &str| DiscoveryRequest {
        type_url: ResourceType::Listener.type_url().into(),
        response_nonce: nonce.into(),
        ..DiscoveryRequest::default()
    };
    requests.send(ask("")).await.unwrap();
    let mut responses = server
        .client()
        .await
        .stream_aggregated_resources(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    let first = responses.message().await.unwrap().unwrap();
    assert_eq!(first.resources.len(), 2);
    assert_eq!(first.resources[0].value, b"1");
    requests.send(ask(&first.nonce)).await.unwrap();
    server.publish(&snapshot(&[(ResourceType::Listener, "x", "1")]));
    let second = responses.message().await.unwrap().unwrap();
    assert_eq!(second.resources.len(), 1, "complete, hence without y");
    assert_ne!(second.version_info, first.version_info);
    server.stop().await;
}

/// X-35, I5: a client can connect at once, and is answered when there is something to answer.
#[tokio::test]
async fn nothing_is_answered_before_the_first_snapshot() {
    let server = Server::start(&[]).await;
    let Address::Unix(path) = server.address.clone() else {
        unreachable!()
    };
    let early = UnixStream::connect(&path).await.unwrap();
    early.writable().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(200), early.readable())
            .await
            .is_err(),
        "not even the greeting of HTTP/2"
    );
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    tokio::time::timeout(SOON, early.readable())
        .await
        .expect("greeted")
        .unwrap();
    let mut stream = Delta::open(server.client().await).await;
    stream.subscribe(ResourceType::Cluster, &[]).await;
    assert_eq!(names(&stream.next().await), ["a"]);
    server.stop().await;
}

/// the two ways to ask for something that is not there.
#[tokio::test]
async fn unknown_methods_and_requests_without_a_type() {
    let server = Server::start(&[]).await;
    server.publish(&Snapshot::default());
    let mut stream = Delta::open(server.client().await).await;
    stream.send(DeltaDiscoveryRequest::default()).await;
    let status = stream.responses.message().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);

    let Address::Unix(path) = server.address.clone() else {
        unreachable!()
    };
    let mut other =
        envoy_types::pb::envoy::service::cluster::v3::cluster_discovery_service_client::ClusterDiscoveryServiceClient::new(
            connect(path).await,
        );
    let status = other
        .fetch_clusters(DiscoveryRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    server.stop().await;
}

/// a reconnect with 50,000 names, all of which the client claims to hold, in one request of over 4 MiB.
#[tokio::test]
async fn fifty_thousand_names() {
    let count = 50_000;
    let name =
        |n: usize| format!("a-rather-long-namespace-name/a-service-of-this-namespace-{n:05}/http");
    let mut all = Snapshot::default();
    for n in 0..count {
        all.insert(ResourceType::Endpoint, resource(&name(n), "1"));
    }
    let server = Server::start(&[]).await;
    server.publish(&all);
    let mut stream = Delta::open(server.client().await).await;
    stream
        .send(DeltaDiscoveryRequest {
            type_url: ResourceType::Endpoint.type_url().into(),
            resource_names_subscribe: (0..count).map(name).collect(),
            initial_resource_versions: (0..count).map(|n| (name(n), "1".repeat(16))).collect(),
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    assert_eq!(stream.next().await.resources.len(), count);
    server.stop().await;
}

/// Memory of this process: server and clients together.
fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() / 1024
}

const STUCK: usize = 8;
/// Of 200 kB each: 400 MB in all.
const REQUESTS: usize = 250;

/// clients that flood and never read cost no more than what is under way, and delay nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read() {
    let server = Server::start(&[]).await;
    let mut world = Snapshot::default();
    for n in 0..64 {
        let name = format!("c{n}");
        world.insert(ResourceType::Cluster, resource(&name, vec![b'x'; 1 << 16]));
    }
    server.publish(&world);
    let before = resident_megabytes();
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let mut client = server.client().await;
        let (requests, receiver) = mpsc::channel(4);
        let responses = client
            .delta_aggregated_resources(ReceiverStream::new(receiver))
            .await
            .unwrap();
        // Asks for everything again and again, and acknowledges nothing.
        let names = (0..2000).map(|n| format!("{n:0>100}"));
        let ask = DeltaDiscoveryRequest {
            type_url: ResourceType::Cluster.type_url().into(),
            resource_names_subscribe: names.chain(["*".into()]).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        for _ in 0..REQUESTS {
            // A server that takes no more of them is as good as one that takes them all.
            let taken = requests.send(ask.clone());
            if tokio::time::timeout(Duration::from_secs(2), taken)
                .await
                .is_err()
            {
                break;
            }
        }
        stuck.push((requests, responses));
    }
    let grown = resident_megabytes().saturating_sub(before);
    assert!(grown < 200, "{grown} MB for 4 MB of configuration");
    let pushes = || -> usize {
        let metrics = server.metrics();
        let count = metrics
            .lines()
            .find_map(|line| line.strip_prefix("isobath_xds_pushes_total{type=\"cds\"} "));
        count.map_or(0, |count| count.parse().unwrap())
    };
    eventually("every stream has its response", async || {
        let pushes = pushes();
        (pushes >= STUCK).then_some(()).ok_or(pushes)
    })
    .await;
    assert_eq!(pushes(), STUCK, "one unacknowledged response per stream");
    let mut healthy = Delta::open(server.client().await).await;
    healthy.subscribe(ResourceType::Cluster, &["*"]).await;
    let mut last = healthy.next().await;
    for version in 0..50_u32 {
        healthy.answer(&last, None).await;
        world.insert(ResourceType::Cluster, resource("c0", version.to_string()));
        server.publish(&world);
        last = healthy.next().await;
        assert_eq!(names(&last), ["c0"]);
    }
    server.stop().await;
}

/// The end of the publisher is the end of the server, and an error: nobody may go on with a dead controller.
#[tokio::test]
async fn ends_with_the_publisher() {
    let server = Server::start(&[]).await;
    server.publish(&Snapshot::default());
    let Server {
        publish,
        task,
        stop,
        ..
    } = server;
    drop(publish);
    let error = tokio::time::timeout(SOON, task)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("nobody publishes"), "{error}");
    drop(stop);
}

/// When the process stops, the publisher may be the first to be gone: no error.
#[tokio::test]
async fn stops_before_it_misses_the_publisher() {
    for serves in [false, true] {
        // Sixteen times, as whichever is seen first would be a matter of luck.
        for _ in 0..16 {
            let server = Server::start(&[]).await;
            if serves {
                server.publish(&Snapshot::default());
                tokio::task::yield_now().await;
            }
            let Server {
                task,
                publish,
                stop,
                ..
            } = server;
            drop((publish, stop));
            tokio::time::timeout(SOON, task)
                .await
                .expect("it ends")
                .unwrap()
                .unwrap();
        }
    }
}
