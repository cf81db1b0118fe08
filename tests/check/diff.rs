//! `isobath diff`: `diffs/NAME/old` and `diffs/NAME/new` have manifests, `diffs/NAME.txt` what is printed of them and the exit
//! code. In place of `CERTIFICATE NAME` a certificate for that name is put, so numbers of bytes are left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::golden;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/diffs")
}

fn certificate(name: &str) -> String {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let [certificate, key] = [made.cert.pem(), made.signing_key.serialize_pem()];
    let [certificate, key] = [certificate, key].map(|pem| STANDARD.encode(pem));
    format!("{{tls.crt: {certificate}, tls.key: {key}}}")
}

/// A copy of a case in a folder of its own, with certificates.
fn stage(name: &str) -> tempfile::TempDir {
    let stage = tempfile::tempdir().unwrap();
    for side in ["old", "new"] {
        fs::create_dir(stage.path().join(side)).unwrap();
        for file in fs::read_dir(folder().join(name).join(side)).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            let lines = text
                .lines()
                .map(|line| match line.split_once("CERTIFICATE ") {
                    Some((before, name)) => format!("{before}{}\n", certificate(name)),
                    None => format!("{line}\n"),
                });
            let text: String = lines.collect();
            fs::write(stage.path().join(side).join(file.file_name()), text).unwrap();
        }
    }
    stage
}

/// What is printed, what is said besides, and the exit code.
fn diff(stage: &Path, arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
        .arg("diff")
        .args(arguments)
        .current_dir(stage)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, said, output.status.code().unwrap())
}

/// The same text without numbers of bytes.
fn without_bytes(text: &str) -> String {
    let parts = text
        .split(" bytes)")
        .map(|part| match part.rsplit_once('(') {
            Some((before, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{before}(N")
            }
            _ => part.to_owned(),
        });
    parts.collect::<Vec<_>>().join(" bytes)")
}

fn names() -> Vec<String> {
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path());
    let folders = files.filter(|path| path.is_dir());
    let mut names: Vec<String> = folders
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() > 2, "{names:?}");
    names
}

#[test]
fn changes_of_manifests_are_told() {
    for name in names() {
        let stage = stage(&name);
        let (out, said, code) = diff(stage.path(), &["old", "new"]);
        assert_eq!(said, "", "{name}");
        let found = format!("{}---\n{code}\n", without_bytes(&out));
        let path = folder().join(format!("{name}.txt"));
        if golden::updates() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
        for side in ["old", "new"] {
            let (out, _, code) = diff(stage.path(), &[side, side]);
            assert_eq!(
                (&*out, code),
                ("No difference for clients or for Envoy\n", 0)
            );
        }
    }
}

/// Both forms have the same hosts, and what one adds the other way around removes.
#[test]
fn programs_read_the_same() {
    for name in names() {
        let stage = stage(&name);
        let [there, back] = [["old", "new"], ["new", "old"]].map(|[old, new]| {
            let (out, said, _) = diff(stage.path(), &[old, new, "--output", "json"]);
            assert_eq!(said, "", "{name}");
            serde_json::from_str::<Value>(&out).unwrap()
        });
        let hosts = |all: &Value| -> Vec<(String, String, bool)> {
            let hosts = all["hosts"].as_array().unwrap();
            let text = |host: &Value, key: &str| host[key].as_str().unwrap().to_owned();
            hosts
                .iter()
                .map(|host| {
                    (
                        text(host, "host"),
                        text(host, "change"),
                        host["tls"] == true,
                    )
                })
                .collect()
        };
        let turned = hosts(&back).into_iter().map(|(host, change, tls)| {
            let change = match &*change {
                "added" => "removed",
                "removed" => "added",
                _ => "changed",
            };
            (host, change.to_owned(), tls)
        });
        assert_eq!(hosts(&there), turned.collect::<Vec<_>>(), "{name}");
        let (text, _, _) = diff(stage.path(), &["old", "new"]);
        let is_host = |line: &&str| {
            let rest = line.strip_prefix(['+', '-', '~']).unwrap_or_default();
            rest.starts_with(" http")
        };
        assert_eq!(
            text.lines().filter(is_host).count(),
            hosts(&there).len(),
            "{name}"
        );
        assert_eq!(there["problems"]["new"], back["problems"]["gone"], "{name}");
    }
}

#[test]
fn what_can_not_be_compared_is_a_mistake_of_whoever_asks() {
    let stage = stage("shop");
    fs::create_dir(stage.path().join("empty")).unwrap();
    for (arguments, expected) in [
        (&["old", "none"][..], "can't read the manifests none"),
        (
            &["old", "empty"],
            "there is no object of Kubernetes in empty",
        ),
        (&["-", "-"], "standard input"),
        (&["old", "new", "--context", "here"], "leave out the first"),
        (&["new", "--kubeconfig", "/no/such/file"], "/no/such/file"),
        (&["old", "new", "more"], "more"),
        (&[], "PATH"),
    ] {
        let (out, said, code) = diff(stage.path(), arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
