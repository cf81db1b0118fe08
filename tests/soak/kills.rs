//! The control plane is killed under constant traffic, again and again: nobody notices.

use std::collections::BTreeSet;

use crate::config_dump::agrees;
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::isobath::Isobath;
use crate::support::load::Load;
use crate::support::manifest::{Manifest, service, site, slice};
use crate::support::stand::{Stand, apps};
use crate::{figures, rounds};

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_traffic() {
    let rounds = rounds(8, 100);
    let (mut stand, load, backends) = Stand::under_traffic().await;
    let before = stand.envoy.modifications().await;
    for round in 0..rounds {
        stand.isobath.kill().await;
        stand.isobath.spawn();
        if round % 3 == 1 {
            // Again while it starts.
            stand.isobath.kill().await;
            stand.isobath.spawn();
        }
        stand.isobath.ready().await;
        stand.fence(&backends[3], round % 2 == 0).await;
    }
    load.more(30).await;
    let after = stand.envoy.modifications().await;
    let report = load.stop_without_failure().await;
    figures("kills_under_traffic", format!("{rounds} kills, {report}"));
    assert_eq!(after, before);
    assert_eq!(report.closed, 0, "no connection is drained");
}

/// A world of hosts. From one edition to the next a tenth of them goes, a tenth comes, and a tenth leads elsewhere or
/// has another certificate.
fn world(
    count: usize,
    edition: usize,
    secrets: &[Manifest],
    backends: &[Backend],
) -> Vec<Manifest> {
    let mut all = Vec::new();
    for number in (0..count).filter(|number| is_there(*number, edition)) {
        let changed = if (number + edition) % 10 == 1 { 1 } else { 0 };
        let name = format!("w-{number}");
        let host = format!("{name}.test");
        let backend = &backends[(number + changed) % backends.len()];
        let mut ingress = site(&name, &host, &format!("{name}:80"));
        if number.is_multiple_of(4) {
            // Certificates are shared, so that chains gain and lose hosts, and come and go.
            let certificate = (number / 4 + changed) % secrets.len();
            ingress = ingress.tls(&[&host], &format!("s-{certificate}"));
        }
        all.extend([ingress, service(&name), slice(&name, backend)]);
    }
    all.extend(secrets.iter().skip(edition % 2).cloned());
    all
}

fn is_there(number: usize, edition: usize) -> bool {
    !(number + edition).is_multiple_of(10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_changes_while_it_is_dead() {
    let (rounds, count) = (rounds(2, 20), rounds(120, 1000));
    let authority = Authority::new();
    let names: Vec<String> = (0..count)
        .map(|number| format!("w-{number}.test"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let secrets: Vec<Manifest> = (0..count.div_ceil(20))
        .map(|number| authority.leaf(&names).secret(&format!("s-{number}")))
        .collect();
    let mut backends = Vec::new();
    for name in ["a", "b", "c"] {
        backends.push(Backend::start(name).await);
    }
    let (_still, fixed) = apps(&["still"]).await;
    let objects = |edition: usize| {
        let mut all = world(count, edition, &secrets, &backends);
        all.extend(fixed.iter().cloned());
        all.push(site("still", "still.test", "still:80"));
        all
    };
    let isobath = Isobath::start(&objects(0)).await;
    let socket = isobath.xds();
    // Altered chains are drained for so long, and hold their tables and secrets.
    let mut stand = Stand::behind(isobath, &socket, &["--drain-time-s", "1"]).await;
    let load = Load::start(stand.http_traffic("still.test")).await;
    let mut resources = BTreeSet::new();
    for edition in 1..=rounds {
        stand.isobath.kill().await;
        stand.isobath.write("manifests.yaml", &objects(edition));
        stand.isobath.restart().await;
        resources.insert(agrees(&stand).await);
        for number in 0..10 {
            let answer = stand.get(&format!("w-{number}.test"), "/").await.unwrap();
            let wanted = if is_there(number, edition) { 200 } else { 404 };
            assert_eq!(answer.status, wanted, "w-{number} of edition {edition}");
        }
    }
    let report = load.stop_without_failure().await;
    figures(
        "a_third_changes_while_it_is_dead",
        format!("{rounds} kills, {resources:?} resources, {report}"),
    );
    assert_eq!(report.closed, 0, "no connection is drained");
}
