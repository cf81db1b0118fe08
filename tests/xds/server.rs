//! The server on a socket of its own, and a client of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::rpc::Status as RefusalStatus;
use hyper_util::rt::TokioIo;
use isobath::xds::server::Args;
use isobath::xds::{Address, Metrics, Part, Published, Reports, Resource, ResourceType, Snapshot};
use prometheus_client::registry::Registry;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// For anything that should take milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(60);

#[derive(Parser)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) args: Args,
}

pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) publish: watch::Sender<Option<Published>>,
    pub(crate) reports: Reports,
    pub(crate) registry: Registry,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<anyhow::Result<()>>,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = format!(
            "--xds-address=unix:{}",
            directory.path().join("xds.sock").display()
        );
        let mut line = vec!["test"];
        if flags.is_empty() {
            line.push(&socket);
        }
        line.extend(flags);
        let bound = Cli::try_parse_from(line)
            .unwrap()
            .args
            .bind()
            .await
            .unwrap();
        // A socket that was moved into place goes by the name that it was bound to.
        let address = match bound.local_address().unwrap() {
            Address::Unix(_) => Address::Unix(directory.path().join("xds.sock")),
            tcp => tcp,
        };
        let (publish, published) = watch::channel(None);
        let mut registry = Registry::with_prefix("isobath");
        let metrics = Metrics::register(&mut registry);
        let reports = Reports::default();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bound.serve(
            published,
            async {
                let _ = stopped.await;
            },
            "isobath-test",
            metrics,
            reports.clone(),
        ));
        Self {
            address,
            publish,
            reports,
            registry,
            stop: Some(stop),
            task,
            _directory: directory,
        }
    }

    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        self.publish.send_replace(Some(Published {
            snapshot: Arc::new(snapshot.clone()),
            at: Instant::now(),
        }));
    }

    pub(crate) async fn client(&self) -> AggregatedDiscoveryServiceClient<Channel> {
        let Address::Unix(path) = self.address.clone() else {
            panic!("a Unix socket");
        };
        AggregatedDiscoveryServiceClient::new(connect(path).await)
            .max_decoding_message_size(256 << 20)
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(SOON, self.task)
            .await
            .expect("it ends when told")
            .unwrap()
            .unwrap();
    }
}

pub(crate) async fn connect(path: PathBuf) -> Channel {
    Endpoint::from_static("http://isobath")
        .connect_with_connector(tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .unwrap()
}

pub(crate) fn resource(name: &str, bytes: impl AsRef<[u8]>) -> Arc<Resource> {
    Arc::new(Resource::whole(
        name.into(),
        Part {
            bytes: bytes.as_ref().into(),
            references: Arc::new([]),
            owners: Arc::new(["Ingress shop/web".into()]),
        },
    ))
}

pub(crate) fn snapshot(resources: &[(ResourceType, &str, &'static str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (of, name, bytes) in resources {
        snapshot.insert(*of, resource(name, *bytes));
    }
    snapshot
}

/// An open delta stream.
pub(crate) struct Delta {
    pub(crate) requests: mpsc::Sender<DeltaDiscoveryRequest>,
    pub(crate) responses: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Delta {
    pub(crate) async fn open(mut client: AggregatedDiscoveryServiceClient<Channel>) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let responses = client
            .delta_aggregated_resources(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        Self {
            requests,
            responses,
        }
    }

    pub(crate) async fn subscribe(&self, of: ResourceType, names: &[&str]) {
        self.send(DeltaDiscoveryRequest {
            node: Some(Node {
                id: "envoy-1".into(),
                ..Node::default()
            }),
            type_url: of.type_url().into(),
            resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    }

    pub(crate) async fn answer(&self, response: &DeltaDiscoveryResponse, refusal: Option<&str>) {
        self.send(DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: refusal.map(|message| RefusalStatus {
                code: 13,
                message: message.into(),
                details: Vec::new(),
            }),
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    }

    pub(crate) async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> DeltaDiscoveryResponse {
        tokio::time::timeout(SOON, self.responses.message())
            .await
            .expect("a response in time")
            .unwrap()
            .expect("an open stream")
    }
}

pub(crate) fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect()
}
