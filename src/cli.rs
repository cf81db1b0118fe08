//! The command line: subcommands, and what the process's exit code says.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | an orderly end: asked for by a signal, or the command's work is done |
//! | 1 | fatal: a task ended, and the last log line names it and the cause |
//! | 2 | a flag, an environment variable or a file is wrong: one sentence on standard error |
//! | 134 | a panic (SIGABRT); the last log line has its message |
//!
//! Every flag is also an environment variable, `ISOBATH_` and its name. Each part of the program brings its own
//! `Args`; this module only lists them.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::envoy::bootstrap;
use crate::run::tether;
use crate::{app, log};

/// Exit code: a task ended.
pub const FATAL: u8 = 1;
/// Exit code: a flag, an environment variable or a file is wrong.
pub const USAGE: u8 = 2;

/// Isobath: a Kubernetes ingress controller that programs Envoy over xDS.
#[derive(Debug, Parser)]
#[command(name = "isobath", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of the log, good before and after the subcommand.
    #[command(flatten)]
    pub log: log::Args,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: read Kubernetes (or --manifests) and program every Envoy that connects.
    Serve(Box<app::Serve>),
    /// Try it here: read a directory (or a cluster) and start an Envoy that serves it.
    Run(Box<app::Run>),
    /// Write the bootstrap configuration of an Envoy.
    Bootstrap(bootstrap::Args),
    /// Print the version.
    Version,
    /// Start a program that ends with this one (what `isobath run` starts Envoy by).
    #[command(hide = true)]
    Tether(tether::Args),
}

/// Something that whoever started the process must put right: a wrong flag, or a file that can't be read. Any error
/// that has one among its causes ends the process with exit code [`USAGE`].
#[derive(Debug)]
pub struct UsageError(String);

impl UsageError {
    /// Takes the one clear sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads the arguments and the environment.
///
/// # Errors
///
/// With the exit code, where the process is to end: after `--help` and `--version`, and after a wrong flag, for which
/// one sentence was printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(arguments).map_err(|error| {
        if !error.use_stderr() {
            // Help and version. A closed pipe (`isobath --help | head`) is nobody's error.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        eprintln!("isobath: {}", sentence(&error));
        USAGE.into()
    })
}

/// Does what the command says, until it is done or the process is told to stop.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Version => {
            println!("isobath {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve(args) => block_on(app::serve(*args)),
        Command::Run(args) => block_on(app::run(*args)),
        Command::Bootstrap(args) => args.run().map(|()| ExitCode::SUCCESS),
        Command::Tether(args) => tether::exec(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error: anyhow::Error| {
        if let Some(usage) = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<UsageError>())
        {
            eprintln!("isobath: {usage}");
            return USAGE.into();
        }
        log::fatal(&error);
        FATAL.into()
    })
}

/// Runs a command on a runtime of its own, dropped with it.
fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("can't start the runtime")?;
    runtime.block_on(command).map(|()| ExitCode::SUCCESS)
}

/// What clap says on several lines and with a usage block, as one.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or(&text);
    let text = text
        .split("\n\nFor more information")
        .next()
        .unwrap_or(text);
    let words: Vec<_> = text
        .trim_start_matches("error:")
        .split_whitespace()
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
