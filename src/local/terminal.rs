//! What the person at the terminal is told, and the task that puts the filter between source and controller.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::build::controller::Outputs;
use crate::envoy::listener::{HTTP, HTTPS};
use crate::envoy::stats;
use crate::objects::Event;
use crate::process::exit_code::UsageError;
use crate::sources::Locator;
use crate::xds::{RefusedUnit, RefusedUnits, ResourceType, Snapshot};

use super::event_filter::{EventFilter, StandIn};
use super::served::Served;
use super::urls::View;
use super::{changes, listening};

/// The terminal may be closed, which is nobody's error: in here nothing panics because it can't be written.
macro_rules! println {
    ($($words:tt)*) => {{ let _ = writeln!(std::io::stdout(), $($words)*); }};
}
macro_rules! eprintln {
    ($($words:tt)*) => {{ let _ = writeln!(std::io::stderr(), $($words)*); }};
}

/// Lines of one reload that are printed; a directory that is replaced whole is one event to a reader.
const LINES: usize = 40;

/// Lines of the list that are printed: a cluster can have ten thousand hosts.
const LISTED: usize = 300;

/// Passes events on through the filter, and announces what it made.
pub async fn filter_events<S: StandIn>(
    mut filter: EventFilter<S>,
    mut listed: mpsc::Receiver<Event>,
    filtered: mpsc::Sender<Event>,
) {
    let mut told = false;
    while let Some(event) = listed.recv().await {
        // What stands in for something comes with what it stands in for.
        let events = filter.apply(event);
        if filtered.send(Event::Batch(events)).await.is_err() {
            return;
        }
        for announcement in filter.announcements() {
            println!("{announcement}");
        }
        // Once all is listed, a back end for a Service that nobody has is most likely a slip of the pen.
        if !told && filter.is_complete() {
            told = true;
            for backend in filter.unused_backends() {
                eprintln!(
                    "--backend for Service {}: there is no such Service or port",
                    backend.service
                );
            }
        }
    }
}

/// What is printed about a run.
pub struct RunInfo {
    /// Where Envoy listens: HTTP, HTTPS, stats.
    pub addresses: [SocketAddr; 3],
    /// Where the pages of the control plane are.
    pub admin: SocketAddr,
    /// Envoy's own admin socket.
    pub envoy_admin: PathBuf,
    /// Where the control plane serves xDS.
    pub xds: PathBuf,
    /// The files of the built-in example, where it is that one.
    pub example: Option<PathBuf>,
    /// `--ingress-class`.
    pub ingress_class: Option<String>,
}

/// Prints the URLs once they work, and with every change what changed. `list` always has the list of URLs.
///
/// # Errors
///
/// When Envoy refuses a listener, so that nothing works.
pub async fn tell(
    run: RunInfo,
    mut outputs: Outputs,
    refused: watch::Receiver<RefusedUnits>,
    locate: Locator,
    list: watch::Sender<Arc<str>>,
) -> anyhow::Result<()> {
    let (addresses, envoy_admin) = (run.addresses, run.envoy_admin.clone());
    let mut teller = Teller {
        run,
        locate,
        list,
        served: Served::default(),
    };
    // The list is there before the first request for it can come.
    let listens = listening(&addresses, &envoy_admin);
    let refusal = refusal(refused);
    tokio::pin!(listens, refusal);
    loop {
        tokio::select! {
            () = &mut listens => break,
            error = &mut refusal => return Err(error),
            () = changed(&mut outputs.snapshots) => {}
            () = changed(&mut outputs.statuses) => {}
        }
        teller.update(&mut outputs);
    }
    let mut shown = teller.update(&mut outputs);
    teller.print_page();
    teller.print_urls();
    teller.print_places();
    loop {
        tokio::select! {
            () = changed(&mut outputs.snapshots) => {}
            () = changed(&mut outputs.statuses) => {}
        }
        let before = teller.list.borrow().clone();
        let now = teller.update(&mut outputs);
        print_changes(&shown, &now);
        shown = now;
        if *teller.list.borrow() != before {
            teller.print_urls();
        }
    }
}

/// Waits for a change. An end is another task's, and its reason the process's.
async fn changed<T>(values: &mut watch::Receiver<T>) {
    if values.changed().await.is_err() {
        std::future::pending().await
    }
}

struct Teller {
    run: RunInfo,
    locate: Locator,
    list: watch::Sender<Arc<str>>,
    served: Served,
}

impl Teller {
    /// Brings the list up to date with snapshot and verdicts. They are of one build: the controller publishes both without
    /// letting another task of this thread run in between.
    fn update(&mut self, outputs: &mut Outputs) -> Arc<Snapshot> {
        let snapshot = {
            let published = outputs.snapshots.borrow_and_update();
            let published = published.as_ref();
            published
                .map(|published| published.snapshot.clone())
                .unwrap_or_default()
        };
        let statuses = outputs.statuses.borrow_and_update().clone();
        self.served.update(&snapshot);
        let [http, https, _] = self.run.addresses;
        let view = View {
            served: &self.served,
            statuses: &statuses,
            http,
            https,
            locate: &self.locate,
            ingress_class: self.run.ingress_class.as_deref(),
        };
        let text: Arc<str> = view.list().into();
        self.list.send_if_modified(|current| {
            let differs = *current != text;
            *current = text;
            differs
        });
        snapshot
    }

    fn print_page(&self) {
        let admin = self.run.admin;
        println!("All of this in a browser: http://{admin}/");
    }

    fn print_urls(&self) {
        let list = self.list.borrow().clone();
        println!("\nServed:");
        for line in list.lines().take(LISTED) {
            println!("{line}");
        }
        if let Some(more) = list.lines().count().checked_sub(LISTED + 1) {
            println!(
                "… and {} lines more; a host that nobody names answers with all of them",
                more + 1
            );
        }
        println!();
    }

    fn print_places(&self) {
        let RunInfo {
            addresses: [_, _, stats],
            admin,
            xds,
            example,
            ..
        } = &self.run;
        println!(
            "The same as text and JSON: http://{admin}/debug    Envoy's metrics: http://{stats}/metrics"
        );
        println!(
            "What Envoy is sent: isobath xds rds --xds-address unix:{}",
            xds.display()
        );
        if let Some(example) = example {
            println!("The example's files: {}", example.display());
        }
        println!("Save a file and it is served; Ctrl-C ends both.\n");
    }
}

fn print_changes(shown: &Snapshot, now: &Snapshot) {
    let lines = changes::between(shown, now);
    for line in lines.iter().take(LINES) {
        println!("{line}");
    }
    if lines.len() > LINES {
        println!("… and {} more", lines.len() - LINES);
    }
}

/// Waits until Envoy refuses one of its listeners, which is an end: somebody else has the port, or this Envoy does not
/// know what it is told.
async fn refusal(mut refused: watch::Receiver<RefusedUnits>) -> anyhow::Error {
    let is_listener =
        |unit: &&RefusedUnit| unit.resource_type == ResourceType::Listener && unit.part.is_none();
    loop {
        if let Some(unit) = refused.borrow_and_update().iter().find(is_listener) {
            return sentence(unit).into();
        }
        changed(&mut refused).await;
    }
}

fn sentence(unit: &RefusedUnit) -> UsageError {
    let flag = match &*unit.resource {
        HTTP => "--envoy-http-address",
        HTTPS => "--envoy-https-address",
        stats::NAME => "--envoy-stats-address",
        _ => "another address",
    };
    let reason = unit.reason.trim();
    let remedy = if reason.contains("bind") {
        format!("; choose another address with {flag}")
    } else {
        String::new()
    };
    UsageError::new(format!(
        "Envoy can't open its listener {}: {reason}{remedy}",
        unit.resource
    ))
}
