//! Constant traffic while something happens, every failure counted.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::Method;
use tokio::task::JoinSet;

use super::client::{Connection, Tls, Version};
use super::eventually::eventually;

/// Between two requests of a worker: a rate that two cores bear beside everything else.
const PAUSE: Duration = Duration::from_millis(4);

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
    /// Further headers.
    pub(crate) headers: &'static [(&'static str, &'static str)],
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
    /// How many connections were opened.
    pub(crate) connections: u64,
    /// The longest time that one took.
    pub(crate) slowest: Duration,
    /// How many took so many milliseconds; the last entry stands for all that took longer.
    milliseconds: Vec<u64>,
    /// How long there has been traffic.
    pub(crate) elapsed: Duration,
}

impl Report {
    /// Longer times than this many milliseconds are told apart by [`Report::slowest`] only.
    const LONGEST: usize = 2000;

    fn took(&mut self, time: Duration) {
        self.slowest = self.slowest.max(time);
        let millisecond = usize::try_from(time.as_millis()).unwrap_or(Self::LONGEST);
        let millisecond = millisecond.min(Self::LONGEST);
        if self.milliseconds.len() <= millisecond {
            self.milliseconds.resize(millisecond + 1, 0);
        }
        self.milliseconds[millisecond] += 1;
    }

    /// The time, to the millisecond, within which 99 of 100 requests ended.
    fn p99(&self) -> Duration {
        let mut rest = self.requests / 100;
        let slow = self.milliseconds.iter().enumerate().rev();
        for (millisecond, count) in slow {
            if *count > rest {
                return Duration::from_millis(u64::try_from(millisecond).unwrap() + 1);
            }
            rest -= count;
        }
        Duration::ZERO
    }
}

/// The figures, as a soak prints them.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.requests as f64 / self.elapsed.as_secs_f64();
        write!(
            f,
            "{} requests in {:.1?} ({rate:.0}/s) on {} connections, {} failed, p99 {:?}, slowest {:.1?}, {} \
             connections drained",
            self.requests,
            self.elapsed,
            self.connections,
            self.failures.len(),
            self.p99(),
            self.slowest,
            self.closed,
        )
    }
}

/// Running traffic. It ends with [`Load::stop`], or unseen when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    report: Arc<Mutex<Report>>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
    begin: Instant,
}

impl Load {
    /// Starts one worker per target and waits until each has had its first answer of 200.
    pub(crate) async fn start(targets: impl IntoIterator<Item = Target>) -> Self {
        Self::paced(PAUSE, targets).await
    }

    /// The same with another pause between two requests of a worker.
    pub(crate) async fn paced(pause: Duration, targets: impl IntoIterator<Item = Target>) -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for target in targets {
            eventually(&format!("{target:?} answers 200"), async || {
                once(&target, &mut None).await.map(drop)
            })
            .await;
            workers.spawn(work(target, pause, report.clone(), stop.clone()));
        }
        Self {
            report,
            stop,
            workers,
            begin: Instant::now(),
        }
    }

    /// What has been seen so far.
    pub(crate) fn report(&self) -> Report {
        let mut report = self.report.lock().unwrap().clone();
        report.elapsed = self.begin.elapsed();
        report
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

async fn work(target: Target, pause: Duration, report: Arc<Mutex<Report>>, stop: Arc<AtomicBool>) {
    let begin = Instant::now();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        if connection.as_ref().is_some_and(Connection::is_closed) {
            connection = None;
            report.lock().unwrap().closed += u64::from(!target.reconnect);
        }
        let start = Instant::now();
        let is_new = target.reconnect || connection.is_none();
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
            report.connections += u64::from(is_new);
            report.took(start.elapsed());
            match result {
                Ok(backend) => *report.backends.entry(backend).or_default() += 1,
                Err(error) => {
                    connection = None;
                    let (host, version) = (&target.host, target.version);
                    let way = if target.tls.is_some() {
                        "by TLS"
                    } else {
                        "in clear"
                    };
                    let which = if is_new { "new" } else { "kept" };
                    let at = begin.elapsed();
                    let text =
                        format!("{at:?} {host} {version:?} {way}, {which} connection: {error:#}");
                    report.failures.push(text);
                }
            }
        }
        tokio::time::sleep(pause).await;
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
    let (host, path) = (&target.host, &target.path);
    let answer = open.send(Method::GET, host, path, target.headers).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(answer.backend().to_owned())
}
