//! What promtool says of the rules and of the metrics.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::alerts::programs;
use crate::manifest::{objects, read};
use crate::monitoring::fetch;
use crate::support::backend::Backend;
use crate::support::manifest;
use crate::support::stand::Stand;

/// Runs it with this on its standard input; what it says, and whether it is content.
fn promtool(folder: &Path, line: &[&str], input: &str) -> (String, bool) {
    let mut child = Command::new(folder.join("promtool"))
        .args(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (said.concat(), output.status.success())
}

#[test]
fn the_rules_are_in_order() {
    let Some(folder) = programs() else { return };
    let rules = &objects(&read("deploy/monitoring/prometheusrule.yaml"))[0]["spec"];
    let check = |rules: &Value| {
        let line = ["check", "rules", "--lint=all", "--lint-fatal"];
        promtool(&folder, &line, &rules.to_string())
    };
    let (said, is_content) = check(rules);
    assert!(is_content, "{said}");
    let wrong = rules.to_string().replacen("min by", "mim by", 1);
    let (said, is_content) = check(&serde_json::from_str(&wrong).unwrap());
    assert!(!is_content, "{said}");
}

/// promtool reads the older text format only: there a counter's family is called like its samples, and nothing has a unit.
fn older(page: &str) -> String {
    let kind_of = |family: &str| {
        let kind = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|rest| rest.split_once(' '))
            .find(|(name, _)| *name == family);
        kind.map_or("", |(_, kind)| kind)
    };
    let mut lines = Vec::new();
    for line in page.lines() {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => continue,
            (Some("#"), Some(what), Some(family), Some(text)) => {
                let (suffix, kind) = match kind_of(family) {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    kind => ("", kind),
                };
                let text = if what == "TYPE" { kind } else { text };
                format!("# {what} {family}{suffix} {text}")
            }
            _ => line.to_owned(),
        };
        lines.push(line + "\n");
    }
    lines.concat()
}

#[tokio::test]
async fn the_metrics_are_in_order() {
    let Some(folder) = programs() else { return };
    let backend = Backend::start("web").await;
    let mut manifests = manifest::app("web", &[&backend]);
    manifests.push(manifest::site("web", "web.test", "web:80"));
    manifests.push(manifest::site("lost", "lost.test", "missing:80"));
    let stand = Stand::start(&manifests).await;
    let page = older(&fetch(stand.isobath.metrics_address()).await.unwrap());
    let (said, is_content) = promtool(&folder, &["check", "metrics"], &page);
    assert!(is_content && said.is_empty(), "{said}\n{page}");
    let wrong = page.replace("isobath_events_total", "isobath_events");
    let (said, is_content) = promtool(&folder, &["check", "metrics"], &wrong);
    assert!(!is_content, "{said}");
}
