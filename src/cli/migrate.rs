//! `isobath migrate`: the configuration of another controller as flags of this one.
//!
//! On standard output is a flag a line, as it is given to `isobath serve`. On standard error is what is to be said of settings, each
//! with its line: `lost` is one that has no flag and means something else from now on, `wrong` one that the other controller would
//! not take either. It reads a file, and asks nobody.

mod contour;
mod document;
mod report;
mod setting;
mod settings;
mod taken;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::process::exit_code::{LOST, UsageError};

pub use contour::contour;
pub use report::{Note, Report, Weight};
pub use setting::Is;
pub use settings::SETTINGS;

/// Flags of `isobath migrate`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Whose configuration it is.
    #[arg(long, env = "ISOBATH_FROM", value_name = "CONTROLLER")]
    pub from: Source,
    /// The configuration: for Contour the file of --config-path, the ConfigMap that holds it, or a ContourConfiguration; - is
    /// standard input.
    #[arg(long, env = "ISOBATH_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
}

/// Another controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// Contour 1.33.
    Contour,
}

impl Source {
    fn read(self, text: &str) -> Result<Report, (u64, String)> {
        match self {
            Self::Contour => contour(text),
        }
    }
}

/// Prints the flags, and what is to be said. Returns the exit code: 0 where everything goes on as it was, [`LOST`] where it does not.
///
/// # Errors
///
/// A file that is none, or that has what is no setting: exit code 2, after the rest is printed.
pub fn run(args: &Args) -> anyhow::Result<u8> {
    let file = args.config.display();
    let text = read(&args.config).map_err(|error| UsageError::new(format!("{error:#}")))?;
    let report = args
        .from
        .read(&text)
        .map_err(|(line, why)| UsageError::new(format!("{file}:{line}: {why}")))?;
    let mut out = io::stdout().lock();
    for flag in &report.flags {
        writeln!(out, "{flag}").context("can't write the flags")?;
    }
    for note in &report.notes {
        // Standard error that is closed is nobody's error.
        let _ = writeln!(io::stderr(), "{file}:{note}");
    }
    match report.weight() {
        Weight::Fine => Ok(0),
        Weight::Lost => Ok(LOST),
        Weight::Wrong => Err(UsageError::new(format!(
            "{file} has what is no setting: the lines above say where"
        ))
        .into()),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .context("can't read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}
