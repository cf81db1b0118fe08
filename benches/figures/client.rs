//! A bare xDS client: ADS over a Unix socket, delta or state of the world, subscribed as Envoy is, every response
//! acknowledged at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use envoy_types::pb::google::protobuf::Any;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use isobath::xds::wire::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Named, Node,
};
use isobath::xds::{ResourceType, Variant};
use prost::Message as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Endpoint;

use crate::raw::{DELTA, Raw, SOTW};

/// One response.
pub struct Arrival {
    pub at: Instant,
    pub resource_type: ResourceType,
    /// The message as it came.
    pub raw: Bytes,
    /// Names and contents of its resources.
    pub resources: Vec<(String, Bytes)>,
    /// Names that the client asked for and that were not answered yet.
    pub missing: usize,
}

/// An open stream.
pub struct Client {
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    received: Arc<AtomicU64>,
    task: JoinHandle<Result<()>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Opens a delta stream and asks for all clusters and listeners, and for what they refer to.
    pub async fn connect(socket: &Path) -> Result<Self> {
        Self::connect_by(socket, Variant::Delta).await
    }

    /// The same with either variant.
    pub async fn connect_by(socket: &Path, variant: Variant) -> Result<Self> {
        let socket = socket.to_owned();
        // Windows as Envoy 1.40 has them.
        let channel = Endpoint::from_static("http://xds")
            .initial_stream_window_size(16 << 20)
            .initial_connection_window_size(24 << 20)
            .connect_with_connector(tower::service_fn(move |_| {
                let socket = socket.clone();
                async move { UnixStream::connect(socket).await.map(TokioIo::new) }
            }))
            .await?;
        let mut grpc = Grpc::new(channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await?;
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut session = Session {
            variant,
            requests,
            asked: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            unasked: BTreeSet::new(),
            last: BTreeMap::new(),
        };
        session.ask(ResourceType::Cluster, []);
        session.ask(ResourceType::Listener, []);
        let path = PathAndQuery::from_static(match variant {
            Variant::Delta => DELTA,
            Variant::Sotw => SOTW,
        });
        let requests = tonic::Request::new(UnboundedReceiverStream::new(receiver));
        let mut responses = grpc.streaming(requests, path, Raw).await?.into_inner();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let received = Arc::new(AtomicU64::new(0));
        let counter = received.clone();
        let task = tokio::spawn(async move {
            while let Some(raw) = responses.message().await? {
                let at = Instant::now();
                counter.fetch_add(raw.len() as u64 + 5, Ordering::Relaxed);
                let arrival = session.take(at, raw)?;
                if sender.send(arrival).is_err() {
                    return Ok(());
                }
            }
            bail!("the server ended the stream")
        });
        Ok(Self {
            arrivals,
            received,
            task,
        })
    }

    /// The next response.
    pub async fn next(&mut self) -> Result<Arrival> {
        tokio::time::timeout(Duration::from_secs(30), self.arrivals.recv())
            .await
            .context("no response within 30 s")?
            .context("the stream is over")
    }

    /// What has come and was not taken yet.
    pub fn try_next(&mut self) -> Option<Arrival> {
        self.arrivals.try_recv().ok()
    }

    /// Everything, until all names that were asked for were answered and nothing came for a while.
    pub async fn everything(&mut self) -> Result<Vec<Arrival>> {
        let mut all = Vec::new();
        loop {
            let arrival = self.next().await?;
            let listeners = |arrival: &Arrival| arrival.resource_type == ResourceType::Listener;
            let done = arrival.missing == 0 && (listeners(&arrival) || all.iter().any(listeners));
            all.push(arrival);
            if done {
                break;
            }
        }
        all.extend(self.quiet(Duration::from_millis(300)).await);
        Ok(all)
    }

    /// As [`Self::everything`], with nothing kept.
    pub async fn settled(&mut self) -> Result<()> {
        let mut listeners = false;
        loop {
            let arrival = self.next().await?;
            listeners |= arrival.resource_type == ResourceType::Listener;
            if listeners && arrival.missing == 0 {
                break;
            }
        }
        self.quiet(Duration::from_millis(5)).await;
        Ok(())
    }

    /// Takes what comes until nothing came for this long.
    pub async fn quiet(&mut self, time: Duration) -> Vec<Arrival> {
        let mut all = Vec::new();
        while let Ok(Some(arrival)) = tokio::time::timeout(time, self.arrivals.recv()).await {
            all.push(arrival);
        }
        all
    }

    /// Bytes that came in all.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

struct Session {
    variant: Variant,
    requests: mpsc::UnboundedSender<Bytes>,
    asked: BTreeSet<(ResourceType, String)>,
    unanswered: BTreeSet<(ResourceType, String)>,
    /// What came without being asked for, as null's answers do that were recorded from a client that knew more names.
    unasked: BTreeSet<(ResourceType, String)>,
    /// Version and nonce of the last response, which a request for the state of the world repeats.
    last: BTreeMap<ResourceType, (String, String)>,
}

/// A response of either variant.
struct Answer {
    type_url: String,
    version: String,
    nonce: String,
    resources: Vec<(String, Bytes)>,
    removed: Vec<String>,
}

impl Answer {
    fn decode(variant: Variant, raw: Bytes) -> Result<Self> {
        Ok(match variant {
            Variant::Delta => {
                let response = DeltaDiscoveryResponse::decode(raw)?;
                let resources = response.resources.into_iter().map(|resource| {
                    let content = resource.resource.context("a resource without content")?;
                    Ok((resource.name, content.value))
                });
                Self {
                    type_url: response.type_url,
                    version: String::new(),
                    nonce: response.nonce,
                    resources: resources.collect::<Result<_>>()?,
                    removed: response.removed_resources,
                }
            }
            Variant::Sotw => {
                let response = DiscoveryResponse::decode(raw)?;
                // The name is the first field of each of the types.
                let resources = response.resources.into_iter().map(|content| {
                    let named = Named::decode(content.value.clone())?;
                    Ok((named.name, content.value))
                });
                Self {
                    type_url: response.type_url,
                    version: response.version_info,
                    nonce: response.nonce,
                    resources: resources.collect::<Result<_>>()?,
                    removed: Vec::new(),
                }
            }
        })
    }
}

impl Session {
    fn take(&mut self, at: Instant, raw: Bytes) -> Result<Arrival> {
        let answer = Answer::decode(self.variant, raw.clone())?;
        let resource_type = ResourceType::from_type_url(&answer.type_url)
            .context("a type that nobody asked for")?;
        let last = (answer.version, answer.nonce);
        self.last.insert(resource_type, last);
        self.acknowledge(resource_type);
        let resources = answer.resources;
        for name in resources
            .iter()
            .map(|(name, _)| name)
            .chain(&answer.removed)
        {
            let name = (resource_type, name.clone());
            if !self.unanswered.remove(&name) && !resource_type.has_wildcard() {
                self.unasked
                    .extend((!self.asked.contains(&name)).then_some(name));
            }
        }
        match resource_type {
            ResourceType::Cluster => {
                // Assignments are named as their clusters are.
                let names: Vec<String> = resources.iter().map(|(name, _)| name.clone()).collect();
                self.follow(ResourceType::Endpoint, names);
            }
            ResourceType::Listener => self.follow_all(&resources, named_by_listener)?,
            ResourceType::Extension => self.follow_all(&resources, named_by_extension)?,
            ResourceType::Scope => {
                self.unanswered.remove(&(resource_type, ALL.to_owned()));
                self.follow_all(&resources, named_by_scope)?;
            }
            _ => {}
        }
        Ok(Arrival {
            at,
            resource_type,
            raw,
            resources,
            missing: self.unanswered.len(),
        })
    }

    fn follow_all(
        &mut self,
        resources: &[(String, Bytes)],
        named: fn(&Bytes) -> Result<Names>,
    ) -> Result<()> {
        let mut names: BTreeMap<ResourceType, Vec<String>> = BTreeMap::new();
        for (_, bytes) in resources {
            for (resource_type, name) in named(bytes)? {
                names.entry(resource_type).or_default().push(name);
            }
        }
        for (resource_type, names) in names {
            self.follow(resource_type, names);
        }
        Ok(())
    }

    /// Subscribes to names that were not asked for yet.
    fn follow(&mut self, resource_type: ResourceType, mut names: Vec<String>) {
        names.retain(|name| self.asked.insert((resource_type, name.clone())));
        if !names.is_empty() {
            let new = names.iter().map(|name| (resource_type, name.clone()));
            let unasked = &mut self.unasked;
            self.unanswered
                .extend(new.filter(|new| !unasked.remove(new)));
            names.retain(|name| name != ALL);
            self.ask(resource_type, names);
        }
    }

    fn acknowledge(&self, resource_type: ResourceType) {
        match self.variant {
            Variant::Delta => self.send(&DeltaDiscoveryRequest {
                type_url: resource_type.type_url().into(),
                response_nonce: self.last[&resource_type].1.clone(),
                ..DeltaDiscoveryRequest::default()
            }),
            Variant::Sotw => self.ask(resource_type, []),
        }
    }

    /// Asks for these names, which `self.asked` has already.
    fn ask(&self, resource_type: ResourceType, names: impl IntoIterator<Item = String>) {
        let node = Some(Node {
            id: "figures".into(),
            ..Node::default()
        });
        let type_url = resource_type.type_url().into();
        if self.variant == Variant::Delta {
            return self.send(&DeltaDiscoveryRequest {
                node,
                type_url,
                resource_names_subscribe: names.into_iter().collect(),
                ..DeltaDiscoveryRequest::default()
            });
        }
        let last = self.last.get(&resource_type).cloned();
        let (version_info, response_nonce) = last.unwrap_or_default();
        let from = (resource_type, String::new());
        let of_type = self.asked.range(from..);
        self.send(&DiscoveryRequest {
            node,
            type_url,
            version_info,
            response_nonce,
            resource_names: of_type
                .take_while(|(of, _)| *of == resource_type)
                .map(|(_, name)| name.clone())
                .filter(|name| name != ALL)
                .collect(),
            ..DiscoveryRequest::default()
        });
    }

    fn send(&self, request: &impl prost::Message) {
        // Fails only when the stream is over, which its reader tells.
        let _ = self.requests.send(request.encode_to_vec().into());
    }
}

/// Resources by type and name.
type Names = Vec<(ResourceType, String)>;

/// Stands for all names of a type with a wildcard.
const ALL: &str = "";

/// The extensions, tables and secrets that a listener names.
fn named_by_listener(listener: &Bytes) -> Result<Names> {
    let listener = Listener::decode(listener.clone())?;
    let mut names = Vec::new();
    for chain in listener
        .filter_chains
        .into_iter()
        .chain(listener.default_filter_chain)
    {
        for filter in chain.filters {
            match filter.config_type {
                Some(ConfigType::TypedConfig(config)) => names.extend(named_by_manager(&config)?),
                Some(ConfigType::ConfigDiscovery(_)) => {
                    names.push((ResourceType::Extension, filter.name));
                }
                None => {}
            }
        }
        let socket = chain.transport_socket.and_then(|socket| socket.config_type);
        if let Some(SocketConfig::TypedConfig(config)) = socket {
            let context = DownstreamTlsContext::decode(&*config.value)?;
            let common = context.common_tls_context.unwrap_or_default();
            let secrets = common.tls_certificate_sds_secret_configs.into_iter();
            names.extend(secrets.map(|secret| (ResourceType::Secret, secret.name)));
        }
    }
    Ok(names)
}

/// Where a connection manager has its routes from.
fn named_by_manager(config: &Any) -> Result<Names> {
    if !config.type_url.ends_with("HttpConnectionManager") {
        return Ok(Vec::new());
    }
    let manager = HttpConnectionManager::decode(&*config.value)?;
    Ok(match manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => vec![(ResourceType::Route, rds.route_config_name)],
        Some(RouteSpecifier::ScopedRoutes(_)) => vec![(ResourceType::Scope, ALL.to_owned())],
        _ => Vec::new(),
    })
}

fn named_by_extension(extension: &Bytes) -> Result<Names> {
    let extension = TypedExtensionConfig::decode(extension.clone())?;
    named_by_manager(&extension.typed_config.unwrap_or_default())
}

fn named_by_scope(scope: &Bytes) -> Result<Names> {
    let scope = ScopedRouteConfiguration::decode(scope.clone())?;
    Ok(vec![(ResourceType::Route, scope.route_configuration_name)])
}
