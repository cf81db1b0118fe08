//! The search for what a client refused, while things change or refuse in another way than its first word was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use super::script::Script;
use super::script::check as play;
use crate::xds::message::{RefusalText, Variant};
use crate::xds::refusal::{Containment, Unit};

/// A unit that is named but not alone: when another of the response has changed, that one may have been the bad one. All
/// that are left are tried, and nobody is left out on the text's word.
#[test]
fn a_name_condemns_nobody_when_another_has_changed() {
    let text = RefusalText::new("r2 is bad");
    let unit = |number: u64| Unit {
        name: format!("r{number}").into(),
        key: None,
        hash: number,
    };
    for changed in [0, 2] {
        let suspects = (0..4).map(unit).collect();
        let mut search = Containment::new(suspects, BTreeMap::new(), &text, "why".into());
        let mut found = Vec::new();
        let trial = search.next(|unit| unit.hash != changed, |unit, _| found.push(unit));
        let tried: Vec<u64> = trial.unwrap().units.iter().map(|unit| unit.hash).collect();
        let left: Vec<u64> = (0..4).filter(|number| *number != changed).collect();
        assert_eq!(tried, left);
        search.acknowledged();
        let next = search.next(|_| true, |unit, _| found.push(unit));
        assert!(next.is_none() && found.is_empty(), "{changed}: {found:?}");
    }
}

/// What a response only sent again is refused along with what was new in it each time. It is sent without the new part
/// before that is left out; and where it is refused by itself, the new part was none of the reason.
#[test]
fn what_is_sent_again_is_tried_without_what_is_new() {
    let script = play(
        Variant::Delta,
        "! c:a=1(e:a) e:a=1 e:b=1
        > c
        < c 1 a=1
        > e +a +b
        < e 2 a=1 b=1
        > c ok
        > e ok
        ! c:a=2(e:a) e:b=2
        < c 3 a=2
        < e 4 a=1 b=2
        > e no:not now
        < e 5 a=1
        > e no:not now
        < e 6 b=2
        > e ok",
    );
    assert!(script.stream.refused().is_empty());
}

/// Whoever shows what is left out is told when it is, and when it is not any more: of that unit, whatever else is left out.
#[test]
fn what_is_left_out_no_more_is_told() {
    let mut script = Script::new(Variant::Delta, "c:a=bad c:b=bad");
    let told = |script: &mut Script| -> Vec<(String, bool)> {
        let changes = script.stream.take_refused().into_iter();
        let told = changes.map(|change| (change.unit.resource.to_string(), change.is_left_out));
        told.collect()
    };
    let mut sent = script.input("> c").unwrap();
    while !sent.is_empty() {
        sent = script.input("> c no:bad").unwrap();
    }
    let both = [("a".to_owned(), true), ("b".to_owned(), true)];
    assert_eq!(told(&mut script), both);
    assert_eq!(told(&mut script), [], "nothing has changed");
    script.input("! c:a=good").unwrap();
    assert_eq!(told(&mut script), [("a".to_owned(), false)]);
    script.input("> c no:bad").unwrap();
    script.input("! -c:b").unwrap();
    script.input("@ 1").unwrap();
    assert_eq!(
        told(&mut script),
        [("a".to_owned(), true), ("b".to_owned(), false)]
    );
    assert_eq!(told(&mut script), []);
    assert_eq!(script.stream.refused().len(), 1);
}
