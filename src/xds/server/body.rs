//! The body of a gRPC response: responses as messages with their length, then the status as trailers (gRPC over HTTP/2).
//!
//! Each response has memory of its own, which is gone when HTTP/2 has sent it. tonic encodes all responses of a stream
//! into one buffer, whose memory it takes again for the next: a client that holds everything and waits for changes would
//! keep its largest response in memory for ever, 630 KB at 1,000 hosts (seen in `/debug/pprof/heap` under `make figures`,
//! 1,000 clients).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::HeaderMap;
use hyper::body::Frame;
use tonic::Status;

use crate::xds::encode::Message;

/// The responses of one stream.
pub(super) struct Body {
    /// `None` after the trailers.
    responses: Option<BoxStream<'static, Result<Message, Status>>>,
    /// What is left of one.
    rest: std::vec::IntoIter<Bytes>,
}

impl Body {
    pub(super) fn new(responses: BoxStream<'static, Result<Message, Status>>) -> Self {
        Self {
            responses: Some(responses),
            rest: Vec::new().into_iter(),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.rest.next() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(responses) = &mut self.responses else {
                return Poll::Ready(None);
            };
            let next = ready!(responses.poll_next_unpin(context));
            match next.unwrap_or_else(|| Err(Status::ok(""))) {
                Ok(message) => self.rest = message.into_iter(),
                Err(end) => {
                    self.responses = None;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(&end)))));
                }
            }
        }
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // It fails for a message that can't be a header, after the code, which then says enough.
    let _ = status.add_header(&mut trailers);
    trailers
}
