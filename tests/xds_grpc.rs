//! The xDS server over real sockets and real gRPC: what transcripts of the state machine cannot show.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest,
};
use envoy_types::pb::google::rpc::Status as RefusalStatus;
use hyper_util::rt::TokioIo;
use isobath::xds::server::{Args, BindError};
use isobath::xds::{Address, Metrics, Part, Published, Reports, Resource, ResourceType, Snapshot};
use prometheus_client::registry::Registry;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// For anything that should take milliseconds.
const SOON: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

struct Server {
    address: Address,
    publish: watch::Sender<Option<Published>>,
    reports: Reports,
    registry: Registry,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<anyhow::Result<()>>,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start(flags: &[&str]) -> Self {
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

    fn publish(&self, snapshot: &Snapshot) {
        self.publish.send_replace(Some(Published {
            snapshot: Arc::new(snapshot.clone()),
            at: Instant::now(),
        }));
    }

    async fn client(&self) -> AggregatedDiscoveryServiceClient<Channel> {
        let Address::Unix(path) = self.address.clone() else {
            panic!("a Unix socket");
        };
        AggregatedDiscoveryServiceClient::new(connect(path).await)
            .max_decoding_message_size(256 << 20)
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(SOON, self.task)
            .await
            .expect("it ends when told")
            .unwrap()
            .unwrap();
    }
}

async fn connect(path: PathBuf) -> Channel {
    Endpoint::from_static("http://isobath")
        .connect_with_connector(tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .unwrap()
}

fn resource(name: &str, bytes: impl Into<Bytes>) -> Arc<Resource> {
    Arc::new(Resource::whole(
        name.into(),
        Part {
            bytes: bytes.into(),
            references: Arc::new([]),
            owners: Arc::new(["Ingress shop/web".into()]),
        },
    ))
}

fn snapshot(resources: &[(ResourceType, &str, &'static str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (of, name, bytes) in resources {
        snapshot.insert(*of, resource(name, *bytes));
    }
    snapshot
}

/// An open delta stream.
struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Delta {
    async fn open(mut client: AggregatedDiscoveryServiceClient<Channel>) -> Self {
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

    async fn subscribe(&self, of: ResourceType, names: &[&str]) {
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

    async fn answer(&self, response: &DeltaDiscoveryResponse, refusal: Option<&str>) {
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

    async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    async fn next(&mut self) -> DeltaDiscoveryResponse {
        tokio::time::timeout(SOON, self.responses.message())
            .await
            .expect("a response in time")
            .unwrap()
            .expect("an open stream")
    }
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect()
}

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
    let unit = found.first().unwrap();
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
    let pushed = format!("isobath_xds_pushes_total{{type=\"cds\"}} {STUCK}\n");
    assert!(
        server.metrics().contains(&pushed),
        "one unacknowledged response per stream"
    );
    let mut healthy = Delta::open(server.client().await).await;
    healthy.subscribe(ResourceType::Cluster, &["*"]).await;
    let mut last = healthy.next().await;
    for version in 0..50_u32 {
        healthy.answer(&last, None).await;
        let started = std::time::Instant::now();
        world.insert(ResourceType::Cluster, resource("c0", version.to_string()));
        server.publish(&world);
        last = healthy.next().await;
        assert_eq!(names(&last), ["c0"]);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    server.stop().await;
}

/// What mutual TLS needs, made for a test.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    /// Certificate and key in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.into()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// Mutual TLS: known clients only, and certificates are followed as they change.
#[tokio::test]
async fn mutual_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (old, new) = (Authority::new(), Authority::new());
    let install = |authority: &Authority| {
        let (certificate, key) = authority.issue("isobath");
        std::fs::write(path("tls.crt"), certificate).unwrap();
        std::fs::write(path("tls.key"), key).unwrap();
        std::fs::write(path("ca.crt"), authority.certificate.pem()).unwrap();
    };
    install(&old);
    let flag = |name: &str, file: &str| format!("--xds-tls-{name}={}", path(file).display());
    let server = Server::start(&[
        "--xds-address=127.0.0.1:0",
        &flag("cert", "tls.crt"),
        &flag("key", "tls.key"),
        &flag("client-ca", "ca.crt"),
    ])
    .await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    let served = async |trusted: &Authority, identity: Option<(String, String)>| {
        let mut tls = ClientTlsConfig::new()
            .domain_name("isobath")
            .ca_certificate(Certificate::from_pem(trusted.certificate.pem()));
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let channel = Endpoint::from_shared(format!("https://{}", server.address))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect()
            .await
            .ok()?;
        let (requests, receiver) = mpsc::channel(1);
        requests
            .send(DeltaDiscoveryRequest {
                type_url: ResourceType::Cluster.type_url().into(),
                ..DeltaDiscoveryRequest::default()
            })
            .await
            .unwrap();
        let mut responses = AggregatedDiscoveryServiceClient::new(channel)
            .delta_aggregated_resources(ReceiverStream::new(receiver))
            .await
            .ok()?
            .into_inner();
        responses.message().await.ok().flatten()
    };
    assert!(served(&old, Some(old.issue("envoy"))).await.is_some());
    assert!(served(&old, None).await.is_none(), "no certificate");
    assert!(
        served(&old, Some(new.issue("envoy"))).await.is_none(),
        "a stranger's certificate"
    );

    // In the midst of a rotation the old ones go on; then the new ones are used, without a restart.
    std::fs::write(path("tls.crt"), "half a certificate").unwrap();
    assert!(served(&old, Some(old.issue("envoy"))).await.is_some());
    install(&new);
    assert!(served(&new, Some(new.issue("envoy"))).await.is_some());
    assert!(served(&old, Some(old.issue("envoy"))).await.is_none());
    server.stop().await;
}

/// Wrong flags end in one sentence.
#[tokio::test]
async fn wrong_flags() {
    let bind = async |flags: &[&str]| -> BindError {
        let line = std::iter::once(&"test").chain(flags);
        Cli::try_parse_from(line)
            .unwrap()
            .args
            .bind()
            .await
            .unwrap_err()
    };
    let error = bind(&["--xds-address=0.0.0.0:0"]).await.to_string();
    assert!(
        error.contains("other hosts") && error.contains("--xds-tls-cert"),
        "{error}"
    );
    let error = bind(&["--xds-address=127.0.0.1:0", "--xds-tls-cert=/x"])
        .await
        .to_string();
    assert!(error.contains("go together"), "{error}");
    let error = bind(&[
        "--xds-address=127.0.0.1:0",
        "--xds-tls-cert=/nowhere/tls.crt",
        "--xds-tls-key=/nowhere/tls.key",
        "--xds-tls-client-ca=/nowhere/ca.crt",
    ])
    .await
    .to_string();
    assert!(error.contains("/nowhere/tls.crt"), "{error}");
    assert!(Cli::try_parse_from(["test", "--xds-address=nonsense"]).is_err());
    assert!(Cli::try_parse_from(["test", "--xds-removal-grace-ms=1"]).is_err());
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
