//! `isobath check`, and `isobath explain` of the same: `cases/NAME/` has manifests, `cases/NAME.txt` what is printed of them and the exit code.
//! `UPDATE_GOLDEN=1` writes the second anew.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../support/golden.rs"]
mod golden;

mod diff;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/cases")
}

fn isobath(case: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
    command
        .arg("check")
        .args(arguments)
        .current_dir(cases().join(case));
    command
}

/// What is printed, what is said besides, and the exit code.
fn output(case: &str, arguments: &[&str]) -> (String, String, i32) {
    let output = isobath(case, arguments).output().unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, said, output.status.code().unwrap())
}

fn compare(name: &str, found: &str) {
    let path = cases().join(name);
    if golden::updates() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}

fn names() -> Vec<String> {
    let files = fs::read_dir(cases()).unwrap();
    let folders = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_dir());
    let mut names: Vec<String> = folders
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() > 4, "{names:?}");
    names
}

#[test]
fn manifests_come_to_findings() {
    for name in names() {
        let (out, said, code) = output(&name, &["."]);
        assert_eq!(said, "", "{name}");
        let (_, _, strict) = output(&name, &[".", "--strict"]);
        let found = format!("{out}---\n{code}, with --strict {strict}\n");
        assert!(
            !found.contains("TOP-SECRET"),
            "{name} prints a Secret: {found}"
        );
        compare(&format!("{name}.txt"), &found);
    }
}

/// The forms say the same: as many findings, at the same places.
#[test]
fn every_form_has_every_finding() {
    for name in names() {
        let (text, _, code) = output(&name, &["."]);
        let [json, sarif, github] = ["json", "sarif", "github"].map(|form| {
            let (out, said, other) = output(&name, &[".", "--output", form]);
            assert_eq!((other, &*said), (code, ""), "{name} as {form}");
            assert!(!out.contains("TOP-SECRET"), "{name} as {form}");
            out
        });
        let place = |file: &str, line: &Value, column: &Value| format!("{file}:{line}:{column}");
        let json: Value = serde_json::from_str(&json).unwrap();
        let in_json: Vec<String> = json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| place(it["file"].as_str().unwrap(), &it["line"], &it["column"]))
            .collect();
        let of_text = text
            .lines()
            .filter(|line| line.contains(": error: ") || line.contains(": warning: "));
        let in_text: Vec<String> = of_text
            .map(|line| line.split(": ").next().unwrap().to_owned())
            .collect();
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        assert_eq!(sarif["version"], "2.1.0");
        let run = &sarif["runs"][0];
        let rules: Vec<&Value> = run["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| &rule["id"])
            .collect();
        let in_sarif: Vec<String> = run["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let index = usize::try_from(it["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(rules[index], &it["ruleId"], "{name}");
                let at = &it["locations"][0]["physicalLocation"];
                let file = at["artifactLocation"]["uri"].as_str().unwrap();
                let region = &at["region"];
                place(file, &region["startLine"], &region["startColumn"])
            })
            .collect();
        assert_eq!(in_json, in_text, "{name}");
        assert_eq!(in_sarif, in_text, "{name}");
        assert_eq!(github.lines().count(), in_text.len(), "{name}: {github}");
        let count = |kind: &str| {
            let number = json[format!("{kind}s")].as_u64().unwrap();
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {kind}{plural}")
        };
        let summary = format!("{}, {} in ", count("error"), count("warning"));
        let ends_so = text.lines().any(|line| line.starts_with(&summary));
        assert!(ends_so, "{name}: {summary:?} in {text}");
    }
}

#[test]
fn a_workflow_gets_commands() {
    let (out, _, _) = output("mixed", &[".", "--output", "github"]);
    compare("mixed.github", &out);
}

#[test]
fn what_can_not_be_checked_is_a_mistake_of_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    for (arguments, expected) in [
        (
            &["/no/such/folder"][..],
            "can't read the manifests /no/such/folder",
        ),
        (&[empty], "there is no object of Kubernetes in"),
        (&[], "PATH"),
        (&[".", "--output", "xml"], "xml"),
    ] {
        let (out, said, code) = output("clean", arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn standard_input_is_read() {
    let text = fs::read(cases().join("clean/all.yaml")).unwrap();
    for (text, code) in [(text, 0), (b"a: [".to_vec(), 2), (Vec::new(), 2)] {
        let mut child = isobath("clean", &["-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&text).unwrap();
        drop(input);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

/// The flags of the control plane hold: what is allowed there is no finding.
#[test]
fn flags_of_the_control_plane_count() {
    let (before, _, _) = output("gateway", &["."]);
    let flags = ["--envoy-ports", "80=8080,443=8443,8080=8081"];
    let (after, said, _) = output("gateway", &[&["."], &flags[..]].concat());
    assert_eq!(said, "");
    assert!(before.contains("PortUnavailable") && !after.contains("PortUnavailable"));
}

/// One text of each kind of answer, as people read it; that it is true is shown by `tests/e2e/explain.rs`.
#[test]
fn urls_are_explained() {
    const ASKED: &[(&str, &[&str])] = &[
        (
            "explained",
            &[
                "http://a.example/api/v1?q=1",
                "http://a.example/other",
                "http://a.example/a%2Fb",
            ],
        ),
        (
            "explained",
            &[
                "https://A.example:443//api/../api/",
                "https://b.example/",
                "http://a.exampel/",
            ],
        ),
        (
            "explained",
            &[
                "http://proxy.example/x",
                "http://proxy.example/old/y?z",
                "http://proxy.example/both",
            ],
        ),
        (
            "explained",
            &[
                "http://proxy.example/admin",
                "-X",
                "DELETE",
                "-H",
                "X-Team: blue",
            ],
        ),
        (
            "explained",
            &["http://proxy.example/both", "--from", "192.0.2.9"],
        ),
        (
            "explained",
            &["http://proxy.example/both", "--from", "::ffff:10.1.2.3"],
        ),
        (
            "explained",
            &["http://a.b.gateway.example/x/y", "http://gateway.example/x"],
        ),
        ("secret", &["https://a.example/", "http://a.example/"]),
        ("mixed", &["http://shop.example/cart"]),
    ];
    let mut found = String::new();
    for (case, arguments) in ASKED {
        let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
            .args(["explain", "--manifests", "."])
            .args(*arguments)
            .current_dir(cases().join(case))
            .output()
            .unwrap();
        let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(!out.contains("TOP-SECRET"), "{out}");
        let typed = arguments.join(" ");
        found.push_str(&format!(
            "$ isobath explain --manifests {case} {typed}\n{out}\n"
        ));
    }
    compare("explained.said", &found);
}

#[test]
fn what_is_no_question_is_a_mistake_of_whoever_asks() {
    for arguments in [
        &["ftp://a"][..],
        &["a.example"],
        &["http://"],
        &["http://me@a.example/"],
        &["http://a.example", "-H", "nothing"],
        &["http://a.example", "--from", "nobody"],
        &["http://a.example", "--admin", "nowhere"],
        &[
            "http://a.example",
            "--admin",
            "127.0.0.1:1",
            "--context",
            "x",
        ],
        &[],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
            .args(["explain", "--manifests", "."])
            .args(arguments)
            .current_dir(cases().join("clean"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    }
}
