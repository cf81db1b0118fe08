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
fn without_a_command_all_are_listed() {
    let mut alone = std::process::Command::new(crate::process::program());
    for command in [&mut alone, &mut isobath(&[])] {
        let output = output(command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for name in ["serve", "run", "bootstrap", "xds", "drain", "version"] {
            let is_listed = said.lines().any(|line| line.trim_start().starts_with(name));
            assert!(is_listed, "{name}: {said}");
        }
    }
}

/// Two of Envoy's listeners on one port would share its connections in silence.
#[test]
fn two_listeners_on_one_port_are_refused() {
    let same = "are the same port; choose another for one of them";
    for (command, first, second) in [
        (
            "run",
            ("http", "127.0.0.1:9080"),
            ("https", "127.0.0.1:9080"),
        ),
        ("run", ("http", "127.0.0.1:9080"), ("https", "0.0.0.0:9080")),
        (
            "serve",
            ("http", "0.0.0.0:9080"),
            ("stats", "10.0.0.1:9080"),
        ),
        ("serve", ("https", "[::]:8003"), ("http", "0.0.0.0:80")),
    ] {
        let flags = [first, second].map(|(name, at)| format!("--envoy-{name}-address={at}"));
        check(&[command, &flags[0], &flags[1]], 2, same);
    }
}

/// Whatever else is not logged, the reason of the end is.
#[test]
fn no_level_silences_what_is_fatal() {
    for level in ["off", "error", "warning", "isobath::xds=debug"] {
        check(
            &["--log-level", level, "install", "/no/such/folder/isobath"],
            1,
            "fatal: can't install",
        );
    }
    check(
        &["--log-level", "verbose", "version"],
        2,
        "`verbose` is none of off, error, warn, info, debug, trace",
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
