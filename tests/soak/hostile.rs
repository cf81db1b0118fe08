//! Hostile xDS clients: a million messages over four streams, random, malformed, contradictory or large. Isobath does
//! not panic and does not grow, and the Envoy beside them is served as if they were not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::rpc::Status as RefusalStatus;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use nix::unistd::Pid;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Request, Streaming};

use crate::random::Random;
use crate::raw::{DELTA, Raw, SOTW};
use crate::support::ads::{CDS, EDS, LDS, RDS, SDS};
use crate::support::certificate::Authority;
use crate::support::client::Tls;
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::site;
use crate::support::stand::{Stand, apps};
use crate::{figures, rounds};

const STREAMS: usize = 4;
const TYPES: [&str; 7] = [
    CDS,
    EDS,
    LDS,
    RDS,
    SDS,
    "type.googleapis.com/envoy.service.runtime.v3.Runtime",
    "?",
];
const NAMES: [&str; 11] = [
    "*",
    "",
    "http",
    "https",
    "default/web/80",
    "default/web",
    "http/default/web",
    "xdstp://authority/type/name",
    "\u{202e}\u{0}\n",
    "../../secret",
    "stats",
];

/// What a stream has been told last, so that some of its answers are right.
type Nonces = Arc<Mutex<BTreeMap<String, String>>>;

/// One client, which opens another stream whenever its own has ended.
struct Client {
    socket: PathBuf,
    random: Random,
    is_delta: bool,
    nonces: Nonces,
}

impl Client {
    async fn run(mut self, messages: usize, sent: &AtomicUsize, opened: &AtomicUsize) {
        let mut left = messages;
        while left > 0 {
            opened.fetch_add(1, Ordering::Relaxed);
            if self.random.percent(20) {
                self.garble().await;
            }
            self.is_delta = self.random.percent(50);
            let (sender, mut reader) = self.open().await;
            while left > 0 {
                let message = self.message();
                // A server that takes nothing for so long is as good as one that ended the stream.
                let taken = tokio::time::timeout(Duration::from_secs(10), sender.send(message));
                if !matches!(taken.await, Ok(Ok(()))) {
                    break;
                }
                left -= 1;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            // The server ends the stream when it has read all of it, if it has not before.
            drop(sender);
            let _ = tokio::time::timeout(Duration::from_secs(10), &mut reader).await;
            reader.abort();
        }
    }

    /// Bytes that are no HTTP/2, or only begin like it.
    async fn garble(&mut self) {
        if let Ok(mut stream) = UnixStream::connect(&self.socket).await {
            let begin: &[u8] = if self.random.percent(50) {
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            } else {
                b""
            };
            let rest = self.bytes(300);
            let _ = stream.write_all(begin).await;
            let _ = stream.write_all(&rest).await;
        }
    }

    async fn open(&mut self) -> (mpsc::Sender<Bytes>, tokio::task::JoinHandle<()>) {
        let socket = self.socket.clone();
        let channel = Endpoint::from_static("http://isobath")
            .connect_with_connector(tower::service_fn(move |_| {
                let socket = socket.clone();
                async move { UnixStream::connect(socket).await.map(TokioIo::new) }
            }))
            .await
            .expect("the server takes connections");
        let (sender, receiver) = mpsc::channel(8);
        self.nonces = Nonces::default();
        let (nonces, is_delta) = (self.nonces.clone(), self.is_delta);
        // One in ten reads nothing.
        let reads = self.random.percent(90);
        let reader = tokio::spawn(async move {
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            let path = PathAndQuery::from_static(if is_delta { DELTA } else { SOTW });
            let request = Request::new(ReceiverStream::new(receiver));
            let opened = client.streaming(request, path, Raw).await;
            if let Ok(response) = opened {
                read(response.into_inner(), is_delta, reads, &nonces).await;
            }
        });
        (sender, reader)
    }

    fn message(&mut self) -> Bytes {
        // A message that is none ends the stream: not too often, or there would be nothing but beginnings.
        match self.random.below(4000) {
            0 => self.bytes(200).into(),
            1 => {
                // Cut off, or with a wrong byte.
                let mut bytes = self.request();
                let at = self.random.below(bytes.len() + 1);
                if self.random.percent(50) {
                    bytes.truncate(at);
                } else if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.random.below(8);
                }
                bytes.into()
            }
            // The other method's message.
            2 => {
                self.is_delta = !self.is_delta;
                let bytes = self.request();
                self.is_delta = !self.is_delta;
                bytes.into()
            }
            _ => self.request().into(),
        }
    }

    fn request(&mut self) -> Vec<u8> {
        let type_url = if self.random.below(5000) == 0 {
            ""
        } else {
            self.random.one(&TYPES)
        };
        let node = self.random.percent(5).then(|| Node {
            id: self.name(),
            ..Node::default()
        });
        let nonce = self.nonce(type_url);
        let error_detail = self.random.percent(30).then(|| {
            let length = if self.random.below(500) == 0 {
                1 << 20
            } else {
                40
            };
            RefusalStatus {
                code: i32::try_from(self.random.below(20)).unwrap(),
                message: self.name().repeat(1 + length / 20),
                details: Vec::new(),
            }
        });
        if self.is_delta {
            let versions = if self.random.percent(5) { 20 } else { 0 };
            let request = pb::DeltaDiscoveryRequest {
                node,
                type_url: type_url.into(),
                resource_names_subscribe: self.names(),
                resource_names_unsubscribe: self.names(),
                initial_resource_versions: (0..versions)
                    .map(|_| (self.name(), self.name()))
                    .collect(),
                response_nonce: nonce,
                error_detail,
                ..pb::DeltaDiscoveryRequest::default()
            };
            request.encode_to_vec()
        } else {
            let request = pb::DiscoveryRequest {
                version_info: self.name(),
                node,
                resource_names: self.names(),
                type_url: type_url.into(),
                response_nonce: nonce,
                error_detail,
                ..pb::DiscoveryRequest::default()
            };
            request.encode_to_vec()
        }
    }

    fn nonce(&mut self, type_url: &str) -> String {
        match self.random.below(10) {
            0 => String::new(),
            1 => self.name(),
            2 => self.random.below(1000).to_string(),
            _ => {
                let nonces = self.nonces.lock().unwrap();
                nonces.get(type_url).cloned().unwrap_or_default()
            }
        }
    }

    fn names(&mut self) -> Vec<String> {
        let count = match self.random.below(5000) {
            0 => 5000,
            1..2000 => 0,
            _ => 1 + self.random.below(3),
        };
        (0..count).map(|_| self.name()).collect()
    }

    fn name(&mut self) -> String {
        match self.random.below(20) {
            0..10 => self.random.one(&NAMES).to_owned(),
            10 => "x".repeat(self.random.below(2000)),
            _ => format!("name-{}", self.random.below(20_000)),
        }
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let length = self.random.below(longest);
        (0..length)
            .map(|_| self.random.next().to_le_bytes()[0])
            .collect()
    }
}

async fn read(mut responses: Streaming<Bytes>, is_delta: bool, reads: bool, nonces: &Nonces) {
    if !reads {
        // Until its end is seen by other means.
        tokio::time::sleep(Duration::from_secs(5)).await;
        return;
    }
    while let Ok(Some(bytes)) = responses.message().await {
        let (type_url, nonce) = if is_delta {
            let response = pb::DeltaDiscoveryResponse::decode(bytes).unwrap();
            (response.type_url, response.nonce)
        } else {
            let response = pb::DiscoveryResponse::decode(bytes).unwrap();
            (response.type_url, response.nonce)
        };
        nonces.lock().unwrap().insert(type_url, nonce);
    }
}

/// The memory of a process.
pub(crate) fn resident_megabytes(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() / 1024
}

fn attack(
    socket: &Path,
    messages: usize,
    sent: &Arc<AtomicUsize>,
    opened: &Arc<AtomicUsize>,
) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..STREAMS {
        let client = Client {
            socket: socket.to_owned(),
            random: Random::new(u64::try_from(number).unwrap() + 1),
            is_delta: true,
            nonces: Nonces::default(),
        };
        let (sent, opened) = (sent.clone(), opened.clone());
        clients.spawn(async move { client.run(messages / STREAMS, &sent, &opened).await });
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients() {
    let messages = rounds(20_000, 1_000_000);
    let authority = Authority::new();
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    manifests.push(authority.leaf(&["web.test"]).secret("web"));
    let mut stand = Stand::start(&manifests).await;
    let tls = Tls {
        trust: authority.trust(),
        ..Tls::sni("web.test")
    };
    let load = Load::paced(
        Duration::from_millis(20),
        stand.https_traffic("web.test", &tls),
    )
    .await;

    let pid = stand.isobath.process().pid();
    let (sent, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let begin = Instant::now();
    // What the first quarter took stays: names are remembered up to a bound, and the allocator keeps what it has. It is
    // a quarter of the messages, not of the time, which is the machine's.
    let mut memory = [0, 0];
    let (mut changes, mut slowest) = (0_u32, Duration::ZERO);
    for (phase, messages) in [messages / 4, messages - messages / 4]
        .into_iter()
        .enumerate()
    {
        let mut clients = attack(&stand.isobath.xds(), messages, &sent, &opened);
        // The Envoy beside them gets every change, and soon.
        while !clients.is_empty() {
            while let Some(ended) = clients.try_join_next() {
                ended.unwrap();
            }
            changes += 1;
            let host = format!("change-{changes}.test");
            let start = Instant::now();
            stand
                .isobath
                .write("change.yaml", &[site("change", &host, "web:80")]);
            eventually("a change arrives", async || {
                let answer = stand.get(&host, "/").await?;
                ensure!(answer.status == 200, "{}", answer.status);
                Ok(())
            })
            .await;
            slowest = slowest.max(start.elapsed());
            memory[phase] = memory[phase].max(resident_megabytes(pid));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let took = begin.elapsed();
    let report = load.stop_without_failure().await;
    let [early, late] = memory;
    figures(
        "hostile",
        format!(
            "{} messages in {took:.1?} ({:.0}/s) on {} streams, {early} MB after a quarter and {late} MB at the \
             end; beside them {changes} changes, the slowest in {slowest:.1?}; {report}",
            sent.load(Ordering::Relaxed),
            sent.load(Ordering::Relaxed) as f64 / took.as_secs_f64(),
            opened.load(Ordering::Relaxed),
        ),
    );
    stand.isobath.process().assert_running();
    assert!(!stand.isobath.log().contains("panicked"));
    assert!(late <= early + early / 4 + 16, "memory grows: {memory:?}");
    assert_eq!(report.closed, 0);
    assert!(opened.load(Ordering::Relaxed) >= STREAMS);
}
