//! Messages on their way into and out of a gRPC stream.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use crate::xds::message::Protocol;

/// From how many bytes on a buffer is handed over before more is put into it: tonic's own value.
const HAND_OVER: usize = 32 * 1024;

/// As tonic's codec, with a buffer for each response that has its size. tonic's begins with 8 KiB, grows by doubling, and
/// what it has in excess keeps all of it alive until the next response: for a client that holds everything and waits for
/// changes that is the largest response it was ever sent, most of the memory of a stream (`make figures`, 1,000 clients).
pub(super) struct Codec<P>(PhantomData<fn() -> P>);

impl<P> Default for Codec<P> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<P> fmt::Debug for Codec<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl<P: Protocol> tonic::codec::Codec for Codec<P> {
    type Encode = P::Response;
    type Decode = P::Request;
    type Encoder = ExactEncoder<P::Response>;
    type Decoder = ProstDecoder<P::Request>;

    fn encoder(&mut self) -> Self::Encoder {
        ExactEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

/// Encodes a response into exactly as much new memory as it needs.
pub(super) struct ExactEncoder<T>(PhantomData<fn() -> T>);

impl<T: Message> Encoder for ExactEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, response: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(response.encoded_len());
        response
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(0, HAND_OVER)
    }
}
