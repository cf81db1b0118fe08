//! What the exit code says.

use crate::process::{isobath, output, text};

fn check(arguments: &[&str], code: i32, stderr: &str) {
    let output = output(&mut isobath(arguments));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(stderr), "{arguments:?}: {said}");
    let lines = said.lines().count();
    assert!(lines <= 1, "{arguments:?} said more than one line: {said}");
}

#[test]
fn wrong_flags_and_files_are_two() {
    check(
        &["version", "--colour"],
        2,
        "isobath: unexpected argument '--colour' found",
    );
    check(
        &["bootstrap", "--xds-address", "10.0.0.1:1"],
        2,
        "needs TLS",
    );
    check(
        &["bootstrap", "/no/such/folder/envoy.yaml"],
        2,
        "isobath: can't write /no/such/folder/envoy.yaml",
    );
    check(
        &["xds", "cds", "--xds-address", "nowhere"],
        2,
        "isobath: --xds-address: `nowhere` is neither",
    );
}

#[test]
fn an_environment_variable_is_a_flag() {
    let mut command = isobath(&["version"]);
    let output = output(command.env("ISOBATH_LOG_LEVEL", "isobath=loud"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).starts_with("isobath: invalid value 'isobath=loud' for '--log-level")
    );
}

#[test]
fn a_fatal_error_is_one_and_the_last_line_names_it() {
    check(
        &["xds", "cds", "--xds-address", "unix:/no/such.sock"],
        1,
        "fatal: can't reach the control plane at unix:/no/such.sock",
    );
    check(
        &["install", "/no/such/folder/isobath"],
        1,
        "fatal: can't install",
    );
}

#[test]
fn an_orderly_end_is_none() {
    check(&["version"], 0, "");
    check(&["bootstrap", "-"], 0, "");
    let help = output(isobath(&["drain", "--help"]).env("COLUMNS", "200"));
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("ISOBATH_ADMIN_SOCKET"));
}
