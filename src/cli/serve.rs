//! `isobath serve`: its flags and its wiring. It reads as a table of contents.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::config;
use super::control_plane::{ControlPlane, EVENTS, started};
use super::gateway_api::GatewayArgs;
use crate::process::admin;
use crate::process::listen_address::distinct;
use crate::process::pod::Pod;
use crate::process::supervisor::{self, Supervisor};
use crate::sources::{self, Source};
use crate::status;
use crate::status::lease;
use crate::xds;

/// Flags of `isobath serve`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Serve {
    /// Where objects come from.
    #[command(flatten)]
    pub source: sources::Args,
    /// What is served.
    #[command(flatten)]
    pub core: config::Args,
    /// Where Envoy connects.
    #[command(flatten)]
    pub xds: xds::server::Args,
    /// Probes, metrics, debugging.
    #[command(flatten)]
    pub admin: admin::Args,
    /// Who writes status.
    #[command(flatten)]
    pub lease: lease::Args,
    /// What is written.
    #[command(flatten)]
    pub status: status::Args,
    /// The pod that this is.
    #[command(flatten)]
    pub pod: Pod,
}

impl Serve {
    /// What listens in this pod, with the flags that say where. Beside one Envoy that is Envoy's as well.
    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut listeners = self.core.ports_of_envoy();
        if matches!(self.xds.xds_address, xds::Address::Unix(_)) {
            listeners.push(("--admin-address", self.admin.admin_address));
            listeners.push(("--metrics-address", self.admin.metrics_address));
        }
        listeners
    }

    /// The sockets of this pod that no endpoint may lead to. Envoy's are among them: a request would go in circles.
    fn own_sockets(&self) -> Arc<[SocketAddr]> {
        let mut ports: Vec<u16> = self.listeners().iter().map(|(_, at)| at.port()).collect();
        ports.extend([
            self.admin.admin_address.port(),
            self.admin.metrics_address.port(),
        ]);
        if let xds::Address::Tcp { port, .. } = self.xds.xds_address {
            ports.push(port);
        }
        ports.sort_unstable();
        ports.dedup();
        self.pod.sockets(&ports)
    }
}

/// Runs the control plane until it is told to stop, or until a task ends.
///
/// # Errors
///
/// The reason of the first task that ended; or why it could not start.
pub async fn serve(args: Serve) -> anyhow::Result<()> {
    distinct(&args.listeners())?;
    args.core.check()?;
    let mut supervisor = Supervisor::new();
    supervisor.add_signals(supervisor::STOP)?;
    let mut plane = ControlPlane::bind(&args.xds, &args.admin).await?;
    let mut from = args.source.clone();
    from.kubernetes.opaque_secrets |= names_nginx(&args.core.ingress_class);
    from.kubernetes
        .config_map
        .clone_from(&args.core.ingress_nginx.nginx_configmap);
    let source = Source::open(&from, !args.core.ingress_class.is_empty());
    let Some(source) = supervisor.before(source).await else {
        return supervisor.run().await;
    };
    let source = started("serve", source)?;
    let mut config = args.core.config(source.is_manifests());
    config.options.own_sockets = args.own_sockets();
    let gateway_addresses = args.core.gateway.gateway_addresses.clone();
    let (events, received) = mpsc::channel(EVENTS);
    let outputs = plane.control(&mut supervisor, config, &source, received);
    match source.client() {
        Some(client) => {
            let status = status::Args {
                gateway_addresses: gateway_addresses.into(),
                ..args.status.clone()
            };
            plane.write_status(
                &mut supervisor,
                client,
                &args.lease,
                &status,
                &args.pod,
                &outputs,
            )?;
        }
        None => say_what_is_not_written(&args.status, &args.core.gateway),
    }
    supervisor.add("source", |stop| source.run(events, stop));
    plane.serve(&mut supervisor, outputs, &args.pod);
    supervisor.run().await
}

/// Whether Ingresses of ingress-nginx are asked for by the name of their class, whose Secrets are of type Opaque.
pub(super) fn names_nginx(classes: &[String]) -> bool {
    classes.iter().any(|class| class == "nginx")
}

/// Flags that ask for something that manifests have no place for.
fn say_what_is_not_written(status: &status::Args, gateway: &GatewayArgs) {
    let flags = [
        (
            "--ingress-status-address",
            !status.ingress_status_address.is_empty(),
        ),
        ("--envoy-service", status.envoy_service.is_some()),
        ("--gateway-services", gateway.gateway_services.is_some()),
    ];
    for (flag, _) in flags.into_iter().filter(|(_, given)| *given) {
        tracing::warn!(
            "{flag} has no effect: with --manifests there is no API server to write addresses to; leave it out"
        );
    }
}
