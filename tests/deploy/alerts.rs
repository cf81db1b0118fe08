//! Every alert fires when it should and keeps silent when it should, by Prometheus's own engine (tests/prometheus), and one
//! of them on the pages of a real process whose client refuses what it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
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

/// Where the programs of Prometheus lie, `None` (said loudly) where they were not built.
pub fn programs() -> Option<PathBuf> {
    let folder = std::env::var_os("ISOBATH_TEST_PROMETHEUS");
    if folder.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ISOBATH_TEST_PROMETHEUS must name the folder of tests/prometheus on CI"
        );
        eprintln!(
            "SKIPPED: ISOBATH_TEST_PROMETHEUS names no folder (tests/prometheus/build.sh), nothing was proven"
        );
    }
    folder.map(PathBuf::from)
}

/// The engine.
fn engine() -> Option<PathBuf> {
    programs().map(|folder| folder.join("promql"))
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
fn evaluate(engine: &Path, tests: &[Value]) -> Vec<Vec<(String, Value, u64, u64)>> {
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

/// A case of `alerts.yaml`.
#[derive(serde::Deserialize)]
struct Case {
    /// Values by series.
    series: BTreeMap<String, String>,
    /// The labels of the alert, none where it keeps silent.
    fires: Option<Value>,
}

/// All cases, by alert.
fn cases() -> Vec<(String, Case)> {
    let of_alert: BTreeMap<String, Vec<Case>> =
        serde_saphyr::from_str(&read("tests/deploy/alerts.yaml")).unwrap();
    let cases = of_alert
        .into_iter()
        .map(|(alert, cases)| cases.into_iter().map(move |case| (alert.clone(), case)));
    cases.flatten().collect()
}

#[test]
fn alerts_fire_when_they_should_and_not_else() {
    let cases = cases();
    let both = |alert: &str| {
        let of_alert = cases.iter().filter(|(name, _)| name == alert);
        let fires: BTreeSet<bool> = of_alert.map(|(_, case)| case.fires.is_some()).collect();
        fires.len() == 2
    };
    let alerts: BTreeSet<String> = rules()
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect();
    for alert in &alerts {
        assert!(
            both(alert),
            "{alert} needs a case that fires and one that does not"
        );
    }
    for (alert, _) in &cases {
        assert!(alerts.contains(alert), "{alert} is no alert");
    }
    let Some(engine) = engine() else { return };
    let tests: Vec<Value> = cases
        .iter()
        .map(|(_, case)| {
            let series = case.series.iter();
            let series = series.map(|(series, values)| json!({"series": series, "values": values}));
            let end = START + 750 * INTERVAL;
            json!({"start": START, "end": end, "series": series.collect::<Vec<_>>()})
        })
        .collect();
    for ((alert, case), firing) in cases.iter().zip(evaluate(&engine, &tests)) {
        let labels = firing.iter().filter(|(fires, ..)| fires == alert);
        let labels: Vec<_> = labels.map(|(_, labels, ..)| labels.clone()).collect();
        let expected: Vec<Value> = case.fires.iter().cloned().collect();
        assert_eq!(labels, expected, "{alert} with {:?}", case.series);
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
