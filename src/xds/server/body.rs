//! The body of a gRPC response: responses as "Length-Prefixed-Message"s, then the status as trailers (gRPC over HTTP/2).
//!
//! Each response has memory of its own, which is gone when HTTP/2 has sent it. tonic encodes all responses of a stream
//! into one buffer, whose memory it takes again for the next: a client that holds everything and waits for changes would
//! keep its largest response in memory for ever, 630 KB at 1,000 hosts (seen in `/debug/pprof/heap` under `make figures`,
//! 1,000 clients).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::HeaderMap;
use hyper::body::Frame;
use prost::Message;
use tonic::Status;

/// Before each message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The responses of one stream.
pub(super) struct Body<T> {
    /// `None` after the trailers.
    responses: Option<BoxStream<'static, Result<T, Status>>>,
}

impl<T> Body<T> {
    pub(super) fn new(responses: BoxStream<'static, Result<T, Status>>) -> Self {
        Self {
            responses: Some(responses),
        }
    }
}

impl<T: Message> hyper::body::Body for Body<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(responses) = &mut self.responses else {
            return Poll::Ready(None);
        };
        let next = ready!(responses.poll_next_unpin(context));
        let frame = next
            .unwrap_or_else(|| Err(Status::ok("")))
            .and_then(message);
        Poll::Ready(Some(Ok(frame.unwrap_or_else(|end| {
            self.responses = None;
            Frame::trailers(trailers(&end))
        }))))
    }
}

/// A message in memory of just its size.
fn message<T: Message>(response: T) -> Result<Frame<Bytes>, Status> {
    let length = response.encoded_len();
    let prefix =
        u32::try_from(length).map_err(|_| Status::out_of_range("a response of more than 4 GiB"))?;
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(prefix);
    response
        .encode(&mut bytes)
        .map_err(|error| Status::internal(error.to_string()))?;
    Ok(Frame::data(bytes.into()))
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // It fails for a message that can't be a header, after the code, which then says enough.
    let _ = status.add_header(&mut trailers);
    trailers
}
