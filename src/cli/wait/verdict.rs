//! Whether what a control plane says of an object is what is waited for.

use std::collections::btree_map::Entry;

use crate::cli::delivery::Stream;
use crate::cli::object_state::ObjectState;
use crate::objects::ObjectRef;

/// An object as it is.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub object: ObjectRef,
    /// Its `resourceVersion`.
    pub version: u64,
}

/// What is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is served.
    Live,
    /// Not yet, and why.
    Waits(String),
    /// It is not, and will not be as it is now.
    Refused(String),
}

/// What comes of an answer. `reached` keeps the first snapshot that had the object: later ones may follow without end.
pub fn verdict<K: Ord>(
    wanted: &Wanted,
    state: &ObjectState,
    reached: Entry<'_, K, u64>,
) -> Verdict {
    let Wanted { object, version } = wanted;
    let kind = object.kind;
    match state.version {
        None => {
            return Verdict::Waits(format!(
                "it reads no {} of this namespace, or not yet",
                kind.plural()
            ));
        }
        Some(seen) if seen < *version => {
            return Verdict::Waits(format!(
                "it has {} up to version {seen}, and the object is of {version}",
                kind.plural()
            ));
        }
        Some(_) => {}
    }
    if !state.is_read {
        return Verdict::Refused(format!(
            "{object} is none of the objects that are read (a Secret of another type?), or is deleted"
        ));
    }
    let now = state.delivery.snapshot;
    // A control plane that was started anew counts anew.
    let first = *reached.and_modify(|it| *it = now.min(*it)).or_insert(now);
    if state.is_pair && state.delivery.streams.is_empty() {
        return Verdict::Waits("its Envoy is not connected".to_owned());
    }
    let lacks = |stream: &&Stream| stream.acknowledged.is_none_or(|it| it < first);
    if let Some(stream) = state.delivery.streams.iter().find(lacks) {
        let has = match stream.acknowledged {
            Some(number) => format!("has acknowledged snapshot {number}"),
            None => "is busy".to_owned(),
        };
        return Verdict::Waits(format!(
            "{object} is in snapshot {first}, and the Envoy {stream} {has}"
        ));
    }
    match state.delivery.refused.first() {
        Some(refused) => Verdict::Refused(format!("{object}: {refused}")),
        None => Verdict::Live,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::delivery::{Delivery, Refused};
    use crate::objects::Kind;

    fn state(version: u64, snapshot: u64, acknowledged: &[Option<u64>]) -> ObjectState {
        let streams = acknowledged.iter().zip(1..);
        let streams = streams.map(|(acknowledged, stream)| Stream {
            stream,
            acknowledged: *acknowledged,
            ..Stream::default()
        });
        ObjectState {
            is_read: true,
            version: Some(version),
            is_pair: true,
            delivery: Delivery {
                snapshot,
                streams: streams.collect(),
                refused: Vec::new(),
            },
            ..ObjectState::default()
        }
    }

    #[test]
    fn an_answer_is_live_once_all_have_acknowledged_the_first_snapshot_with_it() {
        let wanted = Wanted {
            object: ObjectRef::new(Kind::Ingress, "shop", "web"),
            version: 10,
        };
        let mut reached = BTreeMap::new();
        let mut check = |state: &ObjectState, expected: Result<(), &str>| {
            let found = verdict(&wanted, state, reached.entry(0));
            match (&found, expected) {
                (Verdict::Live, Ok(())) => {}
                (Verdict::Waits(says) | Verdict::Refused(says), Err(part))
                    if says.contains(part) => {}
                _ => panic!("{found:?} is not {expected:?}"),
            }
        };
        check(&state(9, 3, &[Some(3)]), Err("up to version 9"));
        check(&state(10, 4, &[]), Err("is not connected"));
        check(
            &state(10, 5, &[Some(5), Some(3)]),
            Err("in snapshot 4, and the Envoy stream 2 has acknowledged snapshot 3"),
        );
        check(&state(12, 7, &[Some(4), None]), Err("stream 2 is busy"));
        // The first that had it counts, however many have followed.
        check(&state(12, 9, &[Some(4), Some(6)]), Ok(()));
        // It was started anew.
        check(&state(12, 2, &[Some(1)]), Err("in snapshot 2"));
        check(&state(12, 3, &[Some(2)]), Ok(()));
        let mut refuses = state(12, 3, &[Some(2)]);
        refuses.delivery.refused.push(Refused {
            stream: 1,
            resource_type: "rds".to_owned(),
            resource: "http".to_owned(),
            part: Some("a.test".to_owned()),
            reason: "bad".to_owned(),
        });
        check(&refuses, Err("refuses rds http of a.test"));
        let unread = ObjectState {
            is_read: false,
            ..state(12, 3, &[Some(3)])
        };
        check(&unread, Err("none of the objects that are read"));
        let elsewhere = ObjectState {
            version: None,
            ..state(12, 3, &[Some(3)])
        };
        check(&elsewhere, Err("reads no ingresses of this namespace"));
    }
}
