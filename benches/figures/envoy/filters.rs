//! What filters cost a request that nobody asks for: managers with all of them, and with the router alone.

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

pub async fn measure(report: &mut Report, envoy: &Path) -> Result<()> {
    let mut with = start(report, envoy, true).await?;
    let mut without = start(report, envoy, false).await?;
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
    let row = report.add(
        "Envoy's CPU of a request, filters idle",
        None,
        "µs",
        median(&ours),
    );
    row.against_with(median(&bare), median(&ratios));
    row.target(Target::Ratio(1.03));
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

async fn start(report: &mut Report, envoy: &Path, has_filters: bool) -> Result<Subject> {
    let stand = Stand::new().await?;
    let http = free_port()?;
    let config = listener::Config {
        http,
        https: free_port()?,
        stats: stand.stats,
        edge: Edge::default(),
    };
    let server = &stand.server;
    server.put(
        Type::Listener,
        stats::NAME,
        listener::stats(&config).bytes(),
    );
    let built_in = config.built_in();
    for manager in listener::managers(&built_in[0], &config.edge) {
        let bytes = match has_filters {
            true => manager.bytes(),
            false => without_idle(&manager.bytes())?,
        };
        server.put(Type::Extension, manager.name(), bytes);
    }
    let bytes = listener::listener(&built_in[0], &config.edge).bytes();
    server.put(Type::Listener, listener::HTTP, bytes);
    let (key, part) = virtual_host(HOST, false);
    let name = listener::HTTP;
    let head = route::TableHead::http(&Edge::default()).named(name);
    let table = Resource::composite(name.into(), head, OrdMap::unit(key, part.into()));
    server.put(Type::Route, name, table.bytes());
    let what = if has_filters {
        "filters idle"
    } else {
        "no filters"
    };
    let running = stand.envoy(report, envoy, what, 1).await?;
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

/// The manager without what is disabled.
fn without_idle(manager: &Bytes) -> Result<Bytes> {
    let mut extension = TypedExtensionConfig::decode(manager.clone())?;
    let any = extension.typed_config.as_mut();
    let any = any.context("an extension without configuration")?;
    let mut manager = HttpConnectionManager::decode(&*any.value)?;
    manager.http_filters.retain(|filter| !filter.disabled);
    *any = pack_any(manager);
    Ok(extension.encode_to_vec().into())
}
