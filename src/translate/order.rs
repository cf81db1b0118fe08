//! In which order the routes of one host are tried.
//!
//! Envoy takes the first route that matches, so the order decides between two owners of one host. Who owns a path is the
//! namespace that wrote it; the older of two owners is the one whose oldest Ingress is the first to name the host.
//!
//! 1. ACME challenges, then exact paths, then prefixes, then the default back end. Of two prefixes the longer is first:
//!    the more specific path takes its requests, whoever wrote it, which is what merging a host is for.
//! 2. Regular expressions stand before prefixes. But no text says which of two expressions, or of an expression and a
//!    prefix, is the more specific one, so between two owners age decides: an expression comes after every prefix and
//!    every expression of an older owner, and right after the last of them. Inside one owner expressions come before
//!    prefixes wherever this leaves it open.
//! 3. Among the expressions of one owner the longer is first, then the one that sorts last, as in Contour.
//!
//! A default back end is no path: it protects nothing, and nothing waits for it.
//!
//! The order is a function of paths and owners alone, and no two routes of a host have the same place, because a host
//! has each [`PathMatch`] once. It costs three sorts; no expression is compared with every prefix.

use std::cmp::Reverse;

use super::path::is_acme_challenge;
use crate::model::PathMatch;

/// What a route's place depends on.
pub trait Ordered {
    /// The path.
    fn path(&self) -> &PathMatch;
    /// Which owner wrote it: 0 is the oldest on this host.
    fn owner(&self) -> usize;
    /// Whether it is a default back end.
    fn is_default(&self) -> bool;
    /// Whether it stands among the expressions. One that does not has the place of a prefix of its length: that is for hosts of
    /// one owner only.
    fn is_expression(&self) -> bool {
        self.path().expression().is_some()
    }
}

/// An expression that would come earlier if all paths were of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Where the expression is now.
    pub expression: usize,
    /// Where the path, or the expression, of an older owner is that it waits for.
    pub after: usize,
}

/// Brings the routes into the order in which they are tried, and names the expressions that wait for an older owner, in
/// that order.
pub fn arrange<T: Ordered>(routes: &mut Vec<T>) -> Vec<Deferred> {
    let (mut expressions, mut texts): (Vec<T>, Vec<T>) = std::mem::take(routes)
        .into_iter()
        .partition(|route| route.is_expression());
    texts.sort_by(|a, b| {
        let place = |route: &T| (route.is_default(), class(route.path()));
        place(a)
            .cmp(&place(b))
            .then_with(|| rank(a.path()).cmp(&rank(b.path())))
    });
    expressions.sort_by(|a, b| (a.owner(), rank(a.path())).cmp(&(b.owner(), rank(b.path()))));
    let slots = slots(&expressions, &texts);
    merge(routes, expressions, texts, &slots)
}

/// Where an expression stands among the other routes.
struct Slot {
    /// How many of them come before it.
    texts: usize,
    /// Whether the last of these is a prefix of an older owner.
    waits: bool,
}

/// The slots of expressions, which are sorted by owner: none is before that of an older owner.
fn slots<T: Ordered>(expressions: &[T], texts: &[T]) -> Vec<Slot> {
    let is_prefix = |route: &T| !route.is_default() && class(route.path()) == Class::Prefix;
    let mut prefixes: Vec<(usize, usize)> = texts
        .iter()
        .enumerate()
        .filter(|(_, route)| is_prefix(route))
        .map(|(index, route)| (route.owner(), index + 1))
        .collect();
    prefixes.sort_unstable();
    let first =
        texts.partition_point(|route| !route.is_default() && class(route.path()) < Class::Prefix);
    let mut prefixes = prefixes.into_iter().peekable();
    let mut last = first;
    let slot = |expression: &T| {
        while let Some((_, after)) = prefixes.next_if(|(owner, _)| *owner < expression.owner()) {
            last = last.max(after);
        }
        Slot {
            texts: last,
            waits: last > first,
        }
    };
    expressions.iter().map(slot).collect()
}

fn merge<T: Ordered>(
    routes: &mut Vec<T>,
    expressions: Vec<T>,
    texts: Vec<T>,
    slots: &[Slot],
) -> Vec<Deferred> {
    let mut deferred = Vec::new();
    let mut texts = texts.into_iter().enumerate().peekable();
    let mut last_text = 0;
    // Where the last expression is, and that one of the older owners' which the order of one owner would put last.
    let (mut previous, mut last_of_older): (Option<usize>, Option<usize>) = (None, None);
    for (expression, slot) in expressions.into_iter().zip(slots) {
        while let Some((_, text)) = texts.next_if(|(index, _)| *index < slot.texts) {
            last_text = routes.len();
            routes.push(text);
        }
        // The last expression of an owner is the one that its own order puts last.
        if let Some(ended) = previous.filter(|at| routes[*at].owner() < expression.owner()) {
            let is_later = |at: usize| rank(routes[at].path()) > rank(routes[ended].path());
            if !last_of_older.is_some_and(is_later) {
                last_of_older = Some(ended);
            }
        }
        let waits_for =
            last_of_older.filter(|at| rank(routes[*at].path()) > rank(expression.path()));
        let after = if slot.waits {
            Some(last_text)
        } else {
            waits_for
        };
        deferred.extend(after.map(|after| Deferred {
            expression: routes.len(),
            after,
        }));
        previous = Some(routes.len());
        routes.push(expression);
    }
    routes.extend(texts.map(|(_, text)| text));
    deferred
}

/// What comes before what, whatever the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    ExactChallenge,
    Challenge,
    Exact,
    Prefix,
}

fn class(path: &PathMatch) -> Class {
    match (path, is_acme_challenge(path)) {
        (PathMatch::Exact(_), true) => Class::ExactChallenge,
        (_, true) => Class::Challenge,
        (PathMatch::Exact(_), false) => Class::Exact,
        (_, false) => Class::Prefix,
    }
}

/// The order within a class: the longer first, and a last slash makes nothing longer. Of prefixes of one text the
/// narrowest is first: `/a/` as text, `/a` by elements, `/a` as text. The text decides the rest, backwards as in Contour,
/// so that the order depends on nothing else.
fn rank(path: &PathMatch) -> (Reverse<usize>, Reverse<&str>, u8) {
    let (text, width) = match path {
        PathMatch::Exact(_)
        | PathMatch::Regex(_)
        | PathMatch::RegexPrefix(_)
        | PathMatch::Connect => (path.text(), 0),
        PathMatch::PathPrefix(text) => (text.trim_end_matches('/'), 1),
        PathMatch::StringPrefix(text) => match text.strip_suffix('/') {
            Some(text) => (text, 0),
            None => (&**text, 2),
        },
    };
    (Reverse(text.len()), Reverse(text), width)
}

/// The prefixes that take all that this one takes and are written the same but for the type of their path.
pub fn wider(path: &PathMatch) -> impl Iterator<Item = PathMatch> {
    let (text, width) = match path {
        PathMatch::Exact(_)
        | PathMatch::Regex(_)
        | PathMatch::RegexPrefix(_)
        | PathMatch::Connect => ("", 2),
        PathMatch::PathPrefix(text) => (&**text, 1),
        PathMatch::StringPrefix(text) => match text.strip_suffix('/') {
            Some(text) => (text, 0),
            None => (&**text, 2),
        },
    };
    let by_element = (width < 1).then(|| PathMatch::PathPrefix(text.into()));
    // Of `/` there is one prefix only, whatever its type.
    let by_text = (width < 2 && text.len() > 1).then(|| PathMatch::StringPrefix(text.into()));
    by_element.into_iter().chain(by_text)
}

#[cfg(test)]
mod tests;
