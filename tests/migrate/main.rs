//! `isobath migrate`: `cases/NAME.yaml` is a configuration of Contour's, `cases/NAME.txt` what is printed and the exit code.
//! `UPDATE_GOLDEN=1` writes the second anew, and the table in deploy/README.md.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../support/golden.rs"]
mod golden;
mod ingress_nginx;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use isobath::cli::migrate::{DEFAULTS, Is, Keeps, SETTINGS, Unset};
use isobath::cli::{self, Cli};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The flags that are printed.
fn check(case: &Path) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
        .args(["migrate", "--from", "contour", "--config"])
        .arg(case.file_name().unwrap())
        .current_dir(case.parent().unwrap())
        .output()
        .unwrap();
    let [flags, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    let found = format!("{flags}---\n{said}---\n{}\n", output.status.code().unwrap());
    let path = case.with_extension("txt");
    if golden::updates() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", case.display());
    flags.lines().map(str::to_owned).collect()
}

#[test]
fn configurations_come_to_flags() {
    let files = fs::read_dir(root("tests/migrate/cases")).unwrap();
    let mut cases: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|it| it == "yaml"));
    assert!(cases.len() > 7, "{cases:?}");
    let mut all = BTreeSet::new();
    for case in &cases {
        let flags = check(case);
        let serve = ["isobath", "serve"].map(str::to_owned);
        let read = cli::parse(serve.into_iter().chain(flags.clone()).map(Into::into));
        assert!(
            read.is_ok(),
            "{}: serve does not take {flags:?}",
            case.display()
        );
        let names = flags
            .iter()
            .map(|flag| flag.split('=').next().unwrap().to_owned());
        all.extend(names);
    }
    // Every flag that a setting comes to is in a case.
    let flags = SETTINGS.iter().filter_map(|(.., is)| is.flag());
    let missing: Vec<&str> = flags.filter(|flag| !all.contains(*flag)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[test]
fn settings_come_to_flags_that_there_are() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let known: BTreeSet<String> = serve
        .get_arguments()
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let mut seen = BTreeSet::new();
    for (file, custom, is) in SETTINGS {
        assert!(is.flag().is_none_or(|flag| known.contains(flag)), "{is:?}");
        for key in [format!("file {file}"), format!("custom {custom}")] {
            assert!(
                key.ends_with(' ') || seen.insert(key.clone()),
                "{key} twice"
            );
        }
        assert!(!file.is_empty() || !custom.is_empty(), "{is:?}");
    }
}

#[test]
fn standard_input_is_read() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_isobath"))
        .args(["migrate", "--from", "contour", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"disablePermitInsecure: true\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"--disable-permit-insecure\n");
    assert_eq!(output.status.code(), Some(0));
}

const BEGIN: &str = "| Contour's file | ContourConfiguration | Isobath |\n|---|---|---|\n";

fn table() -> String {
    let mut table = String::new();
    for (file, custom, is) in SETTINGS {
        let key = |key: &str| match key {
            "" => "–".to_owned(),
            key => format!("`{key}`"),
        };
        let comes_to = match is {
            Is::Switch(flag) => format!("`{flag}`"),
            Is::Not(flag) => format!("`{flag}=false`"),
            Is::Time(flag) => format!("`{flag}`; `infinity` is `0s`, and `0s` is without it"),
            Is::Limit(flag) => format!("`{flag}`; `infinity` is `0s`"),
            Is::Wait(flag) => format!("`{flag}`; `infinity` is `1h`, and `0s` is without it"),
            Is::Length(flag) => format!("`{flag}`; `0s` is without it"),
            Is::Tags(flag) => format!("`{flag}` for each"),
            Is::Fine(why) => format!("not needed: {why}"),
            Is::Lost(what) => format!("none: {what}"),
            Is::LostBut(word, what) => format!("not needed for `{word}`, else none: {what}"),
            is => format!("`{}`", is.flag().expect("a flag")),
        };
        writeln!(table, "| {} | {} | {comes_to} |", key(file), key(custom)).unwrap();
    }
    table
}

const DEFAULTS_BEGIN: &str = "| Contour's setting | about | in Contour | in Isobath | keeps Contour's |\n|---|---|---|---|---|\n";

fn defaults() -> String {
    let mut table = String::new();
    for unset in DEFAULTS {
        let mut keys: Vec<&str> = unset.keys.into_iter().collect();
        keys.dedup();
        keys.retain(|key| !key.is_empty());
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let keys = match keys.is_empty() {
            true => "no setting".to_owned(),
            false => keys.join(", "),
        };
        let keeps = match unset.keeps {
            Keeps::Flags(flags) => {
                let flags: Vec<String> = flags.iter().map(|flag| format!("`{flag}`")).collect();
                flags.join(" ")
            }
            Keeps::Nothing(follows) => format!("no flag: {follows}"),
        };
        let Unset {
            what,
            contour,
            isobath,
            ..
        } = unset;
        writeln!(
            table,
            "| {keys} | {what} | {contour} | {isobath} | {keeps} |"
        )
        .unwrap();
    }
    table
}

/// A default is Contour's by a flag that is taken, says something else than Isobath's default, and is the one of the setting.
#[test]
fn defaults_are_kept_by_flags_that_say_something_else() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    for unset in DEFAULTS {
        for (way, key) in unset.keys.iter().enumerate() {
            let mut rows = SETTINGS.iter();
            let row = rows.find(|(file, custom, _)| [*file, *custom][way] == *key);
            assert!(key.is_empty() || row.is_some(), "{key} is no setting");
            let (Some((.., is)), Keeps::Flags([flag, ..])) = (row, unset.keeps) else {
                continue;
            };
            let name = flag.split('=').next();
            assert!(key.is_empty() || is.flag() == name, "{key}: {flag}");
        }
        let Keeps::Flags(flags) = unset.keeps else {
            continue;
        };
        for flag in flags {
            let args = ["isobath", "serve", flag].map(Into::into);
            let read = cli::parse(args);
            assert!(read.is_ok(), "{flag}: {:?}", read.err());
            let (name, value) = flag.split_once('=').unwrap();
            let mut arguments = serve.get_arguments();
            let argument = arguments
                .find(|it| Some(&name[2..]) == it.get_long())
                .unwrap();
            let ours = argument.get_default_values();
            assert!(ours.iter().all(|ours| ours != value), "{flag} is Isobath's");
        }
    }
}

fn with_table(manual: &str, begin: &str, table: &str) -> String {
    let (before, rest) = manual.split_once(begin).expect("the table is there");
    let length: usize = rest
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('|'))
        .map(str::len)
        .sum();
    format!("{before}{begin}{table}{}", &rest[length..])
}

#[test]
fn the_manual_has_every_setting_and_default() {
    let path = root("deploy/README.md");
    let manual = fs::read_to_string(&path).unwrap();
    let found = with_table(&manual, BEGIN, &table());
    let found = with_table(&found, DEFAULTS_BEGIN, &defaults());
    if golden::updates() {
        fs::write(&path, found).unwrap();
    } else {
        assert_eq!(manual, found, "deploy/README.md: UPDATE_GOLDEN=1 writes it");
    }
}
