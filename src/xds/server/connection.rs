//! One connection: HTTP/2 and the two methods of the aggregated discovery service, all in the task that calls.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use tonic::metadata::GRPC_CONTENT_TYPE;

use super::body::Body;
use super::requests::{Limit, Requests};
use super::session::Session;
use super::shared::Shared;
use super::streams::Streams;
use crate::xds::delta::Delta;
use crate::xds::message::Protocol;
use crate::xds::sotw::Sotw;
use crate::xds::stream::Stream;
use crate::xds::transport::{Connection, Peer};

/// What is taken of one request. tonic's default of 4 MiB is the cause of endless reconnects with other servers.
const REQUEST_LIMIT: Limit = Limit {
    bytes: Stream::NAME_BYTES,
    names: Stream::NAMES,
};

/// How much of requests is taken from the network before it is read: bounds what a flood can make us hold.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// Envoy uses one stream; the rest is for people with tools.
const STREAMS: u32 = 16;

/// A peer that is gone without a word is noticed after at most the sum of these.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may be without a stream that has had a request. One that never says a word, not even HTTP/2's
/// preface, would be there for ever. Envoy asks as soon as it is connected, and connects again when it has to.
const SILENCE: Duration = Duration::from_secs(60);

const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const SOTW: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// hyper's streams become work of the connection's own task instead of tasks that nobody owns. At most `STREAMS` wait in
/// here for the task to take them.
#[derive(Clone, Default)]
struct Executor(Arc<Mutex<Vec<Work>>>);

impl Executor {
    /// Nothing panics while this is locked.
    fn lock(&self) -> MutexGuard<'_, Vec<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        self.lock().push(Box::pin(async move {
            future.await;
        }));
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By the client, in order.
    Closed,
    /// Here, because the client asked for nothing for too long.
    Silent,
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    connection: Connection,
    peer: Peer,
    shared: Shared,
    streams: Streams,
) -> Result<Ended, hyper::Error> {
    let executor = Executor::default();
    let service = {
        let streams = streams.clone();
        hyper::service::service_fn(move |request| {
            let response = answer(request, peer, &shared, &streams);
            async { Ok::<_, Infallible>(response) }
        })
    };
    let mut builder = hyper::server::conn::http2::Builder::new(executor.clone());
    let connection = builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .serve_connection(TokioIo::new(connection), service);
    let mut connection = std::pin::pin!(connection);
    let mut work: FuturesUnordered<Work> = FuturesUnordered::new();
    let mut silence = std::pin::pin!(tokio::time::sleep(SILENCE));
    let mut is_silent = true;
    poll_fn(|context| {
        loop {
            // What the streams have to say goes to HTTP/2 before HTTP/2 is asked to write.
            while let Poll::Ready(Some(())) = work.poll_next_unpin(context) {}
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended.map(|()| Ended::Closed));
            }
            let handed_over = std::mem::take(&mut *executor.lock());
            if handed_over.is_empty() {
                break;
            }
            work.extend(handed_over);
        }
        if streams.is_any() {
            is_silent = false;
            return Poll::Pending;
        }
        if !std::mem::replace(&mut is_silent, true) {
            silence.as_mut().reset(Instant::now() + SILENCE);
        }
        silence.as_mut().poll(context).map(|()| Ok(Ended::Silent))
    })
    .await
}

fn answer(
    request: http::Request<Incoming>,
    peer: Peer,
    shared: &Shared,
    streams: &Streams,
) -> http::Response<tonic::body::Body> {
    match request.uri().path() {
        DELTA => begin::<Delta>(request, peer, shared, streams),
        SOTW => begin::<Sotw>(request, peer, shared, streams),
        _ => tonic::Status::unimplemented("Isobath serves the aggregated discovery service only")
            .into_http(),
    }
}

/// One method of the service, without tonic's own frame around it: the generated service knows the generated messages
/// only, and see [`Body`] and [`Requests`].
fn begin<P: Protocol>(
    request: http::Request<Incoming>,
    peer: Peer,
    shared: &Shared,
    streams: &Streams,
) -> http::Response<tonic::body::Body> {
    let memory = || shared.memory_limit.enter(peer, streams.clone());
    let requests = Requests::new(request.into_body(), REQUEST_LIMIT, memory());
    match Session::<P>::begin(requests, memory(), shared, streams.clone()) {
        Err(status) => status.into_http(),
        Ok(session) => {
            let body = Body::new(session.responses().boxed());
            let mut response = http::Response::new(tonic::body::Body::new(body));
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
            response
        }
    }
}
