#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use clap::CommandFactory as _;

use super::*;
use crate::cli::Cli;

pub(crate) fn program() -> Command {
    let mut program = Cli::command();
    program.build();
    program
}

/// What is given to a command with this file, less what stands before it.
pub(crate) fn merged(text: &str, arguments: &[&str]) -> Result<(Vec<String>, Merged), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isobath.yaml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let arguments = arguments.iter().map(|it| it.replace("FILE", path));
    let arguments: Vec<OsString> = arguments.map(OsString::from).collect();
    let given = arguments.len();
    let merged = Merged::new(&program(), arguments);
    let merged = merged.map_err(|error| error.to_string().replace(path, "FILE"))?;
    let added = merged.arguments.clone();
    let added = added.iter().map(|it| it.to_str().unwrap().to_owned());
    Ok((added.skip(given).collect(), merged))
}

#[test]
fn a_file_is_flags() {
    let serve = ["isobath", "serve", "--config", "FILE"];
    for (text, arguments, expected) in [
        ("", &serve[..], &[][..]),
        ("# nothing\n", &serve, &[]),
        (
            "envoy-request-timeout: 10s\nallow-external-names: true\nlog-level: debug\n",
            &serve,
            &[
                "--envoy-request-timeout=10s",
                "--allow-external-names",
                "--log-level=debug",
            ],
        ),
        (
            "allow-external-names: false\nenvoy-merge-slashes: false\n",
            &serve,
            &["--envoy-merge-slashes=false"],
        ),
        (
            "ingress-class: [a, b]\nenvoy-http2-max-concurrent-streams: 50\n",
            &serve,
            &[
                "--ingress-class=a",
                "--ingress-class=b",
                "--envoy-http2-max-concurrent-streams=50",
            ],
        ),
        // The command line counts before it.
        (
            "ingress-class: [a]\nhost-ownership: namespace\n",
            &[
                "isobath",
                "serve",
                "--config",
                "FILE",
                "--host-ownership=shared",
            ],
            &["--ingress-class=a"],
        ),
        // A command takes what it has.
        (
            "ingress-class: a\nmetrics-address: 127.0.0.1:1\n",
            &["isobath", "explain", "http://a/", "--config=FILE"],
            &["--ingress-class=a"],
        ),
        // So does a flag that rules the file's out.
        (
            "kubeconfig: a\ncontext: b\nlog-level: warn\n",
            &["isobath", "serve", "--config=FILE", "--manifests=m"],
            &["--log-level=warn"],
        ),
        (
            "manifests: m\ningress-class: a\n",
            &[
                "isobath",
                "explain",
                "http://a/",
                "--config=FILE",
                "--admin=http://127.0.0.1:1",
            ],
            &["--ingress-class=a"],
        ),
        // Another command's flag of this name is another thing.
        (
            "no: flag\n",
            &["isobath", "migrate", "--from=contour", "--config=FILE"],
            &[],
        ),
    ] {
        let (added, merged) = merged(text, arguments).unwrap();
        assert_eq!(added, expected, "{text}");
        assert_eq!(merged.added.is_empty(), expected.is_empty(), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_file_has_its_line() {
    for (text, expected) in [
        (
            "log-level: info\nenvoy-request-time: 10s\n",
            "FILE:2: \"envoy-request-time\" is no flag of `isobath serve` that a file may hold; perhaps envoy-request-timeout \
             was meant",
        ),
        (
            "config: other.yaml\n",
            "FILE:1: config names this file, and none can name another",
        ),
        (
            "manifests:\n",
            "FILE:1: manifests has no value: give it one, or leave the key out",
        ),
        (
            "log-level: [info]\n",
            "FILE:1: log-level takes one value and no list",
        ),
        (
            "log-level:\n  level: info\n",
            "FILE:1: log-level takes a value and no keys",
        ),
        (
            "ingress-class: [[a]]\n",
            "FILE:1: ingress-class is a list of words",
        ),
        (
            "allow-external-names: yes please\n",
            "FILE:1: allow-external-names is true or false",
        ),
        (
            "- log-level\n",
            "FILE:1: a line is `flag: value`, with a flag of `isobath serve` without its dashes",
        ),
    ] {
        let error = merged(text, &["isobath", "serve", "--config", "FILE"]).unwrap_err();
        assert_eq!(error, expected, "{text}");
    }
    for text in ["log-level: info\nlog-level: warn\n", "log-level: 'info\n"] {
        let error = merged(text, &["isobath", "serve", "--config", "FILE"]).unwrap_err();
        assert!(error.starts_with("FILE:"), "{error}");
    }
    let arguments = ["isobath", "serve", "--config", "/nowhere/isobath.yaml"];
    let arguments = arguments.map(OsString::from).to_vec();
    let error = Merged::new(&program(), arguments).unwrap_err().to_string();
    assert!(
        error.starts_with("can't read --config /nowhere/"),
        "{error}"
    );
}

/// A value that the flag does not take is told with the file's line, one of the command line without.
#[test]
fn a_wrong_value_has_its_line() {
    let serve = ["isobath", "serve", "--config", "FILE"];
    let text = "log-level: info\nenvoy-request-timeout: soon\n";
    let (_, both) = merged(text, &serve).unwrap();
    let error = program().try_get_matches_from(&both.arguments).unwrap_err();
    assert!(both.place(&error).unwrap().ends_with("isobath.yaml:2"));
    let arguments = [&serve[..], &["--envoy-request-timeout=soon"]].concat();
    let (_, both) = merged(text, &arguments).unwrap();
    let error = program().try_get_matches_from(&both.arguments).unwrap_err();
    assert_eq!(both.place(&error), None);
}
