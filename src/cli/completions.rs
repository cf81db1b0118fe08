//! `isobath completions SHELL` and `isobath man [COMMAND]`: the command line as shells and `man` read it, and under which name
//! the program is called. As `kubectl-isobath` in the search path it is a plugin of kubectl
//! (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>).

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

use crate::process::exit_code::UsageError;

use super::output;

/// Under this name kubectl finds a plugin.
const PLUGIN: &str = "kubectl-isobath";

/// Flags of `isobath completions`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The shell: bash, elvish, fish, powershell or zsh.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Flags of `isobath man`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct ManArgs {
    /// The command; without one the program.
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

/// The command line under the name that the program is called by.
#[must_use]
pub fn named_by(command: Command, program: Option<&OsString>) -> Command {
    let name = program.and_then(|program| Path::new(program).file_stem());
    match name {
        Some(name) if name == PLUGIN => command.bin_name("kubectl isobath"),
        _ => command,
    }
}

/// Prints what the shell completes by.
///
/// # Errors
///
/// Standard output can't be written.
pub fn run(args: &Args, mut program: Command) -> anyhow::Result<()> {
    let mut written = Vec::new();
    clap_complete::generate(args.shell, &mut program, "isobath", &mut written);
    print(written)
}

/// Prints a page.
///
/// # Errors
///
/// A command that is none: exit code 2. Standard output can't be written.
pub fn man(args: &ManArgs, mut program: Command) -> anyhow::Result<()> {
    // Pages of commands have the program's name before their own.
    program.build();
    let command = match &args.command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).filter(|it| !it.is_hide_set());
            let Some(command) = found else {
                return Err(UsageError::new(format!("isobath has no command {name:?}")).into());
            };
            command.clone()
        }
    };
    let mut written = Vec::new();
    let page = clap_mangen::Man::new(command);
    page.render(&mut written).context("can't make the page")?;
    print(written)
}

fn print(written: Vec<u8>) -> anyhow::Result<()> {
    let text = String::from_utf8(written).context("the text is not UTF-8")?;
    output::print(&text).map(drop)
}
