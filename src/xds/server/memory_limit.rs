//! A limit for the memory that all clients together can make the server use, checked before the memory is used.
//!
//! A stream is charged for names of resources that do not exist, and for requests while they are decoded: a client alone
//! decides how much that is. Subscriptions to resources that exist are free, so that a fleet may subscribe to all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::log_limit::LogLimit;
use super::streams::Streams;
use crate::xds::Metrics;
use crate::xds::transport::Peer;

/// For all streams together, in bytes of memory.
const LIMIT: usize = 256 << 20;

/// What the name of a resource that does not exist takes beside its own bytes: an entry in each of the maps that have it,
/// and the placeholder that is sent (500 with its bytes: `tests/soak/names.rs`).
const PER_REMEMBERED_NAME: usize = 512;

/// What any name takes beside its own bytes while its request is decoded.
const PER_DECODED_NAME: usize = 128;

/// Memory for so many names, of so many bytes, of resources that do not exist.
pub(super) fn remembered((names, bytes): (usize, usize)) -> usize {
    names
        .saturating_mul(PER_REMEMBERED_NAME)
        .saturating_add(bytes)
}

/// Memory for decoding a request of so many names and bytes.
pub(super) fn decoded(names: usize, bytes: usize) -> usize {
    names.saturating_mul(PER_DECODED_NAME).saturating_add(bytes)
}

/// The limit and what all streams use of it. Clones share the usage.
#[derive(Clone, Debug)]
pub(super) struct MemoryLimit {
    usage: Arc<Mutex<Usage>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Usage {
    total: usize,
    last: u64,
    streams: BTreeMap<u64, StreamUsage>,
    log: LogLimit,
}

#[derive(Debug)]
struct StreamUsage {
    peer: Peer,
    connection: Streams,
    bytes: usize,
}

/// What one stream uses of the limit, until it is dropped.
#[derive(Debug)]
pub(super) struct StreamMemory {
    limit: MemoryLimit,
    number: u64,
    bytes: usize,
}

/// The limit is exceeded, and this client uses the most of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what all clients have named is more than this server remembers, and this client named the most of it"
)]
pub(super) struct OverLimit;

impl Usage {
    /// The stream to end when the limit is exceeded: the largest of the peer that uses most, the newest of several.
    fn largest(&self) -> Option<u64> {
        let mut of_peers: BTreeMap<Peer, usize> = BTreeMap::new();
        for stream in self.streams.values() {
            *of_peers.entry(stream.peer).or_default() += stream.bytes;
        }
        let (peer, _) = of_peers.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let of_peer = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.peer == peer);
        let (number, _) = of_peer.max_by_key(|(number, stream)| (stream.bytes, **number))?;
        Some(*number)
    }

    fn take(&mut self, number: u64) -> Option<StreamUsage> {
        let stream = self.streams.remove(&number)?;
        self.total -= stream.bytes;
        Some(stream)
    }
}

impl MemoryLimit {
    /// A limit of which nothing is used.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            usage: Arc::default(),
            metrics,
        }
    }

    /// A new stream of this peer's connection, which uses nothing yet.
    pub(super) fn enter(&self, peer: Peer, connection: Streams) -> StreamMemory {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.last += 1;
        let number = usage.last;
        let stream = StreamUsage {
            peer,
            connection,
            bytes: 0,
        };
        usage.streams.insert(number, stream);
        StreamMemory {
            limit: self.clone(),
            number,
            bytes: 0,
        }
    }

    fn account(&self, number: u64, bytes: usize) -> Result<(), OverLimit> {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = &mut *usage;
        // It was ended by another stream's check, and its connection is about to close.
        let stream = usage.streams.get_mut(&number).ok_or(OverLimit)?;
        usage.total = usage.total - stream.bytes + bytes;
        stream.bytes = bytes;
        while usage.total > LIMIT {
            let Some((evicted, stream)) = usage
                .largest()
                .and_then(|evicted| Some((evicted, usage.take(evicted)?)))
            else {
                break;
            };
            self.metrics.heavy_stream();
            if let Some(more) = usage.log.allow(Instant::now()) {
                tracing::warn!(
                    client = %stream.peer, bytes = stream.bytes, more,
                    "an xDS stream was ended: clients have named more than {LIMIT} bytes of what does not exist, and this one \
                     the most"
                );
            }
            if evicted == number {
                return Err(OverLimit);
            }
            stream.connection.close();
        }
        Ok(())
    }
}

impl StreamMemory {
    /// The stream uses so much now.
    ///
    /// # Errors
    ///
    /// If the limit is exceeded, and this stream has to end.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), OverLimit> {
        if bytes == self.bytes {
            return Ok(());
        }
        self.bytes = bytes;
        self.limit.account(self.number, bytes)
    }
}

impl Drop for StreamMemory {
    fn drop(&mut self) {
        let mut usage = self
            .limit
            .usage
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        usage.take(self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use futures::FutureExt as _;
    use prometheus_client::registry::Registry;

    use super::*;

    /// Steps: a stream, as the letter of its peer and a number, and what it uses, in eighths of the limit. Then the streams
    /// that were ended: `!` by a status, else by closing the connection.
    fn check(steps: &[(&str, usize)], expected: &[&str]) {
        let mut registry = Registry::default();
        let limit = MemoryLimit::new(Metrics::register(&mut registry));
        let mut streams: BTreeMap<&str, (Streams, StreamMemory)> = BTreeMap::new();
        let mut ended: Vec<String> = Vec::new();
        for (name, eighths) in steps {
            let (_, memory) = streams.entry(name).or_insert_with(|| {
                let connection = Streams::default();
                let peer = Peer::Process(Some(name.as_bytes()[0].into()));
                (connection.clone(), limit.enter(peer, connection))
            });
            if memory.set(eighths * (LIMIT / 8)) == Err(OverLimit) {
                ended.push(format!("{name}!"));
                streams.remove(name);
            }
            let usage = limit.usage.lock().unwrap();
            let sum: usize = usage.streams.values().map(|stream| stream.bytes).sum();
            assert_eq!(usage.total, sum);
            assert!(sum <= LIMIT, "{name} {eighths}");
            drop(usage);
            streams.retain(|name, (connection, _)| {
                let is_closed = connection.closed().now_or_never().is_some();
                if is_closed {
                    ended.push((*name).to_owned());
                }
                !is_closed
            });
        }
        assert_eq!(ended, expected, "{steps:?}");
        drop(streams);
        let usage = limit.usage.lock().unwrap();
        assert!(usage.streams.is_empty() && usage.total == 0);
        drop(usage);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let counted = format!("xds_heavy_streams_total {}", expected.len());
        assert!(text.contains(&counted), "{text}");
    }

    /// Names cost though they are short, and bytes though the names are few; no number of them wraps round.
    #[test]
    fn names_and_their_bytes_are_charged() {
        assert_eq!((remembered((0, 0)), decoded(0, 0)), (0, 0));
        assert_eq!((remembered((0, 900)), decoded(0, 900)), (900, 900));
        assert_eq!(remembered((3, 900)), 900 + 3 * PER_REMEMBERED_NAME);
        assert_eq!(decoded(3, 900), 900 + 3 * PER_DECODED_NAME);
        assert!(remembered((usize::MAX, 1)).min(decoded(usize::MAX, 1)) > LIMIT);
    }

    #[test]
    fn who_has_named_most_is_ended() {
        // As much as there may be, and less again.
        check(&[("a1", 8), ("a1", 2), ("a2", 6), ("b1", 0)], &[]);
        check(&[("a1", 9)], &["a1!"]);
        // Whoever names little is not ended because others have named much.
        check(&[("a1", 8), ("b1", 1)], &["a1"]);
        // However many streams that is.
        let many = [("a1", 2), ("a2", 2), ("a3", 2), ("a4", 2)];
        check(&[&many[..], &[("b1", 3)]].concat(), &["a3", "a4"]);
        check(
            &[&many[..], &[("a5", 1), ("a6", 3)]].concat(),
            &["a4", "a6!"],
        );
        check(&[&[("b1", 3)], &many[..]].concat(), &["a3!", "a4!"]);
        // Its own doing, though there is room for it when others have left.
        check(&[("a1", 3), ("b1", 3), ("b1", 7)], &["b1!"]);
    }
}
