//! With a real Envoy: from the write of an Ingress to its first answer, with ours and with null in turn, while
//! steady traffic must not fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use isobath::envoy::bootstrap::{Bootstrap, XdsServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::child::{Child, ready};
use crate::client::Client;
use crate::null::Script;
use crate::objects::{Endpoints, Kind, World, endpoint_slice, host_name, ingress};
use crate::plane::{Null, Plane, Ports};
use crate::report::{Report, Target, ms, summary};
use crate::stub::Stub;

/// Hosts that are added, and endpoints that change.
const CHANGES: usize = 20;
/// Nothing may take longer.
const LONGEST: Duration = Duration::from_secs(30);
/// Hosts with TLS are those whose number divides by five; these are plain and new.
const FIRST_NEW: usize = 1_000_001;

/// A back end that says who it is.
struct Backend {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    async fn start(name: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |_| async move {
                        let body = Full::new(Bytes::from_static(name.as_bytes()));
                        Ok::<_, Infallible>(http::Response::new(body))
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(connection), service)
                        .await;
                });
            }
        });
        Ok(Self { port, task })
    }
}

/// A connection to Envoy that is kept.
struct Probe {
    address: SocketAddr,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Probe {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    async fn get(&mut self, host: &str) -> Result<(u16, Bytes)> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            let connection = TcpStream::connect(self.address).await?;
            connection.set_nodelay(true)?;
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().context("no connection")?;
        sender.ready().await?;
        let request = http::Request::get("/")
            .header("host", host)
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Requests to one host, every few milliseconds, and those that failed.
struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    task: JoinHandle<u64>,
}

impl Traffic {
    fn start(address: SocketAddr, host: String) -> Self {
        let (stop, failed) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, failures) = (stop.clone(), failed.clone());
        let task = tokio::spawn(async move {
            let mut probe = Probe::new(address);
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                if !matches!(probe.get(&host).await, Ok((200, _))) {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
                sent += 1;
                sleep(Duration::from_millis(2)).await;
            }
            sent
        });
        Self { stop, failed, task }
    }

    async fn end(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        Ok((self.task.await?, self.failed.load(Ordering::Relaxed)))
    }
}

/// What one Envoy showed.
#[derive(Default)]
struct Seen {
    live: f64,
    added: Vec<f64>,
    changed: Vec<f64>,
    requests: u64,
    errors: u64,
}

/// Measures at this size. `plane` already serves the world on `ports`.
pub async fn measure(
    report: &mut Report,
    envoy: &Path,
    world: &World,
    plane: &Plane,
    ports: &Ports,
) -> Result<()> {
    let backends = [Backend::start("a").await?, Backend::start("b").await?];
    // The host of the steady traffic.
    let steady = FIRST_NEW - 10;
    plane
        .stub
        .apply_all(world.host(steady, Endpoints::Local(backends[0].port)));
    let mut client = plane.client().await?;
    let initial = client.everything().await?;
    let mut script = Script::new(&initial);
    let seen = {
        let (mut proxy, live) = start_envoy(envoy, plane.socket(), ports).await?;
        let mut seen = Seen {
            live,
            ..Seen::default()
        };
        let record = Some((&mut client, &mut script));
        play(
            world,
            &plane.stub,
            ports,
            &backends,
            steady,
            record,
            &mut seen,
        )
        .await?;
        proxy.alive()?;
        seen
    };
    let null = Null::start(&script, Kind::Ingress).await?;
    let mut null_client = Client::connect(&null.socket()).await?;
    null_client.everything().await?;
    let (mut proxy, live) = start_envoy(envoy, null.socket(), ports).await?;
    let mut limit = Seen {
        live,
        ..Seen::default()
    };
    play(
        world, &null.stub, ports, &backends, steady, None, &mut limit,
    )
    .await?;
    proxy.alive()?;

    let hosts = Some(world.hosts);
    report
        .add("Envoy started → LIVE", hosts, "ms", seen.live)
        .against(limit.live);
    let (ours, null) = (summary(&seen.added), summary(&limit.added));
    let row = report.add("new host → 200 through Envoy, p50", hosts, "ms", ours.p50);
    row.against(null.p50).target(Target::Ratio(1.1));
    report
        .add("new host → 200 through Envoy, p99", hosts, "ms", ours.p99)
        .against(null.p99);
    let (ours, null) = (summary(&seen.changed), summary(&limit.changed));
    report
        .add(
            "endpoint change → used by Envoy, p50",
            hosts,
            "ms",
            ours.p50,
        )
        .against(null.p50);
    report
        .add(
            "endpoint change → used by Envoy, p99",
            hosts,
            "ms",
            ours.p99,
        )
        .against(null.p99);
    let name = format!("errors in {} requests meanwhile", seen.requests);
    #[allow(clippy::cast_precision_loss)]
    report
        .add(&name, hosts, "", seen.errors as f64)
        .target(Target::AtMost(0.0));
    Ok(())
}

/// New hosts, then changed endpoints, under traffic.
async fn play(
    world: &World,
    stub: &Stub,
    ports: &Ports,
    backends: &[Backend; 2],
    steady: usize,
    mut record: Option<(&mut Client, &mut Script)>,
    seen: &mut Seen,
) -> Result<()> {
    let mut probe = Probe::new(ports.http);
    wait_for(
        &mut probe,
        &host_name(steady),
        |status, _| status == 200,
        &mut seen.errors,
    )
    .await?;
    let traffic = Traffic::start(ports.http, host_name(steady));
    for index in 0..CHANGES {
        // Plain hosts: those with TLS divide by five.
        let host = FIRST_NEW + index * 5;
        let name = host_name(host);
        let (status, _) = probe.get(&name).await?;
        ensure!(
            status == 404,
            "a host that is not there yet answers {status}"
        );
        let stamp = stub.apply_all(world.host(host, Endpoints::Local(backends[0].port)));
        let at = wait_for(
            &mut probe,
            &name,
            |status, _| status == 200,
            &mut seen.errors,
        )
        .await?;
        seen.added.push(ms(at - stamp));
        take(&mut record).await;
    }
    for index in 0..CHANGES {
        let backend = &backends[(index + 1) % 2];
        let expected = ["a", "b"][(index + 1) % 2];
        let host = FIRST_NEW;
        // Null answers to Ingresses only, whatever they say.
        let mut objects = vec![endpoint_slice(host, Endpoints::Local(backend.port))];
        if record.is_none() {
            objects.push(ingress(host, "/"));
        }
        let stamp = stub.apply_all(objects);
        let at = wait_for(
            &mut probe,
            &host_name(host),
            |status, body| status == 200 && body == expected.as_bytes(),
            &mut seen.errors,
        )
        .await?;
        seen.changed.push(ms(at - stamp));
        take(&mut record).await;
    }
    let (requests, errors) = traffic.end().await?;
    seen.requests = requests;
    seen.errors += errors;
    Ok(())
}

async fn take(record: &mut Option<(&mut Client, &mut Script)>) {
    match record {
        Some((client, script)) => script.answer(&client.quiet(Duration::from_millis(100)).await),
        None => sleep(Duration::from_millis(100)).await,
    }
}

/// Asks until the answer is the wanted one. What is neither that, nor 200, nor 404 is an error.
async fn wait_for(
    probe: &mut Probe,
    host: &str,
    wanted: impl Fn(u16, &[u8]) -> bool,
    errors: &mut u64,
) -> Result<Instant> {
    let start = Instant::now();
    loop {
        let answer = probe.get(host).await;
        let at = Instant::now();
        match &answer {
            Ok((status, body)) if wanted(*status, body) => return Ok(at),
            Ok((200 | 404, _)) => {}
            _ => *errors += 1,
        }
        ensure!(
            start.elapsed() < LONGEST,
            "{host} does not come: {answer:?}"
        );
        sleep(Duration::from_micros(500)).await;
    }
}

async fn start_envoy(envoy: &Path, socket: PathBuf, ports: &Ports) -> Result<(Running, f64)> {
    let directory = tempfile::Builder::new().prefix("iso-").tempdir()?;
    let bootstrap = Bootstrap {
        xds: XdsServer::Unix(socket),
        admin_socket: directory.path().join("admin.sock"),
        node_id: "figures".into(),
        node_cluster: "figures".into(),
        max_heap_bytes: None,
    };
    let file = directory.path().join("bootstrap.json");
    std::fs::write(&file, bootstrap.to_json().to_string())?;
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(&file);
    command.args([
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        "error",
    ]);
    let mut child = Child::start(&mut command, &directory.path().join("envoy.log"))?;
    let live = ready(ports.stats, "/ready", &mut child).await?;
    let running = Running {
        child,
        _directory: directory,
    };
    Ok((running, ms(live)))
}

/// An Envoy with its files.
struct Running {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Running {
    fn alive(&mut self) -> Result<()> {
        self.child.alive()
    }
}
