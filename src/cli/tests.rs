#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// Calls `check` with every command's path and flags.
fn for_every_flag(check: impl Fn(&str, &clap::Arg)) {
    fn walk(path: &str, command: &clap::Command, check: &dyn Fn(&str, &clap::Arg)) {
        for argument in command.get_arguments() {
            let builtin = matches!(argument.get_id().as_str(), "help" | "version");
            if !builtin && !argument.is_positional() {
                check(path, argument);
            }
        }
        for command in command.get_subcommands() {
            walk(&format!("{path} {}", command.get_name()), command, check);
        }
    }
    let mut command = Cli::command();
    command.build();
    walk("isobath", &command, &check);
}

/// This machine has IPv6, or it has not: either is every address.
#[test]
fn an_address_to_listen_on_may_be_every_one() {
    let check = |text: &str, expected: Option<&[&str]>| {
        let got = listen_address(text).ok().map(|address| address.to_string());
        match expected {
            None => assert_eq!(got, None, "{text}"),
            Some(any_of) => {
                let got = got.expect(text);
                assert!(any_of.contains(&got.as_str()), "{text}: {got}");
            }
        }
    };
    check("*:8080", Some(&["[::]:8080", "0.0.0.0:8080"]));
    check("[::]:1", Some(&["[::]:1"]));
    check("0.0.0.0:1", Some(&["0.0.0.0:1"]));
    check("[fd00::1]:80", Some(&["[fd00::1]:80"]));
    for wrong in [
        "",
        "*",
        "*:",
        "*:65536",
        "8080",
        ":8080",
        "::1:80",
        "localhost:80",
    ] {
        check(wrong, None);
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_is_an_environment_variable_and_has_help() {
    for_every_flag(|path, argument| {
        let flag = argument
            .get_long()
            .unwrap_or_else(|| panic!("{path}: {argument} has no long name"));
        let expected = format!("ISOBATH_{}", flag.to_uppercase().replace('-', "_"));
        let variable = argument.get_env().and_then(|variable| variable.to_str());
        assert_eq!(variable, Some(&*expected), "{path} --{flag}");
        assert!(argument.get_help().is_some(), "{path} --{flag} has no help");
    });
}

/// Kubernetes gives every container variables that are named after the Services of its namespace
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>). A Service named
/// `isobath` or `isobath-envoy` must not set a flag.
#[test]
fn no_environment_variable_is_one_that_a_service_could_set() {
    for_every_flag(|path, argument| {
        let variable = argument.get_env().unwrap().to_str().unwrap();
        let service_like = variable.contains("_SERVICE_HOST")
            || variable.contains("_SERVICE_PORT")
            || variable.ends_with("_PORT")
            || variable.contains("_PORT_");
        assert!(!service_like, "{path}: {variable}");
    });
}

#[test]
fn a_wrong_flag_is_one_sentence_and_exit_code_two() {
    for (arguments, expected) in [
        (
            vec!["isobath", "version", "--colour"],
            "unexpected argument '--colour' found",
        ),
        (
            vec!["isobath", "--log-format", "xml", "version"],
            "invalid value 'xml' for '--log-format <FORMAT>' [possible values: auto, text, json]",
        ),
        (
            vec!["isobath", "versoin"],
            "unrecognized subcommand 'versoin' tip: a similar subcommand exists: 'version'",
        ),
    ] {
        let error = Cli::try_parse_from(&arguments).unwrap_err();
        assert_eq!(sentence(&error), expected);
        let arguments = arguments.into_iter().map(OsString::from);
        assert_eq!(parse(arguments).unwrap_err(), ExitCode::from(USAGE));
    }
}

#[test]
fn lengths_of_time_are_read() {
    for (text, milliseconds) in [
        ("90s", 90_000),
        ("5m", 300_000),
        ("500ms", 500),
        ("1h30m", 5_400_000),
        ("0s", 0),
    ] {
        assert_eq!(
            duration(text),
            Ok(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
    for text in ["", "90", "-5s", "soon"] {
        assert!(duration(text).is_err(), "{text}");
    }
}
