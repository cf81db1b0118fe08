//! `isobath drain`: takes Envoy out of service without losing a request.
//!
//! It is the preStop hook of the Envoy container, and works through Envoy's admin socket alone: the control plane may be
//! gone by then. First `/ready` of Envoy fails, so that load balancers send nothing new; after `--delay` connections are
//! asked to close (`Connection: close`, GOAWAY) while new ones are still served; then it waits until they have.
//!
//! The hook of one Envoy must never drain the next one at the same socket: kubelet runs it for a restart of the container
//! too. An Envoy that was made to fail its health checks says `DRAINING` from then on; one that says anything else before
//! a later step is another one, and is left alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::process::envoy_admin::Admin;

/// How long an absent or failing admin interface is asked again: Envoy's main thread can be busy for seconds with a large update.
const RETRY_FOR: Duration = Duration::from_secs(15);

/// The first pause between two tries, doubled up to the interval of the polls.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How often connections are counted.
const INTERVAL: Duration = Duration::from_secs(1);

/// Connections of these stat prefixes are of people and probes, not of clients. `isobath-stats` and `admin`.
const NOT_CLIENTS: [&str; 2] = [crate::envoy::stats::NAME, "admin"];

/// Flags of `isobath drain`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The Unix socket of Envoy's admin interface.
    #[arg(
        long,
        env = "ISOBATH_ADMIN_SOCKET",
        value_name = "PATH",
        default_value = "/run/isobath/admin.sock"
    )]
    pub admin_socket: PathBuf,
    /// How long load balancers take to see that /ready fails; until then everything is served as before.
    #[arg(
        long,
        env = "ISOBATH_DELAY",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = crate::process::duration::duration
    )]
    pub delay: Duration,
    /// When to stop waiting for connections to end, counted from the start: less than the pod's
    /// terminationGracePeriodSeconds.
    #[arg(
        long,
        env = "ISOBATH_TIMEOUT",
        value_name = "DURATION",
        default_value = "270s",
        value_parser = crate::process::duration::duration
    )]
    pub timeout: Duration,
    /// So many open connections count as none.
    #[arg(
        long,
        env = "ISOBATH_MIN_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = 0
    )]
    pub min_connections: u64,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At most `--min-connections` are left.
    Drained,
    /// `--timeout` is over, and so many connections are open.
    TimedOut(u64),
    /// Envoy ended meanwhile, and its connections with it.
    Ended,
}

/// Drains.
///
/// # Errors
///
/// When Envoy's admin can't be reached or refuses, and when Envoy was restarted meanwhile. Nothing is undone then: the
/// container is about to be killed, and an Envoy that fails its health checks is where it should be.
pub async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let deadline = Instant::now() + args.timeout;
    let mut envoy = Envoy {
        admin: Admin::new(&args.admin_socket),
        is_draining: false,
    };
    retry(deadline, async || {
        envoy.admin.post("/healthcheck/fail").await
    })
    .await
    .context("can't make Envoy fail its health checks")?;
    retry(deadline, async || envoy.is_the_same().await).await?;
    tracing::info!(delay = ?args.delay, "Envoy fails its health checks");
    sleep_until(deadline.min(Instant::now() + args.delay)).await;

    retry(deadline, async || {
        envoy.is_the_same().await?;
        envoy
            .admin
            .post("/drain_listeners?graceful&skip_exit")
            .await
    })
    .await
    .context("can't drain Envoy's listeners")?;
    tracing::info!("Envoy asks its connections to close");
    loop {
        let counted = retry(deadline, async || {
            envoy.is_the_same().await?;
            envoy.connections().await
        })
        .await;
        let connections = match counted {
            Ok(connections) => connections,
            Err(error) if error.is::<Restarted>() => return Err(error),
            // Draining does not end Envoy; something else did.
            Err(_) if !args.admin_socket.exists() || envoy.admin.refuses().await => {
                return Ok(Outcome::Ended);
            }
            Err(error) => return Err(error.context("can't count Envoy's connections")),
        };
        if connections <= args.min_connections {
            return Ok(Outcome::Drained);
        }
        if Instant::now() >= deadline {
            return Ok(Outcome::TimedOut(connections));
        }
        tracing::info!(connections, "waiting for connections to end");
        sleep_until(deadline.min(Instant::now() + INTERVAL)).await;
    }
}

/// Another Envoy is at the socket.
#[derive(Debug, thiserror::Error)]
#[error("Envoy was restarted while it drained; the new one is left alone")]
struct Restarted;

struct Envoy {
    admin: Admin,
    /// Whether it has said so.
    is_draining: bool,
}

impl Envoy {
    /// Checks that it is the one that was made to fail its health checks. An Envoy that still waits for its first
    /// configuration says so instead, and `DRAINING` later.
    async fn is_the_same(&mut self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct ServerInfo {
            state: String,
        }
        let info: ServerInfo = serde_json::from_str(&self.admin.get("/server_info").await?)
            .context("can't read /server_info")?;
        let says_draining = info.state == "DRAINING";
        if info.state == "LIVE" || self.is_draining && !says_draining {
            bail!(Restarted);
        }
        self.is_draining = says_draining;
        Ok(())
    }

    /// Open connections of clients.
    async fn connections(&self) -> anyhow::Result<u64> {
        // ^http\..*\.downstream_cx_active$
        let path = "/stats?format=json&filter=%5Ehttp%5C..%2A%5C.downstream_cx_active%24";
        count(&self.admin.get(path).await?)
    }
}

fn count(page: &str) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct Stats {
        stats: Vec<Stat>,
    }
    #[derive(Deserialize)]
    struct Stat {
        #[serde(default)]
        name: String,
        #[serde(default)]
        value: u64,
    }
    let page: Stats = serde_json::from_str(page).context("can't read /stats")?;
    let of_clients = page.stats.iter().filter(|stat| {
        stat.name
            .strip_prefix("http.")
            .and_then(|name| name.strip_suffix(".downstream_cx_active"))
            .is_some_and(|prefix| !NOT_CLIENTS.contains(&prefix))
    });
    Ok(of_clients.map(|stat| stat.value).sum())
}

/// Tries again for [`RETRY_FOR`], at most until the deadline, and at least once.
async fn retry<T>(
    deadline: Instant,
    mut step: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let end = deadline.min(Instant::now() + RETRY_FOR);
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match step().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is::<Restarted>() => return Err(error),
            Err(error) => error,
        };
        tracing::debug!(
            error = format!("{error:#}"),
            "Envoy's admin does not answer yet"
        );
        if timeout_at(end, sleep(pause)).await.is_err() {
            return Err(error);
        }
        pause = (pause * 2).min(INTERVAL);
    }
}

#[cfg(test)]
mod tests;
