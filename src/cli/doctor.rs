//! `isobath doctor`: what is wrong with a cluster for an installation of Isobath, before it is there and after. It reads with
//! the rights of whoever calls it, and writes nothing. What may not be read is a finding, and not the end.
//!
//! Each check is a file: it asks for facts, and a function of these alone says what is wrong and which command mends it.

mod addresses;
mod certificates;
mod classes;
mod definitions;
mod finding;
mod installation;
mod lease;
mod neighbours;
mod ports;
mod read;
mod report;
mod rights;
mod routed;
mod server;
mod streams;

use anyhow::Context as _;
use jiff::Timestamp;

use super::{cluster, output, pods};
use crate::process::exit_code::{FINDINGS, UsageError};
use definitions::Served;
use installation::Installation;
use ports::Planned;
use report::Report;

/// Flags of `isobath doctor`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// What is written.
    #[arg(
        long,
        env = "ISOBATH_OUTPUT",
        value_name = "FORM",
        default_value = "text"
    )]
    pub output: Output,
    /// Ports of the nodes that an installation would take, for the look before it; an installation that is there says it itself.
    #[arg(
        long,
        env = "ISOBATH_HOST_PORTS",
        value_name = "PORTS",
        value_delimiter = ',',
        default_value = "80,443,8002"
    )]
    pub host_ports: Vec<u16>,
    /// Node ports of Services that it would take, likewise.
    #[arg(
        long,
        env = "ISOBATH_NODE_PORTS",
        value_name = "PORTS",
        value_delimiter = ',',
        default_value = "30080,30443"
    )]
    pub node_ports: Vec<u16>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: cluster::Args,
    /// The installation.
    #[command(flatten)]
    pub installation: pods::Args,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// What is wrong, the worst first, and what is well.
    Text,
    /// One object.
    Json,
}

/// Prints what is wrong. Returns the exit code: 0 where nothing is, [`FINDINGS`] where something is, or can't be looked at.
///
/// # Errors
///
/// No cluster that can be asked: exit code 2.
pub async fn run(args: &Args) -> anyhow::Result<u8> {
    let client = args.cluster.client().await?;
    // Whoever may log in may ask for it, so this says whether there is anybody to ask.
    let version = client.apiserver_version().await.map_err(|error| {
        let error = anyhow::Error::from(error);
        UsageError::new(format!("can't ask the API server: {error:#}"))
    })?;
    let report = report(args, &client, version.git_version).await;
    let written = match args.output {
        Output::Text => report::text(&report),
        Output::Json => report::json(&report),
    };
    // Whether anybody reads it or not, the exit code is the same.
    let _ = output::print(&written).context("can't write what was found")?;
    Ok(match report.is_well() {
        true => 0,
        false => FINDINGS,
    })
}

async fn report(args: &Args, client: &kube::Client, version: String) -> Report {
    let (installation, definitions, server) = tokio::join!(
        Installation::ask(client, &args.installation),
        definitions::ask(client),
        server::ask(client, version),
    );
    let nothing = Served::default();
    let served = definitions.served.as_ref().unwrap_or(&nothing);
    let (rights, lease, streams) = tokio::join!(
        rights::ask(client, &installation, served),
        lease::ask(client, &installation),
        streams::ask(client, &args.installation, &installation),
    );
    let (routed, neighbours, source) = tokio::join!(
        routed::Facts::ask(client, &installation, &definitions.served),
        neighbours::ask(client, &installation),
        addresses::ask(client, &installation),
    );
    let certificates = certificates::ask(client, &installation, &routed).await;
    let planned = Planned {
        host_ports: args.host_ports.clone(),
        node_ports: args.node_ports.clone(),
    };
    let now = Timestamp::now();
    Report {
        about: installation.about(),
        checks: vec![
            server::check(&server),
            definitions::check(&definitions),
            rights::check(&rights),
            ports::check(&neighbours, &planned, &installation),
            installation::check(&installation),
            streams::check(&streams, &installation),
            lease::check(&lease, &installation, now),
            classes::check(&routed, &neighbours.rivals, &installation),
            addresses::check(&source, &routed, &installation, now),
            certificates::check(&certificates, now),
        ],
        cluster: args.cluster.of_kubectl(),
    }
}
