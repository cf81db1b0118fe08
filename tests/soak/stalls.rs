//! Clients that stand still: an Envoy that is stopped (SIGSTOP), and a client that subscribes and never reads. The control
//! plane goes on for all others and does not grow; and the Envoy, when it goes on, has all that it missed, on the stream
//! that it had.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::config_dump::agrees;
use crate::hostile::resident_megabytes;
use crate::support::ads::Ads;
use crate::support::eventually::eventually;
use crate::support::manifest::{Manifest, site};
use crate::support::stand::{Stand, apps};
use crate::{figures, is_long, rounds};

/// How many hosts come and go.
const HOSTS: usize = 200;
/// How long the long form stands still, less than the 50 s after which a peer that answers no PING is gone.
const LONG: Duration = Duration::from_secs(30);

/// Another set of hosts in each form, all of them led elsewhere.
fn churned(form: usize) -> Vec<Manifest> {
    let backend = ["one:80", "two:80"][form % 2];
    (0..HOSTS)
        .map(|number| {
            let name = format!("c-{form}-{number}");
            site(&name, &format!("{name}.test"), backend)
        })
        .collect()
}

/// Waits until a client that begins now is served this form.
async fn serves(stand: &Stand, form: usize) {
    let host = format!("c-{form}-0.test");
    eventually(
        "a new client is served the change",
        async || -> Result<()> {
            let mut ads = Ads::connect(&stand.isobath.xds()).await?;
            let served = ads.everything().await?;
            let mut all = served.values().map(|(_, bytes)| bytes);
            let is_there =
                all.any(|bytes| bytes.windows(host.len()).any(|it| it == host.as_bytes()));
            ensure!(is_there, "not yet");
            Ok(())
        },
    )
    .await;
}

/// How many clients of this name have connected.
fn connections(stand: &Stand, node: &str) -> usize {
    let log = stand.isobath.log();
    let lines = log.lines().filter(|line| {
        line.contains("an xDS client connected") && line.contains(&format!("node={node} "))
    });
    lines.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stand_still() {
    let (_backends, base) = apps(&["one", "two"]).await;
    let objects = |form: usize| [&base[..], &churned(form)].concat();
    let mut stand = Stand::start(&objects(0)).await;
    let pid = stand.isobath.process().pid();
    // It subscribes to clusters and never reads.
    let deaf = Ads::connect(&stand.isobath.xds()).await.unwrap();
    let before = connections(&stand, "envoy");

    stand.envoy.process().signal(Signal::SIGSTOP);
    let begin = Instant::now();
    let least = rounds(8, 40);
    let mut memory = Vec::new();
    let mut form = 0;
    while form < least || (is_long() && begin.elapsed() < LONG) {
        form += 1;
        stand.isobath.write("manifests.yaml", &objects(form));
        serves(&stand, form).await;
        memory.push(resident_megabytes(pid));
    }
    let stood = begin.elapsed();
    stand.envoy.process().signal(Signal::SIGCONT);
    let start = Instant::now();
    let resources = agrees(&stand).await;
    let caught_up = start.elapsed();
    let answer = stand.get(&format!("c-{form}-7.test"), "/").await.unwrap();
    assert_eq!(answer.status, 200);
    drop(deaf);

    let quarter = memory.len() / 4;
    let early = memory[..=quarter].iter().max().unwrap();
    let late = memory[memory.len() - quarter - 1..].iter().max().unwrap();
    figures(
        "clients_that_stand_still",
        format!(
            "{form} changes of {HOSTS} hosts in {stood:.1?}; {early} MB after a quarter and {late} MB at the end; then \
             Envoy has all {resources} resources after {caught_up:.1?}"
        ),
    );
    assert!(*late <= early + early / 4 + 16, "memory grows: {memory:?}");
    if stood < Duration::from_secs(45) {
        assert_eq!(connections(&stand, "envoy"), before, "the same stream");
    }
}
