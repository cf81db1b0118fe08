//! What the authorizer has from the control plane: passwords and endpoints, by name, from when they are first asked for.
//!
//! It is a client of delta ADS, as Envoy is. Names that nobody has asked for for a while are given back. What it has it keeps while
//! the control plane is away; what the control plane says is gone, is gone.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::address::Address as PbAddress;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Node};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, secret};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::objects::Credentials;
use crate::xds::ResourceType;

/// How long a request waits for what was never asked for before.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names that nobody has asked for for so long are given back.
const IDLE: Duration = Duration::from_secs(600);
/// How often it is looked for those.
const SWEEP: Duration = Duration::from_secs(60);
/// Most names at a time. Whoever asks for more is refused.
const MOST: usize = 10_000;
/// Most bytes of what is known; what comes beyond is taken for absent, which refuses those that ask for it.
const MOST_BYTES: usize = 64 << 20;
/// How many names are asked for at a time on a new stream: a Secret has 1 MiB at most, so that a response has a bound.
const BATCH: usize = 64;
/// Largest response that is taken: those of a batch, and of what is asked for meanwhile.
const LARGEST_RESPONSE: usize = 256 << 20;
/// Pauses before the control plane is tried again, in milliseconds.
const BACK_OFF: [u64; 4] = [250, 500, 1000, 2000];

/// Passwords. No `Debug`.
#[derive(Clone)]
pub struct Passwords {
    /// By name.
    pub credentials: Credentials,
}

/// An endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address.
    Address(SocketAddr),
    /// A socket of the pod.
    Pipe(PathBuf),
}

type Name = (ResourceType, Arc<str>);

/// What is known of a name.
struct Known {
    /// `None` until the control plane has said something of it; what it says may be that there is no such thing.
    value: Option<Value>,
    /// Of the resource that it was read from.
    bytes: usize,
    /// The first time.
    since: Instant,
    /// The last time.
    asked: Instant,
}

#[derive(Clone)]
enum Value {
    Absent,
    Passwords(Passwords),
    Endpoints(Arc<[Endpoint]>),
}

struct State {
    known: HashMap<Name, Known>,
    /// Of all that is known.
    bytes: usize,
}

impl State {
    /// Takes what the control plane says of a name that somebody asks for.
    fn put(&mut self, name: &Name, resource: Option<&[u8]>) {
        let Some(known) = self.known.get_mut(name) else {
            return;
        };
        self.bytes -= std::mem::take(&mut known.bytes);
        let bytes = resource.map_or(0, <[u8]>::len);
        let fits = self.bytes + bytes <= MOST_BYTES;
        if !fits {
            tracing::warn!(name = %name.1, "passwords and endpoints take too much room; it is taken for absent");
        }
        known.value = Some(match resource.filter(|_| fits) {
            Some(resource) => {
                known.bytes = bytes;
                self.bytes += bytes;
                decoded(name.0, resource)
            }
            None => Value::Absent,
        });
    }
}

/// What the control plane has said.
#[derive(Clone)]
pub struct Discovery {
    state: Arc<Mutex<State>>,
    /// Changes with each response.
    said: Arc<watch::Sender<()>>,
    /// Names that are asked for the first time.
    wanted: mpsc::Sender<Name>,
}

/// The side of it that speaks with the control plane.
pub struct Subscriptions {
    discovery: Discovery,
    wanted: mpsc::Receiver<Name>,
    node_id: String,
}

/// Nothing known yet. The client calls itself `node_id` in the control plane's log.
#[must_use]
pub fn discovery(node_id: &str) -> (Discovery, Subscriptions) {
    let (wanted, received) = mpsc::channel(MOST);
    let discovery = Discovery {
        state: Arc::new(Mutex::new(State {
            known: HashMap::new(),
            bytes: 0,
        })),
        said: Arc::new(watch::channel(()).0),
        wanted,
    };
    let subscriptions = Subscriptions {
        discovery: discovery.clone(),
        wanted: received,
        node_id: node_id.to_owned(),
    };
    (discovery, subscriptions)
}

impl Discovery {
    /// The passwords of this name; `None` where there are none, or nobody says.
    pub async fn passwords(&self, name: &Arc<str>) -> Option<Passwords> {
        match self.value((ResourceType::Secret, name.clone())).await? {
            Value::Passwords(passwords) => Some(passwords),
            Value::Absent | Value::Endpoints(_) => None,
        }
    }

    /// The endpoints of this cluster; none where nobody says.
    pub async fn endpoints(&self, cluster: &Arc<str>) -> Arc<[Endpoint]> {
        match self.value((ResourceType::Endpoint, cluster.clone())).await {
            Some(Value::Endpoints(endpoints)) => endpoints,
            _ => Arc::new([]),
        }
    }

    async fn value(&self, name: Name) -> Option<Value> {
        let mut said = self.said.subscribe();
        let since = match self.ask(&name)? {
            Ok(value) => return Some(value),
            Err(since) => since,
        };
        let waits = async {
            loop {
                // Its sender is a part of `self`.
                said.changed().await.ok()?;
                if let Ok(value) = self.ask(&name)? {
                    return Some(value);
                }
            }
        };
        // Once: while nobody says anything, requests do not pile up.
        timeout_at(since + PATIENCE, waits).await.ok().flatten()
    }

    /// What is known of a name, which is asked for if it never was, or since when nobody says anything; `None` where there are too
    /// many.
    fn ask(&self, name: &Name) -> Option<Result<Value, Instant>> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(known) = state.known.get_mut(name) {
            known.asked = now;
            return Some(known.value.clone().ok_or(known.since));
        }
        if state.known.len() >= MOST {
            tracing::warn!(
                most = MOST,
                "too many names are asked for; the request is refused"
            );
            return None;
        }
        self.wanted.try_send(name.clone()).ok()?;
        let known = Known {
            value: None,
            bytes: 0,
            since: now,
            asked: now,
        };
        state.known.insert(name.clone(), known);
        Some(Err(now))
    }

    /// Takes what the control plane says of names that somebody asks for.
    fn take(&self, response: &DeltaDiscoveryResponse) {
        let Some(of) = ResourceType::from_type_url(&response.type_url) else {
            return;
        };
        let mut state = self.lock();
        for resource in &response.resources {
            let bytes = resource.resource.as_ref().map(|any| &any.value[..]);
            state.put(&(of, resource.name.as_str().into()), bytes);
        }
        for name in &response.removed_resources {
            state.put(&(of, name.as_str().into()), None);
        }
        drop(state);
        self.said.send_replace(());
    }

    /// Forgets names that nobody asks for, and returns them.
    fn sweep(&self) -> Vec<Name> {
        let now = Instant::now();
        let mut state = self.lock();
        let State { known, bytes } = &mut *state;
        let idle = known.extract_if(|_, known| now - known.asked >= IDLE);
        let forgotten = idle.map(|(name, known)| {
            *bytes -= known.bytes;
            name
        });
        forgotten.collect()
    }

    fn names(&self) -> Vec<Name> {
        self.lock().known.keys().cloned().collect()
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decoded(of: ResourceType, bytes: &[u8]) -> Value {
    match of {
        ResourceType::Secret => match passwords(bytes) {
            Some(passwords) => Value::Passwords(passwords),
            None => Value::Absent,
        },
        _ => Value::Endpoints(endpoints(bytes).into()),
    }
}

fn passwords(bytes: &[u8]) -> Option<Passwords> {
    let secret = Secret::decode(bytes).ok()?;
    let Some(secret::Type::GenericSecret(generic)) = secret.r#type else {
        return None;
    };
    let Some(Specifier::InlineString(lines)) = generic.secret?.specifier else {
        return None;
    };
    let lines = zeroize::Zeroizing::new(lines);
    let credentials = Credentials::from_htpasswd("auth", lines.as_bytes()).ok()?;
    Some(Passwords { credentials })
}

/// Those that take requests: of the first priority that has any.
fn endpoints(bytes: &[u8]) -> Vec<Endpoint> {
    let Ok(assignment) = ClusterLoadAssignment::decode(bytes) else {
        return Vec::new();
    };
    let mut localities = assignment.endpoints;
    localities.sort_by_key(|locality| locality.priority);
    let mut found: Vec<(u32, Endpoint)> = Vec::new();
    for locality in localities {
        let serves = |endpoint: &LbEndpoint| {
            let serving = [
                HealthStatus::Unknown,
                HealthStatus::Healthy,
                HealthStatus::Degraded,
            ];
            serving.contains(&endpoint.health_status())
        };
        let serving = locality.lb_endpoints.into_iter().filter(serves);
        found.extend(serving.filter_map(|it| Some((locality.priority, endpoint(it)?))));
    }
    let first = found.first().map(|(priority, _)| *priority);
    found.retain(|(priority, _)| Some(*priority) == first);
    found.into_iter().map(|(_, endpoint)| endpoint).collect()
}

fn endpoint(endpoint: LbEndpoint) -> Option<Endpoint> {
    let HostIdentifier::Endpoint(endpoint) = endpoint.host_identifier? else {
        return None;
    };
    match endpoint.address?.address? {
        PbAddress::SocketAddress(socket) => {
            let PortSpecifier::PortValue(port) = socket.port_specifier? else {
                return None;
            };
            let port = u16::try_from(port).ok()?;
            let address = socket.address.parse().ok()?;
            Some(Endpoint::Address(SocketAddr::new(address, port)))
        }
        PbAddress::Pipe(pipe) => Some(Endpoint::Pipe(pipe.path.into())),
        PbAddress::EnvoyInternalAddress(_) => None,
    }
}

impl Subscriptions {
    /// Speaks with the control plane until it is dropped: `connect` makes a new connection, as often as one ends.
    pub async fn run<F>(mut self, mut connect: impl FnMut() -> F)
    where
        F: Future<Output = anyhow::Result<Channel>>,
    {
        let mut failures = 0_usize;
        loop {
            // The control plane ends the connection of whoever asks for nothing.
            if self.discovery.names().is_empty() && self.wanted.recv().await.is_none() {
                return;
            }
            let begun = Instant::now();
            let ended = match connect().await {
                Ok(channel) => self.stream(channel).await,
                Err(error) => format!("{error:#}"),
            };
            // One that served for a while is no failure in a row.
            if begun.elapsed() > IDLE / 60 {
                failures = 0;
            }
            if failures == 0 {
                tracing::info!(reason = %ended, "the control plane is away; what is known stays");
            }
            let pause = BACK_OFF[failures.min(BACK_OFF.len() - 1)];
            failures += 1;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One stream; returns how it ended.
    async fn stream(&mut self, channel: Channel) -> String {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(LARGEST_RESPONSE);
        // The control plane answers when it has a request, so that there must be one.
        let session = Session {
            requests,
            node: Some(self.node()),
            unasked: Vec::new(),
        };
        let mut known = self.discovery.names();
        known.sort();
        let mut session = session.with(known);
        for of in [ResourceType::Secret, ResourceType::Endpoint] {
            if !session.go_on(of).await {
                return "its stream ends".to_owned();
            }
        }
        let opened = client.delta_aggregated_resources(ReceiverStream::new(receiver));
        let mut opened = std::pin::pin!(opened);
        let mut responses = None;
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                opened = &mut opened, if responses.is_none() => match opened {
                    Ok(opened) => responses = Some(opened.into_inner()),
                    Err(status) => return status.message().to_owned(),
                },
                response = next(&mut responses) => match response {
                    Ok(Some(response)) => {
                        self.discovery.take(&response);
                        let of = ResourceType::from_type_url(&response.type_url);
                        let goes_on = session.acknowledge(response).await
                            && match of {
                                Some(of) => session.go_on(of).await,
                                None => true,
                            };
                        if !goes_on {
                            return "its stream ends".to_owned();
                        }
                    }
                    Ok(None) => return "its stream ended".to_owned(),
                    Err(status) => return status.message().to_owned(),
                },
                wanted = self.wanted.recv() => {
                    // The other side is a part of this one.
                    let Some((of, name)) = wanted else { return String::new() };
                    if !session.ask(of, vec![name.to_string()], Vec::new()).await {
                        return "its stream ends".to_owned();
                    }
                },
                _ = sweep.tick() => {
                    for (of, name) in self.discovery.sweep() {
                        if !session.ask(of, Vec::new(), vec![name.to_string()]).await {
                            return "its stream ends".to_owned();
                        }
                    }
                },
            }
        }
    }

    fn node(&self) -> Node {
        Node {
            id: self.node_id.clone(),
            cluster: "isobath-authz".to_owned(),
            user_agent_name: "isobath authz".to_owned(),
            ..Default::default()
        }
    }
}

/// The next response; none comes while the stream is not open.
async fn next(
    responses: &mut Option<tonic::Streaming<DeltaDiscoveryResponse>>,
) -> Result<Option<DeltaDiscoveryResponse>, tonic::Status> {
    match responses {
        None => std::future::pending().await,
        Some(responses) => responses.message().await,
    }
}

/// The requests of one stream.
struct Session {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    /// Until it has been said.
    node: Option<Node>,
    /// What was known before the stream began and was not asked for on it yet.
    unasked: Vec<Name>,
}

impl Session {
    fn with(mut self, known: Vec<Name>) -> Self {
        self.unasked = known;
        self
    }

    /// Asks for the next batch of names of a type that were known before, if there are any.
    async fn go_on(&mut self, of: ResourceType) -> bool {
        let mut left = BATCH;
        let (batch, rest) = self.unasked.drain(..).partition(|(kind, _)| {
            let is_next = *kind == of && left > 0;
            left -= usize::from(is_next);
            is_next
        });
        self.unasked = rest;
        let batch: Vec<Name> = batch;
        let names = batch.into_iter().map(|(_, name)| name.to_string());
        let names: Vec<String> = names.collect();
        names.is_empty() || self.ask(of, names, Vec::new()).await
    }

    async fn ask(&mut self, of: ResourceType, names: Vec<String>, gone: Vec<String>) -> bool {
        let request = DeltaDiscoveryRequest {
            node: self.node.take(),
            type_url: of.type_url().to_owned(),
            resource_names_subscribe: names,
            resource_names_unsubscribe: gone,
            ..Default::default()
        };
        self.requests.send(request).await.is_ok()
    }

    async fn acknowledge(&mut self, response: DeltaDiscoveryResponse) -> bool {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..Default::default()
        };
        self.requests.send(request).await.is_ok()
    }
}

#[cfg(test)]
pub use tests::serving;

#[cfg(test)]
mod tests;
