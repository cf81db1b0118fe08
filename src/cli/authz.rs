//! `isobath authz`: its flags and its wiring.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tonic::transport::Channel;

use crate::authz::discovery::discovery;
use crate::authz::{Authorizer, service};
use crate::envoy::bootstrap::AUTHZ_SOCKET;
use crate::model::Cidr;
use crate::process::supervisor::{self, Supervisor};
use crate::process::threads::threads;
use crate::xds::Address;
use crate::xds::transport::Listener;

use super::server::ServerArgs;

/// Flags of `isobath authz`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The Unix socket that Envoy asks at.
    #[arg(
        long,
        env = "ISOBATH_AUTHZ_SOCKET",
        value_name = "PATH",
        default_value = AUTHZ_SOCKET
    )]
    pub authz_socket: PathBuf,
    /// Where the control plane is.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Networks that an auth-url of the outside may lead to although they are inside (comma-separated): those of the load balancer,
    /// where hosts resolve to an address of the site's own.
    #[arg(
        long,
        env = "ISOBATH_AUTHZ_NETWORKS",
        value_name = "CIDRS",
        value_delimiter = ',',
        value_parser = Cidr::new
    )]
    pub authz_networks: Vec<Cidr>,
    /// Its name in the control plane's log.
    #[arg(long, env = "ISOBATH_NODE_ID", default_value = "authz")]
    pub node_id: String,
}

/// Serves until it is told to stop.
///
/// # Errors
///
/// If a flag is wrong, or the socket can't be bound.
pub async fn run(args: Args) -> anyhow::Result<()> {
    args.server.server()?;
    let mut supervisor = Supervisor::new();
    supervisor.add_signals(supervisor::STOP)?;
    let server = args.server;
    let connect = move || {
        let server = server.clone();
        async move { server.connect().await }
    };
    let socket = args.authz_socket;
    add(
        &mut supervisor,
        socket,
        &args.node_id,
        args.authz_networks,
        connect,
    )
    .await?;
    tracing::info!("authorizing");
    supervisor.run().await
}

/// Adds the authorizer's tasks.
///
/// # Errors
///
/// If the socket can't be bound, or the system has no random numbers.
pub async fn add<F>(
    supervisor: &mut Supervisor,
    socket: PathBuf,
    node_id: &str,
    networks: Vec<Cidr>,
    connect: impl FnMut() -> F + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Channel>> + Send + 'static,
{
    let listener = Listener::bind(&Address::Unix(socket), None).await?;
    let (discovery, subscriptions) = discovery(node_id);
    let authorizer = Arc::new(Authorizer::new(discovery, threads(), networks)?);
    supervisor.add("authorizer", |stop| {
        stop.or(service::serve(listener, authorizer))
    });
    supervisor.add("discovery", |stop| stop.or(subscriptions.run(connect)));
    Ok(())
}
