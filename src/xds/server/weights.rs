//! What all clients together may make the server remember and decode, decided before it is done: what a stream weighs is
//! what comes of its client's words and of nothing else. What there is for everybody, the client's subscription to it
//! included, weighs nothing here: a fleet may have all of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::rarely::Rarely;
use super::streams::Streams;
use crate::xds::Metrics;
use crate::xds::transport::Peer;

/// Most of all streams together, in bytes of memory.
const BOUND: usize = 256 << 20;

/// What a name takes beside its own bytes that does not exist: an entry in each of the maps that have it, and what is sent
/// in its place (500 with its bytes: `tests/soak/names.rs`).
const REMEMBERED: usize = 512;

/// What any name takes beside its own bytes while its request is decoded.
const DECODED: usize = 128;

/// What so many names of so many bytes weigh that do not exist.
pub(super) fn remembered((names, bytes): (usize, usize)) -> usize {
    names.saturating_mul(REMEMBERED).saturating_add(bytes)
}

/// What a request of so many names and bytes weighs.
pub(super) fn decoded(names: usize, bytes: usize) -> usize {
    names.saturating_mul(DECODED).saturating_add(bytes)
}

/// Where the streams of all connections are weighed; every clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    on_it: Arc<Mutex<OnIt>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct OnIt {
    total: usize,
    last: u64,
    loads: BTreeMap<u64, Load>,
    told: Rarely,
}

#[derive(Debug)]
struct Load {
    peer: Peer,
    connection: Streams,
    weight: usize,
}

/// What one stream has on the scale, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    scale: Scale,
    number: u64,
    weight: usize,
}

/// There is too much on the scale, and most of it is of the one who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what all clients have named is more than this server remembers, and this client named the most of it"
)]
pub(super) struct TooHeavy;

impl OnIt {
    /// Who has to leave where there is too much: of the peer that has most, the heaviest, and of several the last.
    fn heaviest(&self) -> Option<u64> {
        let mut of_peers: BTreeMap<Peer, usize> = BTreeMap::new();
        for load in self.loads.values() {
            *of_peers.entry(load.peer).or_default() += load.weight;
        }
        let (peer, _) = of_peers.into_iter().max_by_key(|(_, weight)| *weight)?;
        let of_peer = self.loads.iter().filter(|(_, load)| load.peer == peer);
        let (number, _) = of_peer.max_by_key(|(number, load)| (load.weight, **number))?;
        Some(*number)
    }

    fn take(&mut self, number: u64) -> Option<Load> {
        let load = self.loads.remove(&number)?;
        self.total -= load.weight;
        Some(load)
    }
}

impl Scale {
    /// With nothing on it.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            on_it: Arc::default(),
            metrics,
        }
    }

    /// Nothing so far, of a stream of this peer's connection.
    pub(super) fn enter(&self, peer: Peer, connection: Streams) -> Share {
        let mut on_it = self.on_it.lock().unwrap_or_else(PoisonError::into_inner);
        on_it.last += 1;
        let number = on_it.last;
        let load = Load {
            peer,
            connection,
            weight: 0,
        };
        on_it.loads.insert(number, load);
        Share {
            scale: self.clone(),
            number,
            weight: 0,
        }
    }

    fn weigh(&self, number: u64, weight: usize) -> Result<(), TooHeavy> {
        let mut on_it = self.on_it.lock().unwrap_or_else(PoisonError::into_inner);
        let on_it = &mut *on_it;
        // It was taken off, and its connection is about to end.
        let load = on_it.loads.get_mut(&number).ok_or(TooHeavy)?;
        on_it.total = on_it.total - load.weight + weight;
        load.weight = weight;
        while on_it.total > BOUND {
            let Some((leaves, load)) = on_it
                .heaviest()
                .and_then(|leaves| Some((leaves, on_it.take(leaves)?)))
            else {
                break;
            };
            self.metrics.heavy_stream();
            if let Some(more) = on_it.told.now(Instant::now()) {
                tracing::warn!(
                    client = %load.peer, weight = load.weight, more,
                    "an xDS stream was ended: clients have named more than {BOUND} bytes of what does not exist, and this one \
                     the most"
                );
            }
            if leaves == number {
                return Err(TooHeavy);
            }
            load.connection.close();
        }
        Ok(())
    }
}

impl Share {
    /// It weighs so much now.
    ///
    /// # Errors
    ///
    /// If that is too much, and the stream has to end.
    pub(super) fn set(&mut self, weight: usize) -> Result<(), TooHeavy> {
        if weight == self.weight {
            return Ok(());
        }
        self.weight = weight;
        self.scale.weigh(self.number, weight)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut on_it = self
            .scale
            .on_it
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        on_it.take(self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use futures::FutureExt as _;
    use prometheus_client::registry::Registry;

    use super::*;

    /// Steps `peer weight`: a letter for each peer, whose streams have numbers; the weight is in eighths of the bound. Then
    /// who was ended: `!` by a status, else by its connection.
    fn check(steps: &[(&str, usize)], expected: &[&str]) {
        let mut registry = Registry::default();
        let scale = Scale::new(Metrics::register(&mut registry));
        let mut streams: BTreeMap<&str, (Streams, Share)> = BTreeMap::new();
        let mut ended: Vec<String> = Vec::new();
        for (name, eighths) in steps {
            let (_, share) = streams.entry(name).or_insert_with(|| {
                let connection = Streams::default();
                let peer = Peer::Process(Some(name.as_bytes()[0].into()));
                (connection.clone(), scale.enter(peer, connection))
            });
            if share.set(eighths * (BOUND / 8)) == Err(TooHeavy) {
                ended.push(format!("{name}!"));
                streams.remove(name);
            }
            let on_it = scale.on_it.lock().unwrap();
            let sum: usize = on_it.loads.values().map(|load| load.weight).sum();
            assert_eq!(on_it.total, sum);
            assert!(sum <= BOUND, "{name} {eighths}");
            drop(on_it);
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
        let on_it = scale.on_it.lock().unwrap();
        assert!(on_it.loads.is_empty() && on_it.total == 0);
        drop(on_it);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let counted = format!("xds_heavy_streams_total {}", expected.len());
        assert!(text.contains(&counted), "{text}");
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
