//! `deploy/reference.md` is what the program says of itself: every flag of its command line, every metric that is registered, every
//! annotation that is read (`annotations.rs`).
//! `UPDATE_GOLDEN=1 cargo test --test deploy reference_` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, CommandFactory as _};
use isobath::envoy::ingress_metrics;

use crate::annotations;
use crate::golden;
use crate::listener_flags;
use crate::manifest::{PAGES, deploy};

/// Those of an installation first.
const COMMANDS: [&str; 18] = [
    "serve",
    "authz",
    "bootstrap",
    "drain",
    "supervise",
    "install",
    "check",
    "explain",
    "diff",
    "doctor",
    "wait",
    "rbac",
    "migrate",
    "xds",
    "run",
    "config",
    "completions",
    "man",
];

/// Over the flags of the control plane.
const DRAINING: &str = "A new value needs a restart of the control plane, which Envoy does not notice. After † Envoy makes a listener \
                        anew as well: connections of clients are drained (see `isobath drain`), and none is refused.\n\n";

fn cell(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

fn flags(out: &mut String) {
    let mut command = isobath::cli::Cli::command();
    command.build();
    let draining = listener_flags::draining();
    let mut table = |title: &str, note: &str, arguments: Vec<&Arg>| {
        write!(
            out,
            "\n## {title}\n\n{note}| flag | default | |\n|---|---|---|\n"
        )
        .unwrap();
        for argument in arguments {
            let name = match (argument.get_long(), argument.get_value_names()) {
                (Some(long), Some(values)) if argument.get_action().takes_values() => {
                    format!("--{long} {}", values.join(" ").to_uppercase())
                }
                (Some(long), _) => format!("--{long}"),
                (None, values) => values.unwrap_or_default().join(" "),
            };
            let default: Vec<_> = argument
                .get_default_values()
                .iter()
                .map(|value| format!("`{}`", value.to_string_lossy()))
                .collect();
            let help = argument.get_long_help().or(argument.get_help());
            let mut help = cell(&help.map(ToString::to_string).unwrap_or_default());
            if note == DRAINING && argument.get_long().is_some_and(|it| draining.contains(it)) {
                help.push_str(" †");
            }
            let default = match argument.get_action() {
                clap::ArgAction::SetTrue => String::new(),
                _ => default.join(" "),
            };
            writeln!(out, "| `{}` | {default} | {help} |", cell(&name)).unwrap();
        }
    };
    let shown = |argument: &&Arg| {
        !argument.is_hide_set() && argument.get_id() != "help" && argument.get_id() != "version"
    };
    let global: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    table("Flags of every command", "", global.clone());
    let serve = command.find_subcommand("serve").unwrap();
    for name in COMMANDS {
        let subcommand = command.find_subcommand(name).unwrap();
        let own = subcommand
            .get_arguments()
            .filter(shown)
            .filter(|argument| {
                !global
                    .iter()
                    .any(|other| other.get_id() == argument.get_id())
            })
            .filter(|argument| {
                // It has those of `serve` as well.
                let of_serve = serve
                    .get_arguments()
                    .any(|it| it.get_id() == argument.get_id());
                name != "config" || !of_serve
            })
            .collect();
        let note = match name {
            "serve" => DRAINING,
            "config" => "Beside those of `isobath serve`:\n\n",
            _ => "",
        };
        table(&format!("`isobath {name}`"), note, own);
    }
}

/// What modules register: name and help. Read from the source, because a family without samples is on no page.
fn metrics() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("tests.rs") {
                // Nothing in there is registered for anybody.
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                registered(code, &mut found);
            }
        }
    }
    found
}

fn registered(code: &str, found: &mut BTreeMap<String, String>) {
    // A collector of ours: its name and its help are constants beside each other.
    if let Some((_, name)) = code.split_once("const NAME: &str = ")
        && let Some((name, rest)) = literal(name)
        && let Some((_, help)) = rest.split_once("const HELP: &str = ")
        && let Some((help, _)) = literal(help)
    {
        found.insert(format!("isobath_{name}"), help);
    }
    for (start, call) in code.match_indices(".register") {
        let rest = &code[start + call.len()..];
        let rest = rest.strip_prefix("_with_unit").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix('(') else {
            continue;
        };
        let Some((name, rest)) = literal(rest) else {
            continue;
        };
        let Some((help, rest)) = literal(rest) else {
            continue;
        };
        let unit = match rest.trim_start_matches([',', ' ', '\n']) {
            rest if rest.starts_with("Unit::Seconds") => "_seconds",
            rest if rest.starts_with("Unit::Bytes") => "_bytes",
            rest => {
                assert!(
                    !rest.starts_with("Unit::"),
                    "{name}: a unit that this test does not know"
                );
                ""
            }
        };
        let known = found.insert(format!("isobath_{name}{unit}"), help);
        assert!(known.is_none(), "{name} is registered twice");
    }
}

/// The string literal that a list of arguments begins with, and what follows it.
fn literal(text: &str) -> Option<(String, &str)> {
    let text = text
        .trim_start_matches([',', ' ', '\n'])
        .strip_prefix('"')?;
    let end = text.find('"')?;
    let value = text[..end].replace("\\\n", " ");
    Some((cell(&value), &text[end + 1..]))
}

fn document() -> String {
    let mut out = String::from(
        "# Flags, metrics and annotations\n\nMade of the program by a test (tests/deploy/reference.rs). Every flag is also an environment variable, \
         `ISOBATH_` and its\nname in capitals, `--log-level` as `ISOBATH_LOG_LEVEL`; a flag wins.\n",
    );
    flags(&mut out);
    out.push_str(
        "\n## Metrics\n\nOf Isobath, on `--metrics-address` and `--admin-address`. Counters have `_total` at the end, histograms `_bucket`, \
         `_sum` and\n`_count`. Beside them the usual `process_*`.\n\n| metric | |\n|---|---|\n",
    );
    for (name, help) in metrics() {
        writeln!(out, "| `{name}` | {help} |").unwrap();
    }
    out.push_str(
        "\nOf Envoy, on `--envoy-stats-address`, beside its own: by `namespace`, `ingress`, `service` and `host` as objects name them. \
         What no\nroute took (unknown hosts and paths, hosts that only redirect to HTTPS) has none of these labels. A counter to which \
         nothing was added for\none to two hours is forgotten, and begins at 0 when it is used again.\n\n| metric | |\n|---|---|\n",
    );
    let counted = [ingress_metrics::REQUESTS, ingress_metrics::GRPC_REQUESTS];
    let sums = ingress_metrics::SUMS.map(|(name, _, help)| (name, help));
    for (name, help) in counted.into_iter().chain(sums) {
        writeln!(out, "| `{}` | {help} |", ingress_metrics::exposed(name)).unwrap();
    }
    annotations::write(&mut out);
    out
}

#[test]
fn every_command_is_in_the_reference() {
    let mut command = isobath::cli::Cli::command();
    command.build();
    let mut all: Vec<&str> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(clap::Command::get_name)
        .filter(|name| !["help", "version"].contains(name))
        .collect();
    all.sort_unstable();
    let mut shown = COMMANDS;
    shown.sort_unstable();
    assert_eq!(all, shown);
}

#[test]
fn reference_is_what_the_program_has() {
    let path = deploy().join("reference.md");
    let now = document();
    if golden::updates() {
        fs::write(&path, now).unwrap();
        return;
    }
    assert!(
        now == fs::read_to_string(&path).unwrap_or_default(),
        "deploy/reference.md is not what the program has: UPDATE_GOLDEN=1 cargo test --test deploy reference_"
    );
}

/// The environment variables are what the document says of all of them.
#[test]
fn variables_are_named_after_their_flags() {
    let mut command = isobath::cli::Cli::command();
    command.build();
    for name in COMMANDS {
        for argument in command.find_subcommand(name).unwrap().get_arguments() {
            let (Some(long), false) = (argument.get_long(), argument.is_hide_set()) else {
                continue;
            };
            if ["help", "version"].contains(&long) {
                continue;
            }
            let expected = format!("ISOBATH_{}", long.to_uppercase().replace('-', "_"));
            let variable = argument
                .get_env()
                .map(|name| name.to_string_lossy().into_owned());
            assert_eq!(variable, Some(expected), "isobath {name} --{long}");
        }
    }
}

/// What people read names flags and variables that there are.
#[test]
fn readmes_name_what_there_is() {
    const OF_ENVOY: [&str; 2] = ["concurrency", "drain-time-s"];
    const OF_TESTS: [&str; 1] = ["ISOBATH_SOAK"];
    let mut command = isobath::cli::Cli::command();
    command.build();
    let flags: Vec<&str> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(Arg::get_long)
        .chain(OF_ENVOY)
        .collect();
    let variable = |flag: &&str| format!("ISOBATH_{}", flag.to_uppercase().replace('-', "_"));
    let variables: Vec<String> = flags.iter().map(variable).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let word = |text: &str| -> String {
        let inside = |c: &char| c.is_ascii_alphanumeric() || ['-', '_'].contains(c);
        text.chars().take_while(inside).collect()
    };
    for readme in PAGES {
        let text = fs::read_to_string(root.join(readme)).unwrap();
        for (at, _) in text.match_indices("`--") {
            let flag = word(&text[at + 3..]);
            assert!(flags.contains(&&*flag), "{readme} names --{flag}");
        }
        for (at, _) in text.match_indices("ISOBATH_") {
            let name = word(&text[at..]);
            let known = name == "ISOBATH_" || OF_TESTS.contains(&&*name);
            assert!(known || variables.contains(&name), "{readme} names {name}");
        }
    }
}
