//! What is different from Contour 1.33 on purpose: what rows say, against the table of `deploy/contour.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tables::all;

/// What the table says of each difference: its first column, and all of the line.
fn told() -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/contour.md");
    let page = fs::read_to_string(page).unwrap();
    let head = "| what | Contour 1.33 | Isobath | why |";
    let (_, table) = page.split_once(head).expect("the table is there");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut told = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        let other = told.insert(cells[0].to_owned(), row.to_owned());
        assert_eq!(other, None, "{row}");
    }
    told
}

#[test]
fn the_table_has_every_difference_and_no_other() {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in all() {
        for (key, _) in row.differs {
            shown.entry(key).or_default().push(row.id.clone());
        }
    }
    let told = told();
    let untold: Vec<_> = shown
        .iter()
        .filter(|(key, _)| !told.contains_key(*key))
        .collect();
    assert!(
        untold.is_empty(),
        "deploy/contour.md does not have {untold:?}"
    );
    let unshown: Vec<_> = told
        .keys()
        .filter(|key| !shown.contains_key(*key))
        .collect();
    assert!(unshown.is_empty(), "no row shows {unshown:?}");
}
