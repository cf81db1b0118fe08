//! Where the dependencies come from, under which licences, and that the ones which must agree are there once.
//!
//! `cargo deny` (see `make deny`) knows more, and needs a program and a database that not every machine can have.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Licences that ask for nothing but their text (of which `isobath` is a part under Apache-2.0).
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Copyleft by file: who passes the binary on must say where the source of these files is, which is crates.io,
/// unchanged. `imbl` is the snapshots' persistent map, `inferno` draws the flame graphs of `pprof`.
const EXCEPTIONS: [(&str, &str); 3] = [
    ("imbl", "MPL-2.0+"),
    ("imbl-sized-chunks", "MPL-2.0+"),
    ("inferno", "CDDL-1.0"),
];

/// Crates whose types pass between others, or of which two would be two of everything.
const ONCE: [&str; 14] = [
    "envoy-types",
    "http",
    "hyper",
    "k8s-openapi",
    "kube",
    "kube-client",
    "kube-core",
    "mimalloc",
    "prost",
    "ring",
    "rustls",
    "tokio",
    "tonic",
    "tracing-core",
];

fn lock() -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    text.split("[[package]]\n")
        .skip(1)
        .map(|package| {
            package
                .lines()
                .filter_map(|line| {
                    let (name, value) = line.split_once(" = ")?;
                    Some((name.to_owned(), value.trim_matches('"').to_owned()))
                })
                .collect()
        })
        .collect()
}

#[test]
fn all_packages_come_from_the_registry_with_a_checksum() {
    let packages = lock();
    assert!(packages.len() > 100);
    for package in &packages {
        if package["name"] == "isobath" {
            continue;
        }
        let source = package.get("source").map(String::as_str);
        assert_eq!(
            source,
            Some("registry+https://github.com/rust-lang/crates.io-index"),
            "{}",
            package["name"]
        );
        assert!(package.contains_key("checksum"), "{}", package["name"]);
    }
}

#[test]
fn what_must_agree_is_there_once() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock() {
        let version = package["version"].clone();
        versions
            .entry(package["name"].clone())
            .or_default()
            .push(version);
    }
    for name in ONCE {
        let found = versions.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn licences_are_among_the_allowed_ones() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform=x86_64-unknown-linux-musl"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        if !used.contains(package["id"].as_str().unwrap()) {
            continue;
        }
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        if !allowed(licence) && !EXCEPTIONS.contains(&(name, licence)) {
            wrong.push(format!("{name}: {licence}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether one of the alternatives has allowed parts only (SPDX; `/` is an old spelling of `OR`).
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    // `(A OR B) AND C`: every part in turn.
    if let Some((left, right)) = split_outside(&expression, " AND ") {
        return allowed(left) && allowed(right);
    }
    let inner = expression.trim();
    let inner = inner
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(inner);
    inner.split(" OR ").any(|one| {
        let parts: Vec<&str> = one
            .split(" AND ")
            .map(|part| part.trim_matches(['(', ')', ' ']))
            .collect();
        parts.iter().all(|part| ALLOWED.contains(part))
    })
}

/// Splits at the first separator outside of parentheses.
fn split_outside<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    text.match_indices(separator).find_map(|(at, _)| {
        let left = &text[..at];
        let open = left.matches('(').count() - left.matches(')').count();
        // Without parentheses OR binds less than AND, and the alternatives come first.
        (open == 0 && text.contains('(')).then(|| (left, &text[at + separator.len()..]))
    })
}

#[test]
fn expressions_are_read_as_spdx_has_them() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
        ("none", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}
