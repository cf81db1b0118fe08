//! Guards that are passed by: a route that takes what a guarded one took, and asks for less.
//!
//! A guard is gone from a request also where its route is not there any more and a wider one is, where another route comes in
//! front of it, or where a host goes and the wildcard above it answers.

use std::collections::HashMap;

use crate::model::{Route, RouteAction, RouteMatch};
use crate::objects::FieldRef;

use super::super::describe;
use super::detail::{Detail, Settings};
use super::overlap::{Overlap, overlap};
use super::routes::of_route;

/// So many pairs of routes are compared of one host: what is compared grows with the product of two lists.
const MOST: usize = 1 << 21;

/// A route that takes requests of a guarded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What the guarded route asked for, in words.
    pub guarded: String,
    /// Whose it was.
    pub source: FieldRef,
    /// What the route asks for that takes its requests now.
    pub by: String,
    /// Whose that is.
    pub by_source: FieldRef,
    /// Whether it takes all of them; else only some.
    pub all: bool,
    /// The guards that it has not.
    pub guards: Vec<Detail>,
}

/// What is passed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedBy {
    /// Each guarded route with who takes its requests.
    pub routes: Vec<Passed>,
    /// How many guarded routes were not looked at, as there are too many routes.
    pub unseen: usize,
}

/// What of the routes of before is passed by. Of two lists of one host, the route that asks for the same is the same one: what
/// it guards is told by itself, and who was asked before it still is.
pub fn passed_by(before: &[Route], after: &[Route], is_one_host: bool) -> PassedBy {
    let mut places: HashMap<&RouteMatch, usize> = HashMap::new();
    if is_one_host {
        for (place, route) in before.iter().enumerate() {
            places.entry(&route.matches).or_insert(place);
        }
    }
    let was: Vec<Option<usize>> = after
        .iter()
        .map(|route| places.get(&route.matches).copied())
        .collect();
    let new: Vec<Settings> = after.iter().map(of_route).collect();
    let none = Settings::default();
    let opens = |old: &Settings, new: &Settings| -> Vec<Detail> {
        let mut details = Settings::differences(old, new);
        details.retain(Detail::opens);
        details
    };
    let mut passed = PassedBy::default();
    let mut left = MOST;
    for (place, old) in before.iter().enumerate() {
        let settings = of_route(old);
        // Another one that asks for the same has taken all of its requests.
        if places
            .get(&old.matches)
            .is_some_and(|first| *first != place)
        {
            continue;
        }
        if opens(&settings, &none).is_empty() {
            continue;
        }
        if left < after.len() {
            passed.unseen += 1;
            continue;
        }
        left -= after.len();
        for ((route, settings_of), was) in after.iter().zip(&new).zip(&was) {
            match was {
                Some(was) if *was == place => break,
                Some(was) if *was < place => continue,
                _ => {}
            }
            let taken = overlap(&old.matches, &route.matches);
            if taken == Overlap::None {
                continue;
            }
            let guards = opens(&settings, settings_of);
            if !guards.is_empty() && lets_in(route) {
                passed.routes.push(Passed {
                    guarded: describe::matches(&old.matches),
                    source: old.source.clone(),
                    by: describe::matches(&route.matches),
                    by_source: route.source.clone(),
                    all: taken == Overlap::All,
                    guards,
                });
            }
            if taken == Overlap::All {
                break;
            }
        }
    }
    passed
}

/// Whether a request comes to a back end: an answer of Envoy's own lets nobody in.
fn lets_in(route: &Route) -> bool {
    match &route.action {
        RouteAction::Forward(forward) => forward.served().next().is_some(),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => false,
    }
}
