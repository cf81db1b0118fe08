//! The control plane that `serve` and `run` share: sockets, tasks and the channels between them. It wires and decides nothing.

mod asked;
mod lag;
mod refusals;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::build::controller::{self, Awaited, Controller, Outputs};
use crate::build::{self, Builder};
use crate::envoy::edge::Edge;
use crate::model::verdict::Delivery;
use crate::objects::Event;
use crate::page::Page;
use crate::process::admin::{self, Heartbeat, Pages, Readiness, Unserved};
use crate::process::exit_code::UsageError;
use crate::process::metrics::Metrics;
use crate::process::pod::Pod;
use crate::process::supervisor::Supervisor;
use crate::process::threads::threads;
use crate::sources::Source;
use crate::sources::kubernetes::Versions;
use crate::status;
use crate::status::lease::{self, Elector};
use crate::xds;
use asked::Asked;
use lag::Lag;

/// Events that may wait for the controller. A source that is faster waits for it in turn.
pub(super) const EVENTS: usize = 4096;

/// The parts that `serve` and `run` share, in the order in which they are put together.
pub(super) struct ControlPlane {
    xds: xds::server::Bound,
    admin: admin::Bound,
    metrics: Metrics,
    reports: xds::Reports,
    heartbeat: Heartbeat,
    readiness: Readiness,
    first: admin::Pending,
    /// What holds for every request, once the controller is added.
    edge: Arc<Edge>,
    versions: Option<Versions>,
    /// Whether there is one Envoy, beside this process, and the two are ready together.
    is_pair: bool,
}

impl ControlPlane {
    /// Binds every socket: one that is taken is an error before any task runs.
    ///
    /// # Errors
    ///
    /// Which address can't be bound, and why.
    pub(super) async fn bind(xds: &xds::server::Args, admin: &admin::Args) -> anyhow::Result<Self> {
        let (readiness, first) = Readiness::new("first snapshot");
        Ok(Self {
            xds: xds.clone().bind().await.map_err(bind_error)?,
            admin: admin::Bound::bind(admin)?,
            metrics: Metrics::new(),
            reports: xds::Reports::default(),
            heartbeat: Heartbeat::new(),
            readiness,
            first,
            edge: Arc::default(),
            versions: None,
            is_pair: xds.xds_address.is_local(),
        })
    }

    /// Where the pages are.
    ///
    /// # Errors
    ///
    /// When the kernel can't tell.
    pub(super) fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.addresses()?.0)
    }

    /// What Envoys refuse, now and later.
    pub(super) fn refused(&self) -> watch::Receiver<xds::RefusedUnits> {
        self.reports.refused()
    }

    /// Adds the controller, which owns the builder, and the reporter of problems.
    pub(super) fn control(
        &mut self,
        supervisor: &mut Supervisor,
        config: build::Config,
        source: &Source,
        events: mpsc::Receiver<Event>,
    ) -> Outputs {
        self.edge = Arc::new(config.listeners.edge.clone());
        self.versions = source.versions();
        let (controller, outputs) = Controller::new(
            Builder::new(config).with_threads(threads()),
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
    pub(super) fn write_status(
        &mut self,
        supervisor: &mut Supervisor,
        client: kube::Client,
        lease: &lease::Args,
        status: &status::Args,
        pod: &Pod,
        outputs: &Outputs,
    ) -> anyhow::Result<()> {
        let namespace = lease.namespace(&client, pod);
        let metrics = status::Metrics::default();
        metrics.register(self.metrics.registry());
        let object = (namespace.as_str(), lease.name.as_str());
        let writer = status::Writer::new(client.clone(), status, pod, object, metrics)
            .map_err(|error| UsageError::new(error.to_string()))?;
        let metrics = lease::Metrics::default();
        metrics.register(self.metrics.registry());
        let timing = lease::ElectionTiming::default();
        let (elector, leads) = Elector::new(client, lease, pod, timing, metrics);
        supervisor.add("lease", |mut stop| async move {
            elector.run(async move { stop.requested().await }).await;
            Ok(())
        });
        let (sender, refusals) = watch::channel(Arc::from([]));
        let (of_delivery, delivery) = watch::channel(Delivery::default());
        let reports = (self.reports.refused(), self.reports.progress());
        supervisor.add("refusals", |stop| {
            stop.or(refusals::follow(reports, (sender, of_delivery)))
        });
        let statuses = outputs.statuses.clone();
        supervisor.add("status", |stop| {
            stop.or(writer.run(statuses, (refusals, delivery), leads))
        });
        Ok(())
    }

    /// Adds the servers: xDS, which accepts once there is a snapshot, and the pages.
    pub(super) fn serve(mut self, supervisor: &mut Supervisor, outputs: Outputs, pod: &Pod) {
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
        let lag = Lag {
            snapshots: outputs.snapshots.clone(),
            reports: self.reports.clone(),
        };
        lag.register(self.metrics.registry());
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
        let asked = Asked {
            questions: outputs.questions.clone(),
            reports: self.reports.clone(),
            edge: self.edge,
            versions: self.versions,
            is_pair: self.is_pair,
        };
        asked.add_to(&mut pages);
        let page = Page::new(outputs.clone(), self.reports.clone());
        page.add_to(&mut pages);
        // Of a fleet one broken node must not make the control plane of all others unready.
        let unserved = if self.is_pair {
            let missing = self.reports.missing();
            Unserved::new(move || missing.borrow().iter().map(ToString::to_string).collect())
        } else {
            Unserved::default()
        };
        let (xds, reports) = (self.xds, self.reports);
        supervisor.add("xds", |mut stop| {
            let shutdown = async move { stop.requested().await };
            xds.serve(outputs.snapshots, shutdown, identifier, metrics, reports)
        });
        let sources = admin::Sources {
            heartbeat: self.heartbeat,
            readiness: self.readiness,
            unserved,
            metrics: self.metrics.share(),
            pages,
        };
        let admin = self.admin;
        supervisor.add_thread("admin", |stop| async move {
            let looks = page.run(stop.clone());
            let (served, ()) = tokio::join!(admin.serve(sources, stop), looks);
            served
        });
    }
}

/// Logs that a command starts, unless a wrong flag or file ends it already: such an error is one sentence and nothing else.
pub(super) fn started<T>(command: &str, opened: anyhow::Result<T>) -> anyhow::Result<T> {
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

/// Wrong flags and files are usage errors (exit code 2); an address that is taken is not.
fn bind_error(error: xds::server::BindError) -> anyhow::Error {
    match error {
        xds::server::BindError::Listen { .. } => error.into(),
        wrong => UsageError::new(wrong.to_string()).into(),
    }
}
