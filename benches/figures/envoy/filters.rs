//! What parts of a manager cost a request. Of filters that nobody asks for: managers with all of them, and with the router alone.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::util::pack_any;
use imbl::OrdMap;
use isobath::envoy::edge::Edge;
use isobath::envoy::{listener, route, stats};
use isobath::xds::Resource;
use prost::Message as _;

use super::server::Type;
use super::stand::{Stand, virtual_host};
use crate::child::free_port;
use crate::proxy::Running;
use crate::report::{Report, Target, median};
use crate::traffic::Probe;

/// The way of this experiment, among the others of [`super::Args`].
pub const NAME: &str = "filters";

const HOST: &str = "a.example.com";
/// Both take turns, so that the pace of the machine is the same for both.
const TURNS: usize = 20;
const REQUESTS: u32 = 4000;

struct Subject {
    running: Running,
    probe: Probe,
    _stand: Stand,
}

/// One of two managers that are compared.
pub struct Side {
    /// What it is called.
    pub what: &'static str,
    /// What makes it of Isobath's own.
    pub change: fn(&mut HttpConnectionManager),
}

pub async fn measure(report: &mut Report, envoy: &Path) -> Result<()> {
    let ours = Side {
        what: "filters idle",
        change: |_| {},
    };
    let bare = Side {
        what: "no filters",
        change: |manager| manager.http_filters.retain(|filter| !filter.disabled),
    };
    let label = "Envoy's CPU of a request, filters idle";
    let target = Some(Target::Ratio(1.03));
    compare(report, envoy, &Edge::default(), [ours, bare], label, target).await
}

/// Envoy's CPU of a request with the first manager, against the second.
pub async fn compare(
    report: &mut Report,
    envoy: &Path,
    edge: &Edge,
    [first, second]: [Side; 2],
    label: &'static str,
    target: Option<Target>,
) -> Result<()> {
    let mut with = start(report, envoy, edge, &first).await?;
    let mut without = start(report, envoy, edge, &second).await?;
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let (one, two) = if turn % 2 == 0 {
            let one = with.cpu_of_a_request().await?;
            (one, without.cpu_of_a_request().await?)
        } else {
            let two = without.cpu_of_a_request().await?;
            (with.cpu_of_a_request().await?, two)
        };
        ours.push(one);
        bare.push(two);
        ratios.push(one / two);
    }
    let row = report.add(label, None, "µs", median(&ours));
    row.against_with(median(&bare), median(&ratios));
    if let Some(target) = target {
        row.target(target);
    }
    Ok(())
}

impl Subject {
    async fn cpu_of_a_request(&mut self) -> Result<f64> {
        let before = self.running.child.cpu();
        for _ in 0..REQUESTS {
            let (status, _) = self.probe.get(HOST).await?;
            ensure!(status == 200, "{HOST} answers {status}");
        }
        let spent: Duration = self.running.child.cpu() - before;
        Ok(spent.as_secs_f64() * 1e6 / f64::from(REQUESTS))
    }
}

async fn start(report: &mut Report, envoy: &Path, edge: &Edge, side: &Side) -> Result<Subject> {
    let stand = Stand::new().await?;
    let http = free_port()?;
    let config = listener::Config {
        http,
        https: free_port()?,
        stats: stand.stats,
        edge: edge.clone(),
    };
    let server = &stand.server;
    server.put(
        Type::Listener,
        stats::NAME,
        listener::stats(&config).bytes(),
    );
    let built_in = config.built_in();
    for manager in listener::managers(&built_in[0], &config.edge) {
        let bytes = changed(&manager.bytes(), side.change)?;
        server.put(Type::Extension, manager.name(), bytes);
    }
    let bytes = listener::listener(&built_in[0], &config.edge).bytes();
    server.put(Type::Listener, listener::HTTP, bytes);
    let (key, part) = virtual_host(HOST, false);
    let name = listener::HTTP;
    let head = route::TableHead::http(edge).named(name);
    let table = Resource::composite(name.into(), head, OrdMap::unit(key, part.into()));
    server.put(Type::Route, name, table.bytes());
    let running = stand.envoy(report, envoy, side.what, 1).await?;
    let mut probe = Probe::new(http);
    // Connections and caches are warm from here on.
    for _ in 0..REQUESTS {
        probe.get(HOST).await?;
    }
    Ok(Subject {
        running,
        probe,
        _stand: stand,
    })
}

/// The manager with a change.
fn changed(manager: &Bytes, change: fn(&mut HttpConnectionManager)) -> Result<Bytes> {
    let mut extension = TypedExtensionConfig::decode(manager.clone())?;
    let any = extension.typed_config.as_mut();
    let any = any.context("an extension without configuration")?;
    let mut manager = HttpConnectionManager::decode(&*any.value)?;
    change(&mut manager);
    *any = pack_any(manager);
    Ok(extension.encode_to_vec().into())
}
