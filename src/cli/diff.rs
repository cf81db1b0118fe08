//! `isobath diff`: what a change of manifests changes for clients, before it is applied. It writes nothing.

mod json;
mod shown;
mod text;

use std::path::PathBuf;

use crate::build::diff::difference;
use crate::process::exit_code::{FINDINGS, UsageError};
use crate::sources::kubernetes;
use crate::sources::manifests::STANDARD_INPUT;

use super::{config, objects, output};
use shown::Shown;

/// Flags of `isobath diff`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The manifests of before and those of after: directories of YAML and JSON, such files, or - for standard input.
    /// One alone is what is to be applied to the cluster; nothing is deleted there then.
    #[arg(value_name = "PATH", num_args = 1..=2, required = true)]
    pub paths: Vec<PathBuf>,
    /// What is written.
    #[arg(
        long,
        env = "ISOBATH_OUTPUT",
        value_name = "FORM",
        default_value = "text"
    )]
    pub output: Output,
    /// The cluster of one path.
    #[command(flatten)]
    pub kubernetes: kubernetes::Args,
    /// What the control plane would be started with.
    #[command(flatten)]
    pub core: config::Args,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// What differs, host by host.
    Text,
    /// One object.
    Json,
}

/// Prints what differs. Returns the exit code: 0 where nothing does, [`FINDINGS`] where something does, as `kubectl diff`.
///
/// # Errors
///
/// Manifests that can't be read: exit code 2. A cluster that can't be asked.
pub async fn run(args: &Args) -> anyhow::Result<u8> {
    args.core.check()?;
    let is_standard_input = |path: &PathBuf| path.as_os_str() == STANDARD_INPUT;
    let (before, after, inspections) = match &args.paths[..] {
        [old, new] => {
            let cluster = &args.kubernetes;
            if cluster.context.is_some() || cluster.kubeconfig.is_some() {
                let says = "--context and --kubeconfig name a cluster, which is compared with one path: leave out the first";
                return Err(UsageError::new(says).into());
            }
            if args.paths.iter().all(is_standard_input) {
                return Err(UsageError::new("only one of the two can be standard input").into());
            }
            let old = objects::of_manifests(old)?;
            let new = objects::of_manifests(new)?;
            let [before, after] = [&old, &new]
                .map(|inspection| objects::built(args.core.config(true), inspection.events()));
            (before, after, [Some(old), Some(new)])
        }
        [new] => {
            let new = objects::of_manifests(new)?;
            let are_named = !args.core.ingress_class.is_empty();
            let events = objects::of_cluster(&args.kubernetes, are_named).await?;
            let before = objects::built(args.core.config(false), events.clone());
            let changes = objects::applied(&new, &before);
            let after = objects::built(args.core.config(false), events.into_iter().chain(changes));
            (before, after, [None, Some(new)])
        }
        _ => return Err(UsageError::new("name one path or two").into()),
    };
    let difference = difference(&before, &after);
    let [old, new] = inspections.each_ref().map(Option::as_ref);
    let shown = Shown {
        difference: &difference,
        before: (&before, old),
        after: (&after, new),
    };
    let written = match args.output {
        Output::Text => text::text(&shown),
        Output::Json => json::json(&shown),
    };
    // Whether anybody reads it or not, the exit code is the same.
    let _ = output::print(&written)?;
    Ok(match difference.is_empty() {
        true => 0,
        false => FINDINGS,
    })
}
