//! `isobath config`: the flags of `isobath serve` as a file for `--config`, with their values, or the schema of such a file.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::config_file::{Merged, flags, help, takes_several};
use super::output;
use super::serve::Serve;

/// Columns of a comment.
const WIDTH: usize = 100;

/// Flags of `isobath config`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Whose values are printed.
    #[command(flatten)]
    pub serve: Serve,
    /// Print the JSON Schema of the file instead.
    #[arg(long, env = "ISOBATH_SCHEMA")]
    pub schema: bool,
    /// What is printed.
    #[arg(skip)]
    pub printed: String,
}

/// Prints the file or its schema.
///
/// # Errors
///
/// Flags that contradict each other: exit code 2. Standard output can't be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    args.serve.core.check()?;
    output::print(&args.printed).map(drop)
}

/// The file that has the values which `isobath config` was given.
#[must_use]
pub fn print(merged: &Merged, program: &Command, given: &ArgMatches) -> String {
    let mut out = String::new();
    let mut last = None;
    for argument in flags(program) {
        let Some(key) = argument.get_long() else {
            continue;
        };
        let heading = argument.get_help_heading();
        if heading != last {
            // Writing to a String can't fail.
            let _ = writeln!(out, "## {}\n", heading.unwrap_or("Configuration"));
            last = heading;
        }
        for line in wrapped(&help(argument)) {
            let _ = writeln!(out, "# {line}");
        }
        let _ = writeln!(out, "{}\n", entry(merged, argument, key, given));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn entry(merged: &Merged, argument: &Arg, key: &str, given: &ArgMatches) -> String {
    let id = argument.get_id().as_str();
    let from = match (merged.place_of(key), given.value_source(id)) {
        (Some(place), _) => format!("  # {place}"),
        (None, Some(ValueSource::EnvVariable)) => {
            let variable = argument.get_env().unwrap_or_default();
            format!("  # {}", variable.to_string_lossy())
        }
        (None, Some(ValueSource::CommandLine)) => "  # the command line".to_owned(),
        _ => String::new(),
    };
    if !argument.get_action().takes_values() {
        return format!("{key}: {}{from}", given.get_flag(id));
    }
    let raw = given.get_raw(id).into_iter().flatten();
    let raw: Vec<String> = raw.map(|value| scalar(&value.to_string_lossy())).collect();
    match (&*raw, takes_several(argument)) {
        ([], _) => format!("# {key}:"),
        ([value], false) => format!("{key}: {value}{from}"),
        (values, _) => {
            let items: Vec<String> = values.iter().map(|it| format!("\n  - {it}")).collect();
            format!("{key}:{from}{}", items.concat())
        }
    }
}

/// The JSON Schema of a file.
#[must_use]
pub fn schema(program: &Command) -> String {
    let properties: Map<String, Value> = flags(program)
        .into_iter()
        .filter_map(|argument| Some((argument.get_long()?.to_owned(), property(argument))))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flags of isobath serve, for --config",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    format!("{schema:#}\n")
}

fn property(argument: &Arg) -> Value {
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|word| !word.is_hide_set())
        .map(|word| word.get_name().to_owned())
        .collect();
    let is_switch = !argument.get_action().takes_values() || words == ["true", "false"];
    let one = match (is_switch, words.is_empty()) {
        (true, _) => json!({"type": "boolean"}),
        (false, true) => json!({"type": ["string", "number"]}),
        (false, false) => json!({"enum": words}),
    };
    let mut property = match takes_several(argument) {
        false => one,
        true => json!({"anyOf": [one, {"type": "array", "items": one}]}),
    };
    property["description"] = help(argument).into();
    property
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A word as YAML, in quotes where it would be something else without.
fn scalar(word: &str) -> String {
    let is_number = word
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == word);
    if is_number || matches!(word, "true" | "false") {
        return word.to_owned();
    }
    let yaml = serde_saphyr::to_string(&word).unwrap_or_else(|_| format!("{word:?}"));
    yaml.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
