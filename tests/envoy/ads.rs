//! The smallest delta ADS server that gives Envoy the bytes under test, and remembers what Envoy refused. It is no
//! model for the real one (`isobath::xds`), on which these tests must not depend.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use futures::Stream;
use isobath::xds::ResourceType;
use pb::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Encoded resources by type and name.
pub type Resources = BTreeMap<(ResourceType, String), Bytes>;

/// What Envoy refused, in its words.
pub type Refusals = Arc<Mutex<Vec<String>>>;

/// Serves whatever the sender last put in, on a Unix socket, until the runtime ends.
pub fn serve(socket: &Path, resources: Resources) -> (watch::Sender<Resources>, Refusals) {
    let (sender, receiver) = watch::channel(resources);
    let refusals = Refusals::default();
    let service = AggregatedDiscoveryServiceServer::new(Ads {
        resources: receiver,
        refusals: refusals.clone(),
    });
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let router = axum::Router::new().fallback_service(service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (sender, refusals)
}

struct Ads {
    resources: watch::Receiver<Resources>,
    refusals: Refusals,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
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
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(talk(
            request.into_inner(),
            self.resources.clone(),
            self.refusals.clone(),
            sender,
        ));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

async fn talk(
    mut requests: Streaming<pb::DeltaDiscoveryRequest>,
    mut resources: watch::Receiver<Resources>,
    refusals: Refusals,
    responses: mpsc::Sender<Result<pb::DeltaDiscoveryResponse, Status>>,
) {
    let mut names: BTreeMap<ResourceType, BTreeSet<String>> = BTreeMap::new();
    let mut sent = resources.borrow_and_update().clone();
    loop {
        tokio::select! {
            request = requests.message() => {
                let Ok(Some(request)) = request else { return };
                if let Some(error) = request.error_detail {
                    refusals.lock().unwrap().push(error.message);
                }
                let resource_type = ResourceType::from_type_url(&request.type_url).unwrap();
                let first = !names.contains_key(&resource_type);
                let subscribed = names.entry(resource_type).or_default();
                subscribed.extend(request.resource_names_subscribe.iter().cloned());
                let asked: BTreeSet<String> = if first && resource_type.has_wildcard() {
                    sent.keys().filter(|(t, _)| *t == resource_type).map(|(_, name)| name.clone()).collect()
                } else {
                    request.resource_names_subscribe.into_iter().collect()
                };
                if first || !asked.is_empty() {
                    let _ = responses.send(Ok(response(resource_type, asked, &sent))).await;
                }
            }
            changed = resources.changed() => {
                if changed.is_err() { return }
                let new = resources.borrow_and_update().clone();
                for resource_type in ResourceType::ALL {
                    let differing: BTreeSet<String> = sent.keys().chain(new.keys())
                        .filter(|key| key.0 == resource_type && sent.get(key) != new.get(key))
                        .map(|(_, name)| name.clone())
                        .filter(|name| resource_type.has_wildcard() || names.get(&resource_type).is_some_and(|n| n.contains(name)))
                        .collect();
                    if !differing.is_empty() {
                        let _ = responses.send(Ok(response(resource_type, differing, &new))).await;
                    }
                }
                sent = new;
            }
        }
    }
}

fn response(
    resource_type: ResourceType,
    names: BTreeSet<String>,
    resources: &Resources,
) -> pb::DeltaDiscoveryResponse {
    let mut response = pb::DeltaDiscoveryResponse {
        type_url: resource_type.type_url().to_owned(),
        nonce: "nonce".to_owned(),
        ..Default::default()
    };
    for name in names {
        match resources.get(&(resource_type, name.clone())) {
            Some(bytes) => response.resources.push(pb::Resource {
                name,
                version: format!("{:x}", xxhash_rust::xxh3::xxh3_64(bytes)),
                resource: Some(Any {
                    type_url: resource_type.type_url().to_owned(),
                    value: bytes.to_vec(),
                }),
                ..Default::default()
            }),
            None => response.removed_resources.push(name),
        }
    }
    response
}
