//! What a change costs Envoy itself under each way to tell it: `make figures ARGS=envoy`.
//!
//! A hand-made xDS server brings the bytes that Isobath would bring, in the order that suits Envoy best, so that what
//! is measured is Envoy. What follows from it is in `deploy/README.md`, section "What Envoy costs": none of the other
//! ways is as correct as the one that is taken.

mod filters;
mod inline;
mod loggers;
mod plain;
mod requests;
mod scopes;
mod server;
mod shards;
mod stand;
mod tls;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::report::Report;

/// Flags of the experiments.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// TLS hosts, each with a certificate of its own
    #[arg(long, value_delimiter = ',', default_value = "1000,5000")]
    tls: Vec<usize>,
    /// Plain hosts
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    plain: Vec<usize>,
    /// Hosts where requests are measured
    #[arg(long, value_delimiter = ',', default_value = "200")]
    requests: Vec<usize>,
    /// Leave out all ways but these: listener, listener-inline, listener-bare, discovery, discovery-inline, on-demand,
    /// table, scopes, shards, requests, filters, loggers
    #[arg(long, value_delimiter = ',')]
    ways: Vec<String>,
}

/// Measures all of it.
pub async fn run(report: &mut Report, envoy: Option<&Path>, args: &Args) -> Result<()> {
    let envoy = envoy.context("no Envoy: set ISOBATH_TEST_ENVOY")?;
    let wanted = |name: &str| args.ways.is_empty() || args.ways.iter().any(|wanted| wanted == name);
    for hosts in &args.tls {
        for way in tls::Way::ALL {
            if wanted(way.name()) {
                tls::measure(report, envoy, way, *hosts).await?;
            }
        }
    }
    for hosts in &args.plain {
        for way in plain::Way::ALL {
            if wanted(way.name()) {
                plain::measure(report, envoy, way, *hosts).await?;
            }
        }
    }
    if wanted(filters::NAME) {
        filters::measure(report, envoy).await?;
    }
    if wanted(loggers::NAME) {
        loggers::measure(report, envoy).await?;
    }
    if wanted("requests") {
        for hosts in &args.requests {
            requests::measure_tls(report, envoy, *hosts).await?;
            requests::measure_plain(report, envoy, *hosts).await?;
        }
    }
    Ok(())
}
