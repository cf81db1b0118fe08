#![allow(clippy::unwrap_used, clippy::expect_used)]

use clap::FromArgMatches as _;

use super::*;
use crate::cli::Cli;
use crate::cli::config_file::tests::{merged, program};

/// What is printed is a file that gives the same, and has every flag.
#[test]
fn what_is_printed_is_read_again() {
    let given = "ingress-class: [a, b]\nenvoy-request-timeout: 10s\nallow-external-names: true\nwatch-namespaces: [x]\n";
    let printed = |text: &str| {
        let (_, merged) = merged(text, &["isobath", "config", "--config", "FILE"]).unwrap();
        let matches = program().try_get_matches_from(&merged.arguments).unwrap();
        let (_, of_command) = matches.subcommand().unwrap();
        let text = print(&merged, &program(), of_command);
        assert!(Cli::from_arg_matches(&matches).is_ok());
        text
    };
    let values = |printed: &str| -> Vec<String> {
        let lines = printed.lines().filter(|line| !line.starts_with('#'));
        let values = lines.map(|line| line.split("  # ").next().unwrap().to_owned());
        values.collect()
    };
    let once = printed(given);
    for part in [
        "  - a\n  - b\n",
        "envoy-request-timeout: 10s",
        "isobath.yaml:2\n",
    ] {
        assert!(once.contains(part), "{part}: {once}");
    }
    let twice = printed(&once);
    assert_eq!(values(&twice), values(&once));
    for argument in flags(&program()) {
        let key = format!("{}:", argument.get_long().unwrap());
        let is_there = once
            .lines()
            .any(|line| line.trim_start_matches("# ").starts_with(&key));
        assert!(is_there, "{key}");
    }
    let schema: Value = serde_json::from_str(&schema(&program())).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), flags(&program()).len());
    assert_eq!(properties["allow-external-names"]["type"], "boolean");
    assert_eq!(properties["envoy-merge-slashes"]["type"], "boolean");
    let words = json!(["shared", "namespace"]);
    assert_eq!(properties["host-ownership"]["enum"], words);
}
