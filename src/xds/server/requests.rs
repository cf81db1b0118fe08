//! The body of a gRPC request: requests as "Length-Prefixed-Message"s (gRPC over HTTP/2).
//!
//! A request's memory is gone when it is decoded. tonic keeps one buffer for all requests of a stream, and its memory
//! with it: a client that has once named its thousand clusters would hold 80 KB for ever (seen in
//! `/debug/pprof/heap` under `make figures`, 1,000 clients).

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;

use bytes::{Buf, BytesMut};
use hyper::body::{Body, Incoming};
use tonic::Status;

use super::memory_limit::{OverLimit, StreamMemory, decoded};
use crate::xds::encode::PREFIX;
use crate::xds::wire::{Request, count_names};

/// The requests of one stream.
pub(super) struct Requests<T, B = Incoming> {
    body: B,
    /// What has come and is no whole message yet.
    buffer: BytesMut,
    limit: Limit,
    /// The memory of what has come, and of the request that was returned last until it is [done](Self::done).
    memory: StreamMemory,
    message: PhantomData<fn() -> T>,
}

/// What is taken of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// The longest message, in bytes.
    pub(super) bytes: usize,
    /// The longest list of names.
    pub(super) names: usize,
}

impl<T, B> Requests<T, B>
where
    T: Request,
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(body: B, limit: Limit, memory: StreamMemory) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            limit,
            memory,
            message: PhantomData,
        }
    }

    /// The next request; `None` when the client has no more. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// What the client is to be told: its connection broke, or it sent what is no request.
    pub(super) async fn message(&mut self) -> Result<Option<T>, Status> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(Some(message));
            }
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            match frame {
                Some(Ok(frame)) => {
                    // Trailers are not for requests.
                    if let Ok(data) = frame.into_data() {
                        let length = self.buffer.len() + data.remaining();
                        self.memory.set(length).map_err(over_limit)?;
                        put(&mut self.buffer, data);
                    }
                }
                Some(Err(error)) => return Err(Status::from_error(error.into())),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Status::internal("a request that ends too early")),
            }
        }
    }

    /// What the last request asked for is remembered elsewhere by now.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    pub(super) fn done(&mut self) -> Result<(), Status> {
        self.memory.set(self.buffer.len()).map_err(over_limit)
    }

    /// The first message of the buffer, if it is whole.
    fn whole(&mut self) -> Result<Option<T>, Status> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(Status::unimplemented("a request that is compressed"));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > self.limit.bytes {
            return Err(Status::out_of_range(format!(
                "a request of {length} bytes, where {} may be",
                self.limit.bytes
            )));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let is_no_request = |error: prost::DecodeError| Status::internal(error.to_string());
        // Before anything is decoded: what a name takes in memory has little to do with its bytes here.
        let names = count_names(message, T::LISTS).map_err(is_no_request)?;
        if names.of_longest_list > self.limit.names {
            return Err(Status::resource_exhausted(format!(
                "a request of {} names, where {} may be",
                names.of_longest_list, self.limit.names
            )));
        }
        let bytes = decoded(names.all, self.buffer.len());
        self.memory.set(bytes).map_err(over_limit)?;
        let message = T::decode(message).map_err(is_no_request)?;
        self.buffer.advance(PREFIX + length);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }
}

pub(super) fn over_limit(over_limit: OverLimit) -> Status {
    Status::resource_exhausted(over_limit.to_string())
}

fn put(buffer: &mut BytesMut, mut data: impl Buf) {
    while data.has_remaining() {
        let chunk = data.chunk();
        buffer.extend_from_slice(chunk);
        let length = chunk.len();
        data.advance(length);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::Frame;
    use prometheus_client::registry::Registry;
    use proptest::prelude::*;
    use prost::Message as _;
    use tonic::Code;

    use super::*;
    use crate::xds::Metrics;
    use crate::xds::encode::Message;
    use crate::xds::server::body;
    use crate::xds::server::memory_limit::MemoryLimit;
    use crate::xds::server::streams::Streams;
    use crate::xds::transport::Peer;
    use crate::xds::wire::{DeltaDiscoveryRequest, Node};

    impl Request for Node {
        const LISTS: &'static [u32] = &[];
    }

    fn node(length: usize) -> Node {
        Node {
            id: "n".repeat(length),
            ..Node::default()
        }
    }

    const LIMIT: Limit = Limit {
        bytes: 400,
        names: 10,
    };

    fn memory() -> StreamMemory {
        let memory_limit = MemoryLimit::new(Metrics::register(&mut Registry::default()));
        memory_limit.enter(Peer::Process(None), Streams::default())
    }

    /// What [`body::Body`] makes of these messages.
    async fn encoded(nodes: &[Node]) -> Bytes {
        let message = |node: &Node| {
            let node = node.encode_to_vec();
            let length = u32::try_from(node.len()).unwrap().to_be_bytes();
            let prefix = [0].into_iter().chain(length).collect();
            Ok::<Message, Status>(vec![prefix, node.into()])
        };
        let messages: Vec<_> = nodes.iter().map(message).collect();
        let body = body::Body::new(Box::pin(futures::stream::iter(messages)));
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        collected.to_bytes()
    }

    async fn received<T: Request>(chunks: Vec<Bytes>) -> (Vec<T>, Option<Status>) {
        let frames = chunks
            .into_iter()
            .map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        let body = StreamBody::new(futures::stream::iter(frames));
        let mut requests = Requests::new(body, LIMIT, memory());
        let mut nodes = Vec::new();
        loop {
            match requests.message().await {
                Ok(Some(node)) => nodes.push(node),
                Ok(None) => return (nodes, None),
                Err(status) => return (nodes, Some(status)),
            }
            if requests.buffer.is_empty() {
                assert_eq!(requests.buffer.capacity(), 0, "memory of a decoded request");
            }
        }
    }

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    proptest! {
        #[test]
        fn however_it_is_cut(
            lengths in prop::collection::vec(0..300_usize, 0..8),
            cuts in prop::collection::vec(1..200_usize, 1..20),
        ) {
            let nodes: Vec<Node> = lengths.into_iter().map(node).collect();
            let (received, end) = run(async {
                let mut bytes = encoded(&nodes).await;
                let mut chunks = Vec::new();
                for cut in cuts.iter().cycle() {
                    if bytes.is_empty() {
                        break;
                    }
                    chunks.push(bytes.split_to((*cut).min(bytes.len())));
                }
                received::<Node>(chunks).await
            });
            prop_assert_eq!(received, nodes);
            prop_assert!(end.is_none());
        }
    }

    /// The bytes of a body, and the code of its end.
    fn check(bytes: &[u8], messages: usize, code: Code) {
        let (nodes, end) = run(received::<Node>(vec![Bytes::copy_from_slice(bytes)]));
        assert_eq!((nodes.len(), end.unwrap().code()), (messages, code));
    }

    /// Refused before one of them is decoded, in any of the lists.
    #[test]
    fn too_many_names_end_the_stream() {
        let names = |count: usize| vec![String::new(); count];
        for (subscribe, unsubscribe, claimed) in [(11, 0, 0), (0, 11, 0), (0, 0, 11), (10, 10, 10)]
        {
            let request = DeltaDiscoveryRequest {
                resource_names_subscribe: names(subscribe),
                resource_names_unsubscribe: names(unsubscribe),
                initial_resource_versions: (0..claimed)
                    .map(|n| (n.to_string(), String::new()))
                    .collect(),
                ..DeltaDiscoveryRequest::default()
            };
            let mut bytes = vec![0];
            bytes.extend(u32::try_from(request.encoded_len()).unwrap().to_be_bytes());
            bytes.extend(request.encode_to_vec());
            let (requests, end) = run(received::<DeltaDiscoveryRequest>(vec![bytes.into()]));
            let code = end.map(|end| end.code());
            if subscribe == 10 {
                assert_eq!((requests.len(), code), (1, None));
            } else {
                assert_eq!((requests.len(), code), (0, Some(Code::ResourceExhausted)));
            }
        }
    }

    /// Nor is one of them decoded if they are more than all clients may name together.
    #[test]
    fn what_is_over_the_limit_is_not_decoded() {
        let check = |names: usize, expected: Option<Code>| {
            let mut bytes = vec![0];
            bytes.extend(u32::try_from(2 * names).unwrap().to_be_bytes());
            bytes.extend([0x1a, 0].repeat(names));
            let limit = Limit {
                bytes: usize::MAX,
                names: usize::MAX,
            };
            let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(bytes)))];
            let body = StreamBody::new(futures::stream::iter(frames));
            let mut requests = Requests::<DeltaDiscoveryRequest, _>::new(body, limit, memory());
            let end = run(requests.message()).err();
            assert_eq!(end.map(|end| end.code()), expected, "{names} names");
        };
        check(1000, None);
        check(3_000_000, Some(Code::ResourceExhausted));
    }

    #[test]
    fn what_is_no_request_ends_the_stream() {
        check(&[0, 0, 0], 0, Code::Internal);
        check(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1], 1, Code::Internal);
        check(&[1, 0, 0, 0, 0], 0, Code::Unimplemented);
        // Refused before its bytes have come.
        check(&[0, 0, 0, 1, 0x91], 0, Code::OutOfRange);
        check(&[0, 0xff, 0xff, 0xff, 0xff], 0, Code::OutOfRange);
        check(&[0, 0, 0, 0, 1, 0xff], 0, Code::Internal);
    }
}
