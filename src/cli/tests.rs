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

/// What is logged of a route's labels would be empty where routes have none.
#[test]
fn labels_of_the_log_are_there() {
    let text = "--envoy-access-log-text=%METADATA(ROUTE:isobath:host)%";
    for (flags, is_taken) in [
        (&[][..], true),
        (&["--envoy-access-log-fields=host,service"], true),
        (&["--envoy-ingress-metrics=false"], true),
        (
            &[
                "--envoy-ingress-metrics=false",
                "--envoy-access-log-fields=path",
            ],
            true,
        ),
        (
            &[
                "--envoy-ingress-metrics=false",
                "--envoy-access-log-fields=path,contour_config_name",
            ],
            false,
        ),
        // Text that nothing is written by.
        (&["--envoy-ingress-metrics=false", text], true),
        (
            &[
                "--envoy-ingress-metrics=false",
                "--envoy-access-log=text",
                text,
            ],
            false,
        ),
    ] {
        let arguments = ["isobath", "serve"].iter().chain(flags);
        let parsed = Cli::try_parse_from(arguments).unwrap();
        let Command::Serve(args) = parsed.command else {
            panic!("{flags:?}")
        };
        assert_eq!(args.core.check().is_ok(), is_taken, "{flags:?}");
    }
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
