//! A delta ADS proxy between Isobath and Envoy that rewrites resources on their way. To Isobath it is an Envoy that
//! finds something else in them, to Envoy it is another build of Isobath: one that renders what Envoy refuses, that
//! spells its references otherwise, or that has one more filter.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::service::discovery::v3 as pb;
use futures::{Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use pb::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use pb::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status, Streaming};

/// What becomes of a resource: its type URL, its name and its bytes in, other bytes out. It has to be a function of
/// these: what does not change must not change on the way either.
pub(crate) type Rewrite = dyn Fn(&str, &str, Vec<u8>) -> Vec<u8> + Send + Sync;

/// A refusal that went by.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The type that was refused.
    pub(crate) type_url: String,
    /// What Envoy said.
    pub(crate) message: String,
}

/// A running proxy; dropping it closes its socket.
#[derive(Debug)]
pub(crate) struct XdsProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: PathBuf,
    rewrite: Mutex<Arc<Rewrite>>,
    refusals: Mutex<Vec<Refusal>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl XdsProxy {
    /// Listens in this directory, for the xDS server on the socket `server`. Nothing is rewritten yet.
    pub(crate) fn start(directory: &Path, server: &Path) -> Self {
        let socket = directory.join("proxy.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            rewrite: Mutex::new(Arc::new(|_, _, bytes| bytes)),
            refusals: Mutex::default(),
        });
        let service = AggregatedDiscoveryServiceServer::new(Proxy(shared.clone()))
            .max_decoding_message_size(64 << 20);
        let router = axum::Router::new().fallback_service(service);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            socket,
            shared,
            task,
        }
    }

    /// Where Envoy connects.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on rewrites so. What Envoy has already it keeps.
    pub(crate) fn rewrite(
        &self,
        rewrite: impl Fn(&str, &str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) {
        *self.shared.rewrite.lock().unwrap() = Arc::new(rewrite);
    }

    /// What Envoy has refused so far.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.shared.refusals.lock().unwrap().clone()
    }
}

impl Drop for XdsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Proxy(Arc<Shared>);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Proxy {
    type StreamAggregatedResourcesStream = Responses<pb::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<pb::DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<pb::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("the bootstrap asks for delta"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<pb::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let shared = self.0.clone();
        let server = shared.server.clone();
        // As with a server that is not there: Envoy tries again.
        let channel = Endpoint::from_static("http://isobath")
            .connect_with_connector(tower::service_fn(move |_| {
                let server = server.clone();
                async move { UnixStream::connect(server).await.map(TokioIo::new) }
            }))
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let seen = shared.clone();
        let requests = request.into_inner().filter_map(move |request| {
            if let Ok(request) = &request
                && let Some(status) = &request.error_detail
            {
                seen.refusals.lock().unwrap().push(Refusal {
                    type_url: request.type_url.clone(),
                    message: status.message.clone(),
                });
            }
            std::future::ready(request.ok())
        });
        let responses = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(256 << 20)
            .delta_aggregated_resources(requests)
            .await?
            .into_inner();
        let rewritten = responses.map(move |response| {
            let mut response = response?;
            let rewrite = shared.rewrite.lock().unwrap().clone();
            for resource in &mut response.resources {
                if let Some(any) = &mut resource.resource {
                    let bytes = std::mem::take(&mut any.value);
                    any.value = rewrite(&response.type_url, &resource.name, bytes);
                }
            }
            Ok(response)
        });
        Ok(Response::new(Box::pin(rewritten)))
    }
}
