//! HTTP/2 as bytes (RFC 9113, RFC 7541): frames that a library would refuse to send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::table::LIMIT;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

/// What a connection begins with: the preface, and SETTINGS by which the server's headers come without a table.
pub(super) const BEGIN: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00";

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// One field, spelled as given and never indexed.
pub(super) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x10];
    for text in [name, value] {
        block.extend(length(text.len()));
        block.extend(text);
    }
    block
}

/// The length of a text without Huffman coding.
fn length(length: usize) -> Vec<u8> {
    const PREFIX: usize = 127;
    if length < PREFIX {
        return vec![length as u8];
    }
    let (mut bytes, mut rest) = (vec![PREFIX as u8], length - PREFIX);
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// The header block of a request without more than it must have.
pub(super) fn request(method: &str, host: &str, path: &str) -> Vec<u8> {
    [
        (":method", method),
        (":scheme", "http"),
        (":authority", host),
        (":path", path),
    ]
    .into_iter()
    .flat_map(|(name, value)| field(name.as_bytes(), value.as_bytes()))
    .collect()
}

/// HEADERS, and CONTINUATION as often as it takes.
pub(super) fn headers(stream: u32, ends_stream: bool, block: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut pieces = block.chunks(16_000).peekable();
    while let Some(piece) = pieces.next() {
        let mut flags = 0;
        if pieces.peek().is_none() {
            flags |= END_HEADERS;
        }
        let kind = if frames.is_empty() {
            flags |= u8::from(ends_stream);
            HEADERS
        } else {
            CONTINUATION
        };
        frames.extend(frame(kind, flags, stream, piece));
    }
    frames
}

/// A frame that the server sent.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The status of a response whose head this is: the first field, an index or a text.
    pub(super) fn status(&self) -> Option<u16> {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        let mut block = &self.payload[..];
        // The size of the table, now that it has one.
        while let [0x20..=0x3f, rest @ ..] = block {
            block = rest;
        }
        match *block.first()? {
            index @ 0x88..=0x8e => INDEXED.get(usize::from(index - 0x88)).copied(),
            _ => std::str::from_utf8(block.get(2..5)?).ok()?.parse().ok(),
        }
    }
}

/// Opens a connection and says [`BEGIN`].
pub(super) async fn open(address: SocketAddr) -> (Reader, Writer) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(BEGIN).await.unwrap();
    let (stream, writer) = stream.into_split();
    let received = Vec::new();
    (Reader { stream, received }, Writer(writer))
}

/// What the client says.
#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

impl Writer {
    /// Sends as much as the server takes: it may close before it has read all.
    pub(super) async fn send(&mut self, frames: &[u8]) {
        let _ = timeout(LIMIT, self.0.write_all(frames)).await;
    }
}

/// What the server says.
#[derive(Debug)]
pub(super) struct Reader {
    stream: OwnedReadHalf,
    received: Vec<u8>,
}

impl Reader {
    /// The next frame; nothing at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        const HEAD: usize = 9;
        loop {
            if let Some((head, rest)) = self.received.split_at_checked(HEAD) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let length = usize::try_from(length).unwrap();
                if let Some(payload) = rest.get(..length) {
                    let frame = Frame {
                        kind: head[3],
                        flags: head[4],
                        stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
                        payload: payload.to_vec(),
                    };
                    self.received.drain(..HEAD + length);
                    return Some(frame);
                }
            }
            let read = self.stream.read_buf(&mut self.received);
            match timeout(LIMIT, read).await.expect("the server is silent") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
