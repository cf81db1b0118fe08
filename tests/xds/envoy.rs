//! What a real Envoy does with refusals: one bad resource among many never costs another one anything, neither when
//! it comes later nor when Envoy starts with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, ensure};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, DataSource, SocketAddress,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, Route, RouteConfiguration, RouteMatch, VirtualHost,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_filter,
};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
use envoy_types::pb::google::protobuf::Duration as ProtoDuration;
use envoy_types::util::pack_any;
use imbl::OrdMap;
use isobath::envoy::bootstrap::{Bootstrap, XdsServer};
use isobath::xds::{Address as XdsAddress, Part, Reference, Resource, ResourceType, Snapshot};
use nix::sys::signal::Signal;
use prost::Message;

use super::server::Server;
use super::support::client::{Version, get};
use super::support::envoy::Envoy;
use super::support::eventually::eventually;
use super::support::port::Port;

const GOOD: usize = 20;

fn part(message: &impl Message, owner: &str, references: Vec<Reference>) -> Part {
    Part {
        bytes: message.encode_to_vec().into(),
        references: references.into(),
        owners: Arc::new([owner.into()]),
    }
}

fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// A cluster of type EDS. A negative time-out is refused at decode: with the whole response, and without a name.
fn cluster(name: &str, connect_timeout: i64) -> Resource {
    let message = Cluster {
        name: name.into(),
        connect_timeout: Some(ProtoDuration {
            seconds: connect_timeout,
            nanos: 0,
        }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(ads()),
            service_name: name.into(),
        }),
        ..Cluster::default()
    };
    let endpoints = Reference {
        resource_type: ResourceType::Endpoint,
        name: name.into(),
    };
    Resource::whole(
        name.into(),
        part(&message, &format!("Service {name}"), vec![endpoints]),
    )
}

fn assignment(name: &str) -> Resource {
    let message = ClusterLoadAssignment {
        cluster_name: name.into(),
        ..ClusterLoadAssignment::default()
    };
    Resource::whole(name.into(), part(&message, name, Vec::new()))
}

/// A host that answers `body` by itself, on a path that is a regular expression.
fn host(name: &str, regex: &str, body: &str) -> Part {
    let message = RouteConfiguration {
        virtual_hosts: vec![VirtualHost {
            name: name.into(),
            domains: vec![name.into()],
            routes: vec![Route {
                r#match: Some(RouteMatch {
                    path_specifier: Some(PathSpecifier::SafeRegex(RegexMatcher {
                        regex: regex.into(),
                        ..RegexMatcher::default()
                    })),
                    ..RouteMatch::default()
                }),
                action: Some(Action::DirectResponse(DirectResponseAction {
                    status: 200,
                    body: Some(DataSource {
                        specifier: Some(Specifier::InlineString(body.into())),
                        ..DataSource::default()
                    }),
                    ..DirectResponseAction::default()
                })),
                ..Route::default()
            }],
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    };
    part(&message, &format!("Ingress {name}"), Vec::new())
}

fn table(hosts: &[(String, &str, &str)]) -> Resource {
    let head = RouteConfiguration {
        name: "table".into(),
        ..RouteConfiguration::default()
    };
    let hosts: OrdMap<Arc<str>, Arc<Part>> = hosts
        .iter()
        .map(|(name, regex, body)| (Arc::from(name.as_str()), Arc::new(host(name, regex, body))))
        .collect();
    Resource::composite("table".into(), part(&head, "table", Vec::new()), hosts)
}

fn listener(port: &Port) -> Resource {
    let manager = HttpConnectionManager {
        stat_prefix: "http".into(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: "table".into(),
        })),
        http_filters: vec![HttpFilter {
            name: "router".into(),
            config_type: Some(http_filter::ConfigType::TypedConfig(pack_any(
                Router::default(),
            ))),
            ..HttpFilter::default()
        }],
        ..HttpConnectionManager::default()
    };
    let message = Listener {
        name: "http".into(),
        address: Some(Address {
            address: Some(AddressKind::SocketAddress(SocketAddress {
                address: port.address().ip().to_string(),
                port_specifier: Some(PortSpecifier::PortValue(port.address().port().into())),
                ..SocketAddress::default()
            })),
        }),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "http".into(),
                config_type: Some(ConfigType::TypedConfig(pack_any(manager))),
            }],
            ..FilterChain::default()
        }],
        ..Listener::default()
    };
    let route = Reference {
        resource_type: ResourceType::Route,
        name: "table".into(),
    };
    Resource::whole("http".into(), part(&message, "http", vec![route]))
}

/// 20 good hosts and clusters; and with `bad` one cluster and one host that Envoy refuses.
fn world(port: &Port, body: &str, bad: bool) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut put = |of, resource| snapshot.insert(of, Arc::new(resource));
    let mut hosts = Vec::new();
    for number in 0..GOOD {
        let name = format!("good-{number:02}");
        put(ResourceType::Cluster, cluster(&name, 1));
        put(ResourceType::Endpoint, assignment(&name));
        hosts.push((format!("{name}.test"), "/.*", body));
    }
    if bad {
        put(ResourceType::Cluster, cluster("good-07-but-bad", -1));
        put(ResourceType::Endpoint, assignment("good-07-but-bad"));
        hosts.push(("bad.test".into(), "/(", body));
    }
    put(ResourceType::Route, table(&hosts));
    put(ResourceType::Listener, listener(port));
    snapshot
}

struct Stand {
    server: Server,
    envoy: Envoy,
    port: Port,
    _directory: tempfile::TempDir,
}

impl Stand {
    async fn start(api_type: &str, bad_from_start: bool) -> Self {
        let server = Server::start(&[]).await;
        let port = Port::take();
        server.publish(&world(&port, "1", bad_from_start));
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let XdsAddress::Unix(socket) = server.address.clone() else {
            unreachable!()
        };
        let bootstrap = Bootstrap {
            xds: XdsServer::Unix(socket),
            admin_socket: path("admin.sock"),
            authz_socket: "/nowhere".into(),
            node_id: "test".into(),
            node_cluster: "test".into(),
            max_heap_bytes: None,
        };
        let document = bootstrap.to_json().to_string();
        let document = document.replace("DELTA_GRPC", api_type);
        std::fs::write(path("envoy.json"), document).unwrap();
        let envoy = Envoy::start(&path("envoy.json"), &path("admin.sock"), &path("log"));
        Self {
            server,
            envoy,
            port,
            _directory: directory,
        }
    }

    async fn serves(&self, body: &str) {
        for number in 0..GOOD {
            let host = format!("good-{number:02}.test");
            eventually("a good host is served", async || -> Result<()> {
                let answer = get(self.port.address(), Version::H1, None, &host, "/").await?;
                let got = String::from_utf8_lossy(&answer.body).into_owned();
                ensure!(answer.status == 200 && got == body, "{answer:?}");
                Ok(())
            })
            .await;
        }
        let status = get(self.port.address(), Version::H1, None, "bad.test", "/")
            .await
            .unwrap()
            .status;
        assert_eq!(status, 404);
    }

    async fn has_clusters(&self) {
        eventually("the good clusters are there", async || -> Result<()> {
            let page = self.envoy.get("/clusters?format=json").await?;
            let page: serde_json::Value = serde_json::from_str(&page)?;
            let names: BTreeSet<&str> = page["cluster_statuses"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|cluster| cluster["name"].as_str())
                .filter(|name| name.starts_with("good-"))
                .collect();
            ensure!(names.len() == GOOD, "{names:?}");
            Ok(())
        })
        .await;
    }

    /// The refused units, once both are found.
    async fn refused(&self) {
        eventually("both bad units are found", async || -> Result<()> {
            let refused = self.server.reports.refused().borrow().clone();
            let found: BTreeSet<(String, Option<&str>, &str)> = refused
                .iter()
                .map(|unit| {
                    let name = format!("{}:{}", unit.resource_type, unit.resource);
                    (name, unit.part.as_deref(), &*unit.owners[0])
                })
                .collect();
            let expected = BTreeSet::from([
                (
                    "cds:good-07-but-bad".to_owned(),
                    None,
                    "Service good-07-but-bad",
                ),
                ("rds:table".to_owned(), Some("bad.test"), "Ingress bad.test"),
            ]);
            ensure!(found == expected, "{refused:?}");
            Ok(())
        })
        .await;
    }

    async fn end(mut self) {
        self.envoy.process().signal(Signal::SIGKILL);
        self.envoy.process().end().await;
        self.server.stop().await;
    }
}

/// Bad resources come to an Envoy that runs: the others go on changing, and nothing is refused twice for ever.
async fn check_running(api_type: &str) {
    let mut stand = Stand::start(api_type, false).await;
    stand.envoy.live().await;
    stand.serves("1").await;
    stand.server.publish(&world(&stand.port, "2", true));
    stand.serves("2").await;
    stand.refused().await;
    let rejected = "^(cluster_manager.cds.update_rejected|http.http.rds.table.update_rejected)$";
    let before = stand.envoy.stats(rejected).await.unwrap();
    stand.server.publish(&world(&stand.port, "3", true));
    stand.serves("3").await;
    stand.has_clusters().await;
    let after = stand.envoy.stats(rejected).await.unwrap();
    // The bad host has a new body, so new bytes: it is tried again. The bad cluster is not.
    let of = |stats: &std::collections::BTreeMap<String, u64>, name: &str| {
        stats.get(name).copied().unwrap_or(0)
    };
    let cds = "cluster_manager.cds.update_rejected";
    assert_eq!(of(&before, cds), of(&after, cds));
    assert!(of(&before, cds) > 0, "it was refused at all");
    // All good again: nothing is left out any more.
    stand.server.publish(&world(&stand.port, "4", false));
    stand.serves("4").await;
    eventually("nothing is left out", async || -> Result<()> {
        let refused = stand.server.reports.refused().borrow().clone();
        ensure!(refused.is_empty(), "{refused:?}");
        Ok(())
    })
    .await;
    stand.end().await;
}

/// An Envoy that starts with bad resources has everything else.
async fn check_fresh(api_type: &str) {
    let mut stand = Stand::start(api_type, true).await;
    stand.envoy.live().await;
    stand.serves("1").await;
    stand.has_clusters().await;
    stand.refused().await;
    stand.end().await;
}

#[tokio::test]
async fn a_running_envoy_over_delta() {
    check_running("DELTA_GRPC").await;
}

#[tokio::test]
async fn a_running_envoy_over_state_of_the_world() {
    check_running("GRPC").await;
}

#[tokio::test]
async fn a_fresh_envoy_over_delta() {
    check_fresh("DELTA_GRPC").await;
}

#[tokio::test]
async fn a_fresh_envoy_over_state_of_the_world() {
    check_fresh("GRPC").await;
}
