#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::Expression;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    path: PathMatch,
    owner: usize,
    is_default: bool,
}

impl Ordered for Written {
    fn path(&self) -> &PathMatch {
        &self.path
    }

    fn owner(&self) -> usize {
        self.owner
    }

    fn is_default(&self) -> bool {
        self.is_default
    }
}

/// `0 ~ /a.*`: owner, kind (`=` exact, `~` expression, `/` prefix, `"` prefix of the text, `*` default), text.
fn written(line: &str) -> Written {
    let parts: Vec<&str> = line.split(' ').collect();
    let &[owner, kind, text] = &parts[..] else {
        panic!("{line:?} is no route");
    };
    let text: &str = text;
    Written {
        path: match kind {
            "=" => PathMatch::Exact(text.into()),
            "~" => PathMatch::Regex(Expression::new(text).unwrap()),
            "\"" => PathMatch::StringPrefix(text.into()),
            _ => PathMatch::PathPrefix(text.into()),
        },
        owner: owner
            .parse()
            .unwrap_or_else(|_| panic!("{line:?} has no owner")),
        is_default: kind == "*",
    }
}

/// The routes as they are to be tried, and which of them wait for which.
fn check(expected: &[&str], waiting: &[(usize, usize)]) {
    let expected: Vec<Written> = expected.iter().map(|line| written(line)).collect();
    let mut turned = expected.clone();
    for turn in 0..expected.len().max(1) {
        turned.rotate_left(usize::from(turn > 0));
        let mut got = turned.clone();
        let deferred = arrange(&mut got);
        assert_eq!(got, expected, "turned by {turn}");
        let deferred: Vec<_> = deferred
            .iter()
            .map(|it| (it.expression, it.after))
            .collect();
        assert_eq!(deferred, waiting, "turned by {turn}");
    }
}

#[test]
fn one_owners_order_is_that_of_the_classes() {
    check(
        &[
            "0 = /.well-known/acme-challenge/t",
            "0 = /.well-known/acme-challenge",
            "0 / /.well-known/acme-challenge",
            "0 = /a/b",
            "0 = /a",
            "0 ~ /.well-known/acme-challenge/.*",
            "0 ~ /b.*",
            "0 ~ /a.*",
            "0 \" /a/",
            "0 / /a",
            "0 \" /a",
            "0 / /",
        ],
        &[],
    );
    check(&["0 = /a", "0 ~ /.*", "0 / /a", "0 * /"], &[]);
    check(&[], &[]);
}

#[test]
fn an_expression_waits_for_older_owners() {
    check(&["1 = /a", "0 / /", "1 ~ /.*"], &[(2, 1)]);
    // The younger one's own prefixes stay behind its expression where they can.
    check(&["0 / /ab", "1 ~ /.*", "1 / /a", "1 / /"], &[(1, 0)]);
    // They can't where they are longer than a prefix of the older one.
    check(&["1 / /abc", "0 / /a", "1 ~ /.*"], &[(2, 1)]);
    // An older one's expression does not wait for a younger one's prefix.
    check(&["0 ~ /.*", "1 / /abc"], &[]);
    // Each waits for those who are older than it is.
    check(
        &[
            "0 ~ /.*", "0 / /abc", "1 ~ /.*x", "1 / /b", "2 ~ /.*y", "2 / /",
        ],
        &[(2, 1), (4, 3)],
    );
    // A longer expression too; a shorter one would be later anyway.
    check(&["0 ~ /.*", "1 ~ /(.*|abc)"], &[(1, 0)]);
    check(&["0 ~ /(.*|abc)", "1 ~ /.*"], &[]);
    check(&["0 ~ /1.*", "1 ~ /.*", "2 ~ /22.*"], &[(2, 1)]);
    // Default back ends and exact paths are waited for by nobody.
    check(&["0 = /a", "1 ~ /.*", "0 * /"], &[]);
    check(&["0 / /.well-known/acme-challenge", "1 ~ /.*"], &[]);
}

/// What is written in the head of the module, said of every pair.
fn comes_first(a: &Written, b: &Written) -> Option<bool> {
    let is_expression = |route: &Written| matches!(route.path, PathMatch::Regex(_));
    if a.is_default != b.is_default {
        return Some(b.is_default);
    }
    match (is_expression(a), is_expression(b)) {
        (false, false) => Some((class(&a.path), rank(&a.path)) < (class(&b.path), rank(&b.path))),
        (true, true) => Some((a.owner, rank(&a.path)) < (b.owner, rank(&b.path))),
        (true, false) if class(&b.path) < Class::Prefix => Some(false),
        (true, false) if b.owner < a.owner => Some(false),
        // An older owner's prefix of a later place may come between.
        (true, false) => None,
        (false, true) => comes_first(b, a).map(|first| !first),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_pair_is_in_order(routes in prop::collection::btree_set((0..7_usize, 0..3_usize), 0..12)) {
        const PATHS: [&str; 7] =
            ["= /a", "~ /.*", "~ /ab.*", "/ /a", "\" /ab", "/ /", "/ /.well-known/acme-challenge"];
        let mut seen = BTreeSet::new();
        let routes: Vec<Written> = routes
            .into_iter()
            .filter(|(path, _)| seen.insert(*path))
            .map(|(path, owner)| written(&format!("{owner} {}", PATHS[path])))
            .collect();
        let mut got = routes.clone();
        let deferred = arrange(&mut got);
        let mut turned: Vec<Written> = routes.iter().rev().cloned().collect();
        prop_assert_eq!(arrange(&mut turned), deferred.clone());
        prop_assert_eq!(&turned, &got, "whatever the order of the objects");
        for (at, first) in got.iter().enumerate() {
            for second in &got[at + 1..] {
                prop_assert_ne!(comes_first(first, second), Some(false), "{:?} before {:?}", first, second);
            }
        }
        // An expression is no later than the last older prefix makes it.
        for (at, route) in got.iter().enumerate() {
            let is_expression = matches!(route.path, PathMatch::Regex(_));
            let is_prefix = |before: &&Written| {
                class(&before.path) == Class::Prefix && !matches!(before.path, PathMatch::Regex(_))
            };
            let before = at.checked_sub(1).map(|at| &got[at]);
            if let Some(before) = before.filter(is_prefix).filter(|_| is_expression) {
                prop_assert!(before.owner < route.owner, "{:?} needs not wait for {:?}", route, before);
            }
        }
    }

    #[test]
    fn wider_prefixes_come_later(path in select(vec!["\" /a/", "/ /a", "\" /a", "/ /", "= /a", "~ /a"])) {
        let route = written(&format!("0 {path}"));
        for wide in wider(&route.path) {
            prop_assert!(rank(&route.path) < rank(&wide), "{:?} {:?}", route.path, wide);
        }
    }
}
