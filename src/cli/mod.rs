//! The command line: subcommands, and what the process's exit code says.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | an orderly end: asked for by a signal, or the command's work is done |
//! | 1 | fatal: a task ended, and the last log line names it and the cause; `check`: something is wrong with the manifests; `diff`: something differs; `doctor`: something is wrong with the cluster; `wait`: not live |
//! | 2 | a flag, an environment variable or a file is wrong: one sentence on standard error |
//! | 3 | `migrate`: settings that no flag carries on, annotations without their effect, other answers |
//! | 134 | a panic (SIGABRT); the last log line has its message |
//!
//! Every flag is also an environment variable, `ISOBATH_` and its name. Each part of the program brings its own
//! `Args`; this module only lists them.

pub mod authz;
pub mod bootstrap;
pub mod check;
pub mod cluster;
pub mod completions;
pub mod config;
pub mod config_file;
mod control_plane;
mod delivery;
pub mod diff;
pub mod doctor;
pub mod drain;
pub mod edge;
pub mod explain;
pub mod gateway_api;
pub mod http_proxy;
mod ingress_nginx;
pub mod install;
pub mod migrate;
mod object_state;
mod objects;
mod output;
pub mod pods;
pub mod print_config;
pub mod rbac;
mod rights;
pub mod run;
pub mod serve;
pub mod server;
pub mod supervise;
pub mod tls;
pub mod traces;
pub mod upstream;
pub mod wait;
pub mod xds;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::local::tether;
use crate::process::exit_code::{FATAL, USAGE, UsageError};
use crate::process::log;
use crate::process::threads::threads;

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
    Serve(Box<serve::Serve>),
    /// Try it here: read a directory (or a cluster) and start an Envoy that serves it.
    Run(Box<run::Run>),
    /// Be asked about requests of guarded routes: the container beside Envoy.
    Authz(authz::Args),
    /// Write Envoy's bootstrap.
    Bootstrap(bootstrap::Args),
    /// Show what a control plane serves.
    Xds(xds::Args),
    /// Take Envoy out of service without losing a request: the preStop hook of its container.
    Drain(drain::Args),
    /// Restart a command that fails, as PID 1 of a container.
    Supervise(supervise::Args),
    /// Copy this program to where another container finds it.
    Install(install::Args),
    /// Say what is wrong with manifests before they are applied.
    Check(Box<check::Args>),
    /// Say who answers a URL, and why.
    Explain(Box<explain::Args>),
    /// Say what a change of manifests changes for clients, before it is applied.
    Diff(Box<diff::Args>),
    /// Wait until every Envoy serves an object as it is now.
    Wait(Box<wait::Args>),
    /// Say what is wrong with a cluster or an installation, and how it is mended.
    Doctor(doctor::Args),
    /// Print the smallest Roles that serve manifests.
    Rbac(rbac::Args),
    /// Say what becomes of another controller's configuration: flags for Contour's, a report for ingress-nginx's.
    Migrate(migrate::Args),
    /// Print the flags of `isobath serve` as a file for --config, with the values that these flags give them.
    Config(Box<print_config::Args>),
    /// Print what a shell completes commands and flags by.
    Completions(completions::Args),
    /// Print the page for man of this program, or of one of its commands.
    Man(completions::ManArgs),
    /// Print the version.
    Version,
    /// Start a program that ends with this one (what `isobath run` starts Envoy by).
    #[command(hide = true)]
    Tether(tether::Args),
}

/// Reads the arguments and the environment.
///
/// # Errors
///
/// With the exit code, where the process is to end: after `--help` and `--version`, and after a wrong flag, for which
/// one sentence was printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = completions::named_by(Cli::command(), arguments.first());
    command.build();
    let merged = config_file::Merged::new(&command, arguments).map_err(|error| {
        say(format_args!("isobath: {error}"));
        ExitCode::from(USAGE)
    })?;
    let matches = command.clone().try_get_matches_from(&merged.arguments);
    let parsed = matches.and_then(|mut matches| {
        let is_default = matches.value_source("log_level") == Some(ValueSource::DefaultValue);
        let printed = match matches.subcommand() {
            Some(("config", given)) => print_config::print(&merged, &command, given),
            _ => String::new(),
        };
        let mut cli = Cli::from_arg_matches_mut(&mut matches)?;
        match &mut cli.command {
            // Who asks wants the answer, and not what was listed for it.
            Command::Explain(_) | Command::Diff(_) | Command::Doctor(_) | Command::Wait(_)
                if is_default =>
            {
                "warn".clone_into(&mut cli.log.log_level);
            }
            Command::Config(args) if args.schema => args.printed = print_config::schema(&command),
            Command::Config(args) => args.printed = printed,
            _ => {}
        }
        Ok(cli)
    });
    parsed.map_err(|error| {
        if !error.use_stderr() {
            // Help and version. A closed pipe (`isobath --help | head`) is nobody's error.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            || error.kind() == ErrorKind::MissingSubcommand
        {
            // In full: who names no command wants to know which there are.
            let mut command = command;
            say(format_args!(
                "isobath: name a command\n\n{}",
                command.render_help()
            ));
        } else {
            let place = merged.place(&error);
            let place = place.map_or_else(String::new, |place| format!("{place}: "));
            say(format_args!("isobath: {place}{}", sentence(&error)));
        }
        USAGE.into()
    })
}

/// Does what the command says, until it is done or the process is told to stop.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Serve(args) => {
            let is_beside_envoy = matches!(args.xds.xds_address, crate::xds::Address::Unix(_));
            let serve = async {
                serve::serve(*args).await?;
                Ok(ExitCode::SUCCESS)
            };
            if is_beside_envoy {
                block_on(serve)
            } else {
                block_on_threads(serve)
            }
        }
        Command::Run(args) => block_on(async {
            run::run(*args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Authz(args) => block_on_threads(async {
            authz::run(args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        // All that can go wrong is a flag or a file.
        Command::Bootstrap(args) => args
            .run()
            .map_err(|error| UsageError::new(format!("{error:#}")).into())
            .map(|()| ExitCode::SUCCESS),
        Command::Xds(args) => block_on(async {
            xds::run(&args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Drain(args) => block_on(async {
            match drain::run(&args).await? {
                drain::Outcome::Drained => tracing::info!("drained"),
                drain::Outcome::Ended => tracing::info!("Envoy has ended"),
                drain::Outcome::TimedOut(connections) => {
                    tracing::warn!(
                        connections,
                        "--timeout is over and connections are still open"
                    );
                }
            }
            Ok(ExitCode::SUCCESS)
        }),
        Command::Supervise(args) => block_on(async { Ok(supervise::run(&args).await?.into()) }),
        Command::Install(args) => install::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::run(&args).map(ExitCode::from),
        Command::Explain(args) => block_on(async {
            explain::run(&args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Diff(args) => block_on(async { Ok(diff::run(&args).await?.into()) }),
        Command::Wait(args) => block_on(async { Ok(wait::run(&args).await?.into()) }),
        Command::Doctor(args) => block_on(async { Ok(doctor::run(&args).await?.into()) }),
        Command::Rbac(args) => rbac::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Migrate(args) => migrate::run(&args).map(ExitCode::from),
        Command::Config(args) => print_config::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => {
            completions::run(&args, Cli::command()).map(|()| ExitCode::SUCCESS)
        }
        Command::Man(args) => completions::man(&args, Cli::command()).map(|()| ExitCode::SUCCESS),
        Command::Version => {
            println!("isobath {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Tether(args) => tether::exec(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error: anyhow::Error| {
        if let Some(usage) = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<UsageError>())
        {
            say(format_args!("isobath: {usage}"));
            return USAGE.into();
        }
        log::fatal(&error);
        FATAL.into()
    })
}

/// Writes a line to standard error; one that is closed is nobody's error.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Runs everything on this thread, from the watch to the wire. On several, each event woke one after the other: 0.15 ms of
/// CPU instead of 0.11, and a fifth more latency (`make figures`, both binaries in turns). What is long is done elsewhere:
/// lists are decoded by the runtime's blocking threads, the admin pages have a thread of their own.
fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    run_on(tokio::runtime::Builder::new_current_thread(), work)
}

/// The same on several threads, for a control plane of many Envoys: their handshakes and what they are sent at a start are
/// more than one thread should have to do.
fn block_on_threads(
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads());
    run_on(runtime, work)
}

fn run_on(
    mut runtime: tokio::runtime::Builder,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    runtime.max_blocking_threads(threads()).enable_all();
    let runtime = runtime.build().context("can't start the runtime")?;
    let result = runtime.block_on(work);
    // A list that is being decoded on another thread does not keep the process: dropping the runtime would wait for it.
    runtime.shutdown_background();
    result
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
