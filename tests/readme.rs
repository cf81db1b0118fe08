//! The README's tables of annotations name what the translation reads, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use isobath::translate::{INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS};

#[test]
fn annotations_are_those_that_are_read() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let prefixes = [
        "projectcontour.io/",
        "ingress.kubernetes.io/",
        "kubernetes.io/ingress.",
        "isobath.dev/",
    ];
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let named: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .collect();
    let read: BTreeSet<&str> = INGRESS_ANNOTATIONS
        .into_iter()
        .chain(SERVICE_ANNOTATIONS)
        .collect();
    assert_eq!(named, read);
}
