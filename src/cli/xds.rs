//! `isobath xds`: an xDS client that shows what a control plane serves.
//!
//! It speaks delta ADS, acknowledges everything and never refuses: it shows what an Envoy would be sent. Private keys
//! are redacted before anything is printed (I10).

use std::time::Duration;

use anyhow::{Context as _, bail};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::xds::ResourceType;

mod session;

use super::output;
use super::server::ServerArgs;
use session::Session;

/// How long to wait for an answer that must come at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A listener of thousands of hosts is larger than tonic's 4 MiB.
const LARGEST_RESPONSE: usize = 1 << 30;

/// Flags of `isobath xds`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to show: lds, ecds, rds, srds, cds, eds or sds.
    #[arg(value_name = "lds|ecds|rds|srds|cds|eds|sds", value_parser = resource_type)]
    pub resource_type: ResourceType,
    /// Which resources; without names, or with *, all: those of rds, eds and sds are learnt from listeners and clusters.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Goes on and shows what changes.
    #[arg(long, env = "ISOBATH_WATCH")]
    pub watch: bool,
    /// Where the control plane is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Shows the resources, and with `--watch` their changes until the stream ends.
///
/// # Errors
///
/// When the control plane can't be reached, ends the stream, leaves a name without an answer, or has no resource of it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let channel = args.server.connect().await?;
    let (mut session, first) = Session::new(args.resource_type, &args.names);
    // Unbounded: it holds an acknowledgement per response, and the next response waits for it.
    let (requests, receiver) = mpsc::unbounded_channel();
    for request in first {
        requests.send(request)?;
    }
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(LARGEST_RESPONSE);
    let stream = client.delta_aggregated_resources(UnboundedReceiverStream::new(receiver));
    let mut responses = timeout(TIMEOUT, stream)
        .await
        .context("the control plane does not open the stream")?
        .map_err(status)?
        .into_inner();
    loop {
        if session.is_complete() && !args.watch {
            return match session.absent() {
                None => Ok(()),
                Some(absent) => bail!("no such resource: {absent}"),
            };
        }
        let response = if session.is_complete() {
            responses.message().await
        } else {
            timeout(TIMEOUT, responses.message())
                .await
                .with_context(|| format!("no answer for {}", session.pending()))?
        };
        let Some(response) = response.map_err(status)? else {
            bail!("the control plane ended the stream");
        };
        let (text, answers) = session.receive(response);
        if !output::print(&text)? {
            return Ok(());
        }
        for answer in answers {
            // The stream may have ended; the next response says why.
            let _ = requests.send(answer);
        }
    }
}

fn resource_type(text: &str) -> Result<ResourceType, String> {
    ResourceType::ALL
        .into_iter()
        .find(|resource_type| resource_type.service() == text)
        .ok_or_else(|| "it is one of lds, ecds, rds, srds, cds, eds and sds".to_owned())
}

/// A gRPC status in a sentence; its own form has the metadata of the response too.
fn status(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!(
        "the control plane answered {:?}: {}",
        status.code(),
        status.message()
    )
}
