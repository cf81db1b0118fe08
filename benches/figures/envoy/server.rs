//! A delta ADS server for resources of any type. It orders nothing and holds nothing back: what Envoy is told, and
//! when, is the experiment's affair.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::stream::StreamExt as _;
use isobath::xds::wire::{Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::raw::{Responses, serve};

/// The types, in the order of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Cluster,
    Endpoint,
    Extension,
    Listener,
    FilterChain,
    Scope,
    Route,
    Secret,
}

const TYPES: [(Type, &str); 8] = [
    (
        Type::Cluster,
        "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    ),
    (
        Type::Endpoint,
        "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    ),
    (
        Type::Extension,
        "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
    ),
    (
        Type::Listener,
        "type.googleapis.com/envoy.config.listener.v3.Listener",
    ),
    (
        Type::FilterChain,
        "type.googleapis.com/envoy.config.listener.v3.FilterChain",
    ),
    (
        Type::Scope,
        "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
    ),
    (
        Type::Route,
        "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    ),
    (
        Type::Secret,
        "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
    ),
];

type Key = (Type, String);

/// A running server. It and its connections end when it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    flushed: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    resources: BTreeMap<Key, Bytes>,
    /// Keys in the order in which they were written.
    log: Vec<Key>,
    /// Names that the last stream is subscribed to, and does not take back.
    asked: BTreeSet<Key>,
    refusals: Vec<String>,
    /// Whether the last stream has something that is not sent or not acknowledged.
    busy: bool,
}

impl Server {
    pub fn start(socket: &Path) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            flushed: watch::Sender::new(0),
        });
        let of_streams = shared.clone();
        let task = serve(socket, move |requests| {
            Session::begin(requests, &of_streams)
        })?;
        Ok(Self { shared, task })
    }

    /// Writes a resource, to be sent with the next flush.
    pub fn put(&self, of: Type, name: &str, bytes: Bytes) {
        let mut state = self.shared.state.lock().unwrap();
        let key = (of, name.to_owned());
        state.resources.insert(key.clone(), bytes);
        state.log.push(key);
    }

    /// Sends what was written since the last flush.
    pub fn flush(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.busy = true;
        self.shared.flushed.send_replace(state.log.len());
    }

    /// Waits until the client has acknowledged everything; a refusal is an error.
    pub async fn settled(&self) -> Result<()> {
        for _ in 0..60_000 {
            {
                let state = self.shared.state.lock().unwrap();
                ensure!(state.refusals.is_empty(), "refused: {:?}", state.refusals);
                if !state.busy {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("no acknowledgement within a minute")
    }

    /// How many names of a type the client is subscribed to.
    pub fn asked(&self, of: Type) -> usize {
        let state = self.shared.state.lock().unwrap();
        state.asked.iter().filter(|(asked, _)| *asked == of).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    requests: tonic::Streaming<Bytes>,
    flushed: watch::Receiver<usize>,
    shared: Arc<Shared>,
    /// How much of the log is read.
    read: usize,
    wildcards: BTreeSet<Type>,
    due: BTreeSet<Key>,
    pending: BTreeSet<Type>,
    nonce: u64,
}

impl Session {
    fn begin(requests: tonic::Streaming<Bytes>, shared: &Arc<Shared>) -> Responses {
        let mut flushed = shared.flushed.subscribe();
        let read = *flushed.borrow_and_update();
        shared.state.lock().unwrap().asked.clear();
        let session = Self {
            requests,
            flushed,
            shared: shared.clone(),
            read,
            wildcards: BTreeSet::new(),
            due: BTreeSet::new(),
            pending: BTreeSet::new(),
            nonce: 0,
        };
        futures::stream::try_unfold(session, Self::next).boxed()
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>, tonic::Status> {
        loop {
            if let Some(bytes) = self.response() {
                return Ok(Some((bytes, self)));
            }
            tokio::select! {
                request = self.requests.message() => match request? {
                    Some(request) => self.take(request)?,
                    None => return Ok(None),
                },
                changed = self.flushed.changed() => {
                    changed.map_err(|_| tonic::Status::unavailable("the server ended"))?;
                    let end = *self.flushed.borrow_and_update();
                    let state = self.shared.state.lock().unwrap();
                    for key in &state.log[self.read..end] {
                        if self.wildcards.contains(&key.0) || state.asked.contains(key) {
                            self.due.insert(key.clone());
                        }
                    }
                    self.read = end;
                }
            }
        }
    }

    fn take(&mut self, request: Bytes) -> Result<(), tonic::Status> {
        let request = DeltaDiscoveryRequest::decode(request)
            .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
        let Some((of, _)) = TYPES.iter().find(|(_, url)| *url == request.type_url) else {
            return Err(tonic::Status::invalid_argument(request.type_url));
        };
        let mut state = self.shared.state.lock().unwrap();
        if let Some(error) = request.error_detail {
            state.refusals.push(error.message);
        }
        if !request.response_nonce.is_empty() {
            self.pending.remove(of);
        } else if request.resource_names_subscribe.is_empty()
            || request.resource_names_subscribe == ["*"]
        {
            self.wildcards.insert(*of);
            let all = state.resources.keys().filter(|(each, _)| each == of);
            self.due.extend(all.cloned());
        }
        for name in request.resource_names_subscribe {
            if name != "*" {
                state.asked.insert((*of, name.clone()));
                self.due.insert((*of, name));
            }
        }
        for name in request.resource_names_unsubscribe {
            state.asked.remove(&(*of, name.clone()));
            self.due.remove(&(*of, name));
        }
        Ok(())
    }

    fn response(&mut self) -> Option<Bytes> {
        let mut state = self.shared.state.lock().unwrap();
        let free = |of: &Type| !self.pending.contains(of);
        let Some((of, url)) = TYPES
            .iter()
            .find(|(of, _)| free(of) && self.due.iter().any(|(due, _)| due == of))
        else {
            state.busy = !self.pending.is_empty() || self.read < state.log.len();
            return None;
        };
        let mut response = DeltaDiscoveryResponse {
            type_url: (*url).to_owned(),
            ..DeltaDiscoveryResponse::default()
        };
        let (sent, later) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(due, _)| due == of);
        self.due = later;
        let sent: BTreeSet<Key> = sent;
        for key in sent {
            match state.resources.get(&key) {
                None => response.removed_resources.push(key.1),
                Some(bytes) => response.resources.push(Resource {
                    version: self.nonce.to_string(),
                    resource: Some(Any {
                        type_url: (*url).to_owned(),
                        value: bytes.clone(),
                    }),
                    name: key.1,
                }),
            }
        }
        self.nonce += 1;
        response.nonce = self.nonce.to_string();
        self.pending.insert(*of);
        state.busy = true;
        Some(response.encode_to_vec().into())
    }
}
