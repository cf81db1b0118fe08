//! The architecture as a test: imports point one way, no files name each other, and the pure core does no IO.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "layers/circles.rs"]
mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may name, from the ground up: a room names only rooms above it in this list, so
/// there is no circle. A room that is not in here fails the test.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("process", &[]),
    ("objects", &[]),
    ("model", &["objects"]),
    ("facts", &["model", "objects"]),
    ("translate", &["facts", "model", "objects"]),
    ("xds", &["process"]),
    ("envoy", &["model", "xds"]),
    (
        "build",
        &[
            "envoy",
            "facts",
            "model",
            "objects",
            "process",
            "translate",
            "xds",
        ],
    ),
    ("sources", &["objects", "process"]),
    ("status", &["model", "objects", "process"]),
    (
        "local",
        &[
            "build",
            "envoy",
            "facts",
            "model",
            "objects",
            "process",
            "sources",
            "translate",
            "xds",
        ],
    ),
    (
        "page",
        &[
            "build",
            "model",
            "objects",
            "process",
            // Its tests read manifests.
            "sources",
            "translate",
            "xds",
        ],
    ),
    ("authz", &["envoy", "model", "objects", "translate", "xds"]),
    (
        "cli",
        &[
            "authz",
            "build",
            "envoy",
            "facts",
            "local",
            "model",
            "objects",
            "page",
            "process",
            "sources",
            "status",
            "translate",
            "xds",
        ],
    ),
];

/// What is a function of its arguments: no IO, no clock, no log, no async. A room, or a part of one.
const PURE: &[&str] = &["build", "envoy", "facts", "model", "objects", "translate"];

/// The one task in a pure room.
const NOT_PURE: &[&str] = &["build/controller"];

fn sources() -> Vec<(PathBuf, String)> {
    files_below("src")
}

/// The files of a folder of this crate, by their paths in it.
fn files_below(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, files: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let relative = |path: PathBuf| path.strip_prefix(&root).unwrap().to_owned();
    files
        .into_iter()
        .map(|(path, text)| (relative(path), text))
        .collect()
}

fn module(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without its comments and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a file names, in whatever form of `use` or path.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            // `use crate::{a::b, c}`: the first word of each item at depth one.
            Some(list) => top_level(list),
            None => vec![rest],
        };
        for name in names {
            let word: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            found.insert(word);
        }
    }
    found.remove("");
    found
}

fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (1, 0, Vec::new());
    for (index, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                items.push(&list[start..index]);
                start = index + 1;
            }
            _ => {}
        }
        if depth == 0 {
            items.push(&list[start..index]);
            break;
        }
    }
    items
}

#[test]
fn imports_point_one_way() {
    let mut below = BTreeSet::new();
    for (room, imports) in MAY_IMPORT {
        for import in *imports {
            assert!(
                below.contains(import),
                "{room} may name {import}, which is no room before it"
            );
        }
        below.insert(*room);
    }
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = module(&path);
        if ["lib", "main"].contains(&&*room) {
            continue;
        }
        let Some(allowed) = allowed.get(&*room) else {
            wrong.push(format!("{} is in no room of MAY_IMPORT", path.display()));
            continue;
        };
        for import in imports(&code(&text)) {
            if import != room && !allowed.contains(&&*import) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What two files need goes into a third.
#[test]
fn no_files_name_each_other() {
    for folder in ["src", "benches/core", "benches/figures"] {
        let files = files_below(folder);
        let files = files.iter().map(|(path, text)| (&**path, code(text)));
        let circles = circles::Files::new(files).circles();
        assert_eq!(circles, BTreeSet::new(), "{folder}");
    }
}

#[test]
fn the_core_is_pure() {
    let forbidden = [
        "tokio::",
        "std::fs",
        "std::net::Tcp",
        "tracing::",
        "SystemTime",
        "Instant::now",
        "async fn",
        "std::env",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let is_task = NOT_PURE.iter().any(|task| path.starts_with(task));
        if !PURE.contains(&&*module(&path)) || is_task {
            continue;
        }
        let code = code(&text);
        for word in forbidden.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{} has {word}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What goes over all languages knows none of them: a new one is files to add.
#[test]
fn the_core_names_no_language() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let is_core = ["build", "xds"].contains(&&*module(&path));
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if !is_core || is_test {
            continue;
        }
        let code = code(&text);
        for word in ["Ingress", "HttpProxy", "Gateway", "Untyped"] {
            if code.contains(word) {
                wrong.push(format!("{} has {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Who reads the wall clock, and what for. It may be wrong by hours and jump: nothing is decided by it. Intervals and
/// deadlines are measured on the monotonic clock.
const WALL_CLOCK: &[(&str, &str)] = &[
    (
        "status/lease/mod.rs",
        "tells the writes of a Lease apart, and others when it was",
    ),
    (
        "process/log.rs",
        "the time of a line that is written beside the log",
    ),
    (
        "cli/doctor.rs",
        "says how old a Lease is, and how long a certificate is good",
    ),
    ("local/certificate.rs", "a laptop's certificate begins now"),
    ("status/conditions.rs", "says when a condition was written"),
    ("status/event.rs", "says when an Event was"),
    (
        "status/gateway_api.rs",
        "says when a condition became what it is",
    ),
    ("page/history.rs", "says when something changed"),
    ("status/problems.rs", "warns of certificates that end"),
];

#[test]
fn the_wall_clock_decides_nothing() {
    let words = [
        "Timestamp::now",
        "Zoned::now",
        "SystemTime::now",
        "UtcDateTime",
    ];
    let mut readers = BTreeSet::new();
    for (path, text) in sources() {
        let code = code(&text);
        if words.iter().any(|word| code.contains(word)) {
            readers.insert(path.to_str().unwrap().to_owned());
        }
    }
    let known: BTreeSet<_> = WALL_CLOCK
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(readers, known);
}

#[test]
fn no_file_of_the_tests_is_about_too_much() {
    let mut long = Vec::new();
    for folder in ["tests", "benches", "fuzz"] {
        for (path, text) in files_below(folder) {
            let lines = text.lines().count();
            if lines > 600 {
                long.push(format!("{folder}/{} has {lines} lines", path.display()));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn only_the_supervisor_spawns_and_nothing_is_called_helper() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let lines = text.lines().count();
        if lines > 600 {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        if name == "tests" || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let code = code(&text);
        let spawns = ["tokio::spawn(", "task::spawn("];
        if !path.starts_with("process/supervisor.rs")
            && spawns.iter().any(|spawn| code.contains(spawn))
        {
            wrong.push(format!("{} spawns a task of its own", path.display()));
        }
        if ["util", "utils", "helper", "helpers", "common", "misc"].contains(&name) {
            wrong.push(format!("{} is about nothing", path.display()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not say what it is for", path.display()));
        }
    }
    let main =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= 40, "main is a page");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The map names files by their paths, so it goes wrong in silence when one moves.
#[test]
fn files_that_the_map_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let named: BTreeSet<&str> = map
        .split('`')
        .filter(|word| word.ends_with(".rs"))
        .collect();
    let is_there = |name: &&str| root.join("src").join(name).exists() || root.join(name).exists();
    let gone: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(named.len() > 40, "{named:?}");
    assert!(gone.is_empty(), "{gone:?}");
}

/// A function that is longer is two.
const LONGEST_FUNCTION: usize = 80;

#[test]
fn functions_fit_on_a_page() {
    let mut wrong = Vec::new();
    for folder in ["src", "benches"] {
        for (path, text) in files_below(folder) {
            for (name, lines) in functions(&text) {
                if lines > LONGEST_FUNCTION {
                    wrong.push(format!("{folder}/{}: {name} has {lines}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The functions of a formatted file, with the number of their lines: each ends at the first brace that stands as far to the
/// left as it does, or without a body at its list of arguments.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let before_name = code.split("fn ").next().unwrap();
        let is_qualifier = |word: &str| {
            ["const", "async", "unsafe"].contains(&word)
                || word.starts_with("pub")
                || word.ends_with(')')
        };
        let Some(rest) = code
            .strip_prefix(before_name)
            .and_then(|rest| rest.strip_prefix("fn "))
            .filter(|_| before_name.split_whitespace().all(is_qualifier))
        else {
            continue;
        };
        let name = rest.split(['(', '<']).next().unwrap();
        let ends = |rest: &str| rest == "}" || (rest.starts_with(')') && rest.ends_with(';'));
        let end = lines[start..]
            .iter()
            .position(|line| line.strip_prefix(indent).is_some_and(ends));
        let is_whole = line.ends_with('}') || line.ends_with(';');
        functions.push((name, if is_whole { 1 } else { end.unwrap() + 1 }));
    }
    functions
}

#[test]
fn functions_are_counted_from_head_to_brace() {
    let text = "pub(super) async fn a(\n    b: u8,\n) {\n    if b {\n    }\n}\n\nimpl C {\n    fn d<T>() {}\n    \
                pub const fn e() {\n        f();\n    }\n}\n// no fn g() {\n";
    assert_eq!(functions(text), [("a", 6), ("d", 1), ("e", 3)]);
}
