//! The queries of the dashboards and of the alerts, against the metrics of a running pair: each name that a query has is
//! there, with each label that it asks for. Prometheus itself is asked in `tests/neighbours/queries.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use std::path::PathBuf;

use anyhow::ensure;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::rpc::Status;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::manifest::{list, objects, read};
use crate::support::ads::CDS;
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{self, Version};
use crate::support::eventually::eventually;
use crate::support::manifest;
use crate::support::stand::Stand;

/// What the metrics begin with that a pair has only in a cluster. A real Prometheus asks for these in `tests/neighbours`.
const OF_CLUSTER: [&str; 4] = [
    "isobath_source_",
    "isobath_status_",
    "isobath_event_writes",
    "isobath_lease_errors",
];

/// What Prometheus itself adds to every sample of these pods.
const TARGET: [&str; 3] = ["namespace", "pod", "container"];

/// Metrics, and the labels that any of their samples has.
type Known = BTreeMap<String, BTreeSet<String>>;

/// The queries of all files, by where they are.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    let rules = &objects(&read("deploy/monitoring/prometheusrule.yaml"))[0];
    for group in list(&rules["spec"]["groups"]) {
        for rule in list(&group["rules"]) {
            queries.push((
                rule["alert"].as_str().unwrap().to_owned(),
                text(&rule["expr"]),
            ));
        }
    }
    for name in ["dashboard", "dashboard-control-plane"] {
        let page = read(format!("deploy/monitoring/{name}.json"));
        let dashboard: Value = serde_json::from_str(&page).unwrap();
        for panel in list(&dashboard["panels"]) {
            for target in list(&panel["targets"]) {
                queries.push((text(&panel["title"]), text(&target["expr"])));
            }
        }
    }
    assert!(queries.len() > 30, "{}", queries.len());
    queries
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Reads a page in Prometheus's text format.
fn learn(known: &mut Known, page: &str) {
    for line in page.lines() {
        // A family without samples yet is known by its type, and its labels are nobody's guess.
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let labels = known.entry(line[..end].to_owned()).or_default();
        labels.extend(labels_of(&line[end..]));
    }
}

/// The label names between the first braces: of a sample, or of a selector.
fn labels_of(text: &str) -> Vec<String> {
    let Some(inner) = text.strip_prefix('{') else {
        return Vec::new();
    };
    let (mut labels, mut name, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for character in inner.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '}' => break,
            ',' => name.clear(),
            '=' | '!' | '~' => {
                if !name.is_empty() {
                    labels.push(std::mem::take(&mut name));
                }
            }
            _ => name.push(character),
        }
    }
    labels
}

/// The words of a query that are names of metrics, each with the labels of its selector.
fn metrics_of(query: &str) -> Vec<(String, Vec<String>)> {
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut found = Vec::new();
    for prefix in ["isobath_", "envoy_", "process_"] {
        for (start, _) in query.match_indices(prefix) {
            if query[..start].ends_with(word) {
                continue;
            }
            let rest = &query[start..];
            let end = rest
                .find(|character| !word(character))
                .unwrap_or(rest.len());
            found.push((rest[..end].to_owned(), labels_of(&rest[end..])));
        }
    }
    // `envoy_http_conn_manager_prefix` is a label, and so is what `by (…)` names.
    found.retain(|(name, _)| !is_label(query, name));
    found
}

fn grouped_by(query: &str) -> BTreeSet<String> {
    query
        .match_indices("by (")
        .flat_map(|(start, by)| {
            let rest = &query[start + by.len()..];
            rest[..rest.find(')').unwrap()].split(',')
        })
        .map(|label| label.trim().to_owned())
        .collect()
}

fn is_label(query: &str, name: &str) -> bool {
    let selected = query
        .match_indices('{')
        .any(|(start, _)| labels_of(&query[start..]).iter().any(|label| label == name));
    selected || grouped_by(query).contains(name) || query.contains(&format!("\"{name}\""))
}

/// What is wrong with a query.
fn check(known: &Known, query: &str) -> Result<(), String> {
    let metrics = metrics_of(query);
    if metrics.is_empty() && !query.contains("up{") {
        return Err("no metric in it".to_owned());
    }
    let mut available: BTreeSet<String> = TARGET.map(String::from).into();
    if query.contains("label_replace(") {
        available.extend(["namespace", "service"].map(String::from));
    }
    for (metric, selected) in &metrics {
        let labels = known.get(metric).ok_or(format!("no metric {metric}"))?;
        for label in selected {
            if !labels.contains(label) && !TARGET.contains(&label.as_str()) {
                return Err(format!("{metric} has no label {label}, but {labels:?}"));
            }
        }
        available.extend(labels.iter().cloned());
    }
    for label in grouped_by(query) {
        if !available.contains(&label) {
            return Err(format!("nothing has a label {label}, but {available:?}"));
        }
    }
    Ok(())
}

#[test]
fn the_reader_of_queries_sees_what_is_wrong() {
    let mut known = Known::new();
    learn(
        &mut known,
        "# HELP a b\nisobath_x_total{type=\"a,b}\",owner=\"\\\"\"} 1\nenvoy_y{z=\"1\"} 2\nisobath_n 3\n",
    );
    assert_eq!(
        check(
            &known,
            "sum by (owner) (rate(isobath_x_total{type=\"q\"}[5m])) > isobath_n"
        ),
        Ok(())
    );
    for (query, problem) in [
        ("rate(isobath_x[5m])", "no metric isobath_x"),
        ("isobath_x_total{kind=\"a\"}", "no label kind"),
        ("sum by (kind) (envoy_y)", "nothing has a label kind"),
        ("vector(0)", "no metric in it"),
    ] {
        let error = check(&known, query).unwrap_err();
        assert!(error.contains(problem), "{query}: {error}");
    }
}

#[tokio::test]
async fn every_query_asks_for_what_a_running_pair_has() {
    let backend = Backend::start("web").await;
    let mut manifests = manifest::app("web", &[&backend]);
    manifests.push(manifest::site("web", "web.test", "web:80"));
    manifests.push(manifest::site("lost", "lost.test", "missing:80"));
    manifests.push(manifest::site("tls", "tls.test", "web:80").tls(&["tls.test"], "tls"));
    manifests.push(Authority::new().leaf(&["tls.test"]).secret("tls"));
    let stand = Stand::start(&manifests).await;
    let contrary = tokio::spawn(refuse_clusters(stand.isobath.xds()));

    let mut registry = Registry::default();
    // Of these a pair without a cluster has none.
    isobath::status::lease::Metrics::default()
        .register(registry.sub_registry_with_prefix("isobath"));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    let mut known = Known::new();
    learn(&mut known, &page);

    eventually("all metrics are there", async || {
        let answer = stand.get("web.test", "/").await?;
        ensure!(answer.status == 200, "{}", answer.status);
        for address in [stand.isobath.metrics_address(), stand.isobath.stats()] {
            learn(&mut known, &fetch(address).await?);
        }
        for (place, query) in queries() {
            if OF_CLUSTER.iter().any(|prefix| query.contains(prefix)) {
                continue;
            }
            let result = check(&known, &query);
            ensure!(result.is_ok(), "{place}: {query}: {}", result.unwrap_err());
        }
        Ok(())
    })
    .await;
    contrary.abort();
}

/// A client that refuses every cluster: Envoy refuses nothing of what it is sent here, and a query asks for that.
pub async fn refuse_clusters(socket: PathBuf) -> anyhow::Result<()> {
    let channel = Endpoint::from_static("http://isobath")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await?;
    let (requests, receiver) = mpsc::channel(16);
    let mut responses = AggregatedDiscoveryServiceClient::new(channel)
        .delta_aggregated_resources(ReceiverStream::new(receiver))
        .await?
        .into_inner();
    let mut request = DeltaDiscoveryRequest {
        node: Some(Node {
            id: "contrary".to_owned(),
            ..Node::default()
        }),
        type_url: CDS.to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(request.clone()).await?;
    while let Some(response) = responses.message().await? {
        request.response_nonce = response.nonce;
        request.error_detail = Some(Status {
            code: 3,
            message: "no".to_owned(),
            ..Status::default()
        });
        requests.send(request.clone()).await?;
    }
    Ok(())
}

pub async fn fetch(address: SocketAddr) -> anyhow::Result<String> {
    let answer = client::get(address, Version::H1, None, "metrics", "/metrics").await?;
    ensure!(answer.status == 200, "{}", answer.status);
    Ok(answer.text())
}
