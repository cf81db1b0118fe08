//! What a release is made by: workflows that the forge's own reader takes, pinned to what was looked at, with no right that they do
//! not use; and one version everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The files of a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == ending))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    paths
}

fn workflows() -> Vec<(PathBuf, String)> {
    let paths = files(".github/workflows", "yml").into_iter();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.map(read).collect()
}

#[test]
fn workflows_are_read_by_the_forge() {
    let Ok(actionlint) = std::env::var("ISOBATH_TEST_ACTIONLINT") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "ISOBATH_TEST_ACTIONLINT must name actionlint on CI (tests/workflows/build.sh)"
        );
        eprintln!("SKIPPED: ISOBATH_TEST_ACTIONLINT names no actionlint, nothing was proven");
        return;
    };
    let mut command = Command::new(&actionlint);
    // What it would find on one machine and not on another.
    command.args(["-shellcheck=", "-pyflakes=", "-no-color"]);
    let output = command
        .args(files(".github/workflows", "yml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    // It reads them, and does not only end well.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yml");
    let text = read(".github/workflows/ci.yml").replace("runs-on:", "runs-in:");
    fs::write(&wrong, text).unwrap();
    let output = Command::new(&actionlint).arg(&wrong).output().unwrap();
    assert!(!output.status.success());
}

/// An action is code of somebody else's: a tag can be moved, a digest can't.
#[test]
fn actions_are_pinned() {
    let mut used = BTreeSet::new();
    for (path, text) in workflows() {
        for line in text.lines().filter_map(|line| line.split_once("uses: ")) {
            let path = path.display();
            let (action, version) = line.1.split_once(" # ").unwrap_or((line.1, ""));
            let (name, digest) = action.split_once('@').unwrap_or((action, ""));
            let is_digest = digest.len() == 40 && digest.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(is_digest, "{path}: {name} is not pinned by its digest");
            assert!(
                version.starts_with('v'),
                "{path}: which version {name} is, in a comment"
            );
            used.insert((name.to_owned(), digest.to_owned(), version.to_owned()));
        }
    }
    let names: BTreeSet<&String> = used.iter().map(|(name, _, _)| name).collect();
    assert_eq!(names.len(), used.len(), "one version of each: {used:?}");
}

/// Nothing is written that a job does not ask for, and what a pull request brings runs with no right at all.
#[test]
fn rights_are_those_that_are_used() {
    for (path, text) in workflows() {
        let workflow = yaml(&text);
        let path = path.display();
        let reads = serde_json::json!({"contents": "read"});
        assert_eq!(workflow["permissions"], reads, "{path}");
        assert!(!text.contains("pull_request_target"), "{path}");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let at = format!("{path}: {name}");
            assert!(job["timeout-minutes"].is_u64(), "{at} ends by itself");
            let writes = job["permissions"].as_object().into_iter().flatten();
            let writes: BTreeSet<&str> = writes
                .filter(|(_, right)| *right == "write")
                .map(|(what, _)| what.as_str())
                .collect();
            let steps = job["steps"].to_string();
            for (right, used) in [
                ("contents", "gh release"),
                ("packages", "login-action"),
                ("attestations", "attest-build-provenance"),
            ] {
                assert_eq!(
                    writes.contains(right),
                    steps.contains(used),
                    "{at}: {right}"
                );
            }
            let proves = steps.contains("attest-build-provenance") || steps.contains("cosign sign");
            assert_eq!(writes.contains("id-token"), proves, "{at}: id-token");
            for step in job["steps"].as_array().unwrap() {
                let is_checkout = step["uses"]
                    .as_str()
                    .is_some_and(|it| it.contains("checkout@"));
                let keeps = step["with"]["persist-credentials"] != Value::Bool(false);
                assert!(!is_checkout || !keeps, "{at}: the checkout keeps a token");
                // What somebody else names (a branch, a title) is no part of a script.
                let script = step["run"].as_str().unwrap_or_default();
                assert!(!script.contains("${{"), "{at}: {script}");
            }
        }
    }
}

/// What workflows call is there.
#[test]
fn workflows_call_what_there_is() {
    let makefile = read("Makefile");
    for (path, text) in workflows() {
        let path = path.display();
        for word in text
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '(', ')', '$', ',', '`']))
        {
            let is_script = [".ci/", "deploy/build/", "tests/"]
                .iter()
                .any(|folder| word.starts_with(folder));
            if is_script && !word.contains('*') {
                assert!(root().join(word).exists(), "{path}: {word}");
            }
        }
        for target in text.split("make ").skip(1) {
            let target = target.split_whitespace().next().unwrap();
            let target = target.trim_matches(['`', ',']);
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{path}: make {target}"
            );
        }
    }
}

#[test]
fn one_version_is_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = yaml(&read("deploy/helm/isobath/Chart.yaml"));
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let changelog = read(".github/CHANGELOG.md");
    let headings: Vec<&str> = changelog
        .lines()
        .filter(|line| line.starts_with("## "))
        .collect();
    assert_eq!(headings[0], "## [Unreleased]");
    // A version that was released has a date; the newest is this one, or this one is not released yet.
    for heading in &headings[1..] {
        let (of, date) = heading.trim_start_matches("## ").split_once(" - ").unwrap();
        assert!(of.starts_with('[') && of.ends_with(']'), "{heading}");
        let digits = date.bytes().filter(u8::is_ascii_digit).count();
        assert!(date.len() == 10 && digits == 8, "{heading}");
    }
}

/// Notes of a release are what its heading is over, and a version without any is refused.
#[test]
fn notes_are_a_part_of_the_changelog() {
    let notes = |version: &str| {
        let program = root().join(".ci/release-notes");
        Command::new(program).arg(version).output().unwrap()
    };
    let found = notes("Unreleased");
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.success() && text.starts_with("### "), "{text}");
    assert!(read(".github/CHANGELOG.md").contains(text.trim_end()));
    assert!(!text.contains("\n## "));
    let missing = notes("99.0.0");
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("says nothing of 99.0.0"), "{said}");
    let tag = Command::new(root().join(".ci/release-check"))
        .arg("v99.0.0")
        .output()
        .unwrap();
    assert_eq!(tag.status.code(), Some(1));
    let said = String::from_utf8(tag.stderr).unwrap();
    assert!(
        said.starts_with("the tag is v99.0.0, and Cargo.toml says "),
        "{said}"
    );
}

/// Forms ask for something, and each answer has a name of its own.
#[test]
fn issue_forms_are_forms() {
    for path in files(".github/ISSUE_TEMPLATE", "yml") {
        let form = yaml(&fs::read_to_string(&path).unwrap());
        if path.ends_with("config.yml") {
            assert_eq!(form["blank_issues_enabled"], false);
            continue;
        }
        let path = path.display();
        for field in ["name", "description"] {
            assert!(form[field].is_string(), "{path}: {field}");
        }
        let body = form["body"].as_array().unwrap();
        let mut names = BTreeSet::new();
        for part in body {
            let kind = part["type"].as_str().unwrap();
            assert!(["input", "textarea"].contains(&kind), "{path}: {kind}");
            assert!(part["attributes"]["label"].is_string(), "{path}");
            assert!(names.insert(part["id"].as_str().unwrap()), "{path}: {part}");
        }
        let required = |part: &&Value| part["validations"]["required"] == true;
        assert!(body.iter().any(|part| required(&part)), "{path}");
    }
}

/// Everything that is pinned somewhere is looked after.
#[test]
fn every_pin_is_looked_after() {
    let dependabot = yaml(&read(".github/dependabot.yml"));
    let updates = dependabot["updates"].as_array().unwrap();
    let go = updates
        .iter()
        .find(|it| it["package-ecosystem"] == "gomod")
        .unwrap();
    let listed: BTreeSet<&str> = go["directories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let mut modules = Vec::new();
    let mut folders = vec![root().join("tests")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap();
        folders.extend(
            entries
                .map(|it| it.unwrap().path())
                .filter(|it| it.is_dir()),
        );
        if folder.join("go.mod").exists() {
            let path = folder.strip_prefix(root()).unwrap();
            modules.push(format!("/{}", path.display()));
        }
    }
    let modules: BTreeSet<&str> = modules.iter().map(String::as_str).collect();
    assert_eq!(listed, modules);
}
