//! Every command in the manifests is one that the program takes.

use clap::{CommandFactory as _, Parser as _};
use isobath::cli::Cli;

use crate::manifest::{OVERLAYS, Workload, list, rendered, strings, workloads};

const PROGRAMS: [&str; 2] = ["/usr/local/bin/isobath", "/shared/isobath"];

fn parses(what: &str, args: &[String]) {
    let line = std::iter::once("isobath").chain(args.iter().map(String::as_str));
    if let Err(error) = Cli::try_parse_from(line) {
        panic!("{what}: {args:?}\n{error}");
    }
}

/// The command lines of a workload: of its containers, of what they supervise, and of its hooks.
fn command_lines(workload: &Workload<'_>) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for container in workload.containers() {
        if container["name"] != "envoy" {
            assert!(
                container["command"].is_null(),
                "the image's entry point is the program"
            );
            let args = strings(&container["args"]);
            if let Some(position) = args.iter().position(|arg| arg == "--") {
                assert!(PROGRAMS.contains(&args[position + 1].as_str()), "{args:?}");
                lines.push(args[position + 2..].to_vec());
            }
            lines.push(args);
        }
        let hook = strings(&container["lifecycle"]["preStop"]["exec"]["command"]);
        if let Some((program, args)) = hook.split_first() {
            assert!(PROGRAMS.contains(&program.as_str()), "{hook:?}");
            lines.push(args.to_vec());
        }
    }
    lines
}

#[test]
fn every_flag_is_one_that_the_program_has() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let mut commands: Vec<String> = Vec::new();
        for workload in workloads(&objects) {
            for line in command_lines(&workload) {
                parses(&format!("{overlay}: {}", workload.name), &line);
                commands.push(line[0].clone());
            }
        }
        for command in ["install", "bootstrap", "serve", "drain"] {
            assert!(
                commands.iter().any(|found| found == command),
                "{overlay}: no {command}"
            );
        }
    }
}

#[test]
fn every_environment_variable_is_one_that_serve_reads() {
    let command = Cli::command();
    let serve = command
        .find_subcommand("serve")
        .expect("a subcommand `serve`");
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        for workload in workloads(&objects) {
            let Some(container) = workload.container("isobath") else {
                continue;
            };
            for variable in list(&container["env"]) {
                let name = variable["name"].as_str().unwrap();
                let argument = serve
                    .get_arguments()
                    .find(|argument| argument.get_env().is_some_and(|env| env == name))
                    .unwrap_or_else(|| panic!("{overlay}: serve reads no {name}"));
                if let Some(value) = variable["value"].as_str() {
                    let flag = format!("--{}={value}", argument.get_long().unwrap());
                    parses(overlay, &["serve".to_owned(), flag]);
                }
            }
        }
    }
}

/// The ports in the manifests are the program's defaults, since no flag moves them.
#[test]
fn ports_are_the_defaults_of_the_flags() {
    let command = Cli::command();
    let serve = command
        .find_subcommand("serve")
        .expect("a subcommand `serve`");
    let default = |flag: &str| -> u64 {
        let argument = serve
            .get_arguments()
            .find(|argument| argument.get_long() == Some(flag))
            .unwrap_or_else(|| panic!("no --{flag}"));
        let value = argument.get_default_values()[0].to_str().unwrap();
        value.rsplit_once(':').unwrap().1.parse().unwrap()
    };
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let ports: Vec<_> = workloads(&objects)
            .iter()
            .flat_map(|workload| workload.containers())
            .flat_map(|container| list(&container["ports"]))
            .map(|port| {
                (
                    port["name"].as_str().unwrap(),
                    port["containerPort"].as_u64().unwrap(),
                )
            })
            .collect();
        for (name, flag) in [
            ("http", "envoy-http-address"),
            ("https", "envoy-https-address"),
            ("envoy-stats", "envoy-stats-address"),
            ("metrics", "metrics-address"),
        ] {
            assert!(ports.contains(&(name, default(flag))), "{overlay}: {name}");
        }
    }
}

/// Envoy itself takes its arguments, with the bootstrap that the init container makes.
#[test]
fn envoy_takes_its_arguments_and_its_bootstrap() {
    let Some(envoy) = std::env::var_os("ISOBATH_TEST_ENVOY") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "no Envoy on CI"
        );
        eprintln!("SKIPPED, no Envoy: ISOBATH_TEST_ENVOY is not set (make test sets it)");
        return;
    };
    for overlay in OVERLAYS {
        let folder = tempfile::tempdir().unwrap();
        let local = |text: &String| {
            let folder = folder.path().display();
            text.replace("/shared/", &format!("{folder}/"))
                .replace("/run/isobath/", &format!("{folder}/"))
                .replace("/certificates/", &format!("{folder}/"))
                .replace("$(POD_NAME)", "pod-1")
        };
        for (secret, files) in crate::certificates::issue() {
            if secret == "isobath-xds-client" {
                for (name, content) in files {
                    std::fs::write(folder.path().join(name), content).unwrap();
                }
            }
        }
        let objects = rendered(overlay);
        let workloads = workloads(&objects);
        let workload = workloads
            .iter()
            .find(|workload| workload.container("envoy").is_some())
            .unwrap();
        let bootstrap = strings(&workload.container("bootstrap").unwrap()["args"]);
        let run = |program: &std::path::Path, args: Vec<String>| {
            let output = std::process::Command::new(program)
                .args(&args)
                .output()
                .unwrap();
            let log = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{overlay}: {args:?}\n{log}");
        };
        run(
            env!("CARGO_BIN_EXE_isobath").as_ref(),
            bootstrap.iter().map(local).collect(),
        );
        let mut args: Vec<_> = strings(&workload.container("envoy").unwrap()["args"])
            .iter()
            .map(local)
            .collect();
        args.extend(["--mode".to_owned(), "validate".to_owned()]);
        run(envoy.as_ref(), args);
    }
}
