//! What the person at the terminal is told, and the task that puts the overlay between source and controller.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::k8s::Event;
use crate::xds::{Published, Snapshot};

use super::overlay::{Announcement, Overlay, StandIn};
use super::{changes, listening, urls};

/// Lines of one reload that are printed; a directory that is replaced whole is one event to a reader.
const LINES: usize = 40;

/// Passes events on through the overlay, announces what it made, and keeps the list of URLs.
pub async fn overlay<S: StandIn>(
    mut overlay: Overlay<S>,
    mut listed: mpsc::Receiver<Event>,
    overlaid: mpsc::Sender<Event>,
    list: watch::Sender<Arc<str>>,
    http: SocketAddr,
    https: SocketAddr,
) {
    let mut told = false;
    while let Some(event) = listed.recv().await {
        // What stands in for something comes with what it stands in for.
        let events = overlay.apply(event);
        if overlaid.send(Event::Batch(events)).await.is_err() {
            return;
        }
        for announcement in overlay.announcements() {
            announce(&announcement);
        }
        let text: Arc<str> = urls::list(overlay.ingresses(), http, https).into();
        list.send_if_modified(|current| {
            let differs = *current != text;
            *current = text;
            differs
        });
        // Once all is listed, a back end for a Service that nobody has is most likely a slip of the pen.
        if !told && overlay.is_complete() {
            told = true;
            for backend in overlay.unused_backends() {
                eprintln!(
                    "--backend for Service {}: there is no such Service or port",
                    backend.service
                );
            }
        }
    }
}

/// Prints the URLs once they work, and with every change what changed.
pub async fn tell(
    mut snapshots: watch::Receiver<Option<Published>>,
    mut urls: watch::Receiver<Arc<str>>,
    [http, https, stats]: [SocketAddr; 3],
    admin: SocketAddr,
) {
    listening(&[http, https, stats]).await;
    let mut shown = current(&mut snapshots);
    print_urls(&mut urls);
    println!(
        "Pages about the control plane: http://{admin}/debug    Envoy's metrics: http://{stats}/metrics"
    );
    println!("Save a file and it is served; Ctrl-C ends both.\n");
    while snapshots.changed().await.is_ok() {
        let now = current(&mut snapshots);
        let lines = changes::between(&shown, &now);
        shown = now;
        for line in lines.iter().take(LINES) {
            println!("{line}");
        }
        if lines.len() > LINES {
            println!("… and {} more", lines.len() - LINES);
        }
        if urls.has_changed().unwrap_or(false) {
            print_urls(&mut urls);
        }
    }
}

fn current(snapshots: &mut watch::Receiver<Option<Published>>) -> Arc<Snapshot> {
    let published = snapshots.borrow_and_update();
    published
        .as_ref()
        .map(|published| published.snapshot.clone())
        .unwrap_or_default()
}

fn print_urls(urls: &mut watch::Receiver<Arc<str>>) {
    println!("\nServed:\n{}", *urls.borrow_and_update());
}

fn announce(announcement: &Announcement) {
    match announcement {
        Announcement::Echo(service, port) => {
            println!("Service {service}:{port} has no endpoints: an echo backend answers");
        }
        Announcement::Backend(service, port, address) => {
            println!("Service {service}:{port} goes to {address}");
        }
        Announcement::Certificate(secret, hosts) => {
            println!(
                "Secret {secret} does not exist: made a certificate for {}",
                hosts.join(", ")
            );
        }
        Announcement::NoCertificate(secret, why) => {
            println!("Secret {secret} does not exist, and no certificate could be made: {why}");
        }
    }
}
