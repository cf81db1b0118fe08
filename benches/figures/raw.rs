//! gRPC messages as bytes: neither the client nor the null control plane pays for what it does not look at.

use std::convert::Infallible;
use std::path::Path;

use anyhow::Result;
use bytes::{Buf as _, BufMut as _, Bytes};
use futures::future::{Ready, ready};
use futures::stream::BoxStream;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, StreamingService};
use tonic::{Request, Response, Status, Streaming};

/// What a server answers on a stream.
pub type Responses = BoxStream<'static, Result<Bytes, Status>>;

pub const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

pub const SOTW: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// A codec that copies.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Serves streams on a Unix socket until the task is aborted: each is answered as `begin` says.
pub fn serve(
    socket: &Path,
    begin: impl Fn(Streaming<Bytes>) -> Responses + Clone + Send + Sync + 'static,
) -> Result<JoinHandle<()>> {
    let listener = UnixListener::bind(socket)?;
    Ok(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((connection, _)) = listener.accept().await {
            let begin = begin.clone();
            connections.spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let service = Service(begin.clone());
                    async move {
                        Ok::<_, Infallible>(Grpc::new(Raw).streaming(service, request).await)
                    }
                });
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            });
        }
    }))
}

struct Service<F>(F);

impl<F: Fn(Streaming<Bytes>) -> Responses> StreamingService<Bytes> for Service<F> {
    type Response = Bytes;
    type ResponseStream = Responses;
    type Future = Ready<Result<Response<Responses>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(self.0(request.into_inner()))))
    }
}
