//! A rehearsal of an upgrade: a new pod comes, the old one is deleted as the kubelet does it, and no request is lost.
//!
//! In front of both is what stands there in a cluster: a load balancer that asks each Envoy for `/ready`. Once in the
//! ordinary run; `ISOBATH_SOAK=1` makes it fifty times.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::local_pod::LocalPod;
use crate::support::backend::Backend;
use crate::support::client::{self, Version};
use crate::support::eventually::eventually;
use crate::support::load::{Load, Target};
use crate::support::manifest;

/// How often the load balancer asks; one bad answer is enough for it.
const HEALTH_CHECK: Duration = Duration::from_millis(500);

/// How long a WebSocket lives, within the time that the drain gives it.
const WEB_SOCKET: Duration = Duration::from_secs(5);

/// How long the back end of `slow.test` takes.
const SLOW: Duration = Duration::from_secs(3);

/// No answer takes longer, on a machine that does other things as well.
const LATE: Duration = Duration::from_secs(30);

/// Forwards connections to a pod that is ready.
struct Balancer {
    address: SocketAddr,
    pods: Arc<Mutex<Vec<Member>>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Member {
    http: SocketAddr,
    stats: SocketAddr,
    ready: bool,
}

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let pods = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(listener, pods.clone()));
        tasks.spawn(check_health(pods.clone()));
        Self {
            address,
            pods,
            _tasks: tasks,
        }
    }

    fn add(&self, pod: &LocalPod) {
        self.pods.lock().unwrap().push(Member {
            http: pod.http(),
            stats: pod.stats(),
            ready: true,
        });
    }
}

async fn forward(listener: TcpListener, pods: Arc<Mutex<Vec<Member>>>) {
    let mut connections = JoinSet::new();
    for turn in 0_usize.. {
        let (mut client, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let ready: Vec<SocketAddr> = {
            let pods = pods.lock().unwrap();
            pods.iter()
                .filter(|pod| pod.ready)
                .map(|pod| pod.http)
                .collect()
        };
        // Without any, the client sees its connection end, which counts.
        let Some(pod) = ready.get(turn % ready.len().max(1)).copied() else {
            continue;
        };
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(pod).await {
                let _ = server.set_nodelay(true);
                let _ = client.set_nodelay(true);
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

async fn check_health(pods: Arc<Mutex<Vec<Member>>>) {
    loop {
        let members = pods.lock().unwrap().clone();
        for member in members {
            let answer = client::get(member.stats, Version::H1, None, "probe", "/ready").await;
            if !answer.is_ok_and(|answer| answer.status == 200) {
                pods.lock().unwrap().retain(|pod| pod.stats != member.stats);
            }
        }
        sleep(HEALTH_CHECK).await;
    }
}

/// WebSockets one after another; says how many lived to their end.
async fn web_sockets(address: SocketAddr, lived: Arc<Mutex<u64>>) -> Result<()> {
    loop {
        web_socket(address).await?;
        *lived.lock().unwrap() += 1;
    }
}

async fn web_socket(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LATE, stream.read_u8()).await??);
    }
    ensure!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    let end = Instant::now() + WEB_SOCKET;
    while Instant::now() < end {
        stream.write_all(b"ping").await.context("write")?;
        let mut echo = [0; 4];
        timeout(LATE, stream.read_exact(&mut echo)).await??;
        ensure!(&echo == b"ping");
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_a_pod_loses_no_request() {
    let times = if std::env::var_os("ISOBATH_SOAK").is_some() {
        50
    } else {
        1
    };
    let (web, slow) = (Backend::start("web").await, Backend::start("slow").await);
    slow.delay(SLOW);
    let mut manifests = manifest::app("web", &[&web]);
    manifests.extend(manifest::app("slow", &[&slow]));
    manifests.push(manifest::site("web", "web.test", "web:80"));
    manifests.push(manifest::site("slow", "slow.test", "slow:80"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), manifest::text(&manifests)).unwrap();
    let environment = [("ISOBATH_MANIFESTS", folder.path().to_owned())];

    let balancer = Balancer::start().await;
    let mut pod = LocalPod::start(&environment).await;
    balancer.add(&pod);
    let target = |host: &str, version, reconnect| Target {
        address: balancer.address,
        version,
        tls: None,
        host: host.to_owned(),
        path: "/".to_owned(),
        headers: &[],
        reconnect,
    };
    let load = Load::start([
        target("web.test", Version::H1, false),
        target("web.test", Version::H2, false),
        target("web.test", Version::H1, true),
        target("slow.test", Version::H1, false),
        target("slow.test", Version::H2, false),
    ])
    .await;
    let lived = Arc::new(Mutex::new(0));
    let sockets = tokio::spawn(web_sockets(balancer.address, lived.clone()));

    for _ in 0..times {
        let new = LocalPod::start(&environment).await;
        balancer.add(&new);
        let before = load.report().requests;
        std::mem::replace(&mut pod, new).delete().await;
        assert!(load.report().requests > before, "there was traffic");
    }

    eventually("web sockets live to their end", async || {
        let lived = *lived.lock().unwrap();
        ensure!(lived >= times || sockets.is_finished(), "{lived}");
        Ok(())
    })
    .await;
    let report = load.stop_without_failure().await;
    eprintln!(
        "{times} pods replaced: {} requests, 0 failed; {} connections moved",
        report.requests, report.closed
    );
    assert!(report.closed > 0, "connections moved");
    // An error is the task's end.
    let alive = !sockets.is_finished();
    sockets.abort();
    if !alive {
        sockets.await.unwrap().unwrap();
    }
}
