//! Many streams, each of which names as much as one type may well have, of nothing that exists: the bounds of single
//! streams are no bound on all of them.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use crate::hostile::resident_megabytes;
use crate::support::ads::EDS;
use crate::support::eventually::eventually;
use crate::support::manifest::site;
use crate::support::stand::{Stand, apps};
use crate::{figures, rounds};

/// Of a stream, in one request.
const NAMES: usize = 50_000;
/// 256 MiB, and what the allocator keeps of requests that were under way.
const MEGABYTES: u64 = 400;

/// An open stream. The connection ends with both.
struct Open {
    responses: Streaming<DeltaDiscoveryResponse>,
    _requests: mpsc::Sender<DeltaDiscoveryRequest>,
}

/// A stream on a connection of its own that has been sent its first response, which it never answers.
async fn subscribe(socket: &Path, stream: usize) -> Result<Open, Status> {
    let socket = socket.to_owned();
    let channel = Endpoint::from_static("http://isobath")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .unwrap();
    let request = DeltaDiscoveryRequest {
        type_url: EDS.to_owned(),
        resource_names_subscribe: (0..NAMES).map(|name| format!("{stream}.{name}")).collect(),
        ..DeltaDiscoveryRequest::default()
    };
    let (requests, receiver) = mpsc::channel(1);
    requests.send(request).await.unwrap();
    let mut responses = AggregatedDiscoveryServiceClient::new(channel)
        .max_decoding_message_size(256 << 20)
        .delta_aggregated_resources(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    assert!(responses.message().await?.is_some());
    Ok(Open {
        responses,
        _requests: requests,
    })
}

fn check(status: &Status) {
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    let why = "what all clients have named is more than this server remembers";
    assert!(status.message().contains(why), "{status}");
}

/// The old server let all of them in: 64 of them took 1.6 GB.
#[tokio::test(flavor = "multi_thread")]
async fn many_streams_with_many_names() {
    let (_backends, manifests) = apps(&["web"]).await;
    let mut stand = Stand::start(&manifests).await;
    let pid = stand.isobath.process().pid();
    let socket = stand.isobath.xds();
    let before = resident_megabytes(pid);
    let count = rounds(16, 64);
    let mut open = Vec::new();
    let mut memory = Vec::new();
    let begin = Instant::now();
    for stream in 0..count {
        match subscribe(&socket, stream).await {
            Ok(stream) => open.push(stream),
            Err(status) => check(&status),
        }
        memory.push(resident_megabytes(pid));
    }
    let took = begin.elapsed();
    let ended = stand.isobath.metrics().await["isobath_xds_heavy_streams_total"];
    figures(
        "many_streams_with_many_names",
        format!(
            "{count} streams of {NAMES} names in {took:.1?}, {ended} of them ended; {before} MB before, then {memory:?}"
        ),
    );
    let most = memory.iter().max().unwrap();
    assert!(*most <= before + MEGABYTES, "{before} MB, then {memory:?}");
    let ended = ended as usize;
    assert!((8..=10).contains(&(count - ended)), "{ended} were ended");
    // Who has most is ended, which may be an earlier one. It is told too.
    let of_others = ended - (count - open.len());
    let mut told: FuturesUnordered<_> = open
        .iter_mut()
        .map(|stream| stream.responses.message())
        .collect();
    for _ in 0..of_others {
        check(&told.next().await.unwrap().unwrap_err());
    }
    drop(told);

    // Envoy does not notice, and there is room again when somebody leaves.
    stand
        .isobath
        .write("more.yaml", &[site("more", "more.test", "web:80")]);
    eventually("a change arrives", async || {
        let answer = stand.get("more.test", "/").await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    })
    .await;
    drop(open);
    eventually("who left is noticed", async || subscribe(&socket, 0).await).await;
    stand.isobath.process().assert_running();
}
