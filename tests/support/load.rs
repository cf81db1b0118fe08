//! Constant traffic while something happens, every failure counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::client::{Connection, Tls, Version};
use super::eventually::eventually;

/// What each worker sends, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// HTTP/1.1 or HTTP/2.
    pub(crate) version: Version,
    /// TLS or not.
    pub(crate) tls: Option<Tls>,
    /// The Host.
    pub(crate) host: String,
    /// The path.
    pub(crate) path: String,
    /// Whether every request has a connection of its own.
    pub(crate) reconnect: bool,
}

/// What has been seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Requests that ended, well or not.
    pub(crate) requests: u64,
    /// Why those that were not answered 200 were not.
    pub(crate) failures: Vec<String>,
    /// How many requests each back end answered.
    pub(crate) backends: BTreeMap<String, u64>,
    /// How many connections the server closed between two requests of those that wanted to keep theirs.
    pub(crate) closed: u64,
    /// The longest time that one took.
    pub(crate) slowest: Duration,
}

/// Running traffic. It ends with [`Load::stop`], or unseen when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    report: Arc<Mutex<Report>>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Load {
    /// Starts one worker per target and waits until each has had its first answer of 200.
    pub(crate) async fn start(targets: impl IntoIterator<Item = Target>) -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for target in targets {
            eventually(&format!("{target:?} answers 200"), async || {
                once(&target, &mut None).await.map(drop)
            })
            .await;
            workers.spawn(work(target, report.clone(), stop.clone()));
        }
        Self {
            report,
            stop,
            workers,
        }
    }

    /// What has been seen so far.
    pub(crate) fn report(&self) -> Report {
        self.report.lock().unwrap().clone()
    }

    /// Waits until this many more requests have ended: what was just done has been under traffic.
    pub(crate) async fn more(&self, requests: u64) {
        let goal = self.report().requests + requests;
        eventually("traffic goes on", async || {
            let report = self.report();
            ensure!(report.requests >= goal, "{report:?}");
            Ok(())
        })
        .await;
    }

    /// Waits until this back end answers requests that start from now on.
    pub(crate) async fn reaches(&self, backend: &str) {
        let before = self.report().backends.get(backend).copied().unwrap_or(0);
        eventually(&format!("requests reach {backend}"), async || {
            let report = self.report();
            let now = report.backends.get(backend).copied().unwrap_or(0);
            ensure!(now > before, "{report:?}");
            Ok(())
        })
        .await;
    }

    /// Lets the requests that run end, and tells what was seen.
    pub(crate) async fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(result) = self.workers.join_next().await {
            result.unwrap();
        }
        self.report()
    }

    /// Stops, and panics if any request failed.
    pub(crate) async fn stop_without_failure(self) -> Report {
        let report = self.stop().await;
        assert!(
            report.failures.is_empty(),
            "{} of {} requests failed, first: {:#?}",
            report.failures.len(),
            report.requests,
            &report.failures[..report.failures.len().min(10)],
        );
        report
    }
}

async fn work(target: Target, report: Arc<Mutex<Report>>, stop: Arc<AtomicBool>) {
    let begin = Instant::now();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        if connection.as_ref().is_some_and(Connection::is_closed) {
            connection = None;
            report.lock().unwrap().closed += u64::from(!target.reconnect);
        }
        let start = Instant::now();
        let mut result = once(&target, &mut connection).await;
        if result.as_ref().is_err_and(was_not_sent) {
            // The server said that it would close after the last response, and just did: a client takes another one.
            connection = None;
            report.lock().unwrap().closed += u64::from(!target.reconnect);
            result = once(&target, &mut connection).await;
        }
        {
            let mut report = report.lock().unwrap();
            report.requests += 1;
            report.slowest = report.slowest.max(start.elapsed());
            match result {
                Ok(backend) => *report.backends.entry(backend).or_default() += 1,
                Err(error) => {
                    connection = None;
                    let host = &target.host;
                    let at = begin.elapsed();
                    report.failures.push(format!("{at:?} {host}: {error:#}"));
                }
            }
        }
        // A rate that two cores bear beside everything else; nothing is asserted about it.
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

/// Whether the connection was found closed before a byte of the request had left; over HTTP/2 by a GOAWAY without
/// error, which says that streams above its number were not looked at (RFC 9113, section 6.8).
fn was_not_sent(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        cause.downcast_ref().is_some_and(hyper::Error::is_canceled)
            || cause.to_string() == "connection error received: not a result of an error"
    })
}

/// Sends one request and names the back end that answered it with 200.
async fn once(target: &Target, connection: &mut Option<Connection>) -> Result<String> {
    if target.reconnect {
        *connection = None;
    }
    let open = match connection {
        Some(open) => open,
        None => connection
            .insert(Connection::open(target.address, target.version, target.tls.as_ref()).await?),
    };
    let answer = open.get(&target.host, &target.path).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(answer.backend().to_owned())
}
