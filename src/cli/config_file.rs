//! `--config FILE`: flags in a file.
//!
//! A key is the name of a flag of `isobath serve` without its dashes. What the file says is given to the command as if it were on
//! the command line, so that a flag has one meaning and one check wherever it stands. A flag on the command line counts before
//! an environment variable, that before the file, and that before the default. A command that lacks a flag passes it over: one file
//! is for `serve` and for the commands that say what it would do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::process::exit_code::UsageError;

use super::migrate::document::{Node, Says};

/// The commands that read the file.
const READERS: [&str; 6] = ["check", "config", "diff", "explain", "run", "serve"];

/// The command whose flags may stand in it.
const SERVE: &str = "serve";

/// Most bytes of a file: all flags with their comments are a tenth of it.
const MOST_BYTES: u64 = 1 << 20;

/// The flag that names the file.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct ConfigFile {
    /// A YAML file with flags of `isobath serve`, each a key without its dashes. The command line and environment variables
    /// count before it. `isobath config` prints one.
    #[arg(long, env = "ISOBATH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments to which those of a file were added.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// All of them.
    pub arguments: Vec<OsString>,
    /// The flags that the file has added, each with its line.
    added: BTreeMap<String, u64>,
    path: PathBuf,
}

impl Merged {
    /// Adds what the file says that the arguments or the environment name, if they name one.
    ///
    /// # Errors
    ///
    /// A file that can't be read, a key that is no flag, a value that no flag could have: with file and line.
    pub fn new(program: &Command, arguments: Vec<OsString>) -> Result<Self, UsageError> {
        let mut merged = Self {
            arguments,
            ..Self::default()
        };
        // What is wrong with the arguments is told when all of them are read.
        let lenient = program.clone().ignore_errors(true);
        let Ok(matches) = lenient.try_get_matches_from(&merged.arguments) else {
            return Ok(merged);
        };
        let Some((name, given)) = matches.subcommand() else {
            return Ok(merged);
        };
        let is_reader = READERS.contains(&name);
        let path = given.try_get_one::<PathBuf>("config").ok().flatten();
        let Some(path) = path.filter(|_| is_reader) else {
            return Ok(merged);
        };
        merged.path.clone_from(path);
        let mut flags = Vec::new();
        for (key, node) in entries(path)? {
            let wrong =
                |why: String| UsageError::new(format!("{}:{}: {why}", path.display(), node.line));
            let of_serve = flag(program, SERVE, &key).filter(|_| key != "config");
            if of_serve.is_none() {
                return Err(wrong(unknown(program, &key)));
            }
            let Some(argument) = flag(program, name, &key) else {
                continue;
            };
            let command = program.find_subcommand(name);
            if is_given(given, argument)
                || command.is_some_and(|command| is_ruled_out(command, argument, given))
            {
                continue;
            }
            let values =
                values(argument, &node.says).map_err(|why| wrong(format!("{key} {why}")))?;
            flags.extend(values.into_iter().map(|value| match value {
                Some(value) => format!("--{key}={value}"),
                None => format!("--{key}"),
            }));
            merged.added.insert(key, node.line);
        }
        let all = &mut merged.arguments;
        // What follows two dashes is no flag.
        let end = all.iter().position(|argument| argument == "--");
        let end = end.unwrap_or(all.len());
        all.splice(end..end, flags.into_iter().map(OsString::from));
        Ok(merged)
    }

    /// Where the flag stands that an error is about, if the file has added it.
    #[must_use]
    pub fn place(&self, error: &clap::Error) -> Option<String> {
        let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
            return None;
        };
        let name = argument.strip_prefix("--")?;
        let name = name.split([' ', '=']).next()?;
        self.place_of(name)
    }

    /// Where a flag stands that the file has added.
    pub(super) fn place_of(&self, flag: &str) -> Option<String> {
        let line = self.added.get(flag)?;
        Some(format!("{}:{line}", self.path.display()))
    }
}

/// The flags that may stand in a file, in the order of `isobath serve --help`.
pub(super) fn flags(program: &Command) -> Vec<&Arg> {
    let of_serve = program.find_subcommand(SERVE).into_iter();
    let of_serve = of_serve.flat_map(Command::get_arguments);
    let own = of_serve.filter(|argument| !argument.is_global_set());
    let global = program.get_arguments().filter(|it| it.is_global_set());
    own.chain(global)
        .filter(|argument| {
            let long = argument.get_long();
            long.is_some_and(|long| !["config", "help", "version"].contains(&long))
        })
        .collect()
}

/// A flag of a command.
fn flag<'a>(program: &'a Command, command: &str, long: &str) -> Option<&'a Arg> {
    let of_command = program.find_subcommand(command).into_iter();
    let all = of_command.flat_map(Command::get_arguments);
    let global = program.get_arguments().filter(|it| it.is_global_set());
    let mut all = all.chain(global);
    all.find(|argument| argument.get_long() == Some(long))
}

/// Whether the command line or the environment says it.
fn is_given(given: &ArgMatches, argument: &Arg) -> bool {
    let from = given.value_source(argument.get_id().as_str());
    matches!(
        from,
        Some(ValueSource::CommandLine | ValueSource::EnvVariable)
    )
}

/// Whether what is said there can't stand beside it: that counts first, as where both say the same flag.
fn is_ruled_out(command: &Command, argument: &Arg, given: &ArgMatches) -> bool {
    let excludes = |one: &Arg, other: &Arg| {
        let mut excluded = command.get_arg_conflicts_with(one).into_iter();
        excluded.any(|it| it.get_id() == other.get_id())
    };
    let all = command.get_arguments().filter(|it| is_given(given, it));
    let mut all = all.filter(|it| !it.is_global_set());
    !argument.is_global_set() && all.any(|it| excludes(it, argument) || excludes(argument, it))
}

fn unknown(program: &Command, key: &str) -> String {
    if key == "config" {
        return "config names this file, and none can name another".to_owned();
    }
    let names = flags(program).into_iter().filter_map(Arg::get_long);
    let near = names
        .map(|name| (strsim::jaro_winkler(name, key), name))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let near = near.filter(|(likeness, _)| *likeness > 0.8);
    let perhaps = near.map_or_else(String::new, |(_, name)| {
        format!("; perhaps {name} was meant")
    });
    format!("{key:?} is no flag of `isobath serve` that a file may hold{perhaps}")
}

/// The keys of a file, each once.
fn entries(path: &Path) -> Result<Vec<(String, Node)>, UsageError> {
    let shown = path.display();
    let unreadable = |why: &dyn std::fmt::Display| {
        UsageError::new(format!("can't read --config {shown}: {why}"))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(&error))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(unreadable(&format!("it has more than {MOST_BYTES} bytes")));
    }
    let at = |line: u64, why: &str| UsageError::new(format!("{shown}:{line}: {why}"));
    let document = Node::read(&text).map_err(|(line, why)| at(line, &why))?;
    match document.says {
        // A file in which everything is a comment.
        Says::Nothing => Ok(Vec::new()),
        Says::Map(entries) => {
            let mut keys = BTreeMap::new();
            for (key, node) in &entries {
                if let Some(first) = keys.insert(key, node.line) {
                    let why = format!("{key} is said in line {first} already");
                    return Err(at(node.line, &why));
                }
            }
            Ok(entries)
        }
        Says::Word(_) | Says::List(_) => Err(at(
            document.line,
            "a line is `flag: value`, with a flag of `isobath serve` without its dashes",
        )),
    }
}

/// The values of a flag, `None` for one that has none.
fn values(argument: &Arg, says: &Says) -> Result<Vec<Option<String>>, String> {
    const NONE: &str = "has no value: give it one, or leave the key out";
    if !argument.get_action().takes_values() {
        return match says {
            Says::Word(word) if word == "true" => Ok(vec![None]),
            Says::Word(word) if word == "false" => Ok(Vec::new()),
            _ => Err("is true or false".to_owned()),
        };
    }
    let word = |node: &Node| match &node.says {
        Says::Word(word) => Ok(Some(word.clone())),
        _ => Err("is a list of words".to_owned()),
    };
    match says {
        Says::Word(word) => Ok(vec![Some(word.clone())]),
        Says::List(items) if items.is_empty() => Err(NONE.to_owned()),
        Says::List(items) if takes_several(argument) => items.iter().map(word).collect(),
        Says::Nothing => Err(NONE.to_owned()),
        Says::List(_) => Err("takes one value and no list".to_owned()),
        Says::Map(_) => Err("takes a value and no keys".to_owned()),
    }
}

pub(super) fn takes_several(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

pub(super) fn help(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests;
