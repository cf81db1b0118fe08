//! `isobath explain URL…`: who answers a request, and why, without a proxy: by manifests, by a cluster, or by a control plane
//! that runs, which knows what its Envoys have acknowledged.

pub mod asked;
pub mod written;

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::build::explain::{Explanation, Question};
use crate::process::exit_code::UsageError;
use crate::process::http_client::AdminUrl;
use crate::sources::kubernetes;
use crate::sources::manifests::Inspection;

use super::{config, objects, output};
use asked::Asked;
use written::{text, to_json};

/// Flags of `isobath explain`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// What is asked for, such as http://a.example:8080/path?query, or by https.
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// The method of the request.
    #[arg(
        short = 'X',
        long,
        env = "ISOBATH_METHOD",
        value_name = "METHOD",
        default_value = "GET"
    )]
    pub method: String,
    /// A header of the request; may be given several times. Host stands in the place of the URL's.
    #[arg(
        short = 'H',
        long,
        env = "ISOBATH_HEADER",
        value_name = "NAME: VALUE",
        value_delimiter = '\n'
    )]
    pub header: Vec<String>,
    /// The name that the client asks for in TLS; without it the URL's host.
    #[arg(long, env = "ISOBATH_SNI", value_name = "NAME")]
    pub sni: Option<String>,
    /// The address of the client, as Envoy sees it: lists of addresses that are let in or kept out are asked then.
    #[arg(long, env = "ISOBATH_FROM", value_name = "ADDRESS")]
    pub from: Option<IpAddr>,
    /// The admin address of a control plane that runs, such as http://127.0.0.1:6060 behind kubectl port-forward. It says what it
    /// serves now, and what of it its Envoys have acknowledged.
    #[arg(long, env = "ISOBATH_ADMIN", value_name = "URL", conflicts_with_all = ["manifests", "kubeconfig", "context", "watch_namespaces"])]
    pub admin: Option<AdminUrl>,
    /// The manifests: a directory of YAML and JSON, one such file, or - for standard input. Without them the cluster is asked.
    #[arg(long, env = "ISOBATH_MANIFESTS", value_name = "PATH", conflicts_with_all = ["kubeconfig", "context", "watch_namespaces"])]
    pub manifests: Option<PathBuf>,
    /// What is written.
    #[arg(
        long,
        env = "ISOBATH_OUTPUT",
        value_name = "FORM",
        default_value = "text"
    )]
    pub output: Output,
    /// The cluster.
    #[command(flatten)]
    pub kubernetes: kubernetes::Args,
    /// What the control plane would be started with.
    #[command(flatten)]
    pub core: config::Args,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// The answer, and how it came about.
    Text,
    /// A list of objects, one for each URL.
    Json,
}

/// Prints who answers each URL.
///
/// # Errors
///
/// A URL or header that is none, and manifests that can't be read: exit code 2. A cluster that can't be asked.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    args.core.check()?;
    let asked = Asked {
        method: args.method.clone(),
        headers: args.header.clone(),
        sni: args.sni.clone(),
        from: args.from,
    };
    let question = |url: &String| asked::question(url, &asked).map_err(UsageError::new);
    let questions = args.urls.iter().map(question);
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    let written = match &args.admin {
        Some(admin) => running(args, admin, &asked).await?,
        None => made(args, &questions).await?,
    };
    output::print(&written).map(drop)
}

/// What a control plane that runs says.
async fn running(args: &Args, admin: &AdminUrl, asked: &Asked) -> anyhow::Result<String> {
    let form = match args.output {
        Output::Text => "text",
        Output::Json => "json",
    };
    let mut answers = Vec::new();
    for url in &args.urls {
        let query = asked::query(url, asked, form);
        let answer = admin.get(&format!("/debug/explain?{query}")).await?;
        answers.push(answer);
    }
    Ok(match args.output {
        Output::Text => answers.join("\n"),
        Output::Json => {
            let answers = answers.iter().map(|answer| serde_json::from_str(answer));
            let answers = answers.collect::<Result<Vec<Value>, _>>()?;
            format!("{:#}\n", Value::Array(answers))
        }
    })
}

/// What comes of manifests, or of a cluster.
async fn made(args: &Args, questions: &[Question]) -> anyhow::Result<String> {
    let (events, inspection) = match &args.manifests {
        Some(path) => {
            let inspection = of_manifests(path)?;
            (inspection.events(), Some(inspection))
        }
        None => {
            let are_named = !args.core.ingress_class.is_empty();
            let events = objects::of_cluster(&args.kubernetes, are_named).await?;
            (events, None)
        }
    };
    let config = args.core.config(inspection.is_some());
    let edge = config.listeners.edge.clone();
    let builder = objects::built(config, events);
    let explained: Vec<(&String, Explanation)> = args
        .urls
        .iter()
        .zip(questions)
        .map(|(url, question)| (url, builder.explain(&edge, question)))
        .collect();
    Ok(match args.output {
        Output::Text => {
            let texts = explained
                .iter()
                .map(|(url, told)| text(url, told, inspection.as_ref(), None));
            texts.collect::<Vec<_>>().join("\n")
        }
        Output::Json => {
            let all = explained.iter().map(|(url, told)| to_json(url, told, None));
            format!("{:#}\n", all.collect::<Value>())
        }
    })
}

/// Reads manifests, and says on standard error that a part of them can't be read.
fn of_manifests(path: &Path) -> anyhow::Result<Inspection> {
    let mut inspection =
        Inspection::of(path).map_err(|error| UsageError::new(error.to_string()))?;
    let problems = inspection.problems();
    if let Some(first) = problems.first() {
        // It is read all the same, and what is missing for it is seen in the answer.
        let path = path.display();
        let count = problems.len();
        let says = format!("{first}\n{count} problems of files: `isobath check {path}` lists them");
        let _ = writeln!(std::io::stderr(), "{says}");
    }
    Ok(inspection)
}
