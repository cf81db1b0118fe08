//! With a real Envoy: from the write of an Ingress to its first answer, with ours and with null in turn, while
//! steady traffic must not fail.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use isobath::envoy::bootstrap::{Bootstrap, XdsServer};
use isobath::xds::Variant;
use tokio::time::sleep;

use crate::child::{Child, ready};
use crate::client::Client;
use crate::null::Script;
use crate::objects::{Endpoints, Kind, World, endpoint_slice, host_name, ingress};
use crate::plane::{Null, Plane, Setup};
use crate::report::{Report, Target, ms, summary};
use crate::stub::Stub;
use crate::traffic::{Backend, Probe, Steady, TlsProbe, Traffic};

/// Hosts that are added, and endpoints that change.
const CHANGES: usize = 20;
/// Nothing may take longer.
const LONGEST: Duration = Duration::from_secs(30);
/// Hosts with TLS are those whose number divides by five; these are plain and new.
const FIRST_NEW: usize = 1_000_001;
/// And these are new with TLS.
const FIRST_NEW_TLS: usize = 1_500_000;
/// The hosts of the steady traffic: in clear, and with TLS.
const STEADY: [usize; 2] = [FIRST_NEW - 10, FIRST_NEW_TLS - 10];

/// What one Envoy showed.
#[derive(Default)]
struct Seen {
    live: f64,
    added: Vec<f64>,
    added_tls: Vec<f64>,
    changed: Vec<f64>,
    requests: u64,
    errors: u64,
}

/// Measures at this size. `plane` already serves the world on `setup`.
pub async fn measure(
    report: &mut Report,
    envoy: &Path,
    world: &World,
    plane: &Plane,
    setup: &Setup,
) -> Result<()> {
    let backends = [Backend::start("a").await?, Backend::start("b").await?];
    for host in STEADY {
        let objects = world.host(host, Endpoints::At(backends[0].address));
        plane.stub.apply_all(objects);
    }
    let mut client = plane.client().await?;
    let initial = client.everything().await?;
    let mut script = Script::new(Variant::Delta, &initial);
    let play = Play {
        world,
        plane,
        setup,
        backends: &backends,
    };
    let seen = {
        let (mut running, live) = start_envoy(envoy, plane.socket(), setup.stats).await?;
        let mut seen = Seen {
            live,
            ..Seen::default()
        };
        let record = Some((&mut client, &mut script));
        play.run(&plane.stub, record, &mut seen).await?;
        running.child.alive()?;
        seen
    };
    let null = Null::start(&script, Kind::Ingress).await?;
    let mut null_client = Client::connect(&null.socket()).await?;
    null_client.everything().await?;
    let (mut running, live) = start_envoy(envoy, null.socket(), setup.stats).await?;
    let mut limit = Seen {
        live,
        ..Seen::default()
    };
    play.run(&null.stub, None, &mut limit).await?;
    running.child.alive()?;

    add_rows(report, world.hosts, &seen, &limit);
    Ok(())
}

/// What was seen, each row beside that of null.
fn add_rows(report: &mut Report, hosts: usize, seen: &Seen, limit: &Seen) {
    let hosts = Some(hosts);
    report
        .add("Envoy started → LIVE", hosts, "ms", seen.live)
        .against(limit.live);
    let (ours, null) = (summary(&seen.added), summary(&limit.added));
    let row = report.add("new host → 200 through Envoy, p50", hosts, "ms", ours.p50);
    row.against(null.p50).target(Target::Ratio(1.1));
    report
        .add("new host → 200 through Envoy, p99", hosts, "ms", ours.p99)
        .against(null.p99);
    let (ours, null) = (summary(&seen.added_tls), summary(&limit.added_tls));
    report
        .add(
            "new TLS host → 200 through Envoy, p50",
            hosts,
            "ms",
            ours.p50,
        )
        .against(null.p50)
        .target(Target::Ratio(1.1));
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
}

/// What both Envoys go through.
struct Play<'a> {
    world: &'a World,
    plane: &'a Plane,
    setup: &'a Setup,
    backends: &'a [Backend; 2],
}

impl Play<'_> {
    /// New hosts, then changed endpoints, under traffic. With ours, which is recorded, more happens after that.
    async fn run(
        &self,
        stub: &Stub,
        mut record: Option<(&mut Client, &mut Script)>,
        seen: &mut Seen,
    ) -> Result<()> {
        let world = self.world;
        let mut probe = Probe::new(self.setup.http);
        let certificates = world.certificates();
        let tls = TlsProbe::new(self.setup.https, certificates.iter().map(String::as_str))?;
        let [plain_host, tls_host] = STEADY.map(host_name);
        let ok = |status: u16, _: &[u8]| status == 200;
        wait_for(&mut probe, &plain_host, ok, &mut seen.errors).await?;
        tls.until_ok(&tls_host).await?;
        let traffic = [
            Traffic::start(Steady::Plain(Probe::new(self.setup.http)), plain_host),
            Traffic::start(Steady::Tls(tls.clone()), tls_host),
        ];
        for index in 0..CHANGES {
            // Plain hosts: those with TLS divide by five.
            let host = FIRST_NEW + index * 5;
            let name = host_name(host);
            let (status, _) = probe.get(&name).await?;
            ensure!(
                status == 404,
                "a host that is not there yet answers {status}"
            );
            let stamp = self.add(stub, host, record.is_some()).await?;
            let at = wait_for(&mut probe, &name, ok, &mut seen.errors).await?;
            seen.added.push(ms(at - stamp));
            take(&mut record).await;
        }
        for index in 0..CHANGES / 2 {
            let host = FIRST_NEW_TLS + index * 5;
            let stamp = self.add(stub, host, record.is_some()).await?;
            let at = tls.until_ok(&host_name(host)).await?;
            seen.added_tls.push(ms(at - stamp));
            take(&mut record).await;
        }
        for index in 0..CHANGES {
            let backend = &self.backends[(index + 1) % 2];
            let expected = ["a", "b"][(index + 1) % 2];
            let host = FIRST_NEW;
            // Null answers to Ingresses only, whatever they say.
            let mut objects = vec![endpoint_slice(host, Endpoints::At(backend.address))];
            if record.is_none() {
                objects.push(ingress(host, "/"));
            }
            let stamp = stub.apply_all(objects);
            let changed = |status: u16, body: &[u8]| status == 200 && body == expected.as_bytes();
            let name = host_name(host);
            let at = wait_for(&mut probe, &name, changed, &mut seen.errors).await?;
            seen.changed.push(ms(at - stamp));
            take(&mut record).await;
        }
        if record.is_some() {
            self.disturb(stub).await;
        }
        for traffic in traffic {
            let (requests, errors) = traffic.end().await?;
            seen.requests += requests;
            seen.errors += errors;
        }
        Ok(())
    }

    /// Adds a host: its Ingress when ours has taken in what it names. Kinds come by watches of their own, and an Ingress
    /// whose Service is not known yet answers 503 until it is.
    async fn add(&self, stub: &Stub, host: usize, ours: bool) -> Result<Instant> {
        let mut objects = self
            .world
            .host(host, Endpoints::At(self.backends[0].address));
        let ingress = objects.pop().context("a host without Ingress")?;
        let (seen, others) = (self.plane.events().await?, objects.len() as u64);
        stub.apply_all(objects);
        while ours && self.plane.events().await? < seen + others {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(stub.apply(ingress))
    }

    /// The rest of what happens in a cluster: Services rolled, paths edited, certificates rotated, the one in use too.
    async fn disturb(&self, stub: &Stub) {
        for round in 0..10 {
            let first = 0x90_0000 + round * 500;
            let mut objects: Vec<_> = (0..500)
                .map(|host| {
                    let serial = Endpoints::Serial(first + u32::try_from(host).unwrap());
                    endpoint_slice(host, serial)
                })
                .collect();
            let round = round as usize;
            objects.push(self.world.secret(STEADY[1], round + 1));
            objects.push(self.world.secret(500, round + 1));
            objects.push(ingress(500, ["/a", "/b"][round % 2]));
            objects.push(ingress(501, ["/a", "/b"][round % 2]));
            stub.apply_all(objects);
            sleep(Duration::from_millis(300)).await;
        }
    }
}

async fn take(record: &mut Option<(&mut Client, &mut Script)>) {
    match record {
        Some((client, script)) => script.answer(&client.quiet(Duration::from_millis(100)).await),
        None => sleep(Duration::from_millis(100)).await,
    }
}

/// Asks until the answer is the wanted one. What is neither that, nor 200, nor 404 is an error.
pub async fn wait_for(
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
            answer => {
                eprintln!("      {host} failed: {answer:?}");
                *errors += 1;
            }
        }
        ensure!(
            start.elapsed() < LONGEST,
            "{host} does not come: {answer:?}"
        );
        sleep(Duration::from_micros(500)).await;
    }
}

/// Starts Envoy for the control plane at this socket; how long it took until it was live.
pub async fn start_envoy(
    envoy: &Path,
    socket: PathBuf,
    stats: SocketAddr,
) -> Result<(Running, f64)> {
    let directory = tempfile::Builder::new().prefix("iso-").tempdir()?;
    let bootstrap = Bootstrap {
        xds: XdsServer::Unix(socket),
        admin_socket: directory.path().join("admin.sock"),
        authz_socket: "/nowhere".into(),
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
    let live = ready(stats, "/ready", &mut child).await?;
    let running = Running {
        child,
        _directory: directory,
    };
    Ok((running, ms(live)))
}

/// An Envoy with its files.
pub struct Running {
    pub child: Child,
    _directory: tempfile::TempDir,
}
