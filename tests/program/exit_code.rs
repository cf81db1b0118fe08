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

/// What holds for all objects is checked before any is read: else each owner would be told of what is not theirs.
#[test]
fn what_the_operator_says_of_all_is_checked_at_the_start() {
    let limits = ["--rate-limit-service-extension", "a/b"];
    let two = r#"--rate-limit-service-default-policy={"descriptors":[{"entries":[{"genericKey":{"value":"a"},"remoteAddress":{}}]}]}"#;
    for (flags, said) in [
        (
            vec!["--policy-request-headers-set=X Y=1"],
            "isobath: --policy-request-headers-set and -remove: invalid set header \"X Y\"",
        ),
        (
            vec!["--policy-request-headers-set=Transfer-Encoding=chunked"],
            "transfer-encoding frames the message",
        ),
        (
            vec![
                "--policy-request-headers-set=X-A=1",
                "--policy-request-headers-set=x-a=2",
            ],
            "duplicate header addition: \"X-A\"",
        ),
        (
            vec!["--policy-request-headers-remove=Host"],
            "removing \"Host\" is not possible",
        ),
        (
            vec!["--policy-response-headers-set=Host=x"],
            "isobath: --policy-response-headers-set and -remove: rewriting \"Host\" header is not supported",
        ),
        (
            vec!["--policy-response-headers-remove=a b"],
            "invalid remove header \"a b\"",
        ),
        (
            [&limits[..], &["--rate-limit-service-domain="]].concat(),
            "isobath: --rate-limit-service-domain and -default-policy: ",
        ),
        ([&limits[..], &[two]].concat(), "exactly one field set"),
        (
            vec!["--global-ext-auth-response-timeout=0s"],
            "it is from 1ms to 1h",
        ),
        (
            vec!["--envoy-upstream-connect-timeout=0s"],
            "it is at least 1ms",
        ),
    ] {
        check(&[&["serve"][..], &flags].concat(), 2, said);
    }
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

/// The same of a file: it is told with its line, and what is right is taken.
#[test]
fn what_is_wrong_with_a_file_of_flags_is_two() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isobath.yaml");
    let path = path.to_str().unwrap();
    for (text, said) in [
        (
            "log-levle: info\n",
            "isobath.yaml:1: \"log-levle\" is no flag of",
        ),
        (
            "# two\nenvoy-idle-timeout: soon\n",
            "isobath.yaml:2: invalid value 'soon' for '--envoy-idle-timeout <TIME>'",
        ),
        (
            "kubeconfig: a\nmanifests: b\n",
            "the argument '--kubeconfig <FILE>' cannot be used with",
        ),
    ] {
        std::fs::write(path, text).unwrap();
        check(&["serve", "--config", path], 2, said);
    }
    std::fs::write(path, "ingress-class: [a, b]\n").unwrap();
    let printed = output(&mut isobath(&["config", "--config", path]));
    assert_eq!(printed.status.code(), Some(0));
    assert!(text(&printed.stdout).contains("\n  - a\n  - b\n"));
}
