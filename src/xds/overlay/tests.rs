//! [`Overlay`] beside an ordinary map, by the example of what a client holds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::xds::Part;
use crate::xds::held::{Held, Holdings};

type Target = OrdMap<Arc<str>, Arc<Resource>>;

fn name(index: u8) -> Arc<str> {
    format!("n{index:03}").into()
}

fn resource(index: u8, serial: u8) -> Arc<Resource> {
    let part = Part {
        bytes: vec![index, serial].into(),
        references: Arc::new([]),
        owners: Arc::new([]),
    };
    Arc::new(Resource::whole(name(index), part))
}

/// What happens to one name.
#[derive(Clone, Debug)]
enum Step {
    /// The snapshot has this version of it.
    Target(u8, u8),
    /// The snapshot does not have it any more.
    Gone(u8),
    /// What the snapshot has is sent, and taken if so.
    Send(u8, bool),
    /// It is taken away.
    Remove(u8),
    /// Everything is answered, and what the snapshot has of every name was sent.
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..100_u8, 0..3_u8).prop_map(|(index, serial)| Step::Target(index, serial)),
        1 => (0..100_u8).prop_map(Step::Gone),
        8 => (0..100_u8, prop::bool::weighted(0.9)).prop_map(|(index, taken)| Step::Send(index, taken)),
        1 => (0..100_u8).prop_map(Step::Remove),
        1 => Just(Step::Settle),
    ];
    prop::collection::vec(step, 0..600)
}

/// A map of its own for each client, which never forgets.
type Model = BTreeMap<Arc<str>, Held>;

fn agree(holdings: &Holdings, model: &Model) {
    assert_eq!(holdings.len(), model.len());
    assert_eq!(holdings.is_empty(), model.is_empty());
    let mut names: Vec<&Arc<str>> = holdings.names().collect();
    names.sort();
    assert_eq!(names, model.keys().collect::<Vec<_>>());
    for index in 0..100 {
        let name = name(index);
        let held = model.get(&name);
        assert_eq!(holdings.contains(&name), held.is_some());
        assert_eq!(
            holdings.sent(&name),
            held.and_then(|held| held.sent.as_ref())
        );
        assert_eq!(
            holdings.accepted(&name),
            held.and_then(|held| held.accepted.as_ref())
        );
        let since = held
            .filter(|held| held.sent.is_some())
            .map(|held| held.since);
        assert_eq!(holdings.since(&name).is_some(), since.is_some());
        assert!(holdings.since(&name) <= since);
        let acknowledged = held.map(|held| held.acknowledged);
        assert_eq!(
            holdings.acknowledged(&name).is_some(),
            acknowledged.is_some()
        );
        assert!(holdings.acknowledged(&name) >= acknowledged);
    }
}

proptest! {
    /// Sharing changes nothing but what it says that it forgets.
    #[test]
    fn same_as_a_map_of_its_own(steps in steps()) {
        let mut target = Target::new();
        let (mut holdings, mut model) = (Holdings::default(), Model::new());
        for (nonce, step) in (1..).zip(steps) {
            match step {
                Step::Target(index, serial) => {
                    target.insert(name(index), resource(index, serial));
                }
                Step::Gone(index) => {
                    target.remove(&name(index));
                }
                Step::Send(index, taken) => {
                    let name = name(index);
                    let Some(resource) = target.get(&name) else { continue };
                    for held in [holdings.get_or_insert(&name), model.entry(name.clone()).or_default()] {
                        if held.sent.replace(resource.clone()).is_none() {
                            held.since = nonce;
                        }
                    }
                    for held in [holdings.get_mut(&name).unwrap(), model.get_mut(&name).unwrap()] {
                        if taken {
                            held.accepted = Some(resource.clone());
                            held.acknowledged = nonce;
                        } else {
                            held.sent = held.accepted.clone();
                        }
                    }
                }
                Step::Remove(index) => {
                    let name = name(index);
                    let (ours, of_model) = (holdings.remove(&name), model.remove(&name));
                    prop_assert_eq!(ours.is_some(), of_model.is_some());
                    prop_assert_eq!(ours.and_then(|held| held.sent), of_model.and_then(|held| held.sent));
                }
                Step::Settle => holdings.settle(&target, nonce),
            }
            agree(&holdings, &model);
        }
    }
}

fn of(range: std::ops::Range<u8>) -> Target {
    range
        .map(|index| (name(index), resource(index, 0)))
        .collect()
}

fn taken(range: std::ops::Range<u8>) -> Holdings {
    let mut holdings = Holdings::default();
    for index in range {
        *holdings.get_or_insert(&name(index)) = Held::shared(&resource(index, 0), 7);
    }
    holdings
}

#[test]
fn what_is_as_in_the_snapshot_takes_no_memory_of_its_own() {
    let mut holdings = taken(0..100);
    holdings.get_mut(&name(7)).unwrap().accepted = None;
    holdings.settle(&of(0..102), 9);
    let own: Vec<&str> = holdings.own.keys().map(|name| &**name).collect();
    assert_eq!(own, ["n007", "n100", "n101"]);
    assert_eq!(holdings.len(), 100);
}

#[test]
fn a_client_that_wants_little_shares_nothing() {
    let mut holdings = taken(0..40);
    holdings.settle(&of(0..100), 9);
    assert!(holdings.shared.is_empty());
    assert_eq!(holdings.own.len(), 40);
}

#[test]
fn what_was_replaced_is_let_go() {
    let mut target = of(0..100);
    let mut holdings = taken(0..100);
    holdings.settle(&target, 9);
    let old = Arc::downgrade(target.get(&name(3)).unwrap());
    let new = resource(3, 1);
    target.insert(name(3), new.clone());
    *holdings.get_mut(&name(3)).unwrap() = Held::shared(&new, 10);
    assert!(old.upgrade().is_some(), "still shared");
    holdings.settle(&target, 10);
    assert!(old.upgrade().is_none());
    assert!(holdings.own.is_empty());
}
