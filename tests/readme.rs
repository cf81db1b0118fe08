//! The README's tables name what the program reads, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use isobath::envoy::client_headers::{CLAIMS, Unless};
use isobath::translate::{INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS};

fn readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(readme).unwrap()
}

/// What stands between back-ticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn annotations_are_those_that_are_read() {
    let readme = readme();
    let prefixes = [
        "projectcontour.io/",
        "ingress.kubernetes.io/",
        "kubernetes.io/ingress.",
        "isobath.dev/",
    ];
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let named: BTreeSet<&str> = cells
        .flat_map(words)
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .collect();
    let read: BTreeSet<&str> = INGRESS_ANNOTATIONS
        .into_iter()
        .chain(SERVICE_ANNOTATIONS)
        .collect();
    assert_eq!(named, read);
}

#[test]
fn removed_headers_are_those_that_are_removed() {
    let readme = readme();
    let (_, table) = readme.split_once("| removed | unless |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let mut told = BTreeMap::new();
    for row in rows {
        let (names, unless) = row.trim_matches('|').split_once(" | ").unwrap();
        let unless = match words(unless).collect::<Vec<_>>()[..] {
            [] => Unless::Never,
            ["--envoy-keep-request-header"] => Unless::Named,
            ["--envoy-trusted-hops", "--envoy-keep-request-header"] => Unless::TrustedHops,
            _ => panic!("{unless}"),
        };
        for name in words(names) {
            assert_eq!(told.insert(name, unless), None, "{name} is told twice");
        }
    }
    assert_eq!(told, BTreeMap::from(CLAIMS));
}
