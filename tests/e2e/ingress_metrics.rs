//! What Envoy's `/metrics` says of requests: by namespace, Ingress, Service and host, and by nothing that a client
//! sends.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::check::apps;
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{self, Connection, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, PathType, ingress, site};
use crate::support::stand::Stand;

const REQUESTS: &str = "envoy_ingress_requests_total";

/// Samples of one family by their labels, sorted and without the empty ones.
async fn samples(stand: &Stand, family: &str) -> Result<BTreeMap<String, u64>> {
    let answer = client::get(
        stand.isobath.stats(),
        Version::H1,
        None,
        "metrics",
        "/metrics",
    )
    .await?;
    ensure!(answer.status == 200, "{}", answer.status);
    let mut samples = BTreeMap::new();
    for line in answer.text().lines() {
        let Some((labels, value)) = line
            .strip_prefix(family)
            .and_then(|rest| rest.strip_prefix('{')?.split_once("} "))
        else {
            continue;
        };
        let mut labels: Vec<&str> = labels
            .split(',')
            .filter(|label| !label.ends_with("=\"\""))
            .collect();
        labels.sort_unstable();
        samples.insert(labels.join(" ").replace('"', ""), value.parse()?);
    }
    Ok(samples)
}

async fn manifests() -> (Vec<Backend>, Vec<Manifest>) {
    let (backends, mut all) = apps(&["web"]).await;
    all.push(
        ingress("shop")
            .rule(
                "shop.test",
                &[
                    ("/", PathType::Prefix, "web:80"),
                    ("/lost", PathType::Prefix, "missing:80"),
                ],
            )
            .rule("*.shop.test", &[("/", PathType::Prefix, "web:80")]),
    );
    all.push(
        site("strict", "strict.test", "web:80")
            .tls(&["strict.test"], "strict")
            .annotate("ingress.kubernetes.io/force-ssl-redirect", "true"),
    );
    all.push(Authority::new().leaf(&["strict.test"]).secret("strict"));
    (backends, all)
}

#[tokio::test]
async fn requests_are_counted_by_who_asked_for_the_route() {
    let (_backends, manifests) = manifests().await;
    let stand = Stand::start(&manifests).await;
    for (host, path, times) in [
        ("shop.test", "/", 3),
        ("shop.test", "/lost", 2),
        ("a.shop.test", "/", 1),
        ("b.shop.test:8080", "/", 1),
        ("strict.test", "/", 1),
        ("nobody.test", "/", 1),
    ] {
        for _ in 0..times {
            stand.get(host, path).await.unwrap();
        }
    }
    for version in [Version::H1, Version::H2] {
        let answer = stand.get_tls(version, "strict.test", "/").await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let of = |class: u8, rest: &str| {
        format!("envoy_response_code_class={class} {rest}")
            .trim_end()
            .to_owned()
    };
    let expected = BTreeMap::from([
        (
            of(
                2,
                "host=shop.test ingress=shop namespace=default service=web",
            ),
            3,
        ),
        (
            of(
                5,
                "host=shop.test ingress=shop namespace=default service=missing",
            ),
            2,
        ),
        (
            of(
                2,
                "host=*.shop.test ingress=shop namespace=default service=web",
            ),
            2,
        ),
        (
            of(
                2,
                "host=strict.test ingress=strict namespace=default service=web",
            ),
            2,
        ),
        // The redirect of a host to HTTPS, and what no route took.
        (of(3, ""), 1),
        (of(4, ""), 1),
    ]);
    // Envoy counts when it has sent the last byte, which the client may have before that.
    eventually("all requests are counted", async || {
        let found = samples(&stand, REQUESTS).await?;
        ensure!(found == expected, "{found:#?}");
        Ok(())
    })
    .await;
    let shop = "host=shop.test ingress=shop namespace=default service=web";
    for (family, least) in [
        ("envoy_ingress_sent_bytes_total", 3),
        ("envoy_ingress_received_bytes_total", 0),
        ("envoy_ingress_duration_milliseconds_total", 0),
    ] {
        let found = samples(&stand, family).await.unwrap();
        assert!(found[shop] >= least, "{family}: {found:?}");
        assert_eq!(found.len(), 5, "{family}, without the class: {found:?}");
    }
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let isobath = Isobath::start_with(&manifests, &["--envoy-ingress-metrics=false"]).await;
    let stand = Stand::on(isobath).await;
    assert_eq!(stand.get("web.test", "/").await.unwrap().status, 200);
    eventually("the request is counted where it always is", async || {
        let total = stand.envoy.stat("http.http.downstream_rq_2xx").await;
        ensure!(total == 1, "{total}");
        Ok(())
    })
    .await;
    let found = samples(&stand, REQUESTS).await.unwrap();
    assert_eq!(found, BTreeMap::new());
}

/// Memory of an Envoy, in KiB, after one request to each of so many hosts, and the length of its `/metrics`.
async fn cost(hosts: usize, flag: &str) -> (u64, usize) {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.extend((0..hosts).map(|number| {
        site(
            &format!("site-{number}"),
            &format!("host-{number}.test"),
            "web:80",
        )
    }));
    let isobath = Isobath::start_with(&manifests, &[flag]).await;
    let mut stand = Stand::on(isobath).await;
    let mut connection = Connection::open(stand.isobath.http(), Version::H1, None)
        .await
        .unwrap();
    for number in 0..hosts {
        let host = format!("host-{number}.test");
        assert_eq!(connection.get(&host, "/").await.unwrap().status, 200);
    }
    let page = client::get(
        stand.isobath.stats(),
        Version::H1,
        None,
        "metrics",
        "/metrics",
    )
    .await
    .unwrap();
    let pid = stand.envoy.process().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    (resident.unwrap().parse().unwrap(), page.body.len())
}

/// A thousand hosts with `ISOBATH_SOAK=1`, which is what deploy/README says; a hundred else.
#[tokio::test]
async fn it_costs_what_the_documentation_says() {
    let hosts = if std::env::var_os("ISOBATH_SOAK").is_some() {
        1000
    } else {
        100
    };
    let (without, short) = cost(hosts, "--envoy-ingress-metrics=false").await;
    let (with, long) = cost(hosts, "--envoy-ingress-metrics=true").await;
    let more = with.saturating_sub(without);
    eprintln!(
        "{hosts} hosts: Envoy has {:.1} MiB without, {:.1} MiB with ingress metrics; /metrics has {} kB, {} kB",
        without as f64 / 1024.0,
        with as f64 / 1024.0,
        short / 1000,
        long / 1000
    );
    // Four counters and a route's labels, each below a kibibyte, and what the allocator rounds.
    assert!(more < hosts as u64 * 6 + 6 * 1024, "{more} KiB more");
    assert!(long - short < hosts * 1000, "{} bytes more", long - short);
}
