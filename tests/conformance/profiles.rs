//! Which tests of the suite have to pass: all, but those that `not_served.txt` names. One that is skipped and is not
//! named there fails the run, and so does one that is named and passes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::interval_at;

use crate::suite::Suite;
use crate::support::isobath::Isobath;
use crate::support::network::alone;
use crate::support::stand::Stand;
use crate::world::World;

/// Every profile that gateways have.
const PROFILES: &str = "GATEWAY-HTTP,GATEWAY-TLS,GATEWAY-GRPC,GATEWAY-TCP,GATEWAY-UDP";

/// Tests that are skipped, because the GatewayClass does not say that it supports what they need.
const NOT_SERVED: &str = include_str!("not_served.txt");

/// Flags of the suite instead of [`PROFILES`], as `-run-test=HTTPRouteWeight`.
const FLAGS: &str = "ISOBATH_CONFORMANCE_FLAGS";

/// The control plane is killed each time that so many seconds have passed, and started again at once.
const KILL_EVERY: &str = "ISOBATH_CONFORMANCE_KILL_EVERY";

/// Addresses of Gateways: of the loopback device, beside the API server's and the node's.
const GATEWAYS: &str = "10.97.0.128/25";

#[test]
fn the_suite_passes() {
    alone(async || {
        let Some(suite) = Suite::find() else {
            return;
        };
        let Some(world) = World::start(&suite, "experimental").await else {
            return;
        };
        let kubeconfig = world.install();
        let mut isobath = Isobath::of_cluster(
            &kubeconfig,
            &[
                "--pod-name=pod",
                "--pod-namespace=isobath",
                "--gateway-addresses",
                GATEWAYS,
            ],
        );
        isobath.restart().await;
        let mut stand = Stand::on(isobath).await;

        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance");
        std::fs::create_dir_all(&folder).unwrap();
        let asked = std::env::var(FLAGS).ok().filter(|flags| !flags.is_empty());
        let flags: Vec<String> = match &asked {
            Some(flags) => flags.split_whitespace().map(str::to_owned).collect(),
            None => vec![format!("-conformance-profiles={PROFILES}")],
        };
        let flags = [flags, implementation()].concat();
        let report = folder.join("report.yaml");
        let admin = world.admin();
        let mut kills = 0;
        let began = Instant::now();
        let verdict = tokio::select! {
            verdict = suite.run(&admin, &flags, &report) => verdict,
            () = kill(&mut stand.isobath, &mut kills) => unreachable!("it kills for ever"),
        };
        println!(
            "{:.0?}, {kills} kills: {} passed, {} failed, {} skipped; the report is {}",
            began.elapsed(),
            verdict.tests_passed(),
            verdict.failed.len(),
            verdict.skipped.len(),
            report.display()
        );
        for test in &verdict.failed {
            println!("FAILED: {test}");
        }
        assert!(
            verdict.success && verdict.failed.is_empty(),
            "see {}",
            report.display()
        );
        if asked.is_none() {
            // A mesh is no gateway, and a part of a test skips itself where a network has no IPv6.
            let skipped = verdict.skipped.iter().map(String::as_str);
            let skipped = skipped.filter(|name| !name.starts_with("Mesh") && !name.contains('/'));
            let skipped: BTreeSet<&str> = skipped.collect();
            assert_eq!(skipped, NOT_SERVED.lines().collect());
        }
        drop(stand);
    });
}

/// Kills the control plane as often as [`KILL_EVERY`] says, and counts; never ends.
async fn kill(isobath: &mut Isobath, kills: &mut usize) {
    let Some(every) = std::env::var(KILL_EVERY)
        .ok()
        .filter(|every| !every.is_empty())
    else {
        return std::future::pending().await;
    };
    let every = Duration::from_secs(every.parse().expect("whole seconds"));
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    loop {
        ticks.tick().await;
        isobath.kill().await;
        *kills += 1;
        isobath.restart().await;
    }
}

/// Who is reported.
fn implementation() -> Vec<String> {
    [
        "-gateway-class=isobath",
        "-usable-address=10.97.0.250",
        "-unusable-address=10.99.0.1",
        "-organization=isobath",
        "-project=isobath",
        "-url=https://isobath.dev",
        "-contact=https://isobath.dev",
        concat!("-version=", env!("CARGO_PKG_VERSION")),
    ]
    .map(str::to_owned)
    .to_vec()
}
