#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::{
    Conditions, Expression, GrpcName, HeaderName, HeaderPredicate, QueryPredicate, StringMatch,
    TextMatch,
};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    hostname: Host,
    matches: RouteMatch,
    place: Place,
}

impl Ranked for Written {
    fn hostname(&self) -> &Host {
        &self.hostname
    }

    fn matches(&self) -> &RouteMatch {
        &self.matches
    }

    fn place(&self) -> &Place {
        &self.place
    }
}

fn place(age: u32, name: &str, index: u32) -> Place {
    Place {
        created: match age {
            0 => Created::Unknown,
            age => Created::At(jiff::Timestamp::from_second(age.into()).unwrap()),
        },
        namespace: "web".into(),
        name: name.into(),
        index: (index, 0),
    }
}

fn header(name: &str, value: HeaderPredicate) -> HeaderMatch {
    HeaderMatch {
        name: HeaderName::of_request(name).unwrap(),
        value,
    }
}

fn is(pattern: StringMatch) -> HeaderPredicate {
    HeaderPredicate::Is(TextMatch::of(pattern))
}

/// `= /a` exact, `~ /a` and `^ /a` expressions, `/ /a` by elements, `" /a` as text, `g s.T/M` a call; then conditions:
/// `M` a method, `h=v`, `h` and `h~v` headers, `?q` a query parameter.
fn matches(line: &str) -> RouteMatch {
    let mut words = line.split(' ');
    let (kind, text) = (words.next().unwrap(), words.next().unwrap());
    let expression = || Expression::new(text).unwrap();
    let mut matches = match kind {
        "=" => RouteMatch::path(PathMatch::Exact(text.into())),
        "~" => RouteMatch::path(PathMatch::Regex(expression())),
        "^" => RouteMatch::path(PathMatch::RegexPrefix(expression())),
        "\"" => RouteMatch::path(PathMatch::StringPrefix(text.into())),
        "g" => {
            let (service, method) = text.split_once('/').unwrap();
            let name = |name: &str| match name.strip_prefix('~') {
                _ if name.is_empty() => None,
                None => Some(GrpcName::exact(name).unwrap()),
                Some(text) => Some(GrpcName::Regex(Expression::new(text).unwrap())),
            };
            RouteMatch::grpc(name(service).as_ref(), name(method).as_ref()).unwrap()
        }
        _ => RouteMatch::path(PathMatch::PathPrefix(text.into())),
    };
    let mut conditions = Conditions {
        grpc: matches.is_grpc(),
        ..Conditions::default()
    };
    for word in words {
        if word == "M" {
            conditions.headers.push(HeaderMatch::method("GET").unwrap());
        } else if let Some(name) = word.strip_prefix('?') {
            let query = QueryMatch::new(name, QueryPredicate::Present).unwrap();
            conditions.query.push(query);
        } else if let Some((name, value)) = word.split_once('=') {
            let value = is(StringMatch::exact(value));
            conditions.headers.push(header(name, value));
        } else if let Some((name, value)) = word.split_once('~') {
            let value = is(StringMatch::regex(value).unwrap());
            conditions.headers.push(header(name, value));
        } else {
            conditions
                .headers
                .push(header(word, HeaderPredicate::Present));
        }
    }
    matches = matches.and(conditions);
    matches
}

/// Routes in their order, of objects the younger of which would come first if nothing but age counted backwards.
fn check(sort: fn(&mut [Written]), expected: &[(&str, &str)]) {
    let count = u32::try_from(expected.len()).unwrap();
    let expected: Vec<Written> = (0..)
        .zip(expected)
        .map(|(index, (hostname, line))| Written {
            hostname: Host::new(*hostname),
            matches: matches(line),
            place: place(count - index, "shop", index),
        })
        .collect();
    let mut turned = expected.clone();
    for turn in 0..expected.len() {
        turned.rotate_left(1);
        let mut got = turned.clone();
        sort(&mut got);
        assert_eq!(got, expected, "turned by {turn}");
    }
}

#[test]
fn http_proxy_has_contours_order() {
    let lines = [
        "= /b",
        "= /a",
        "~ /a.*b",
        "~ /a.*a",
        "^ /a.",
        "/ /long/er",
        "/ /a/b",
        "/ /a M",
        "/ /a a=1 b=1 ?q",
        "/ /a a=1 b=1",
        "/ /a a=1 b=2",
        "/ /a a=1 b~1",
        "/ /a a=1 b",
        "/ /a a=1 ?q ?r",
        "/ /a a=1 ?q",
        "/ /a ?q",
        "/ /a",
        "\" /a a=1",
        "\" /a",
        "/ /",
    ];
    check(http_proxy, &lines.map(|line| ("a.test", line)));
}

#[test]
fn gateway_api_has_the_specifications_order() {
    check(
        gateway_api,
        &[
            ("a.test", "g a.Longer/M"),
            ("a.test", "g a.Long/Method"),
            ("a.test", "g a.Long/M"),
            ("a.test", "g a.Long/"),
            ("a.test", "g /~Get.*"),
            ("a.test", "g /"),
            ("a.test", "= /a/b"),
            ("a.test", "= /a"),
            ("a.test", "~ /[a-z]+"),
            ("a.test", "~ /a+"),
            ("a.test", "/ /a/b"),
            ("a.test", "/ /a M"),
            ("a.test", "/ /a a=1 b=1"),
            ("a.test", "/ /a a=1 ?q"),
            ("a.test", "/ /a/ a=1"),
            ("a.test", "/ /a ?q"),
            ("a.test", "/ /a"),
            ("a.test", "/ / M"),
            ("a.test", "/ /"),
            ("*.longer.test", "/ /"),
            ("*.test", "= /a"),
            ("*", "= /a/b/c"),
        ],
    );
}

/// The older object, then its name, then its own order: whatever the match is, if nothing of it counts.
#[test]
fn ties_are_broken_by_place() {
    for (sort, paths) in [
        (http_proxy as fn(&mut [Written]), ["/ /a", "/ /a"]),
        (gateway_api, ["/ /a", "/ /b"]),
    ] {
        let places = [
            place(1, "b", 9),
            place(2, "a", 0),
            place(2, "a", 1),
            place(2, "b", 0),
            place(0, "a", 0),
        ];
        let expected: Vec<Written> = (0..)
            .zip(places)
            .map(|(index, place)| Written {
                hostname: Host::new("a.test"),
                matches: matches(paths[index % 2]),
                place,
            })
            .collect();
        let mut got: Vec<Written> = expected.iter().rev().cloned().collect();
        sort(&mut got);
        assert_eq!(got, expected);
    }
}

fn any_match() -> impl Strategy<Value = RouteMatch> {
    let kind = select(vec!["=", "~", "^", "/", "\""]);
    let text = select(vec!["/", "/a", "/b", "/ab", "/a/"]);
    let plain = (kind, text).prop_map(|(kind, text)| format!("{kind} {text}"));
    let call = select(vec!["g /", "g s/", "g s/m", "g /m", "g ~s/m", "g s/~m"]);
    let words = select(vec!["M", "h=1", "h=2", "h", "h~1", "i=1", "?q", "?r"]);
    let words = proptest::collection::vec(words, 0..4);
    (prop_oneof![plain, call.prop_map(str::to_owned)], words)
        .prop_map(|(path, words)| matches(format!("{path} {}", words.join(" ")).trim()))
}

fn any_routes() -> impl Strategy<Value = Vec<Written>> {
    let hostname = select(vec!["*", "*.test", "*.a.test", "b.a.test", "c.a.test"]);
    let route = (hostname, any_match(), 0_u32..3, select(vec!["a", "b"]));
    proptest::collection::vec(route, 1..12).prop_map(|routes| {
        let route = |(index, (hostname, matches, age, name)): (u32, (&str, _, _, &str))| Written {
            hostname: Host::new(hostname),
            matches,
            place: place(age, name, index),
        };
        (0..).zip(routes).map(route).collect()
    })
}

proptest! {
    /// However routes come in, they come out the same; and where one of two is before the other, it is so in whatever
    /// company.
    #[test]
    fn orders_are_total(
        (routes, shuffled) in any_routes().prop_flat_map(|routes| {
            let shuffled = Just(routes.clone()).prop_shuffle();
            (Just(routes), shuffled)
        })
    ) {
        for sort in [http_proxy as fn(&mut [Written]), gateway_api] {
            let (mut got, mut again) = (routes.clone(), shuffled.clone());
            sort(&mut got);
            sort(&mut again);
            prop_assert_eq!(&got, &again);
            for (at, one) in got.iter().enumerate() {
                for other in &got[at + 1..] {
                    let mut two = [other.clone(), one.clone()];
                    sort(&mut two);
                    prop_assert_eq!(&two, &[one.clone(), other.clone()]);
                }
            }
        }
    }
}

/// The order of an object's conditions means nothing.
#[test]
fn conditions_are_compared_in_their_own_order() {
    let one = matches("/ /a a=1 b=1");
    let other = matches("/ /a b=1 a=1");
    assert_ne!(one, other);
    assert_eq!(conditions(&one), conditions(&other));
}
