//! `isobath check`: all that is wrong with manifests, before they are applied.
//!
//! Files are read as `isobath serve --manifests` reads them, by the API server's rules for new objects, and then the units
//! are made that a control plane makes of them: what it would tell the objects' owners is told here, with file, line and
//! column. It asks nobody, and starts nothing.

mod finding;
mod report;

use std::path::{Path, PathBuf};

use crate::build::Builder;
use crate::process::exit_code::{FINDINGS, UsageError};
use crate::process::threads::threads;
use crate::sources::manifests::{Inspection, STANDARD_INPUT};

use super::{config, output};
use finding::{Finding, Report, Severity};

/// Flags of `isobath check`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// A directory of Kubernetes manifests (YAML or JSON), one such file, or - for standard input.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// What is written: text for people, json, sarif for code scanning, github for annotations of a workflow.
    #[arg(
        long,
        env = "ISOBATH_OUTPUT",
        value_name = "FORM",
        default_value = "text"
    )]
    pub output: Output,
    /// Warnings fail too.
    #[arg(long, env = "ISOBATH_STRICT")]
    pub strict: bool,
    /// What the control plane would be started with.
    #[command(flatten)]
    pub core: config::Args,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A line for each finding, as compilers write it.
    Text,
    /// One object.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Commands of a GitHub workflow.
    Github,
}

/// Prints what is wrong. Returns the exit code: 0 where nothing is, [`FINDINGS`] where something is.
///
/// # Errors
///
/// A path that can't be read, and one where nothing is that could be checked: exit code 2.
pub fn run(args: &Args) -> anyhow::Result<u8> {
    args.core.check()?;
    let report = report(args)?;
    let written = match args.output {
        Output::Text => report::text(&report),
        Output::Json => report::json(&report),
        Output::Sarif => report::sarif(&report),
        Output::Github => report::github(&report),
    };
    // Whether anybody reads it or not, the exit code is the same.
    let _ = output::print(&written)?;
    let fails = |finding: &Finding| args.strict || finding.severity == Severity::Error;
    Ok(match report.findings.iter().any(fails) {
        true => FINDINGS,
        false => 0,
    })
}

fn report(args: &Args) -> anyhow::Result<Report> {
    let mut inspection =
        Inspection::of(&args.path).map_err(|error| UsageError::new(error.to_string()))?;
    let mut findings: Vec<Finding> = inspection
        .problems()
        .into_iter()
        .map(Finding::of_file)
        .collect();
    if inspection.objects() == 0 && inspection.others().is_empty() && findings.is_empty() {
        return Err(UsageError::new(nothing(&args.path, &inspection)).into());
    }
    let mut builder = Builder::new(args.core.config(true)).with_threads(threads());
    for event in inspection.events() {
        builder.apply(event);
    }
    builder.build();
    let statuses = builder.statuses();
    for problems in statuses.problems.values() {
        for problem in &*problems.problems {
            let place = inspection.locate(problem);
            findings.push(Finding::of_object(problem, place));
        }
    }
    findings.sort();
    let ingresses = statuses.ingresses.values();
    let foreign = ingresses.filter(|facts| !facts.served).count();
    Ok(Report {
        findings,
        objects: inspection.objects(),
        files: inspection.files(),
        others: inspection.others().clone(),
        passed_over: inspection.passed_over().to_vec(),
        foreign,
    })
}

/// A check of nothing must not pass: it is most likely a slip of the pen, or a command before it that failed.
fn nothing(path: &Path, inspection: &Inspection) -> String {
    let place = match path == Path::new(STANDARD_INPUT) {
        true => "on standard input".to_owned(),
        false => format!("in {}", path.display()),
    };
    match inspection.passed_over().first() {
        Some(problem) => format!("there is no object of Kubernetes {place}: {problem}"),
        None => format!(
            "there is no object of Kubernetes {place}: name a directory or file that has some"
        ),
    }
}
