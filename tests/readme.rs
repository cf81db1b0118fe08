//! The README's tables say what the code says. `UPDATE_GOLDEN=1 cargo test --test readme` writes those of flags and
//! metrics anew; the ones of annotations are written by people, and compared by name.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use isobath::cli::Cli;
use isobath::translate::{INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// Compares what stands between two marks with what should.
fn check(mark: &str, want: &str) {
    let readme = fs::read_to_string(path()).unwrap();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let start = readme.find(&begin).expect("the mark is there") + begin.len();
    let stop = start + readme[start..].find(&end).expect("the mark's end is there");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = format!("{}{want}{}", &readme[..start], &readme[stop..]);
        fs::write(path(), text).unwrap();
        return;
    }
    assert_eq!(&readme[start..stop], want, "UPDATE_GOLDEN=1 writes it");
}

fn flags() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = String::new();
    for command in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let flags: Vec<_> = command
            .get_arguments()
            .filter(|argument| {
                argument.get_long().is_some()
                    && !argument.is_hide_set()
                    && !argument.is_global_set()
            })
            .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
            .collect();
        if flags.is_empty() {
            continue;
        }
        text.push_str(&format!(
            "`isobath {}`\n\n| flag | default | what it does |\n|---|---|---|\n",
            command.get_name()
        ));
        for flag in flags {
            let defaults: Vec<_> = flag
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy())
                .collect();
            let is_switch = matches!(flag.get_action(), clap::ArgAction::SetTrue);
            let default = match (is_switch, defaults.is_empty()) {
                (true, _) => "off".to_owned(),
                (false, true) => String::new(),
                (false, false) => format!("`{}`", defaults.join(",")),
            };
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help
                .trim_end_matches('.')
                .replace('|', "\\|")
                .replace('\n', " ");
            text.push_str(&format!(
                "| `--{}` | {default} | {help} |\n",
                flag.get_long().unwrap()
            ));
        }
        text.push('\n');
    }
    text
}

/// The metrics that modules register, found in the source: an exposition leaves out those without samples.
fn metrics() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for (call, suffix) in [(".register(", ""), (".register_with_unit(", "_seconds")] {
                for (at, _) in code.match_indices(call) {
                    let mut rest = &code[at + call.len()..];
                    let (Some(name), Some(help)) = (literal(&mut rest), literal(&mut rest)) else {
                        continue;
                    };
                    found.insert(format!("isobath_{name}{suffix}"), help);
                }
            }
        }
    }
    found
}

/// The string literal that comes next, if nothing but white space and a comma stands before it.
fn literal(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    let text = text.strip_prefix('"')?;
    let end = text.find('"')?;
    *rest = &text[end + 1..];
    // A backslash at the end of a line continues the literal without the white space that follows.
    let lines: Vec<_> = text[..end].split("\\\n").map(str::trim_start).collect();
    Some(lines.concat())
}

#[test]
fn flags_are_those_of_the_program() {
    check("flags", &flags());
}

#[test]
fn metrics_are_those_that_modules_register() {
    let metrics = metrics();
    assert!(metrics.len() > 20, "the source is read");
    let mut text = "| metric | what it says |\n|---|---|\n".to_owned();
    for (name, help) in metrics {
        text.push_str(&format!("| `{name}` | {} |\n", help.replace('|', "\\|")));
    }
    check("metrics", &text);
}

#[test]
fn annotations_are_those_that_are_read() {
    let readme = fs::read_to_string(path()).unwrap();
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
