//! What the experiments have in common: a server, a cluster and an Envoy, and what is reported of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use isobath::envoy::edge::Edge;
use isobath::envoy::route::TableOptions;
use isobath::envoy::{cluster, endpoint, listener, route};
use isobath::model::{
    Cluster, ClusterSettings, Discovery, EndpointAddress, Forward, HeaderModifier, Host,
    LoadAssignment, PathMatch, Route, RouteAction, RouteMatch, VirtualHost, WeightedCluster,
};
use isobath::objects::{FieldRef, Kind, ObjectRef};
use isobath::xds::Part;

use super::server::{Server, Type};
use crate::child::free_port;
use crate::proxy::{Running, start_envoy};
use crate::report::{Report, median, ms};
use crate::traffic::Backend;

/// The cluster that all routes lead to.
const BACKEND: &str = "backend";
/// Changes that are measured one by one.
pub const CHANGES: usize = 10;

/// A server and one cluster with a back end behind it, before Envoy is started.
pub struct Stand {
    pub server: Server,
    pub directory: tempfile::TempDir,
    pub stats: SocketAddr,
    _backend: Backend,
}

impl Stand {
    pub async fn new() -> Result<Self> {
        let backend = Backend::start("a").await?;
        let directory = tempfile::Builder::new().prefix("iso-").tempdir()?;
        let server = Server::start(&directory.path().join("xds.sock"))?;
        let of_cluster = cluster::cluster(&Cluster {
            name: BACKEND.into(),
            discovery: Discovery::Endpoints,
            settings: ClusterSettings::default(),
            source: Some(source(Kind::Service, BACKEND)),
        });
        server.put(Type::Cluster, BACKEND, of_cluster.bytes());
        let address = EndpointAddress {
            ip: (*backend.address.ip()).into(),
            port: backend.address.port(),
            health_port: None,
            weight: None,
        };
        let assignment = endpoint::load_assignment(&LoadAssignment {
            cluster: BACKEND.into(),
            localities: BTreeMap::from([("".into(), BTreeSet::from([address]))]),
        });
        server.put(Type::Endpoint, BACKEND, assignment.bytes());
        Ok(Self {
            server,
            directory,
            stats: free_port()?,
            _backend: backend,
        })
    }

    /// Where its Envoy listens.
    pub fn config(&self) -> Result<listener::Config> {
        Ok(listener::Config {
            http: free_port()?,
            https: free_port()?,
            stats: self.stats,
            edge: Edge::default(),
        })
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("xds.sock")
    }

    /// Starts Envoy and reports how long that took and what it holds.
    pub async fn envoy(
        &self,
        report: &mut Report,
        envoy: &Path,
        name: &str,
        hosts: usize,
    ) -> Result<Running> {
        self.server.flush();
        let (running, live) = start_envoy(envoy, self.socket(), self.stats).await?;
        self.server.settled().await?;
        report.add(
            &format!("{name}: Envoy started → LIVE"),
            Some(hosts),
            "ms",
            live,
        );
        let name = format!("{name}: Envoy's CPU until then");
        report.add(&name, Some(hosts), "ms", ms(running.child.cpu()));
        Ok(running)
    }
}

/// Reports the changes that were measured: how long each took, and Envoy's CPU for it.
pub fn add_changes(report: &mut Report, name: &str, hosts: usize, changes: &[(f64, f64)]) {
    let (times, cpus): (Vec<f64>, Vec<f64>) = changes.iter().copied().unzip();
    report.add(
        &format!("{name} → 200, p50"),
        Some(hosts),
        "ms",
        median(&times),
    );
    report.add(
        &format!("{name}, Envoy's CPU"),
        Some(hosts),
        "ms",
        median(&cpus),
    );
}

/// Envoy's CPU from `before` on, once it has come to rest.
pub async fn cpu_since(running: &Running, before: Duration) -> f64 {
    loop {
        let seen = running.child.cpu();
        tokio::time::sleep(Duration::from_millis(100)).await;
        // An idle Envoy uses less than this for its timers.
        if running.child.cpu() - seen < Duration::from_millis(2) {
            return ms(seen - before);
        }
    }
}

/// A virtual host with one route, as an Ingress with one path makes it.
pub fn virtual_host(host: &str, tls: bool) -> (Arc<str>, Part) {
    let forward = Forward {
        backends: vec![WeightedCluster::new(BACKEND, 1)],
        service: Some("web".into()),
        timeout: None,
        retry: None,
        rewrite: None,
        options: None,
    };
    let routes = vec![Route {
        matches: RouteMatch::path(PathMatch::PathPrefix("/".into())),
        action: RouteAction::Forward(forward),
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        filters: None,
        source: source(Kind::Ingress, host),
    }];
    let host = Host::new(host);
    let options = TableOptions {
        tls,
        any_depth: false,
        ingress_metrics: true,
    };
    let model = VirtualHost {
        host,
        routes,
        client_check: None,
        filters: None,
    };
    route::virtual_host(&model, options)
}

pub fn source(kind: Kind, name: &str) -> FieldRef {
    ObjectRef::new(kind, "team", name).into()
}
