//! Every alert fires when it should and keeps silent when it should, by Prometheus's own engine (tests/promql), and one
//! of them on the pages of a real process whose client refuses what it is sent.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::manifest::{list, objects, read};
use crate::monitoring::{fetch, refuse_clusters};
use crate::support::backend::Backend;
use crate::support::eventually::eventually;
use crate::support::manifest;
use crate::support::stand::Stand;

/// When every case starts, as Unix time.
const START: u64 = 1_800_000_000;

/// Seconds between two scrapes.
const INTERVAL: u64 = 30;

/// The engine, `None` (said loudly) where it was not built.
fn engine() -> Option<String> {
    let path = std::env::var("ISOBATH_TEST_PROMQL").ok();
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ISOBATH_TEST_PROMQL must name the program of tests/promql on CI"
        );
        eprintln!(
            "SKIPPED: ISOBATH_TEST_PROMQL names no engine (tests/promql/build.sh), nothing was proven"
        );
    }
    path
}

/// The rules as the engine reads them.
fn rules() -> Vec<Value> {
    let file = &objects(&read("deploy/monitoring/prometheusrule.yaml"))[0];
    let groups = list(&file["spec"]["groups"]);
    let rules = groups.iter().flat_map(|group| list(&group["rules"]));
    rules
        .map(|rule| {
            let seconds = rule["for"].as_str().map_or(0, |text| {
                isobath::process::duration::duration(text)
                    .unwrap()
                    .as_secs()
            });
            json!({"alert": rule["alert"], "expr": rule["expr"], "for": seconds})
        })
        .collect()
}

/// What fires in each test: alert, labels, first and last evaluation in seconds from the start.
fn evaluate(engine: &str, tests: &[Value]) -> Vec<Vec<(String, Value, u64, u64)>> {
    let input = json!({"interval": INTERVAL, "rules": rules(), "tests": tests});
    let mut child = Command::new(engine)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let all: Vec<Vec<Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let firing = |firing: Value| {
        let seconds = |key| firing[key].as_u64().unwrap() - START;
        let alert = firing["alert"].as_str().unwrap().to_owned();
        let (from, to) = (seconds("from"), seconds("to"));
        (alert, firing["labels"].clone(), from, to)
    };
    all.into_iter()
        .map(|test| test.into_iter().map(firing).collect())
        .collect()
}

/// A case: series as promtool writes them (30 s apart), and the labels of the alert, or none where it keeps silent.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

const ISOBATH: &str = r#"{"namespace":"isobath","pod":"a"}"#;

const CASES: &[Case] = &[
    (
        "IsobathCertificateExpires",
        // Six days and eight days after the start.
        &[(
            r#"isobath_certificate_not_after_seconds{namespace="shop",secret="tls",pod="a"}"#,
            "1800518400x130",
        )],
        Some(r#"{"namespace":"shop","secret":"tls"}"#),
    ),
    (
        "IsobathCertificateExpires",
        &[(
            r#"isobath_certificate_not_after_seconds{namespace="shop",secret="tls",pod="a"}"#,
            "1800691200x130",
        )],
        None,
    ),
    (
        "IsobathCertificateExpired",
        &[(
            r#"isobath_certificate_not_after_seconds{namespace="shop",secret="tls",pod="a"}"#,
            "1799999999x4",
        )],
        Some(r#"{"namespace":"shop","secret":"tls"}"#),
    ),
    (
        "IsobathCertificateExpired",
        &[(
            r#"isobath_certificate_not_after_seconds{namespace="shop",secret="tls",pod="a"}"#,
            "1800518400x4",
        )],
        None,
    ),
    (
        "IsobathConfigurationRefused",
        &[(
            r#"isobath_xds_left_out{type="rds",owner="Ingress shop/web",pod="a"}"#,
            "_x3 1x4",
        )],
        Some(r#"{"type":"rds","owner":"Ingress shop/web"}"#),
    ),
    (
        "IsobathConfigurationRefused",
        // It was refused once, and is over.
        &[
            (
                r#"isobath_xds_nack_total{type="rds",owner="Ingress shop/web",pod="a"}"#,
                "_x3 1x40",
            ),
            (r#"isobath_xds_streams{variant="delta",pod="a"}"#, "1x40"),
        ],
        None,
    ),
    (
        "IsobathConfigurationStale",
        &[(
            r#"envoy_control_plane_connected_state{namespace="isobath",pod="a"}"#,
            "1x3 0x20",
        )],
        Some(ISOBATH),
    ),
    (
        "IsobathConfigurationStale",
        &[(
            r#"envoy_control_plane_connected_state{namespace="isobath",pod="a"}"#,
            "1x3 0x8 1x20",
        )],
        None,
    ),
    (
        "IsobathSnapshotSlow",
        &[
            (
                r#"isobath_xds_snapshot_ack_seconds_bucket{le="8.192",pod="a"}"#,
                "0x60",
            ),
            (
                r#"isobath_xds_snapshot_ack_seconds_bucket{le="16.384",pod="a"}"#,
                "0+1x60",
            ),
            (
                r#"isobath_xds_snapshot_ack_seconds_bucket{le="+Inf",pod="a"}"#,
                "0+1x60",
            ),
        ],
        Some("{}"),
    ),
    (
        "IsobathSnapshotSlow",
        &[
            (
                r#"isobath_xds_snapshot_ack_seconds_bucket{le="8.192",pod="a"}"#,
                "0+1x60",
            ),
            (
                r#"isobath_xds_snapshot_ack_seconds_bucket{le="16.384",pod="a"}"#,
                "0+1x60",
            ),
            (
                r#"isobath_xds_snapshot_ack_seconds_bucket{le="+Inf",pod="a"}"#,
                "0+1x60",
            ),
        ],
        None,
    ),
    (
        "IsobathControlPlaneDown",
        &[(
            r#"up{container="isobath",namespace="isobath",pod="a"}"#,
            "1x3 0x30",
        )],
        Some(ISOBATH),
    ),
    (
        "IsobathControlPlaneDown",
        // It ends over and over, and is met by one scrape in five.
        &[(
            r#"up{container="isobath",namespace="isobath",pod="a"}"#,
            "1 0x3 1 0x3 1 0x3 1 0x3 1 0x3 1 0x3 1 0x3 1 0x3",
        )],
        Some(ISOBATH),
    ),
    (
        "IsobathControlPlaneDown",
        // A pod that starts, one that is upgraded, and another container.
        &[
            (
                r#"up{container="isobath",namespace="isobath",pod="a"}"#,
                "0x5 1x30",
            ),
            (
                r#"up{container="isobath",namespace="isobath",pod="b"}"#,
                "1x20 0x6 1x9",
            ),
            (
                r#"up{container="envoy",namespace="isobath",pod="a"}"#,
                "0x36",
            ),
        ],
        None,
    ),
    (
        "IsobathControlPlaneRestarts",
        &[(
            r#"process_start_time_seconds{container="isobath",namespace="isobath",pod="a"}"#,
            "1 2 3 4 5 6 7 8",
        )],
        Some(r#"{"container":"isobath","namespace":"isobath","pod":"a"}"#),
    ),
    (
        "IsobathControlPlaneRestarts",
        &[(
            r#"process_start_time_seconds{container="isobath",namespace="isobath",pod="a"}"#,
            "1x9 2x9 3x9",
        )],
        None,
    ),
    (
        "IsobathNoLeader",
        &[
            (r#"isobath_leader{pod="a"}"#, "1x3 0x30"),
            (r#"isobath_leader{pod="b"}"#, "0x34"),
        ],
        Some("{}"),
    ),
    (
        "IsobathNoLeader",
        &[
            (r#"isobath_leader{pod="a"}"#, "1x10 0x40"),
            (r#"isobath_leader{pod="b"}"#, "0x15 1x35"),
        ],
        None,
    ),
    (
        "IsobathObjectProblems",
        &[(
            r#"isobath_object_problems{kind="Ingress",namespace="shop",reason="SecretNotFound",pod="a"}"#,
            "_x3 1x40",
        )],
        Some(r#"{"kind":"Ingress","namespace":"shop","reason":"SecretNotFound"}"#),
    ),
    (
        "IsobathObjectProblems",
        // While cert-manager fetches the certificate.
        &[(
            r#"isobath_object_problems{kind="Ingress",namespace="shop",reason="SecretNotFound",pod="a"}"#,
            "_x3 1x10 _x40",
        )],
        None,
    ),
    (
        "IsobathServiceAtLimit",
        &[
            (
                r#"envoy_cluster_upstream_rq_pending_overflow{envoy_cluster_name="shop/web/80",pod="a"}"#,
                "0x3 2x9",
            ),
            (
                r#"envoy_cluster_upstream_rq_retry_overflow{envoy_cluster_name="shop/web/80",pod="a"}"#,
                "0x12",
            ),
        ],
        Some(r#"{"envoy_cluster_name":"shop/web/80"}"#),
    ),
    (
        "IsobathServiceAtLimit",
        // A refusal of long ago.
        &[
            (
                r#"envoy_cluster_upstream_rq_pending_overflow{envoy_cluster_name="shop/web/80",pod="a"}"#,
                "7x40",
            ),
            (
                r#"envoy_cluster_upstream_rq_retry_overflow{envoy_cluster_name="shop/web/80",pod="a"}"#,
                "0x40",
            ),
        ],
        None,
    ),
    (
        "IsobathErrorsFast",
        // Two of a hundred, from a class that Envoy had not counted before.
        &[
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="https",envoy_response_code_class="5"}"#,
                "_x40 200+200x130",
            ),
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="https",envoy_response_code_class="2"}"#,
                "0+9800x170",
            ),
        ],
        Some("{}"),
    ),
    (
        "IsobathErrorsFast",
        &[
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="https",envoy_response_code_class="5"}"#,
                "0+1x170",
            ),
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="https",envoy_response_code_class="2"}"#,
                "0+999x170",
            ),
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="stats",envoy_response_code_class="5"}"#,
                "0+9999x170",
            ),
        ],
        None,
    ),
    (
        "IsobathErrorsSlow",
        &[
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="http",envoy_response_code_class="5"}"#,
                "0+7x750",
            ),
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="http",envoy_response_code_class="2"}"#,
                "0+993x750",
            ),
        ],
        Some("{}"),
    ),
    (
        "IsobathErrorsSlow",
        &[
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="http",envoy_response_code_class="5"}"#,
                "0+5x750",
            ),
            (
                r#"envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="http",envoy_response_code_class="2"}"#,
                "0+995x750",
            ),
        ],
        None,
    ),
];

#[test]
fn alerts_fire_when_they_should_and_not_else() {
    for rule in rules() {
        let of_rule = CASES.iter().filter(|(alert, ..)| rule["alert"] == *alert);
        let fires: Vec<bool> = of_rule.map(|(_, _, fires)| fires.is_some()).collect();
        let both = fires.contains(&true) && fires.contains(&false);
        assert!(
            both,
            "{} needs a case that fires and one that does not",
            rule["alert"]
        );
    }
    let Some(engine) = engine() else { return };
    let tests: Vec<Value> = CASES
        .iter()
        .map(|(_, series, _)| {
            let series = series
                .iter()
                .map(|(series, values)| json!({"series": series, "values": values}));
            let end = START + 750 * INTERVAL;
            json!({"start": START, "end": end, "series": series.collect::<Vec<_>>()})
        })
        .collect();
    for ((alert, series, expected), firing) in CASES.iter().zip(evaluate(&engine, &tests)) {
        let labels = firing.iter().filter(|(fires, ..)| fires == alert);
        let labels: Vec<_> = labels.map(|(_, labels, ..)| labels.clone()).collect();
        let expected: Vec<Value> = expected
            .iter()
            .map(|labels| serde_json::from_str(labels).unwrap())
            .collect();
        assert_eq!(labels, expected, "{alert} with {series:?}");
    }
}

#[tokio::test]
async fn what_a_client_refuses_raises_an_alert_until_it_is_over() {
    let Some(engine) = engine() else { return };
    let backend = Backend::start("web").await;
    let mut manifests = manifest::app("web", &[&backend]);
    manifests.push(manifest::site("web", "web.test", "web:80"));
    let stand = Stand::start(&manifests).await;
    let page_with = async |is_left_out: bool| {
        eventually("the page", async || {
            let page = fetch(stand.isobath.metrics_address()).await?;
            ensure!(
                page.contains("isobath_xds_left_out{") == is_left_out,
                "{page}"
            );
            Ok(page)
        })
        .await
    };
    let good = page_with(false).await;
    let contrary = tokio::spawn(refuse_clusters(stand.isobath.xds()));
    let bad = page_with(true).await;
    contrary.abort();
    let over = page_with(false).await;
    let pages = [&good, &good, &bad, &bad, &bad, &over, &over];
    let scrapes: Vec<Value> = (0..)
        .zip(pages)
        .map(|(at, page)| {
            json!({
                "at": START + at * INTERVAL, "page": page,
                "content_type": isobath::process::metrics::CONTENT_TYPE,
                "target": {"namespace": "isobath", "pod": "isobath-a", "container": "isobath"},
            })
        })
        .collect();
    let test = json!({"start": START, "end": START + 600, "scrapes": scrapes});
    let firing = evaluate(&engine, &[test]).remove(0);
    let refused: Vec<_> = firing
        .into_iter()
        .filter(|(alert, ..)| alert == "IsobathConfigurationRefused")
        .collect();
    let labels = json!({"type": "cds", "owner": "Service default/web"});
    let expected = ("IsobathConfigurationRefused".to_owned(), labels, 60, 120);
    assert_eq!(refused, [expected]);
}
