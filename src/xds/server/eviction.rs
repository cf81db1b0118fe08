//! Which connection is closed for a new one when the maximum number of connections is open.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::streams::Health;
use crate::xds::transport::Peer;

/// A peer with more connections than this loses one first. An Envoy has one, and two while it is restarted; the rest is
/// for people with tools.
const FEW: usize = 16;

/// An open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// In the order in which they came.
    pub(super) number: u64,
    pub(super) peer: Peer,
    pub(super) health: Health,
}

/// The connection to close for one of `newcomer`; `None` where the newcomer is refused.
///
/// - If a peer has more than [`FEW`], the peer with the most loses one: a client that opens many harms itself alone.
/// - Else the connection in the worst [`Health`] goes; of equal ones, one of the peer with the most, and then the oldest.
/// - If that one is healthy and its host's only one, the newcomer is refused: a fleet that is too large would otherwise evict
///   itself in turns, and each turn costs a whole configuration.
pub(super) fn evicted(candidates: &[Candidate], newcomer: Peer) -> Option<u64> {
    let mut counts: BTreeMap<Peer, usize> = BTreeMap::from([(newcomer, 1)]);
    for candidate in candidates {
        *counts.entry(candidate.peer).or_default() += 1;
    }
    let count = |candidate: &Candidate| counts.get(&candidate.peer).copied().unwrap_or_default();
    let most = candidates.iter().map(count).max()?;
    let first = if most > FEW {
        let greedy = candidates
            .iter()
            .filter(|candidate| count(candidate) == most);
        greedy.min_by_key(|candidate| (candidate.health, candidate.number))?
    } else {
        let order = |candidate: &&Candidate| {
            (
                candidate.health,
                Reverse(count(candidate)),
                candidate.number,
            )
        };
        candidates.iter().min_by_key(order)?
    };
    let is_fleet = first.health == Health::Good && count(first) == 1;
    // Not on the pod's own socket: there the newcomer may be the Envoy of this pod.
    let is_refused = is_fleet && matches!(newcomer, Peer::Address(_));
    (!is_refused).then_some(first.number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// A letter for each connection, in the order in which they came: the peer; small letters are sound, capital ones mute,
    /// and `'` after it is silent. The number, from 0, of the one that leaves for a newcomer.
    fn check(candidates: &str, newcomer: char, expected: Option<u64>, is_tcp: bool) {
        let peer = |letter: char| {
            let number = letter.to_ascii_lowercase() as u8;
            match is_tcp {
                true => Peer::Address([10, 0, 0, number].into()),
                false => Peer::Process(Some(number.into())),
            }
        };
        let mut open: Vec<Candidate> = Vec::new();
        for letter in candidates.chars() {
            if letter == '\'' {
                open.last_mut().unwrap().health = Health::Silent;
                continue;
            }
            open.push(Candidate {
                number: open.len() as u64,
                peer: peer(letter),
                health: match letter.is_uppercase() {
                    true => Health::NeverAnswered,
                    false => Health::Good,
                },
            });
        }
        assert_eq!(
            evicted(&open, peer(newcomer)),
            expected,
            "{candidates} {newcomer}"
        );
    }

    #[test]
    fn who_has_most_gives_one_up() {
        let many = "x".repeat(FEW);
        for is_tcp in [true, false] {
            // One's own, the oldest.
            check(&format!("a{many}b"), 'x', Some(1), is_tcp);
            // Another's, the least useful, though there are silent ones of others.
            check(
                &format!("a'A{many}Xxx'xb"),
                'c',
                Some(FEW as u64 + 4),
                is_tcp,
            );
            check(&format!("aA{many}Xxb"), 'c', Some(FEW as u64 + 2), is_tcp);
            // As long as it is few, it is as good as anybody.
            check(
                &format!("{}A", &many[1..]),
                'c',
                Some(FEW as u64 - 1),
                is_tcp,
            );
        }
    }

    #[test]
    fn who_says_nothing_goes_before_who_does() {
        for is_tcp in [true, false] {
            check("abCd'ef'", 'g', Some(3), is_tcp);
            check("abCdeC", 'g', Some(2), is_tcp);
            check("abbcde", 'g', Some(1), is_tcp);
        }
    }

    /// A fleet is told that it is too large; on a socket of the pod somebody leaves in any case.
    #[test]
    fn a_fleet_does_not_take_turns() {
        check("abcdef", 'g', None, true);
        // A client that comes back before its lost connection was noticed.
        check("abcdef", 'c', Some(2), true);
        check("abcdef", 'g', Some(0), false);
        check("", 'g', None, true);
    }
}
