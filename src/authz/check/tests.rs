//! Guards against requests, with passwords and without anybody who is asked.

#![allow(clippy::unwrap_used)]

use crate::model::{BasicAuthentication, Destination, RequestText, SignIn, Subrequest};

use super::super::discovery::{discovery, serving};
use super::super::request::tests::call;
use super::*;

/// `a:secret` by apr1.
const USERS: &str = "a:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0\n";
const RIGHT: (&str, &str) = ("authorization", "Basic YTpzZWNyZXQ=");
const WRONG: (&str, &str) = ("authorization", "Basic YTp3cm9uZw==");
const NAME: &str = "htpasswd/ns/users";

fn basic(credentials: &str) -> Option<BasicAuthentication> {
    Some(BasicAuthentication {
        credentials: credentials.into(),
        realm: "Top Secret".into(),
    })
}

/// Nobody answers there.
fn asked() -> Option<Box<Subrequest>> {
    Some(Box::new(Subrequest {
        to: Destination::Cluster("ns/gone/80".into()),
        url: RequestText::new("http://gone/check").unwrap(),
        method: None,
        headers: std::collections::BTreeMap::new(),
        response_headers: vec!["x-user".into()],
        redirect: None,
        sign_in: Some(SignIn {
            url: RequestText::new("/login").unwrap(),
            parameter: "rd".into(),
        }),
        always_set_cookie: false,
        cache: None,
    }))
}

fn addresses(allow: &[&str], deny: &[&str]) -> Option<GuardAddresses> {
    let texts = |list: &[&str]| list.iter().map(|it| Arc::from(*it)).collect();
    Some(GuardAddresses {
        allow: texts(allow),
        deny: texts(deny),
    })
}

async fn status(guard: &str, headers: &[(&str, &str)], client: &str) -> u16 {
    let discovery = serving(&[(NAME, Some(USERS)), ("htpasswd/ns/gone", None)]);
    let authorizer = Authorizer::new(discovery, 1, Vec::new()).unwrap();
    let call = call("a.test", "/x", headers, guard);
    match authorizer.check(call, client.parse().ok()).await {
        Answer::Passes(passed) => {
            assert!(
                passed.removed.contains(&"authorization".to_owned()) || !guard.contains("basic")
            );
            200
        }
        Answer::Refused(refused) => refused.status,
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_is_asked_must_be_there() {
    let guard = |any, basic, subrequest| {
        Guard {
            any,
            basic,
            subrequest,
        }
        .to_text()
    };
    let own = addresses(&["192.0.2.0/24"], &[]);
    let other = addresses(&["198.51.100.0/24"], &[]);
    let but = addresses(&["192.0.2.0/24"], &["192.0.2.7"]);
    let none = addresses(&[], &[]);
    let broken = addresses(&["192.0.2.0/24"], &["no range"]);
    let from = "192.0.2.7";
    for (guard, headers, expected) in [
        (guard(None, basic(NAME), None), &[RIGHT][..], 200),
        (guard(None, basic(NAME), None), &[WRONG], 401),
        (guard(None, basic(NAME), None), &[], 401),
        (guard(None, basic("htpasswd/ns/gone"), None), &[RIGHT], 503),
        (
            guard(None, basic("htpasswd/ns/unknown"), None),
            &[RIGHT],
            503,
        ),
        (guard(None, None, asked()), &[RIGHT], 500),
        (guard(None, basic(NAME), asked()), &[RIGHT], 500),
        // Whoever has to sign in gets the way there, be it for a password.
        (guard(None, basic(NAME), asked()), &[WRONG], 302),
        (guard(own.clone(), basic(NAME), None), &[], 200),
        (guard(other.clone(), basic(NAME), None), &[], 401),
        (guard(other.clone(), basic(NAME), None), &[RIGHT], 200),
        (guard(but, basic(NAME), None), &[], 401),
        (guard(none, basic(NAME), None), &[], 401),
        (guard(broken, basic(NAME), None), &[], 401),
        (guard(other, None, asked()), &[], 500),
        (guard(own, None, asked()), &[], 200),
        (String::new(), &[RIGHT], 503),
        ("{}".to_owned(), &[RIGHT], 503),
        (r#"{"newer":true}"#.to_owned(), &[RIGHT], 503),
    ] {
        let found = status(&guard, headers, from).await;
        assert_eq!(found, expected, "{guard} {headers:?}");
    }
    let nobody = guard_of_addresses().to_text();
    assert_eq!(
        status(&nobody, &[], "").await,
        401,
        "whose address nobody knows"
    );
}

fn guard_of_addresses() -> Guard {
    Guard {
        any: addresses(&["0.0.0.0/0", "::/0"], &[]),
        basic: basic(NAME),
        subrequest: None,
    }
}

/// What a client says of itself does not arrive.
#[test]
fn what_clients_may_not_say_is_removed() {
    let guard = Guard {
        any: None,
        basic: basic(NAME),
        subrequest: asked(),
    };
    let said = |name: &str| Passed {
        set: vec![(name.to_owned(), "alice".to_owned())],
        ..Passed::default()
    };
    for (passed, removed) in [
        (Passed::default(), &["authorization", "x-user"][..]),
        (said("x-user"), &["authorization"]),
        (said("authorization"), &["x-user"]),
    ] {
        assert_eq!(cleaned(passed, &guard).removed, removed);
    }
}

#[tokio::test]
async fn a_call_that_says_nothing_is_refused() {
    let authorizer = Authorizer::new(discovery("test").0, 1, Vec::new()).unwrap();
    let answer = authorizer.check(CheckRequest::default(), None).await;
    assert_eq!(answer, Answer::Refused(Refused::status(503)));
}
