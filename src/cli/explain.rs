//! `isobath explain URL…`: who answers a request, and why, by manifests or by a cluster, and without a proxy.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::build::Builder;
use crate::build::explain::{Answer, Explanation, Question};
use crate::envoy::request::{Request, split_host};
use crate::process::exit_code::UsageError;
use crate::sources::kubernetes;
use crate::sources::manifests::Inspection;

use super::{config, objects, output};

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
    let questions = args
        .urls
        .iter()
        .map(|url| question(args, url).map_err(UsageError::new))
        .collect::<Result<Vec<_>, _>>()?;
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
        .zip(&questions)
        .map(|(url, question)| (url, builder.explain(&edge, question)))
        .collect();
    let written = match args.output {
        Output::Text => {
            let texts = explained
                .iter()
                .map(|(url, told)| text(url, told, &builder, inspection.as_ref()));
            texts.collect::<Vec<_>>().join("\n")
        }
        Output::Json => {
            let all = explained
                .iter()
                .map(|(url, told)| to_json(url, told, &builder));
            format!("{:#}\n", all.collect::<Value>())
        }
    };
    output::print(&written).map(drop)
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

fn question(args: &Args, url: &str) -> Result<Question, String> {
    let (tls, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(format!("{url:?} is no URL of http:// or https://")),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if host.is_empty() || host.contains('@') {
        return Err(format!(
            "{url:?} has no host, or a name and password that are no part of a request"
        ));
    }
    let mut request = Request {
        tls,
        method: args.method.clone(),
        host: host.to_owned(),
        path: match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        },
        headers: Vec::new(),
    };
    let (name, _) = split_host(host);
    let server_name = args.sni.clone().unwrap_or_else(|| name.to_owned());
    for header in &args.header {
        let Some((name, value)) = header.split_once(':') else {
            return Err(format!("--header {header:?} is no NAME: VALUE"));
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match &*name {
            "host" => request.host = value.to_owned(),
            _ => request.headers.push((name, value.to_owned())),
        }
    }
    // An address is no name, and no client asks for one in TLS.
    let is_name = server_name.parse::<std::net::IpAddr>().is_err() && !server_name.starts_with('[');
    Ok(Question {
        request,
        server_name: (tls && is_name).then_some(server_name),
    })
}

/// What the client gets, in one line.
fn sentence(answer: &Answer) -> String {
    match answer {
        Answer::Closed(why) => format!("the connection is closed: {why}"),
        Answer::Envoy {
            status,
            why,
            location: None,
        } => format!("{status} from Envoy: {why}"),
        Answer::Envoy {
            status,
            why,
            location: Some(location),
        } => format!("{status} from Envoy, Location {location}: {why}"),
        Answer::Backend {
            cluster,
            path,
            host,
            endpoints,
        } => {
            let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            let by = match endpoints.is_empty() {
                true => String::new(),
                false => format!(" ({})", endpoints.join(", ")),
            };
            let host = host.as_deref().unwrap_or("its own name");
            format!("the answer of {cluster}{by}, which sees Host {host} and path {path}")
        }
    }
}

fn text(
    url: &str,
    told: &Explanation,
    builder: &Builder,
    inspection: Option<&Inspection>,
) -> String {
    let mut out = format!("{url}\n");
    let all: u64 = told
        .answers
        .iter()
        .map(|(weight, _)| u64::from(*weight))
        .sum();
    for (weight, answer) in &told.answers {
        let share = match told.answers.len() {
            1 => String::new(),
            _ => format!("{weight} of {all}: "),
        };
        // Writing to a String can't fail.
        let _ = writeln!(out, "  → {share}{}", sentence(answer));
    }
    for suggestion in &told.suggestions {
        let _ = writeln!(out, "  perhaps {suggestion} was meant");
    }
    for problem in &told.problems {
        let place = inspection.and_then(|inspection| inspection.locate(problem));
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        let object = &problem.source.object;
        let _ = writeln!(out, "  ! {object}: {}{place}", problem.message);
    }
    for step in &told.steps {
        let source = step.source.as_ref().map(|source| {
            let path = builder.store().path(source);
            let path = path.map_or_else(String::new, |path| format!(" {path}"));
            format!("  [{}{path}]", source.object)
        });
        let source = source.unwrap_or_default();
        let _ = writeln!(out, "  {:8} {}{source}", step.about, step.says);
    }
    out
}

fn to_json(url: &str, told: &Explanation, builder: &Builder) -> Value {
    let object = |object: &crate::objects::ObjectRef| {
        json!({
            "kind": object.kind.name(),
            "namespace": &*object.name.namespace,
            "name": &*object.name.name,
        })
    };
    let answers = told.answers.iter().map(|(weight, answer)| match answer {
        Answer::Closed(why) => json!({"weight": weight, "closed": true, "why": why}),
        Answer::Envoy {
            status,
            why,
            location,
        } => {
            json!({"weight": weight, "status": status, "why": why, "location": location})
        }
        Answer::Backend {
            cluster,
            path,
            host,
            endpoints,
        } => json!({
            "weight": weight, "cluster": &**cluster, "path": path, "host": host,
            "endpoints": endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    });
    let steps = told.steps.iter().map(|step| {
        let source = step.source.as_ref();
        json!({
            "about": step.about,
            "says": step.says,
            "object": source.map(|source| object(&source.object)),
            "field": source.and_then(|source| builder.store().path(source)),
        })
    });
    let problems = told.problems.iter().map(|problem| {
        json!({
            "object": object(&problem.source.object),
            "reason": problem.reason,
            "message": problem.message,
        })
    });
    json!({
        "url": url,
        "answers": answers.collect::<Value>(),
        "suggestions": told.suggestions,
        "steps": steps.collect::<Value>(),
        "problems": problems.collect::<Value>(),
    })
}
