//! Which connection makes room for another where there are as many as may be.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::streams::Standing;
use crate::xds::transport::Peer;

/// How many connections a peer may have without being the first to give one up. An Envoy has one, and two while it is
/// restarted; the rest is for people with tools.
const FEW: usize = 16;

/// An open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// In the order in which they came.
    pub(super) number: u64,
    pub(super) peer: Peer,
    pub(super) standing: Standing,
}

/// The connection that makes room for one of `newcomer`, or none.
///
/// Who has more than a few and the most of all gives one up: whatever one client does, it does to itself. Among those who have
/// few, the connections go first on which nothing is asked or answered. Within these, the least useful goes, and then the
/// oldest: whoever comes stays at least until as many others have come as there may be. No room is made where all are sound
/// clients of different hosts: a fleet that is too large would only take turns, at the cost of a whole configuration each time.
pub(super) fn leaves(seats: &[Seat], newcomer: Peer) -> Option<u64> {
    let mut counts: BTreeMap<Peer, usize> = BTreeMap::from([(newcomer, 1)]);
    for seat in seats {
        *counts.entry(seat.peer).or_default() += 1;
    }
    let count = |seat: &Seat| counts.get(&seat.peer).copied().unwrap_or_default();
    let most = seats.iter().map(count).max()?;
    let first = if most > FEW {
        let greedy = seats.iter().filter(|seat| count(seat) == most);
        greedy.min_by_key(|seat| (seat.standing, seat.number))?
    } else {
        let order = |seat: &&Seat| (seat.standing, Reverse(count(seat)), seat.number);
        seats.iter().min_by_key(order)?
    };
    let is_fleet = first.standing == Standing::Sound && count(first) == 1;
    // Processes of this pod are no fleet, and one of them is the Envoy beside this one.
    let is_shut = is_fleet && matches!(newcomer, Peer::Address(_));
    (!is_shut).then_some(first.number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// A letter for each connection, in the order in which they came: the peer; small letters are sound, capital ones mute,
    /// and `'` after it is silent. The number, from 0, of the one that leaves for a newcomer.
    fn check(seats: &str, newcomer: char, expected: Option<u64>, is_tcp: bool) {
        let peer = |letter: char| {
            let number = letter.to_ascii_lowercase() as u8;
            match is_tcp {
                true => Peer::Address([10, 0, 0, number].into()),
                false => Peer::Process(Some(number.into())),
            }
        };
        let mut open: Vec<Seat> = Vec::new();
        for letter in seats.chars() {
            if letter == '\'' {
                open.last_mut().unwrap().standing = Standing::Silent;
                continue;
            }
            open.push(Seat {
                number: open.len() as u64,
                peer: peer(letter),
                standing: match letter.is_uppercase() {
                    true => Standing::Mute,
                    false => Standing::Sound,
                },
            });
        }
        assert_eq!(
            leaves(&open, peer(newcomer)),
            expected,
            "{seats} {newcomer}"
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
