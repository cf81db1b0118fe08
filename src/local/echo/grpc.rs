//! gRPC as far as an echo can go: the health service says that it serves, and every other method says what to do instead.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::Frame;

const CONTENT_TYPE: &str = "application/grpc";
/// `grpc.health.v1.HealthCheckResponse{status: SERVING}`, not compressed, with its length before it.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];
/// UNIMPLEMENTED.
const UNIMPLEMENTED: &str = "12";

/// Whether a request is a gRPC call.
pub fn is_call<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(CONTENT_TYPE.as_bytes()))
}

/// Answers a call.
pub fn answer(path: &str) -> Response {
    let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    match path {
        "/grpc.health.v1.Health/Check" => (content_type, Messages::one(true)).into_response(),
        "/grpc.health.v1.Health/Watch" => (content_type, Messages::one(false)).into_response(),
        _ => {
            let message = "the echo of isobath run answers grpc.health.v1.Health alone; --backend \
                           SERVICE=HOST:PORT sends calls to a program of yours";
            let status = [("grpc-status", UNIMPLEMENTED), ("grpc-message", message)];
            (content_type, status).into_response()
        }
    }
}

/// A body of one message.
struct Messages {
    frames: VecDeque<Frame<Bytes>>,
    /// Whether it ends: a watch of health goes on until the client has enough.
    ends: bool,
}

impl Messages {
    fn one(ends: bool) -> Body {
        let mut frames = VecDeque::from([Frame::data(Bytes::from_static(SERVING))]);
        if ends {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            frames.push_back(Frame::trailers(trailers));
        }
        Body::new(Self { frames, ends })
    }
}

impl hyper::body::Body for Messages {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.ends => Poll::Ready(None),
            // Nobody wakes it: the connection ends it.
            None => Poll::Pending,
        }
    }
}
