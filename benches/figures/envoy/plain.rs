//! Ways to bring plain hosts: one table, or a scope and a table for each host.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use imbl::OrdMap;
use isobath::envoy::edge::Edge;
use isobath::envoy::{listener, route, stats};
use isobath::xds::{Part, Resource};

use super::scopes::{extension_scoped_by, scope};
use super::server::Type;
use super::stand::{CHANGES, Stand, add_changes, cpu_since, virtual_host};
use crate::child::free_port;
use crate::objects::host_name;
use crate::report::{Report, ms};
use crate::traffic::Probe;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One RouteConfiguration for all hosts, as it is.
    Table,
    /// SRDS: a RouteConfiguration for each host, found by `:authority` as it is spelled.
    Scopes,
}

impl Way {
    pub const ALL: [Self; 2] = [Self::Table, Self::Scopes];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Scopes => "scopes",
        }
    }
}

pub async fn measure(report: &mut Report, envoy: &Path, way: Way, hosts: usize) -> Result<()> {
    let stand = Stand::new().await?;
    let name = format!("plain hosts by {}", way.name());
    let http = free_port()?;
    let config = listener::Config {
        http,
        https: free_port()?,
        stats: stand.stats,
        edge: Edge::default(),
    };
    let server = &stand.server;
    let bytes = listener::stats(&config).bytes();
    server.put(Type::Listener, stats::NAME, bytes);
    let listeners = config.built_in();
    let managers = listeners.iter();
    for manager in managers.flat_map(|listener| listener::managers(listener, &config.edge)) {
        let mut bytes = manager.bytes();
        if way == Way::Scopes {
            bytes = extension_scoped_by(&bytes, ":authority")?;
        }
        server.put(Type::Extension, manager.name(), bytes);
    }
    let bytes = listener::listener(&config.built_in()[0], &config.edge).bytes();
    server.put(Type::Listener, listener::HTTP, bytes);
    let mut table = OrdMap::new();
    for host in 0..hosts {
        add(&stand, way, &host_name(host), &mut table);
    }
    put_table(&stand, way, &table);
    let running = stand.envoy(report, envoy, &name, hosts).await?;
    let mut probe = Probe::new(http);
    until_ok(&mut probe, &host_name(hosts / 2)).await?;
    report.add(
        &format!("{name}: Envoy's RSS"),
        Some(hosts),
        "MiB",
        running.child.memory().0,
    );
    let mut changes = Vec::new();
    for host in hosts..hosts + CHANGES {
        let host = host_name(host);
        let cpu = running.child.cpu();
        add(&stand, way, &host, &mut table);
        put_table(&stand, way, &table);
        let stamp = Instant::now();
        server.flush();
        let at = until_ok(&mut probe, &host).await?;
        server.settled().await?;
        changes.push((ms(at - stamp), cpu_since(&running, cpu).await));
    }
    add_changes(report, &format!("{name}: new host"), hosts, &changes);
    // What a client may write and means the same.
    for (what, host) in [
        ("in upper case", host_name(1).to_uppercase()),
        ("with a port", format!("{}:80", host_name(1))),
    ] {
        let (status, _) = probe.get(&host).await?;
        let name = format!("{name}: answer to a host {what}");
        report.add(&name, Some(hosts), "", status.into());
    }
    Ok(())
}

fn add(stand: &Stand, way: Way, host: &str, table: &mut OrdMap<Arc<str>, Arc<Part>>) {
    let (key, part) = virtual_host(host, false);
    match way {
        Way::Table => _ = table.insert(key, Arc::new(part)),
        Way::Scopes => {
            let parts = OrdMap::unit(key, Arc::new(part));
            let own = Resource::composite(
                host.into(),
                route::TableHead::http(&Edge::default()).named(host),
                parts,
            );
            let server = &stand.server;
            server.put(Type::Route, host, own.bytes());
            server.put(Type::Scope, host, scope(host, host));
        }
    }
}

fn put_table(stand: &Stand, way: Way, table: &OrdMap<Arc<str>, Arc<Part>>) {
    if way == Way::Table {
        let name = listener::HTTP;
        let all = Resource::composite(
            name.into(),
            route::TableHead::http(&Edge::default()).named(name),
            table.clone(),
        );
        let bytes = all.bytes();
        stand.server.put(Type::Route, name, bytes);
    }
}

async fn until_ok(probe: &mut Probe, host: &str) -> Result<Instant> {
    let start = Instant::now();
    loop {
        let (status, _) = probe.get(host).await?;
        let at = Instant::now();
        if status == 200 {
            return Ok(at);
        }
        ensure!(status == 404, "{host} answers {status}");
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "{host} does not come"
        );
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}
