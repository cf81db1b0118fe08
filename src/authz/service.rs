//! The gRPC service on its socket: one method, `envoy.service.auth.v3.Authorization/Check`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use futures::StreamExt as _;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;

use crate::envoy::grpc_service::CLIENT_ADDRESS;
use crate::xds::transport::Listener;

use super::check::Authorizer;

const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Calls at once; more are refused at once, and so are the requests that they are about.
const AT_ONCE: usize = 1024;
/// Connections at once. Envoy has one for each of its workers.
const CONNECTIONS: usize = 256;
/// Largest call: the headers of a request, and what its route tells.
const LARGEST: usize = 1 << 20;
/// How long a call may take; less than Envoy waits.
const PATIENCE: Duration = Duration::from_secs(18);
/// How long is waited after a connection that can't be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves calls until it is dropped.
pub async fn serve(listener: Listener, authorizer: Arc<Authorizer>) {
    let calls = Arc::new(Semaphore::new(AT_ONCE));
    // They end with it.
    let mut connections = JoinSet::new();
    loop {
        let incoming = match listener.accept().await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::warn!(%error, "a connection can't be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            tracing::warn!(most = CONNECTIONS, "too many connections; one is closed");
            continue;
        }
        let (authorizer, calls) = (authorizer.clone(), calls.clone());
        connections.spawn(async move {
            let Ok(connection) = incoming.establish().await else {
                return;
            };
            let service = service_fn(move |request| {
                let (authorizer, calls) = (authorizer.clone(), calls.clone());
                async move { Ok::<_, Infallible>(call(request, &authorizer, &calls).await) }
            });
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(u32::try_from(AT_ONCE).unwrap_or(u32::MAX))
                .serve_connection(TokioIo::new(connection), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

async fn call(
    request: Request<Incoming>,
    authorizer: &Authorizer,
    calls: &Semaphore,
) -> Response<Answered> {
    let answered = async {
        if request.uri().path() != METHOD {
            return Err(Status::unimplemented("no such method"));
        }
        // Whoever floods it is refused, which is what it is for.
        let _turn = calls
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("too many calls"))?;
        let client = request.headers().get(CLIENT_ADDRESS);
        let client = client.and_then(|value| value.to_str().ok());
        let client: Option<IpAddr> = client.and_then(|text| text.parse().ok());
        let message = message(request.into_body()).await?;
        let call = CheckRequest::decode(message)
            .map_err(|_| Status::invalid_argument("the message is no CheckRequest"))?;
        let answer = timeout(PATIENCE, authorizer.check(call, client)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("nobody answered in time"))?;
        Ok(CheckResponse::from(answer))
    };
    let body = Answered::of(answered.await);
    let mut response = Response::new(body);
    let content_type = hyper::header::HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, content_type);
    response
}

/// The one message of a call, without its prefix of gRPC.
async fn message(body: Incoming) -> Result<Bytes, Status> {
    /// Whether it is compressed, and its length.
    const PREFIX: usize = 5;
    let mut bytes = BytesMut::new();
    let mut frames = axum::body::Body::new(body).into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| Status::cancelled("the call ended"))?;
        if bytes.len() + frame.len() > LARGEST {
            return Err(Status::resource_exhausted("the message is too large"));
        }
        bytes.extend_from_slice(&frame);
    }
    if bytes.len() < PREFIX || bytes[0] != 0 {
        return Err(Status::invalid_argument(
            "the message has no prefix of gRPC",
        ));
    }
    Ok(bytes.split_off(PREFIX).freeze())
}

/// The body of an answer: a message, if there is one, then how the call ended.
struct Answered {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Answered {
    fn of(result: Result<CheckResponse, Status>) -> Self {
        let (message, status) = match result {
            Ok(response) => {
                let length = response.encoded_len();
                let mut bytes = BytesMut::with_capacity(length + 5);
                bytes.put_u8(0);
                // A message of more than 4 GiB is made by nobody.
                bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
                bytes.extend_from_slice(&response.encode_to_vec());
                (Some(bytes.freeze()), Status::ok(""))
            }
            Err(status) => (None, status),
        };
        let mut trailers = HeaderMap::new();
        // It fails for a message that can't be a header, after the code, which then says enough.
        let _ = status.add_header(&mut trailers);
        Self {
            message,
            trailers: Some(trailers),
        }
    }
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}
