//! Wiring and nothing else: bind sockets, make channels, add tasks. It reads as a table of contents.

mod refusals;
mod run;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::admin::{self, Heartbeat, Pages, Readiness};
use crate::builder::{self, Builder};
use crate::cli::{self, UsageError};
use crate::controller::{self, Awaited, Controller, Outputs};
use crate::k8s::Event;
use crate::lease::{self, Elector};
use crate::metrics::Metrics;
use crate::pod::Pod;
use crate::source::{self, Source};
use crate::status;
use crate::supervisor::{self, Supervisor};
use crate::xds;

pub use run::{Run, run};

/// Events that may wait for the controller. A source that is faster waits for it in turn.
const EVENTS: usize = 4096;

/// Flags of `isobath serve`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Serve {
    /// Where objects come from.
    #[command(flatten)]
    pub source: source::Args,
    /// What is served.
    #[command(flatten)]
    pub core: builder::Args,
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
        let mut listeners = vec![
            ("--envoy-http-address", self.core.envoy_http_address),
            ("--envoy-https-address", self.core.envoy_https_address),
            ("--envoy-stats-address", self.core.envoy_stats_address),
        ];
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

/// Envoy binds its ports so that another may share them, in silence: of two listeners on one port each would get
/// some of the connections.
fn distinct(listeners: &[(&str, SocketAddr)]) -> Result<(), UsageError> {
    for (at, (flag, address)) in listeners.iter().enumerate() {
        for (other_flag, other) in &listeners[..at] {
            let same_ip = address.ip() == other.ip()
                || address.ip().is_unspecified()
                || other.ip().is_unspecified();
            if same_ip && address.port() == other.port() && address.port() != 0 {
                let sentence = format!(
                    "{flag} {address} and {other_flag} {other} are the same port; choose another for one of them"
                );
                return Err(UsageError::new(sentence));
            }
        }
    }
    Ok(())
}

/// Runs the control plane until it is told to stop, or until a task ends.
///
/// # Errors
///
/// The reason of the first task that ended; or why it could not start.
pub async fn serve(args: Serve) -> anyhow::Result<()> {
    distinct(&args.listeners())?;
    let mut supervisor = Supervisor::new();
    supervisor.add_signals(supervisor::STOP)?;
    let mut plane = ControlPlane::bind(&args.xds, &args.admin).await?;
    let source = Source::open(&args.source, args.core.ingress_class.as_deref());
    let Some(source) = supervisor.before(source).await else {
        return supervisor.run().await;
    };
    let source = started("serve", source)?;
    let mut config = args.core.config(source.is_manifests());
    config.options.own_sockets = args.own_sockets();
    let (events, received) = mpsc::channel(EVENTS);
    let outputs = plane.control(&mut supervisor, config, &source, received);
    match source.client() {
        Some(client) => plane.write_status(&mut supervisor, client, &args, &outputs)?,
        None => say_what_is_not_written(&args.status),
    }
    supervisor.add("source", |stop| source.run(events, stop));
    plane.serve(&mut supervisor, outputs, &args.pod);
    supervisor.run().await
}

/// The parts that `serve` and `run` share, in the order in which they are put together.
pub struct ControlPlane {
    xds: xds::server::Bound,
    admin: admin::Bound,
    metrics: Metrics,
    reports: xds::Reports,
    heartbeat: Heartbeat,
    readiness: Readiness,
    first: admin::Pending,
    /// Whether there is one Envoy, beside this process, and the two are ready together.
    is_pair: bool,
}

impl ControlPlane {
    /// Binds every socket: one that is taken is an error before any task runs.
    ///
    /// # Errors
    ///
    /// Which address can't be bound, and why.
    pub async fn bind(xds: &xds::server::Args, admin: &admin::Args) -> anyhow::Result<Self> {
        let (readiness, first) = Readiness::new("first snapshot");
        Ok(Self {
            xds: xds.clone().bind().await.map_err(bind_error)?,
            admin: admin::Bound::bind(admin)?,
            metrics: Metrics::new(),
            reports: xds::Reports::default(),
            heartbeat: Heartbeat::new(),
            readiness,
            first,
            is_pair: xds.xds_address.is_local(),
        })
    }

    /// Where the pages are.
    ///
    /// # Errors
    ///
    /// When the kernel can't tell.
    pub fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.addresses()?.0)
    }

    /// What Envoys refuse, now and later.
    pub fn refused(&self) -> watch::Receiver<Arc<BTreeSet<xds::RefusedUnit>>> {
        self.reports.refused()
    }

    /// Adds the controller, which owns the builder, and the reporter of problems.
    pub fn control(
        &mut self,
        supervisor: &mut Supervisor,
        config: builder::Config,
        source: &Source,
        events: mpsc::Receiver<Event>,
    ) -> Outputs {
        let (controller, outputs) = Controller::new(
            Builder::new(config).with_threads(cli::threads()),
            Awaited::new(source.watched(), &self.readiness),
            events,
            controller::Metrics::register(self.metrics.registry()),
            self.heartbeat.clone(),
        );
        supervisor.add("controller", |stop| controller.run(stop));
        source.register(self.metrics.registry());
        let reporter = status::Reporter::default();
        reporter.register(self.metrics.registry());
        let statuses = outputs.statuses.clone();
        let locate = source.locator();
        supervisor.add("problems", |stop| stop.or(reporter.run(statuses, locate)));
        outputs
    }

    /// Adds the election of the one writer, and the writer.
    ///
    /// # Errors
    ///
    /// Flags that contradict each other.
    pub fn write_status(
        &mut self,
        supervisor: &mut Supervisor,
        client: kube::Client,
        args: &Serve,
        outputs: &Outputs,
    ) -> anyhow::Result<()> {
        let namespace = args.lease.namespace(&client, &args.pod);
        let metrics = status::Metrics::default();
        metrics.register(self.metrics.registry());
        let lease = (namespace.as_str(), args.lease.name.as_str());
        let writer = status::Writer::new(client.clone(), &args.status, &args.pod, lease, metrics)
            .map_err(|error| UsageError::new(error.to_string()))?;
        let metrics = lease::Metrics::default();
        metrics.register(self.metrics.registry());
        let timing = lease::Timing::default();
        let (elector, leads) = Elector::new(client, &args.lease, &args.pod, timing, metrics);
        supervisor.add("lease", |mut stop| async move {
            elector.run(async move { stop.requested().await }).await;
            Ok(())
        });
        let (sender, refusals) = watch::channel(Arc::from([]));
        let refused = self.reports.refused();
        supervisor.add("refusals", |stop| {
            stop.or(refusals::follow(refused, sender))
        });
        let statuses = outputs.statuses.clone();
        supervisor.add("status", |stop| {
            stop.or(writer.run(statuses, refusals, leads))
        });
        Ok(())
    }

    /// Adds the servers: xDS, which accepts once there is a snapshot, and the pages.
    pub fn serve(mut self, supervisor: &mut Supervisor, outputs: Outputs, pod: &Pod) {
        let mut snapshots = outputs.snapshots.clone();
        let first = self.first;
        supervisor.add("readiness", |mut stop| async move {
            if snapshots.wait_for(Option::is_some).await.is_ok() {
                first.done();
            }
            stop.requested().await;
            Ok(())
        });
        let metrics = xds::Metrics::register(self.metrics.registry());
        refusals::LeftOut(self.reports.refused()).register(self.metrics.registry());
        let identifier = pod.identifier();
        let mut pages = Pages::default();
        let streams = self.reports.clone();
        pages.add(
            "/debug/xds",
            "what each xDS stream holds, waits for and refused",
            move |_| {
                // Plain data: it can't fail to be written.
                serde_json::to_string_pretty(&streams.streams()).unwrap_or_default()
            },
        );
        // Of a fleet one broken node must not make the control plane of all others unready.
        let missing = self.is_pair.then(|| self.reports.missing());
        let (xds, reports) = (self.xds, self.reports);
        supervisor.add("xds", |mut stop| {
            let shutdown = async move { stop.requested().await };
            xds.serve(outputs.snapshots, shutdown, identifier, metrics, reports)
        });
        let sources = admin::Sources {
            heartbeat: self.heartbeat,
            readiness: self.readiness,
            missing,
            metrics: self.metrics.share(),
            pages,
        };
        let admin = self.admin;
        supervisor.add_thread("admin", |stop| admin.serve(sources, stop));
    }
}

/// Says that a command starts, where its source could be opened, or why it could not is no wrong flag or file: that is
/// one sentence and nothing else.
fn started<T>(command: &str, opened: anyhow::Result<T>) -> anyhow::Result<T> {
    let usage = |error: &anyhow::Error| error.chain().any(|cause| cause.is::<UsageError>());
    if !opened.as_ref().is_err_and(usage) {
        say_start(command);
    }
    opened
}

/// The first line of the log: what runs, and with which flags. No flag holds a secret: those are in files.
fn say_start(command: &str) {
    let flags: Vec<_> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with("ISOBATH_"))?;
        Some(format!("{name}={}", value.to_string_lossy()))
    });
    let mut variables: Vec<_> = variables.collect();
    variables.sort();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        arguments = flags.join(" "),
        environment = variables.join(" "),
        "isobath {command} starts"
    );
}

/// Flags that ask for something that manifests have no place for.
fn say_what_is_not_written(status: &status::Args) {
    let flags = [
        (
            "--ingress-status-address",
            !status.ingress_status_address.is_empty(),
        ),
        ("--envoy-service", status.envoy_service.is_some()),
    ];
    for (flag, _) in flags.into_iter().filter(|(_, given)| *given) {
        tracing::warn!(
            "{flag} has no effect: with --manifests there is no API server to write addresses to; leave it out"
        );
    }
}

/// Flags and files are for whoever started the process to put right; an address that is taken is not only theirs.
fn bind_error(error: xds::server::BindError) -> anyhow::Error {
    match error {
        xds::server::BindError::Listen { .. } => error.into(),
        wrong => UsageError::new(wrong.to_string()).into(),
    }
}
