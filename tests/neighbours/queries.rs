//! Prometheus: it scrapes the pair, answers each query of the dashboards, and takes the alerts.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::support::client::{self, Version};
use crate::support::eventually::eventually;
use crate::support::process::Process;
use crate::world::{World, built};

/// Where its programs lie, which `tests/prometheus/build.sh` makes.
const PROGRAMS: &str = "ISOBATH_TEST_PROMETHEUS";

/// Where it listens.
const ADDRESS: &str = "127.0.0.1:9090";

/// In queries that are answered with nothing while all is well: nothing was refused, failed or cut.
const SILENT: [&str; 6] = [
    "isobath_xds_refused_responses_total",
    "isobath_object_problems",
    "isobath_source_waits_total",
    "isobath_source_watches_total",
    "isobath_lease_errors_total",
    "envoy_response_code_class=\"5\"",
];

/// A Prometheus that scrapes the pair as the PodMonitor says it.
pub(crate) struct Prometheus {
    process: Process,
}

impl Prometheus {
    /// `None`, with a loud line, where it was not built, and this is not CI.
    pub(crate) async fn start(world: &World) -> Option<Self> {
        let folder = built(PROGRAMS, "tests/prometheus/build.sh")?;
        let rules = yaml("prometheusrule.yaml")["spec"].clone();
        let rule_file = world.dir().join("rules.json");
        fs::write(&rule_file, rules.to_string()).unwrap();
        let isobath = &world.stand.isobath;
        let job = |container: &str, address: std::net::SocketAddr| {
            json!({
                "job_name": container, "honor_labels": true,
                "static_configs": [{
                    "targets": [address.to_string()],
                    "labels": {"namespace": "isobath", "pod": "pod", "container": container},
                }],
            })
        };
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rule_file],
            "scrape_configs": [
                job("isobath", isobath.metrics_address()), job("envoy", isobath.stats()),
            ],
        });
        let file = world.dir().join("prometheus.json");
        fs::write(&file, configuration.to_string()).unwrap();
        let check = Command::new(folder.join("promtool"))
            .args(["check", "config", "--lint=all", "--lint-fatal"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "promtool: {said}");
        let mut command = Command::new(folder.join("prometheus"));
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                world.dir().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={ADDRESS}"));
        let log = world.dir().join("prometheus.log");
        let process = Process::start("prometheus", &mut command, &log);
        Some(Self { process })
    }

    /// Each query of the dashboards is answered, and each alert is taken; none fires but for what is so.
    pub(crate) async fn answers(mut self) {
        for page in ["dashboard.json", "dashboard-control-plane.json"] {
            let page = yaml(page);
            for panel in page["panels"].as_array().unwrap() {
                let title = panel["title"].as_str().unwrap();
                for target in panel["targets"].as_array().into_iter().flatten() {
                    let query = target["expr"].as_str().unwrap();
                    let query = query.replace("$__rate_interval", "1m");
                    if SILENT.iter().any(|silent| query.contains(silent)) {
                        let answer = ask(&query).await.unwrap();
                        assert_eq!(answer["resultType"], "vector", "{title}: {query}");
                        continue;
                    }
                    let place = format!("{title}: {query}");
                    eventually(&place, async || {
                        let answer = ask(&query).await?;
                        ensure!(answer["result"] != json!([]), "nothing");
                        Ok::<_, anyhow::Error>(())
                    })
                    .await;
                }
            }
        }
        let rules = get("/api/v1/rules").await.unwrap();
        let rules = rules["groups"][0]["rules"].as_array().unwrap();
        let count = yaml("prometheusrule.yaml")["spec"]["groups"][0]["rules"]
            .as_array()
            .map(Vec::len);
        assert_eq!(Some(rules.len()), count);
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{rule}");
            // A solver whose pod does not run yet is answered for with 503, in a world that has had few requests.
            let is_due = rule["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("IsobathErrors"));
            assert!(is_due || rule["state"] != "firing", "{rule}");
        }
        self.process.assert_running();
    }
}

/// A file of `deploy/monitoring`.
fn yaml(name: &str) -> Value {
    let path = format!("{}/deploy/monitoring/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

async fn ask(query: &str) -> Result<Value> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    get(&format!("/api/v1/query?query={query}")).await
}

async fn get(path: &str) -> Result<Value> {
    let address = ADDRESS.parse()?;
    let answer = client::get(address, Version::H1, None, "prometheus", path).await?;
    let answered: Value = serde_json::from_slice(&answer.body)?;
    ensure!(answered["status"] == "success", "{answered}");
    Ok(answered["data"].clone())
}
