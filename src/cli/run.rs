//! The wiring of `isobath run`: the control plane of `serve`, an Envoy beside it, and what stands in for a cluster.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};

use crate::envoy::bootstrap::{Bootstrap, XdsServer};
use crate::local::envoy::Envoy;
use crate::local::event_filter::EventFilter;
use crate::local::stand_in::Local;
use crate::local::{self, Place, echo, terminal, unknown_host};
use crate::process::admin;
use crate::process::exit_code::UsageError;
use crate::process::listen_address::distinct;
use crate::process::pod::Pod;
use crate::process::supervisor::{self, Supervisor};
use crate::sources::{self, Source};
use crate::xds;

use super::authz;
use super::config;
use super::config_file::ConfigFile;
use super::control_plane::{ControlPlane, EVENTS, started};
use super::edge::EdgeArgs;
use super::gateway_api::GatewayArgs;
use super::http_proxy::HttpProxyArgs;
use super::ingress_nginx::IngressNginxArgs;
use super::serve::names_nginx;
use super::server;
use super::tls::TlsArgs;
use super::upstream::UpstreamArgs;

/// Flags of `isobath run`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Run {
    /// Where flags are read from.
    #[command(flatten)]
    pub file: ConfigFile,
    /// The directory, Envoy, back ends.
    #[command(flatten)]
    pub run: local::Args,
    /// A cluster to read instead of the directory.
    #[command(flatten)]
    pub kubernetes: sources::kubernetes::Args,
    /// Serve Ingresses of these classes only (comma-separated)
    #[arg(
        long,
        env = "ISOBATH_INGRESS_CLASS",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub ingress_class: Vec<String>,
    /// Serve Services of type ExternalName
    #[arg(long, env = "ISOBATH_ALLOW_EXTERNAL_NAMES")]
    pub allow_external_names: bool,
    /// Who may serve a host that several namespaces name
    #[arg(
        long,
        env = "ISOBATH_HOST_OWNERSHIP",
        value_name = "MODE",
        default_value = "shared"
    )]
    pub host_ownership: config::Ownership,
    /// What holds for ingress-nginx's dialect.
    #[command(flatten)]
    pub ingress_nginx: IngressNginxArgs,
    /// What HTTPProxies may say.
    #[command(flatten)]
    pub http_proxy: HttpProxyArgs,
    /// How Gateways are reached.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// What TLS of clients may use.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What a client may do.
    #[command(flatten)]
    pub edge: EdgeArgs,
    /// How endpoints are spoken to.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Where the pages of `isobath serve --admin-address` are; port 0 takes a free one
    #[arg(
        long,
        env = "ISOBATH_ADMIN_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:0"
    )]
    pub admin_address: std::net::SocketAddr,
}

impl Run {
    fn core(&self, place: &Place) -> config::Args {
        let [http, https, stats] = place.addresses;
        let mut edge = self.edge.clone();
        // Whoever is redirected comes from the port of HTTP, which is seldom 80 on a laptop.
        edge.envoy_https_redirect_to
            .get_or_insert_with(|| https.port());
        config::Args {
            file: self.file.clone(),
            ingress_class: self.ingress_class.clone(),
            allow_external_names: self.allow_external_names,
            host_ownership: self.host_ownership,
            ingress_nginx: self.ingress_nginx.clone(),
            http_proxy: self.http_proxy.clone(),
            gateway: self.gateway.clone(),
            envoy_http_address: http,
            envoy_https_address: https,
            envoy_stats_address: stats,
            tls: self.tls.clone(),
            edge,
            upstream: self.upstream.clone(),
        }
    }

    fn info(&self, place: &Place, admin: std::net::SocketAddr) -> terminal::RunInfo {
        terminal::RunInfo {
            addresses: place.addresses,
            admin,
            envoy_admin: place.admin_socket(),
            xds: place.xds_socket(),
            example: place.manifests.clone().filter(|_| place.is_example),
            ingress_class: match self.ingress_class.is_empty() {
                true => None,
                false => Some(self.ingress_class.join(",")),
            },
        }
    }

    fn of_cluster(&self) -> bool {
        self.kubernetes.kubeconfig.is_some() || self.kubernetes.context.is_some()
    }

    /// Flags that speak of two sources: neither may win in silence.
    fn check(&self) -> Result<(), UsageError> {
        let flags = [
            ("--kubeconfig", self.kubernetes.kubeconfig.is_some()),
            ("--context", self.kubernetes.context.is_some()),
            (
                "--watch-namespaces",
                !self.kubernetes.watch_namespaces.is_empty(),
            ),
        ];
        let given = flags.iter().find(|(_, given)| *given);
        match (&self.run.path, given) {
            (Some(path), Some((flag, _))) => Err(UsageError::new(format!(
                "{flag} names a cluster and {} manifests: leave one of them out",
                path.display()
            ))),
            (None, Some((flag, _))) if !self.of_cluster() => Err(UsageError::new(format!(
                "{flag} is about a cluster: name one with --kubeconfig or --context"
            ))),
            _ => Ok(()),
        }
    }

    fn source(&self, place: &Place) -> sources::Args {
        sources::Args {
            manifests: place.manifests.clone(),
            // One laptop is no fleet.
            kubernetes: sources::kubernetes::Args {
                start_jitter: std::time::Duration::ZERO,
                opaque_secrets: self.kubernetes.opaque_secrets || names_nginx(&self.ingress_class),
                config_map: self.ingress_nginx.nginx_configmap.clone(),
                ..self.kubernetes.clone()
            },
        }
    }
}

/// Runs control plane and Envoy until one of them ends, or Ctrl-C.
///
/// # Errors
///
/// The reason of the first task that ended; or why it could not start.
pub async fn run(args: Run) -> anyhow::Result<()> {
    args.check()?;
    distinct(&[
        ("--envoy-http-address", args.run.envoy_http_address),
        ("--envoy-https-address", args.run.envoy_https_address),
        ("--envoy-stats-address", args.run.envoy_stats_address),
        ("--admin-address", args.admin_address),
    ])?;
    let place = Place::prepare(&args.run, args.of_cluster())?;
    let core = args.core(&place);
    core.check()?;
    distinct(&core.ports_of_envoy())?;
    let mut supervisor = Supervisor::new();
    supervisor.add_signals(supervisor::TERMINAL)?;
    let xds = xds_server(&place);
    let pages = admin::Args {
        admin_address: args.admin_address,
        metrics_address: ([127, 0, 0, 1], 0).into(),
    };
    let mut plane = ControlPlane::bind(&xds, &pages).await?;
    let admin_address = plane.admin_address()?;

    let source = args.source(&place);
    let source = Source::open(&source, !core.ingress_class.is_empty());
    let Some(source) = supervisor.before(source).await else {
        return supervisor.run().await;
    };
    let source = started("run", source)?;
    let (events, listed) = mpsc::channel(EVENTS);
    let (filtered, received) = mpsc::channel(EVENTS);
    let mut config = core.config(source.is_manifests());
    config.listeners.edge.explains = true;
    let selection = config.classes.clone();
    let outputs = plane.control(&mut supervisor, config, &source, received);

    let (echo, echo_server) = echo::bind()?;
    let (unknown_host, unknown_host_server) = unknown_host::bind()?;
    let stand_in = Local::new(echo, unknown_host);
    let filter = EventFilter::new(
        stand_in,
        args.run.backend.clone(),
        selection,
        source.watched(),
    );
    let (urls, known_urls) = watch::channel(Arc::from(""));
    let filter = terminal::filter_events(filter, listed, filtered);
    supervisor.add("echo backends", |stop| echo_server.run(stop));
    supervisor.add("unknown hosts", |stop| {
        unknown_host_server.serve(known_urls, admin_address, stop)
    });
    supervisor.add("stand-ins", |stop| stop.or(filter));
    let locate = source.locator();
    supervisor.add("source", |stop| source.run(events, stop));

    let run = args.info(&place, admin_address);
    let tell = terminal::tell(run, outputs.clone(), plane.refused(), locate, urls);
    supervisor.add("terminal", |mut stop| async move {
        tokio::select! {
            () = stop.requested() => Ok(()),
            ended = tell => ended,
        }
    });
    plane.serve(&mut supervisor, outputs, &Pod::default());
    authorize(&mut supervisor, &place).await?;

    let bootstrap = serde_json::to_string(&bootstrap(&place).to_json())
        .context("can't write Envoy's bootstrap")?;
    let envoy = Envoy::start(&place.envoy, place.folder(), &bootstrap)?;
    supervisor.add("envoy", |stop| envoy.run(stop));
    supervisor.run().await
}

/// The authorizer, in this process: it is there as long as Envoy is.
async fn authorize(supervisor: &mut Supervisor, place: &Place) -> anyhow::Result<()> {
    let socket = place.xds_socket();
    let connect = move || server::connect(XdsServer::Unix(socket.clone()));
    let (asked_at, name) = (place.authz_socket(), "isobath-run-authz");
    authz::add(supervisor, asked_at, name, Vec::new(), connect).await
}

fn xds_server(place: &Place) -> xds::server::Args {
    xds::server::Args {
        xds_address: xds::Address::Unix(place.xds_socket()),
        xds_tls_cert: None,
        xds_tls_key: None,
        xds_tls_client_ca: None,
        xds_removal_grace: std::time::Duration::from_secs(1),
        xds_removal_grace_ms: None,
    }
}

fn bootstrap(place: &Place) -> Bootstrap {
    Bootstrap {
        xds: XdsServer::Unix(place.xds_socket()),
        admin_socket: place.admin_socket(),
        authz_socket: place.authz_socket(),
        node_id: "isobath-run".into(),
        node_cluster: "isobath-run".into(),
        max_heap_bytes: None,
    }
}
