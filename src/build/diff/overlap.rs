//! Whether a route takes requests that another one takes, as far as what they ask for says so.

use crate::envoy::edge::Edge;
use crate::envoy::request::{Request, mismatch};
use crate::model::{HeaderMatch, HeaderPredicate, PathMatch, RouteMatch};

/// Of what one route takes, what another one takes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overlap {
    /// Nothing.
    None,
    /// Some of it, or perhaps some: of two expressions nobody can tell.
    Some,
    /// All of it.
    All,
}

/// What `by` takes of what `of` takes.
pub fn overlap(of: &RouteMatch, by: &RouteMatch) -> Overlap {
    let path = paths(&of.path, &by.path);
    let scheme = match (of.scheme, by.scheme) {
        (Some(one), Some(other)) if one != other => Overlap::None,
        (None, Some(_)) => Overlap::Some,
        _ => Overlap::All,
    };
    let headers = by.headers().iter().map(|header| headers(of, header));
    let query = by
        .query()
        .iter()
        .map(|query| asked(of.query().contains(query)));
    let others = [
        asked(of.is_grpc() || !by.is_grpc()),
        asked(of.is_without_certificate() || !by.is_without_certificate()),
    ];
    let conditions = headers.chain(query).chain(others);
    conditions.fold(path.min(scheme), Overlap::min)
}

/// Whether what is asked for holds for all.
const fn asked(is_asked_by_both: bool) -> Overlap {
    match is_asked_by_both {
        true => Overlap::All,
        false => Overlap::Some,
    }
}

fn headers(of: &RouteMatch, header: &HeaderMatch) -> Overlap {
    if of.headers().contains(header) {
        return Overlap::All;
    }
    // A request has one method, and may have several values of anything else.
    let exact = |header: &HeaderMatch| match &header.value {
        HeaderPredicate::Is(text) if header.name.is_method() && !text.negated => {
            Some(text.pattern.text().to_owned())
        }
        _ => None,
    };
    let other = of.headers().iter().find_map(exact);
    match (other, exact(header)) {
        (Some(one), Some(other)) if one != other => Overlap::None,
        _ => Overlap::Some,
    }
}

fn paths(of: &PathMatch, by: &PathMatch) -> Overlap {
    if of == by {
        return Overlap::All;
    }
    match (of, by) {
        (PathMatch::Connect, _) | (_, PathMatch::Connect) => Overlap::None,
        (PathMatch::Exact(path), _) => match takes(by, path) {
            true => Overlap::All,
            false => Overlap::None,
        },
        (_, PathMatch::Exact(path)) => match takes(of, path) {
            true => Overlap::Some,
            false => Overlap::None,
        },
        (_, PathMatch::PathPrefix(prefix) | PathMatch::StringPrefix(prefix)) => {
            let begins = beginning(of);
            let is_by_elements = matches!(by, PathMatch::PathPrefix(_)) && &**prefix != "/";
            let covers = match is_by_elements {
                true => {
                    let rest = begins.strip_prefix(&**prefix);
                    let is_whole = matches!(of, PathMatch::PathPrefix(_));
                    rest.is_some_and(|rest| rest.starts_with('/') || rest.is_empty() && is_whole)
                }
                false => begins.starts_with(&**prefix),
            };
            match of {
                _ if covers => Overlap::All,
                PathMatch::PathPrefix(_) | PathMatch::StringPrefix(_) if !takes(of, prefix) => {
                    match begins.starts_with(&**prefix) && !is_by_elements {
                        true => Overlap::Some,
                        false => Overlap::None,
                    }
                }
                _ if prefix.starts_with(&*begins) || begins.starts_with(&**prefix) => Overlap::Some,
                _ => Overlap::None,
            }
        }
        // Of an expression that is longer than its beginning, what it takes of another one nobody can tell.
        (_, PathMatch::Regex(_) | PathMatch::RegexPrefix(_)) => {
            let (of, by) = (beginning(of), beginning(by));
            match of.starts_with(&by) || by.starts_with(&of) {
                true => Overlap::Some,
                false => Overlap::None,
            }
        }
    }
}

/// What every path begins with that a match takes.
fn beginning(path: &PathMatch) -> String {
    let text = path.text();
    let (PathMatch::Regex(_) | PathMatch::RegexPrefix(_)) = path else {
        return text.to_owned();
    };
    if text.contains('|') {
        return String::new();
    }
    let literal = |character: char| character.is_ascii_alphanumeric() || "/_-".contains(character);
    let end = text.find(|character| !literal(character));
    let (begins, rest) = text.split_at(end.unwrap_or(text.len()));
    // The last one may be there or not.
    let optional = rest.starts_with(['?', '*', '{']);
    let kept = begins.len() - usize::from(optional && !begins.is_empty());
    begins[..kept].to_owned()
}

fn takes(matches: &PathMatch, path: &str) -> bool {
    let request = Request {
        tls: false,
        method: "GET".to_owned(),
        host: String::new(),
        path: path.to_owned(),
        headers: Vec::new(),
    };
    mismatch(
        &Edge::default(),
        &RouteMatch::path(matches.clone()),
        &request,
    )
    .is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Expression;

    fn path(text: &str) -> PathMatch {
        let (form, text) = text.split_once(' ').unwrap();
        match form {
            "is" => PathMatch::Exact(text.into()),
            "below" => PathMatch::PathPrefix(text.into()),
            "begins" => PathMatch::StringPrefix(text.into()),
            "like" => PathMatch::Regex(Expression::new(text).unwrap()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn paths_overlap() {
        use Overlap::{All, None, Some};
        for (of, by, expected) in [
            ("is /a", "below /", All),
            ("is /a", "below /a", All),
            ("is /a", "is /b", None),
            ("is /a/b", "like /a/.*", All),
            ("below /a", "is /a/b", Some),
            ("below /a", "is /ab", None),
            ("below /a", "below /", All),
            ("below /a/b", "below /a", All),
            ("below /a", "below /a/b", Some),
            ("below /ab", "below /a", None),
            ("below /a", "below /ab", None),
            ("below /a", "begins /a", All),
            ("below /ab", "begins /a", All),
            ("begins /a", "below /a", Some),
            ("begins /a/", "below /a", All),
            ("begins /ab", "below /a", None),
            ("begins /a", "begins /ab", Some),
            ("begins /a", "below /ab", Some),
            ("begins /a", "begins /", All),
            ("like /a/[0-9]+", "below /a", All),
            ("like /a/[0-9]+", "below /", All),
            ("like /ab?", "below /ab", Some),
            ("like /ab?", "begins /a", All),
            ("like /a|/b", "begins /a", Some),
            ("like /b.*", "below /a", None),
            ("below /a", "like /a/.*", Some),
            ("below /a", "like /b/.*", None),
            ("below /a", "like .*", Some),
        ] {
            assert_eq!(paths(&path(of), &path(by)), expected, "{of}, by {by}");
        }
    }

    #[test]
    fn a_route_that_asks_for_more_takes_some() {
        let any = RouteMatch::path(path("below /"));
        let of_method = |method| {
            let headers = vec![HeaderMatch::method(method).unwrap()];
            any.clone().and(crate::model::Conditions {
                headers,
                ..Default::default()
            })
        };
        assert_eq!(overlap(&any, &any), Overlap::All);
        assert_eq!(overlap(&any, &of_method("GET")), Overlap::Some);
        assert_eq!(overlap(&of_method("GET"), &any), Overlap::All);
        assert_eq!(overlap(&of_method("GET"), &of_method("PUT")), Overlap::None);
        assert_eq!(overlap(&of_method("GET"), &of_method("GET")), Overlap::All);
    }
}
