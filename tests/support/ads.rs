//! A small xDS client, so that tests can look at the wire: delta ADS over a Unix socket, every response
//! acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{Node, TypedExtensionConfig};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status as RpcStatus;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

/// The type URLs of all types, in the order in which this client asks for them.
pub(crate) const CDS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub(crate) const EDS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub(crate) const LDS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub(crate) const ECDS: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
pub(crate) const SRDS: &str = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";
pub(crate) const RDS: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
pub(crate) const SDS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// Everything that a server serves: by type and name, the version and the bytes.
pub(crate) type Served = BTreeMap<(String, String), (String, Vec<u8>)>;

/// One change on the wire: the type, the names that came, the names that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    pub(crate) type_url: String,
    pub(crate) resources: Vec<String>,
    pub(crate) removed: Vec<String>,
}

/// An open stream and what it holds.
pub(crate) struct Ads {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    held: Served,
    asked: BTreeSet<(String, String)>,
    first: BTreeMap<String, BTreeSet<String>>,
}

impl Ads {
    /// Opens a stream to the server on this socket.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let socket = socket.to_owned();
        let channel = Endpoint::from_static("http://isobath")
            .connect_with_connector(tower::service_fn(move |_| {
                let socket = socket.clone();
                async move { UnixStream::connect(socket).await.map(TokioIo::new) }
            }))
            .await?;
        let (requests, receiver) = mpsc::channel(64);
        let first = DeltaDiscoveryRequest {
            node: Some(Node {
                id: "test".to_owned(),
                cluster: "test".to_owned(),
                ..Node::default()
            }),
            type_url: CDS.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(first).await?;
        let responses = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(256 * 1024 * 1024)
            .delta_aggregated_resources(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        Ok(Self {
            requests,
            responses,
            held: Served::new(),
            asked: BTreeSet::new(),
            first: BTreeMap::new(),
        })
    }

    /// Asks for everything as Envoy does: clusters, their endpoints, listeners, their managers, scopes, routes and secrets.
    /// Returns what came when every name that another resource refers to has been answered.
    pub(crate) async fn everything(&mut self) -> Result<Served> {
        self.next().await.context("clusters")?;
        self.follow().await?;
        self.ask(LDS, &[]).await?;
        loop {
            self.follow().await?;
            let is_missing = |name: &(String, String)| match &*name.1 {
                // A list without names asks for all, and is answered if there is none.
                ALL => !self.first.contains_key(&name.0),
                _ => !self.held.contains_key(name),
            };
            let missing = self.asked.iter().any(is_missing);
            let listeners = self.held.keys().any(|(type_url, _)| type_url == LDS);
            if listeners && !missing {
                return Ok(self.held.clone());
            }
            self.next().await?;
        }
    }

    /// Subscribes to what the resources at hand refer to and was not yet asked for.
    pub(crate) async fn follow(&mut self) -> Result<()> {
        let mut new: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((type_url, _), (_, bytes)) in &self.held {
            for (type_url, name) in references(type_url, bytes)? {
                if self.asked.insert((type_url.to_owned(), name.clone())) {
                    new.entry(type_url).or_default().push(name);
                }
            }
        }
        for (type_url, mut names) in new {
            names.retain(|name| name != ALL);
            self.ask(type_url, &names).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, type_url: &str, names: &[String]) -> Result<()> {
        let request = DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: names.to_vec(),
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(request).await?)
    }

    /// Waits for the next response, acknowledges it and tells what it holds.
    pub(crate) async fn next(&mut self) -> Result<Push> {
        let response = self.receive().await?;
        self.acknowledge(response).await
    }

    /// Waits for the next response, and does not answer it.
    pub(crate) async fn receive(&mut self) -> Result<DeltaDiscoveryResponse> {
        timeout(Duration::from_secs(60), self.responses.message())
            .await
            .context("no response within 60 s")??
            .context("the server ended the stream")
    }

    /// Refuses a response.
    pub(crate) async fn refuse(&self, response: &DeltaDiscoveryResponse, why: &str) -> Result<()> {
        let nack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: Some(RpcStatus {
                code: 13,
                message: why.to_owned(),
                details: Vec::new(),
            }),
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(nack).await?)
    }

    /// Acknowledges a response and tells what it holds.
    pub(crate) async fn acknowledge(&mut self, response: DeltaDiscoveryResponse) -> Result<Push> {
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(ack).await?;
        let mut push = Push {
            type_url: response.type_url.clone(),
            resources: Vec::new(),
            removed: response.removed_resources.clone(),
        };
        let names = response.resources.iter();
        let names = names.map(|resource| resource.name.clone());
        let first = self.first.entry(response.type_url.clone());
        first.or_insert_with(|| names.collect());
        for name in response.removed_resources {
            self.held.remove(&(response.type_url.clone(), name));
        }
        for resource in response.resources {
            push.resources.push(resource.name.clone());
            let bytes = resource.resource.context("a resource without content")?;
            self.held.insert(
                (response.type_url.clone(), resource.name),
                (resource.version, bytes.value),
            );
        }
        Ok(push)
    }

    /// The names in the first response of each type.
    pub(crate) fn first(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.first
    }

    /// What the stream holds now.
    pub(crate) fn held(&self) -> &Served {
        &self.held
    }
}

/// The names that a resource refers to.
fn references(type_url: &str, bytes: &[u8]) -> Result<Vec<(&'static str, String)>> {
    match type_url {
        CDS => {
            let cluster = Cluster::decode(bytes)?;
            Ok(cluster
                .eds_cluster_config
                .map(|eds| match eds.service_name.is_empty() {
                    true => (EDS, cluster.name),
                    false => (EDS, eds.service_name),
                })
                .into_iter()
                .collect())
        }
        LDS => {
            let listener = Listener::decode(bytes)?;
            let chains = listener
                .filter_chains
                .into_iter()
                .chain(listener.default_filter_chain);
            let mut names = Vec::new();
            for chain in chains {
                for filter in chain.filters {
                    match filter.config_type {
                        Some(ConfigType::TypedConfig(config)) => names.extend(tables(&config)?),
                        Some(ConfigType::ConfigDiscovery(_)) => names.push((ECDS, filter.name)),
                        None => {}
                    }
                }
                if let Some(SocketConfig::TypedConfig(config)) =
                    chain.transport_socket.and_then(|socket| socket.config_type)
                {
                    let context = DownstreamTlsContext::decode(&*config.value)?;
                    let common = context.common_tls_context.unwrap_or_default();
                    for secret in common.tls_certificate_sds_secret_configs {
                        names.push((SDS, secret.name));
                    }
                }
            }
            Ok(names)
        }
        ECDS => {
            let extension = TypedExtensionConfig::decode(bytes)?;
            let config = extension
                .typed_config
                .context("an extension without configuration")?;
            tables(&config)
        }
        SRDS => {
            let scope = ScopedRouteConfiguration::decode(bytes)?;
            Ok(vec![(RDS, scope.route_configuration_name)])
        }
        _ => Ok(Vec::new()),
    }
}

/// Where a connection manager has its routes from.
fn tables(config: &Any) -> Result<Vec<(&'static str, String)>> {
    if !config.type_url.ends_with(".HttpConnectionManager") {
        return Ok(Vec::new());
    }
    let manager = HttpConnectionManager::decode(&*config.value)?;
    Ok(match manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => vec![(RDS, rds.route_config_name)],
        Some(RouteSpecifier::ScopedRoutes(_)) => vec![(SRDS, ALL.to_owned())],
        _ => Vec::new(),
    })
}

/// Stands for all names of a type.
const ALL: &str = "";
