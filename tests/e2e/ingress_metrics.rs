//! What Envoy's `/metrics` says of requests: by namespace, Ingress, Service and host, and by nothing that a client
//! sends.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::Request;
use http::{HeaderMap, HeaderName, Method};
use tokio::net::TcpListener;

use crate::check::apps;
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{self, Connection, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, PathType, endpoint_slice, ingress, service, site};
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

/// A back end that answers with the `grpc-status` of `X-Status`.
async fn start_grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|request: Request| async move {
        let status = request.headers().get("x-status").cloned();
        let status = status.map(|status| (HeaderName::from_static("grpc-status"), status));
        status.into_iter().collect::<HeaderMap>()
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// By the statuses that there are: what else a back end says can't fill Envoy's memory.
#[tokio::test]
async fn calls_are_counted_by_status() {
    let address = start_grpc().await;
    let manifests = [
        service("calls"),
        endpoint_slice("calls", "calls", "", &["127.0.0.1"], address.port(), true),
        site("calls", "calls.test", "calls:80"),
    ];
    let stand = Stand::start(&manifests).await;
    let mut connection = Connection::open(stand.isobath.http(), Version::H2, None)
        .await
        .unwrap();
    let mut ask = async |content: &str, status: &str| {
        let headers = [("content-type", content), ("x-status", status)];
        let answer = connection
            .send(Method::POST, "calls.test", "/a.B/C", &headers)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    };
    for status in 0..=16 {
        ask("application/grpc", &status.to_string()).await;
    }
    ask("application/grpc+proto", "5").await;
    for number in 0..50 {
        ask("application/grpc", &(17 + number).to_string()).await;
        ask("application/grpc", &format!("text-{number}")).await;
    }
    // No call, whatever the back end says.
    ask("application/json", "5").await;
    ask("application/grpc-web", "5").await;
    let of = |status: &str| {
        format!(
            "grpc_status={status} host=calls.test ingress=calls namespace=default service=calls"
        )
    };
    let mut expected: BTreeMap<_, _> = (0..=16).map(|it| (of(&it.to_string()), 1)).collect();
    expected.extend([(of("5"), 2), (of("other"), 100)]);
    eventually("all calls are counted", async || {
        let found = samples(&stand, "envoy_ingress_grpc_requests_total").await?;
        ensure!(found == expected, "{found:#?}");
        Ok(())
    })
    .await;
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
