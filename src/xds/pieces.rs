//! The parts of a resource as they are sent: their bytes in pieces, and the hash of all of them.
//!
//! One path of ten thousand hosts is one part of a table of 3.4 MB. A table that follows another one has its pieces but for
//! those in which a part differs, and its hash follows by differences: both cost what differs (I4). All clients are sent the
//! same pieces, which nobody copies.

use std::ops::Bound;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use xxhash_rust::xxh3::xxh3_64;

use super::Part;

/// About the least bytes of a piece when its range is cut; it has less than twice as many, but for its last part. One that
/// loses parts is shorter from then on, and what is left of a range behind a long part is too: pieces are never joined, as
/// a table that shrinks costs a buffer for each and no more, until a client asks anew.
const PIECE: usize = 32 << 10;

/// Encoded parts in the order of their keys.
pub struct Pieces {
    parts: OrdMap<Arc<str>, Arc<Part>>,
    /// The sum of the hashes of all parts.
    hash: u128,
    pieces: Vec<Piece>,
}

/// The parts from a key on, up to the key of the next piece. The first piece begins before all keys.
#[derive(Clone)]
struct Piece {
    key: Arc<str>,
    bytes: Bytes,
}

impl Pieces {
    /// Encodes parts, where most of them may be those of an earlier form.
    pub fn new(parts: &OrdMap<Arc<str>, Arc<Part>>, before: Option<&Self>) -> Self {
        let mut made = Self {
            parts: parts.clone(),
            hash: 0,
            pieces: Vec::new(),
        };
        match before.filter(|before| !before.pieces.is_empty()) {
            Some(before) => made.follow(before),
            None => {
                made.hash = parts.iter().fold(0, |sum, (key, part)| {
                    u128::wrapping_add(sum, hash(key, part))
                });
                made.encode((Bound::Unbounded, Bound::Unbounded));
            }
        }
        made
    }

    /// The hash of all parts with their keys.
    pub const fn hash(&self) -> u128 {
        self.hash
    }

    /// All bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter().map(|piece| &piece.bytes)
    }

    fn follow(&mut self, before: &Self) {
        self.hash = before.hash;
        let parts = self.parts.clone();
        let mut altered = Vec::new();
        for difference in before.parts.diff(&parts) {
            let (key, old, new) = match difference {
                DiffItem::Add(key, new) => (key, None, Some(new)),
                DiffItem::Update {
                    old: (_, old),
                    new: (key, new),
                } => (key, Some(old), Some(new)),
                DiffItem::Remove(key, old) => (key, Some(old), None),
            };
            let hash = |part: Option<&Arc<Part>>| part.map_or(0, |part| hash(key, part));
            self.hash = self.hash.wrapping_sub(hash(old)).wrapping_add(hash(new));
            altered.push(key);
        }
        let mut altered = altered.into_iter().peekable();
        for (at, piece) in before.pieces.iter().enumerate() {
            let end = before.pieces.get(at + 1).map(|next| &*next.key);
            let is_in = |key: &&Arc<str>| end.is_none_or(|end| &***key < end);
            if altered.next_if(is_in).is_none() {
                self.pieces.push(piece.clone());
                continue;
            }
            while altered.next_if(is_in).is_some() {}
            let begin = match at {
                0 => Bound::Unbounded,
                _ => Bound::Included(&*piece.key),
            };
            self.encode((begin, end.map_or(Bound::Unbounded, Bound::Excluded)));
        }
    }

    /// Adds the pieces of a range of keys, all about as long.
    fn encode(&mut self, range: (Bound<&str>, Bound<&str>)) {
        let parts: Vec<_> = self.parts.range::<_, str>(range).collect();
        let length = |part: &(&Arc<str>, &Arc<Part>)| part.1.bytes.len();
        let mut bytes: usize = parts.iter().map(length).sum();
        let mut rest = &*parts;
        for left in (1..=(bytes / PIECE).max(1)).rev() {
            let Some((key, _)) = rest.first() else {
                break;
            };
            let (least, mut taken) = (bytes.div_ceil(left), 0);
            let is_full = |part| {
                taken += length(part);
                left > 1 && taken >= least
            };
            let last = rest.iter().position(is_full);
            let (of_piece, others) = rest.split_at(last.map_or(rest.len(), |last| last + 1));
            let mut buffer = BytesMut::with_capacity(taken);
            for (_, part) in of_piece {
                part.bytes.put_into(&mut buffer);
            }
            self.pieces.push(Piece {
                key: (*key).clone(),
                bytes: buffer.freeze(),
            });
            (rest, bytes) = (others, bytes - taken);
        }
    }
}

/// The hash of one part under its key: what a sum of them does not tell is their order, which is that of the keys.
fn hash(key: &str, part: &Part) -> u128 {
    part.bytes.hash_with(xxh3_64(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    type Parts = OrdMap<Arc<str>, Arc<Part>>;

    fn key(number: usize) -> Arc<str> {
        format!("{number:05}.test").into()
    }

    /// A part that is a few hundred bytes long, or longer than any piece.
    fn part(length: usize, serial: u8) -> Arc<Part> {
        Arc::new(Part {
            bytes: vec![serial; length].into(),
            references: Arc::new([]),
            owners: Arc::new([]),
        })
    }

    fn table(parts: usize) -> Parts {
        (0..parts)
            .map(|n| (key(n), part(100 + n % 400, 0)))
            .collect()
    }

    fn bytes(pieces: &Pieces) -> Vec<u8> {
        pieces.iter().flatten().copied().collect()
    }

    /// How many pieces of `new` are not the memory of `old`.
    fn made(old: &Pieces, new: &Pieces) -> usize {
        let is_new = |piece: &&Bytes| old.iter().all(|old| old.as_ptr() != piece.as_ptr());
        new.iter().filter(is_new).count()
    }

    fn check(parts: &Parts, before: &Pieces) -> Pieces {
        let (followed, anew) = (Pieces::new(parts, Some(before)), Pieces::new(parts, None));
        let expected: Vec<u8> = parts
            .values()
            .flat_map(|part| part.bytes.to_bytes())
            .collect();
        assert!(bytes(&followed) == expected && bytes(&anew) == expected);
        assert_eq!(followed.hash(), anew.hash());
        let is_short = |piece: &Bytes| piece.len() < 2 * PIECE + 100_000;
        assert!(followed.iter().chain(anew.iter()).all(is_short));
        followed
    }

    #[test]
    fn one_part_is_one_piece() {
        let mut parts = table(3000);
        let mut pieces = Pieces::new(&parts, None);
        let count = pieces.iter().count();
        assert!(count > 20, "{count}");
        for change in [0, 1, 1500, 2999] {
            for (what, length) in [("other bytes", 101), ("longer", 5000), ("shorter", 0)] {
                parts.insert(key(change), part(length, 1));
                let next = check(&parts, &pieces);
                assert_eq!(made(&pieces, &next), 1, "{change}: {what}");
                assert_ne!(pieces.hash(), next.hash());
                pieces = next;
            }
            let (without, before) = (parts.without(&key(change)), pieces.hash());
            let gone = check(&without, &pieces);
            assert!(made(&pieces, &gone) <= 1);
            let back = check(&parts, &gone);
            assert!(made(&gone, &back) <= 1);
            assert_eq!(back.hash(), before);
        }
        let same = Pieces::new(&parts, Some(&pieces));
        assert_eq!((made(&pieces, &same), same.hash()), (0, pieces.hash()));
    }

    /// Two parts that change places are another table.
    #[test]
    fn a_hash_is_of_parts_under_their_keys() {
        let of = |parts: [(usize, u8); 2]| {
            let parts = parts.map(|(at, serial)| (key(at), part(10, serial)));
            Pieces::new(&parts.into_iter().collect(), None).hash()
        };
        assert_ne!(of([(1, 1), (2, 2)]), of([(1, 2), (2, 1)]));
        assert_ne!(of([(1, 1), (2, 2)]), of([(1, 1), (3, 2)]));
    }

    #[test]
    fn a_table_that_was_empty_or_becomes_so() {
        let (none, some) = (Parts::new(), table(300));
        let pieces = check(&some, &Pieces::new(&none, None));
        let emptied = check(&none, &pieces);
        assert_eq!((emptied.iter().count(), emptied.hash()), (0, 0));
        check(&some, &emptied);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_follows_is_what_is_made_anew(
            steps in prop::collection::vec(
                prop::collection::vec((0..400_usize, prop::option::of((select(&[0, 1, 300, 9000, 100_000][..]), 0..3_u8))), 1..40),
                1..12,
            ),
        ) {
            let mut parts = table(200);
            let mut pieces = Pieces::new(&parts, None);
            for step in steps {
                for (at, change) in step {
                    match change {
                        Some((length, serial)) => _ = parts.insert(key(at), part(length, serial)),
                        None => _ = parts.remove(&key(at)),
                    }
                }
                pieces = check(&parts, &pieces);
            }
        }
    }
}
