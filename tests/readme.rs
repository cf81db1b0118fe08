//! The README's tables name what the program reads, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use isobath::envoy::client_headers::{CLAIMS, Unless};
use isobath::translate::{
    INGRESS_ANNOTATIONS, NGINX_ALIASES, NGINX_ANNOTATIONS, NginxVerdict, SERVICE_ANNOTATIONS,
};

#[path = "support/golden.rs"]
mod golden;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn readme() -> String {
    fs::read_to_string(path()).unwrap()
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

/// What the table of ingress-nginx's annotations says, in words.
fn of_nginx() -> String {
    let names = |is: fn(NginxVerdict) -> bool| {
        let all = NGINX_ANNOTATIONS.iter().filter(|it| is(it.verdict));
        let names = all.map(|it| match it.is_guard {
            true => format!("**`{}`**", it.name),
            false => format!("`{}`", it.name),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let mut by_text: Vec<(&str, Vec<String>, bool)> = Vec::new();
    for it in &NGINX_ANNOTATIONS {
        let (text, is_refused) = match it.verdict {
            NginxVerdict::Near(text) => (text, false),
            NginxVerdict::Refused(text) => (text, true),
            _ => continue,
        };
        let name = match it.is_guard {
            true => format!("**`{}`**", it.name),
            false => format!("`{}`", it.name),
        };
        match by_text.iter_mut().find(|(other, ..)| *other == text) {
            Some((_, names, _)) => names.push(name),
            None => by_text.push((text, vec![name], is_refused)),
        }
    }
    let rows = |wanted: bool| -> String {
        let rows = by_text
            .iter()
            .filter(|(.., is_refused)| *is_refused == wanted);
        rows.map(|(text, names, _)| format!("| {} | {text} |\n", names.join(", ")))
            .collect()
    };
    let aliases = NGINX_ALIASES.map(|(old, new)| format!("`{old}` is `{new}`"));
    format!(
        "Guards are in bold. {}.\n\nAs there: {}.\n\nNearly as there:\n\n| annotation | what differs |\n|---|---|\n{}\nNot needed by Envoy: {}.\n\n\
         Never:\n\n| annotation | why |\n|---|---|\n{}\nNot supported yet: {}.\n",
        aliases.join(", "),
        names(|it| it == NginxVerdict::Exact),
        rows(false),
        names(|it| it == NginxVerdict::NoOp),
        rows(true),
        names(|it| it == NginxVerdict::NotYet),
    )
}

#[test]
fn annotations_of_ingress_nginx_are_those_of_its_table() {
    const BEGIN: &str = "<!-- made by tests/readme.rs -->\n";
    const END: &str = "<!-- end -->";
    let readme = readme();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let wanted = of_nginx();
    if golden::updates() {
        fs::write(path(), format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "not what the table says (UPDATE_GOLDEN=1 writes it):\n{wanted}"
    );
}
