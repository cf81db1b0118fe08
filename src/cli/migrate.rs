//! `isobath migrate`: what becomes of another controller's configuration here.
//!
//! Of Contour's it makes flags. On standard output is a flag a line, as it is given to `isobath serve`. On standard error is what is to be said of settings, each
//! with its line: `lost` is one that has no flag and means something else from now on, `wrong` one that the other controller would
//! not take either, `default` one that is not said and means something else here. It reads a file, and asks nobody.
//!
//! Of ingress-nginx's Ingresses it writes a report, and with `--replay` it asks both controllers the same.

mod contour;
mod defaults;
pub mod document;
mod ingress_nginx;
mod report;
mod setting;
mod settings;
mod taken;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::objects::NamespacedName;
use crate::process::exit_code::{LOST, UsageError};

pub use contour::contour;
pub use defaults::{Concerns, DEFAULTS, Keeps, Unset};
pub use report::{Note, Report, Weight};
pub use setting::Is;
pub use settings::SETTINGS;

use super::http_proxy::namespaced_name;
use super::output;
use ingress_nginx::replay;

/// Flags of `isobath migrate`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Whose configuration it is.
    #[arg(long, env = "ISOBATH_FROM", value_name = "CONTROLLER")]
    pub from: Source,
    /// For Contour: the file of --config-path, the ConfigMap that holds it, or a ContourConfiguration; - is standard input.
    #[arg(long, env = "ISOBATH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// For ingress-nginx: a directory of manifests with its Ingresses, one such file, or - for standard input ("kubectl get
    /// ingress,ingressclass,service,secret -A -o yaml").
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// For ingress-nginx: the names of its classes, besides nginx and those of its own controller in PATH.
    #[arg(
        long,
        env = "ISOBATH_INGRESS_CLASS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub ingress_class: Vec<String>,
    /// For ingress-nginx: its own ConfigMap, if that is in PATH as well. What of it is a flag here is named.
    #[arg(
        long,
        env = "ISOBATH_NGINX_CONFIGMAP",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub nginx_configmap: Option<NamespacedName>,
    /// For ingress-nginx: what is written, text for people, json, html as one page that prints well.
    #[arg(
        long,
        env = "ISOBATH_OUTPUT",
        value_name = "FORM",
        default_value = "text"
    )]
    pub output: Output,
    /// What is asked of both controllers.
    #[command(flatten)]
    pub replay: replay::Args,
}

/// Another controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// Contour 1.33.
    Contour,
    /// ingress-nginx 1.15.
    IngressNginx,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Lines, the worst first.
    Text,
    /// One object.
    Json,
    /// One page.
    Html,
}

/// Prints what becomes of a configuration. Returns the exit code: 0 where everything goes on as it was, [`LOST`] where it does not.
///
/// # Errors
///
/// A file that is none, or that has what is no setting: exit code 2, after the rest is printed.
pub fn run(args: &Args) -> anyhow::Result<u8> {
    match (args.from, &args.config) {
        (Source::Contour, Some(config)) => run_contour(config),
        (Source::Contour, None) => Err(UsageError::new("--from contour needs --config").into()),
        (Source::IngressNginx, None) => run_ingress_nginx(args),
        (Source::IngressNginx, Some(_)) => {
            let why = "--config is for --from contour: name the manifests of ingress-nginx as PATH";
            Err(UsageError::new(why).into())
        }
    }
}

/// Reads the manifests, where they are named, and asks both sides, where they are.
fn run_ingress_nginx(args: &Args) -> anyhow::Result<u8> {
    let mut moves = match (&args.path, &args.replay.replay) {
        (Some(path), _) => {
            let config_map = args.nginx_configmap.as_ref();
            ingress_nginx::moves(path, &args.ingress_class, config_map)?
        }
        (None, Some(_)) => ingress_nginx::Moves::default(),
        (None, None) => {
            let why = "--from ingress-nginx needs a PATH with its Ingresses, or --replay";
            return Err(UsageError::new(why).into());
        }
    };
    if let Some(file) = &args.replay.replay {
        let text = read(file).map_err(|error| UsageError::new(format!("{error:#}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start")?;
        moves.replay = Some(runtime.block_on(replay::replay(&args.replay, &text))?);
    }
    let written = match args.output {
        Output::Text => ingress_nginx::text(&moves),
        Output::Json => ingress_nginx::json(&moves),
        Output::Html => ingress_nginx::html(&moves),
    };
    // Whether anybody reads it or not, the exit code is the same.
    let _ = output::print(&written)?;
    Ok(match moves.breaks() {
        true => LOST,
        false => 0,
    })
}

fn run_contour(config: &Path) -> anyhow::Result<u8> {
    let file = config.display();
    let text = read(config).map_err(|error| UsageError::new(format!("{error:#}")))?;
    let report =
        contour(&text).map_err(|(line, why)| UsageError::new(format!("{file}:{line}: {why}")))?;
    let mut out = io::stdout().lock();
    for flag in &report.flags {
        writeln!(out, "{flag}").context("can't write the flags")?;
    }
    for note in &report.notes {
        // Standard error that is closed is nobody's error.
        let _ = writeln!(io::stderr(), "{file}:{note}");
    }
    match report.weight() {
        Weight::Fine | Weight::Unset => Ok(0),
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
