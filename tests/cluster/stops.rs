//! A stop in order, whatever is under way: the exit code is 0, and the log says nothing of it at WARN or ERROR. Who is
//! told to look at such lines must not be told at every roll-out.

use std::process::Command;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::control_plane::{ADMIN, kubectl};
use crate::fault_proxy::{Fault, FaultProxy, Mode};
use crate::installation::{HOME, Installation, cluster_service, our_site};
use crate::support::ads::Ads;
use crate::support::client::{self, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, service, site, text};
use crate::support::process::Process;
use crate::support::stand::Stand;

/// What operators look for.
fn alarms(log: &str) -> Vec<&str> {
    let alarming = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    log.lines().filter(alarming).collect()
}

/// Sends SIGTERM, and looks at what the process says from then on.
async fn stops_in_order(what: &str, isobath: &mut Isobath) {
    let status = isobath.terminate().await;
    let log = isobath.log();
    let (_, since) = log
        .rsplit_once("stopping signal=\"SIGTERM\"")
        .unwrap_or_else(|| panic!("{what}: {log}"));
    assert_eq!(status.code(), Some(0), "{what}: {log}");
    assert_eq!(alarms(since), [""; 0], "{what}");
}

/// The installation, with a host whose Service is missing: its owner is told, with an Event and at WARN.
async fn installed() -> Option<Installation> {
    let cluster = Installation::start().await?;
    cluster.apply(&[
        cluster_service("web"),
        our_site("web", "web.test", "web:80"),
        our_site("broken", "broken.test", "nowhere:80"),
    ]);
    Some(cluster)
}

/// Starts it and waits until it is ready, and has said what is wrong with these objects: it would else be said while it
/// stops, or not.
async fn starts(isobath: &mut Isobath, broken: &[&str]) {
    let before = isobath.log().len();
    isobath.restart().await;
    eventually("it says what is wrong", async || {
        let log = isobath.log();
        let alarms = alarms(&log[before..]);
        let is_told = |name: &&str| alarms.iter().any(|line| line.contains(name));
        match broken.iter().all(is_told) {
            true => Ok(()),
            false => Err(log),
        }
    })
    .await;
}

/// Waits until the proxy has seen more such requests than before.
async fn seen(proxy: &FaultProxy, what: &str, before: usize, matches: impl Fn(&str) -> bool) {
    eventually(what, async || match proxy.count(&matches) > before {
        true => Ok(()),
        false => Err(format!("{:?}", proxy.recorded())),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_happens_and_while_clients_are_connected() {
    let Some(cluster) = installed().await else {
        return;
    };
    let mut isobath = cluster.isobath("pod", &[]);
    starts(&mut isobath, &["default/broken"]).await;
    eventually("it writes status", async || {
        let listed = cluster.kubectl(&["get", "events", "-o", "name"], "");
        (!listed.is_empty()).then_some(()).ok_or("no Event")
    })
    .await;
    stops_in_order("nothing happens", &mut isobath).await;
    let holder = [
        "-n",
        HOME,
        "get",
        "leases",
        "isobath",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    let holder = cluster.plane.kubectl(ADMIN, &holder, "");
    assert_eq!(holder, "", "it has let go of the Lease");

    starts(&mut isobath, &["default/broken"]).await;
    let mut whole = Ads::connect(&isobath.xds()).await.unwrap();
    whole.everything().await.unwrap();
    // This one has sent its first request and never reads.
    let deaf = Ads::connect(&isobath.xds()).await.unwrap();
    // A client that says half of something, and one that is being answered.
    let mut half = TcpStream::connect(isobath.metrics_address()).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    // Whichever comes first is answered for a minute.
    let mut profiles = Vec::new();
    eventually("a profile is made", async || {
        let mut minute = TcpStream::connect(isobath.admin()).await?;
        let head = b"GET /debug/pprof/profile?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        minute.write_all(head).await?;
        profiles.push(minute);
        let path = "/debug/pprof/profile?seconds=1";
        let answer = client::get(isobath.admin(), Version::H1, None, "localhost", path).await?;
        anyhow::ensure!(answer.status == 409, "{}", answer.status);
        anyhow::Ok(())
    })
    .await;
    stops_in_order("clients are connected", &mut isobath).await;
    drop((whole, deaf, half, profiles));

    starts(&mut isobath, &["default/broken"]).await;
    let mut stand = Stand::on(isobath).await;
    stops_in_order("an Envoy is served", &mut stand.isobath).await;
}

/// Answers of the API server that do not come: to a first question, to a list in its middle, to a write.
#[tokio::test(flavor = "multi_thread")]
async fn while_an_answer_of_the_api_server_is_awaited() {
    let Some(cluster) = installed().await else {
        return;
    };
    let proxy = cluster.proxy().await;
    let mut isobath = cluster.isobath_at(proxy.address(), "pod", &[]);

    // Discovery, and both kinds of lists, which stop in their middle.
    for (what, part) in [("discovery", "/apis"), ("a list", "/ingresses?")] {
        proxy.on(
            usize::MAX,
            move |uri| uri.contains(part),
            Fault::StallAfter(40),
        );
        let before = proxy.count(|uri| uri.contains(part));
        isobath.spawn();
        eventually(what, async || {
            match proxy.count(|uri| uri.contains(part)) > before {
                true => Ok(()),
                false => Err("was not asked"),
            }
        })
        .await;
        stops_in_order(what, &mut isobath).await;
        proxy.heal();
    }
    let refusal = Fault::Answer(422, Vec::new(), bytes::Bytes::new());
    proxy.on(usize::MAX, |uri| uri.contains("sendInitialEvents"), refusal);
    let in_pages = |uri: &str| uri.contains("/ingresses?") && uri.contains("limit=");
    proxy.on(usize::MAX, in_pages, Fault::StallAfter(40));
    isobath.spawn();
    seen(&proxy, "a list in pages", 0, in_pages).await;
    stops_in_order("a list in pages", &mut isobath).await;
    proxy.heal();

    // Writes: the Lease, an address, an Event.
    let mut broken = vec!["default/broken"];
    for (what, name, part) in [
        ("the Lease", "default/one", "/leases"),
        ("an address", "default/two", "/status"),
        ("an Event", "default/three", "/events"),
    ] {
        broken.push(name);
        let name = name.trim_start_matches("default/");
        cluster.apply(&[our_site(name, &format!("{name}.test"), "nowhere:80")]);
        let matches = move |uri: &str| uri.contains(part);
        proxy.on(usize::MAX, matches, Fault::StallAfter(0));
        let before = proxy.count(matches);
        starts(&mut isobath, &broken).await;
        seen(&proxy, what, before, matches).await;
        stops_in_order(what, &mut isobath).await;
        proxy.heal();
    }

    // Everything was well, and then nobody answers any more: the Lease can't be given back.
    starts(&mut isobath, &broken).await;
    proxy.set_mode(Mode::BlackHole);
    stops_in_order("a server that is away", &mut isobath).await;
}

/// How many events it has taken; they are counted before they are built.
async fn taken(isobath: &Isobath) -> f64 {
    let metrics = isobath.metrics().await;
    let events = metrics.iter();
    let events = events.filter(|(name, _)| name.starts_with("isobath_events_total"));
    events.map(|(_, count)| count).sum()
}

/// How many hosts take the builder long enough that SIGTERM comes first. Where it does not, the stop is an idle one's.
const HOSTS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn while_much_is_built() {
    let mut isobath = Isobath::prepare(&["--log-level", "debug"]);
    let sites = |from: usize| -> Vec<Manifest> {
        let hosts = from..from + HOSTS;
        let site = |n: usize| site(&format!("web-{n}"), &format!("web-{n}.test"), "web:80");
        std::iter::once(service("web"))
            .chain(hosts.map(site))
            .collect()
    };
    isobath.write("all.yaml", &sites(0));
    isobath.spawn();
    // The last list is there, and what follows is the build.
    let begins = "pending=\"first snapshot\"\n";
    eventually("the first build", async || {
        let log = isobath.log();
        log.contains(begins).then_some(()).ok_or(log)
    })
    .await;
    stops_in_order("the first build", &mut isobath).await;

    isobath.restart().await;
    let before = taken(&isobath).await;
    isobath.write("all.yaml", &sites(HOSTS));
    eventually("a change is built", async || {
        match taken(&isobath).await > before {
            true => Ok(()),
            false => Err("not yet"),
        }
    })
    .await;
    stops_in_order("a change", &mut isobath).await;
}

/// Objects come one after the other while it stops.
#[tokio::test(flavor = "multi_thread")]
async fn while_objects_come() {
    let Some(cluster) = installed().await else {
        return;
    };
    let mut isobath = cluster.isobath("pod", &[]);
    for round in 0..3 {
        starts(&mut isobath, &["default/broken"]).await;
        let sites = (0..200).map(|n| {
            let name = format!("web-{round}-{n}");
            our_site(&name, &format!("{name}.test"), "web:80")
        });
        let file = cluster.plane.dir().join("sites.yaml");
        std::fs::write(&file, text(&sites.collect::<Vec<_>>())).unwrap();
        let mut apply = Command::new(kubectl());
        let kubeconfig = cluster.plane.kubeconfig(ADMIN);
        apply
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["apply", "-f"]);
        let log = cluster.plane.dir().join("apply.log");
        let mut apply = Process::start("kubectl apply", apply.arg(file), &log);
        let before = taken(&isobath).await;
        eventually("objects come", async || {
            match taken(&isobath).await > before {
                true => Ok(()),
                false => Err(apply.output()),
            }
        })
        .await;
        stops_in_order("objects come", &mut isobath).await;
        assert!(apply.end().await.success(), "{}", apply.output());
    }
}
