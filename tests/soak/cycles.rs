//! Ingresses that come and go, each with a host, a Service and a certificate of its own, and are built in between:
//! nothing of them is kept.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::ensure;

use crate::hostile::resident_megabytes;
use crate::support::certificate::Authority;
use crate::support::eventually::eventually;
use crate::support::manifest::{Manifest, service, site};
use crate::support::stand::{Stand, apps};
use crate::{figures, rounds};

/// Ingresses of one cycle: they come together, and go one by one with the next files.
const AT_ONCE: usize = 10;

/// What counts what is kept: objects by kind, resources by type, problems, certificates.
fn kept(metrics: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    const FAMILIES: [&str; 4] = [
        "isobath_objects",
        "isobath_resources",
        "isobath_object_problems",
        "isobath_certificate_not_after_seconds",
    ];
    metrics
        .iter()
        .filter(|(name, value)| {
            FAMILIES.iter().any(|family| name.starts_with(family)) && **value > 0.0
        })
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ingresses_come_and_go() {
    let cycles = rounds(10, 500);
    let authority = Authority::new();
    let (_backends, mut base) = apps(&["web"]).await;
    base.push(site("web", "web.test", "web:80").tls(&[], "web"));
    base.push(authority.leaf(&["web.test"]).secret("web"));
    let mut stand = Stand::start(&base).await;
    let pid = stand.isobath.process().pid();
    let before = kept(&stand.isobath.metrics().await);
    let translated = |metrics: &BTreeMap<String, f64>| -> f64 {
        let units = metrics.iter();
        let units = units.filter(|(name, _)| name.starts_with("isobath_units_translated"));
        units.map(|(_, value)| value).sum()
    };
    let at_first = translated(&stand.isobath.metrics().await);
    let begin = Instant::now();
    let mut memory = Vec::new();
    for cycle in 0..cycles {
        let comes: Vec<Manifest> = (0..AT_ONCE)
            .flat_map(|number| {
                let name = format!("n{cycle}-{number}");
                let host = format!("{name}.test");
                [
                    site(&name, &host, &format!("{name}:80")).tls(&[], &name),
                    // What is wrong is remembered too, and must be forgotten.
                    site(&format!("wrong-{name}"), &host, "nowhere:80"),
                    service(&name),
                    authority.leaf(&[&host]).secret(&name),
                ]
            })
            .collect();
        stand.isobath.write("comes.yaml", &comes);
        let host = format!("n{cycle}-0.test");
        eventually("it came", async || {
            // No endpoint yet: what answers is Envoy, for a route that it has.
            let answer = stand.get(&host, "/").await?;
            ensure!(answer.status == 503, "{}", answer.status);
            Ok(())
        })
        .await;
        stand.isobath.remove("comes.yaml");
        eventually("it is gone", async || {
            let now = kept(&stand.isobath.metrics().await);
            ensure!(now == before, "{now:?}");
            let answer = stand.get(&host, "/").await?;
            ensure!(answer.status == 404, "{}", answer.status);
            Ok(())
        })
        .await;
        memory.push(resident_megabytes(pid));
    }
    let built = translated(&stand.isobath.metrics().await) - at_first;
    let ingresses = cycles * AT_ONCE;
    assert!(
        built >= 3.0 * ingresses as f64,
        "{built} units were translated"
    );
    eventually("Envoy has let go of them", async || {
        let clusters = stand.envoy.stat("cluster_manager.active_clusters").await;
        // Those of the bootstrap (three), and web's; what is gone stays for a grace period.
        ensure!(clusters <= 4, "{clusters} clusters");
        Ok(())
    })
    .await;
    let quarter = memory.len() / 4;
    let early = *memory[..=quarter].iter().max().unwrap();
    let late = *memory[memory.len() - quarter - 1..].iter().max().unwrap();
    figures(
        "cycles",
        format!(
            "{ingresses} Ingresses came and went in {:.0?}, {built} units translated; {early} MB after a quarter and \
             {late} MB at the end",
            begin.elapsed()
        ),
    );
    assert!(late <= early + 8, "memory grows: {memory:?}");
}
