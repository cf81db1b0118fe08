//! The HTTP pages about the process: probes, metrics, debugging.
//!
//! Two listeners: `--metrics-address` faces the pod's network and has `/healthz`, `/readyz` and `/metrics` and nothing
//! else; `--admin-address` is for people in the pod (`kubectl port-forward`) and has `/debug/…` too. No page changes
//! anything, or shows a private key. Few wait for the controller, which has a bounded share of its time for them (I9), and no
//! probe does.
//!
//! The admin listener refuses what a proxy has forwarded or a page of another site asks for, and so does `/metrics`
//! what a proxy has (`guard`). Browsers are told to keep nothing of what it says, and to run nothing of it but the scripts of the
//! page that [`Pages::add_route`] brings.

use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::process::http::{self, Limits};
use crate::process::metrics::{self, Exposition};
use crate::process::profile::Profiler;
use crate::process::supervisor::Stop;

mod guard;
mod heartbeat;
mod log_level;
mod pages;
mod readiness;

use log_level::LogLevel;

pub use heartbeat::Heartbeat;
pub use pages::{Page, Pages, Parameters, Unasked};
pub use readiness::{Pending, Readiness, Unserved};

/// Flags of the admin pages.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Admin")]
pub struct Args {
    /// Where the page for a browser and /debug are served, beside all of --metrics-address. Whoever reaches it sees the configuration.
    #[arg(
        long,
        env = "ISOBATH_ADMIN_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:6060"
    )]
    pub admin_address: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served, and nothing else; `*` is every address.
    #[arg(
        long,
        env = "ISOBATH_METRICS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "*:8003",
        value_parser = crate::process::listen_address::listen_address
    )]
    pub metrics_address: SocketAddr,
}

/// Both listeners, bound and not yet served: a port that is taken is an error at start, before any task runs.
#[derive(Debug)]
pub struct Bound {
    admin: TcpListener,
    metrics: TcpListener,
}

/// What the pages read.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Whether the event loop turns.
    pub heartbeat: Heartbeat,
    /// What is pending.
    pub readiness: Readiness,
    /// What is not served though nothing is pending.
    pub unserved: Unserved,
    /// All metrics.
    pub metrics: Exposition,
    /// The pages of other modules, served on the admin address only.
    pub pages: Pages,
}

impl Bound {
    /// Binds both addresses.
    ///
    /// # Errors
    ///
    /// When one can't be bound; the text names the address and its flag.
    pub fn bind(args: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            admin: http::bind(args.admin_address, "--admin-address")?,
            metrics: http::bind(args.metrics_address, "--metrics-address")?,
        })
    }

    /// The bound addresses: admin, metrics.
    ///
    /// # Errors
    ///
    /// When the kernel can't tell.
    pub fn addresses(&self) -> anyhow::Result<(SocketAddr, SocketAddr)> {
        Ok((self.admin.local_addr()?, self.metrics.local_addr()?))
    }

    /// Serves the pages until asked to stop.
    ///
    /// # Errors
    ///
    /// When the runtime can't take the listeners.
    pub async fn serve(self, sources: Sources, stop: Stop) -> anyhow::Result<()> {
        let address = self.admin.local_addr()?;
        let level = LogLevel::default();
        let log = Router::new()
            .route("/debug/log", get(log_level::show).put(log_level::change))
            .with_state(level.clone());
        let admin = probes()
            .merge(debug(&sources.pages))
            .merge(log)
            .layer(middleware::from_fn(guard::fence))
            .layer(middleware::from_fn(guard::refuse_forwarded))
            .layer(middleware::from_fn_with_state(
                address,
                guard::refuse_foreign,
            ))
            .with_state(sources.clone());
        let metrics = probes().with_state(sources);
        tokio::try_join!(
            http::serve(self.admin, admin, Limits::PAGES, stop.clone()),
            http::serve(self.metrics, metrics, Limits::PAGES, stop.clone()),
            async {
                level.end_in_time(stop).await;
                Ok(())
            },
        )?;
        Ok(())
    }
}

/// The pages of both listeners. A page that does not exist is 404, a method other than GET (and HEAD) 405.
fn probes() -> Router<Sources> {
    // The metrics name everybody's objects, and an endpoint of somebody's EndpointSlice may lead here. Probes say nothing.
    let metrics = get(exposition).layer(middleware::from_fn(guard::refuse_forwarded));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", metrics)
}

/// The pages of the admin listener alone.
fn debug(pages: &Pages) -> Router<Sources> {
    let index = pages.index(&[
        ("/healthz", "whether the event loop turns"),
        (
            "/readyz",
            "whether everything was read and published, or what is pending",
        ),
        ("/metrics", "OpenMetrics"),
        (
            "/debug/pprof/profile?seconds=30",
            "CPU profile for `go tool pprof`; &format=flamegraph for an SVG",
        ),
        ("/debug/pprof/heap", "the allocator's statistics"),
        (
            "/debug/log",
            "what is logged; PUT /debug/log?level=debug&for=10m changes it for a while",
        ),
    ]);
    Router::new()
        .route("/debug", get(move || async { index }))
        .merge(pages.router().with_state(()))
        .merge(Profiler::default().router())
}

async fn healthz(State(sources): State<Sources>) -> Response {
    match sources.heartbeat.check() {
        Ok(()) => "ok\n".into_response(),
        Err(silence) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the event loop has not turned for {} s\n",
                silence.as_secs()
            ),
        )
            .into_response(),
    }
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let pending = sources.readiness.pending();
    let pending = pending.iter().map(|part| format!("pending: {part}\n"));
    let unserved = sources.unserved.sentences();
    let unserved = unserved.iter().map(|part| format!("not served: {part}\n"));
    let list: String = pending.chain(unserved).collect();
    if list.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, list).into_response()
}

async fn exposition(State(sources): State<Sources>) -> Response {
    let headers = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (headers, sources.metrics.render()).into_response()
}

#[cfg(test)]
mod tests;
