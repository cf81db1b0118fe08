//! Ways to bring plain hosts: one table, some, or one for each host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
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
use super::shards;
use super::stand::{CHANGES, Stand, add_changes, cpu_since, virtual_host};
use crate::objects::host_name;
use crate::proxy::Running;
use crate::report::{Report, ms};
use crate::traffic::Probe;

/// The header that has the shard.
const SHARD: &str = "x-shard";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One RouteConfiguration for all hosts, as it is.
    Table,
    /// SRDS: a RouteConfiguration for each host, found by `:authority` as it is spelled.
    Scopes,
    /// SRDS: sixteen RouteConfigurations, found by the host's shard ([`super::shards`]).
    Shards,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Table, Self::Scopes, Self::Shards];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Scopes => "scopes",
            Self::Shards => "shards",
        }
    }
}

/// Tables by name, as far as they are made.
struct Tables<'a> {
    stand: &'a Stand,
    way: Way,
    tables: BTreeMap<String, OrdMap<Arc<str>, Arc<Part>>>,
}

/// An Envoy that serves hosts.
pub struct Served<'a> {
    tables: Tables<'a>,
    pub running: Running,
    pub http: SocketAddr,
}

impl<'a> Served<'a> {
    pub async fn start(
        report: &mut Report,
        envoy: &Path,
        stand: &'a Stand,
        way: Way,
        hosts: usize,
    ) -> Result<Self> {
        let name = format!("plain hosts by {}", way.name());
        let config = stand.config()?;
        let server = &stand.server;
        let bytes = listener::stats(&config).bytes();
        server.put(Type::Listener, stats::NAME, bytes);
        let [built_in, _] = config.built_in();
        for manager in listener::managers(&built_in, &config.edge) {
            let bytes = manager.bytes();
            let bytes = match way {
                Way::Table => bytes,
                Way::Scopes => extension_scoped_by(&bytes, ":authority", None)?,
                Way::Shards => extension_scoped_by(&bytes, SHARD, Some(&shards::format()))?,
            };
            server.put(Type::Extension, manager.name(), bytes);
        }
        let bytes = listener::listener(&built_in, &config.edge).bytes();
        server.put(Type::Listener, listener::HTTP, bytes);
        let mut tables = Tables {
            stand,
            way,
            tables: BTreeMap::new(),
        };
        if way == Way::Shards {
            for shard in shards::all() {
                server.put(Type::Scope, &shard, scope(&shard, &shard));
                tables.tables.insert(shard, OrdMap::new());
            }
        }
        // The listener names it, whatever its manager does later.
        tables.tables.entry(listener::HTTP.to_owned()).or_default();
        for host in 0..hosts {
            tables.add(&host_name(host));
        }
        for name in tables.tables.keys() {
            tables.put(name);
        }
        let running = stand.envoy(report, envoy, &name, hosts).await?;
        Ok(Self {
            tables,
            running,
            http: config.http,
        })
    }
}

pub async fn measure(report: &mut Report, envoy: &Path, way: Way, hosts: usize) -> Result<()> {
    let stand = Stand::new().await?;
    let name = format!("plain hosts by {}", way.name());
    let Served {
        mut tables,
        running,
        http,
    } = Served::start(report, envoy, &stand, way, hosts).await?;
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
        let table = tables.add(&host);
        tables.put(&table);
        let stamp = Instant::now();
        stand.server.flush();
        let at = until_ok(&mut probe, &host).await?;
        stand.server.settled().await?;
        changes.push((ms(at - stamp), cpu_since(&running, cpu).await));
    }
    add_changes(report, &format!("{name}: new host"), hosts, &changes);
    // What a client may write and means the same.
    for (what, host) in [
        ("a host in upper case", host_name(1).to_uppercase()),
        ("a host with a port", format!("{}:80", host_name(1))),
        ("a host with a dot", format!("{}.", host_name(1))),
        ("an unknown host", "nobody.example".to_owned()),
    ] {
        let (status, _) = probe.get(&host).await?;
        let name = format!("{name}: answer to {what}");
        report.add(&name, Some(hosts), "", status.into());
    }
    Ok(())
}

impl Tables<'_> {
    /// Adds a host to the table that has it, and returns that one's name.
    fn add(&mut self, host: &str) -> String {
        let name = match self.way {
            Way::Table => listener::HTTP.to_owned(),
            Way::Scopes => {
                let scope = scope(host, host);
                self.stand.server.put(Type::Scope, host, scope);
                host.to_owned()
            }
            Way::Shards => shards::of(host),
        };
        let (key, part) = virtual_host(host, false);
        let table = self.tables.entry(name.clone()).or_default();
        table.insert(key, Arc::new(part));
        name
    }

    fn put(&self, name: &str) {
        let parts = self.tables.get(name).cloned().unwrap_or_default();
        let head = route::TableHead::http(&Edge::default()).named(name);
        let table = Resource::composite(name.into(), head, parts);
        self.stand.server.put(Type::Route, name, table.bytes());
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
