//! What is asked, and what answers mean; rows A01 to A29 of `reference/ingress-nginx.md`, section 6.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::super::discovery::discovery;
use super::super::request::tests::request;
use super::*;
use crate::model::RequestText;

fn text(text: &str) -> RequestText {
    RequestText::new(text).unwrap()
}

fn subrequest(url: &str) -> Subrequest {
    Subrequest {
        to: Destination::Cluster("ns/auth/80".into()),
        url: text(url),
        method: None,
        headers: BTreeMap::new(),
        response_headers: vec!["x-user".into(), "x-none".into()],
        redirect: None,
        sign_in: None,
        always_set_cookie: false,
        cache: None,
    }
}

#[test]
fn headers_are_those_of_nginx() {
    let headers = [
        (":path", "/x?a=1"),
        ("connection", "upgrade"),
        ("content-length", "5"),
        ("cookie", "s=1"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-proto", "https"),
        ("x-original-url", "spoofed"),
        ("x-real-ip", "9.9.9.9"),
    ];
    let asked_about = request("Shop.test:8443", "/x?a=1", &headers);
    let subrequest = subrequest("http://auth.ns.svc.cluster.local:8080/check?h=$host");
    let asked = asked(
        &subrequest,
        &asked_about,
        "http://auth.ns.svc.cluster.local:8080/check?h=shop.test",
    )
    .unwrap();
    assert_eq!(asked.method(), "GET");
    assert_eq!(asked.uri().path_and_query().unwrap(), "/check?h=shop.test");
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (name, value) in asked.headers() {
        seen.push((name.as_str(), value.to_str().unwrap()));
    }
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("cookie", "s=1"),
            ("host", "auth.ns.svc.cluster.local"),
            ("x-auth-request-redirect", "/x?a=1"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-original-method", "GET"),
            ("x-original-url", "https://Shop.test:8443/x?a=1"),
            ("x-real-ip", "192.0.2.7"),
            ("x-sent-from", "nginx-ingress-controller"),
        ]
    );
}

#[test]
fn a_method_brings_headers_of_its_own() {
    let subrequest = Subrequest {
        method: Some("POST".into()),
        redirect: Some("/back".into()),
        headers: BTreeMap::from([("x-a".into(), text("$host"))]),
        ..subrequest("http://auth/check")
    };
    let about = request("a.test", "/x", &[("x-a", "spoofed")]);
    let asked = asked(&subrequest, &about, "http://auth/check").unwrap();
    assert_eq!(asked.method(), "POST");
    for (name, expected) in [
        ("x-original-uri", "/x"),
        ("x-scheme", "http"),
        ("x-auth-request-redirect", "/back"),
        ("x-a", "a.test"),
    ] {
        assert_eq!(asked.headers()[name], expected, "{name}");
    }
    assert!(super::asked(&subrequest, &about, "no url at all").is_none());
}

#[test]
fn only_a_yes_passes() {
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from_static("alice"));
    headers.insert("set-cookie", HeaderValue::from_static("authc=1"));
    headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
    let subrequest = subrequest("http://auth/check");
    for status in 100..=599_u16 {
        let answer = answer(&subrequest, StatusCode::from_u16(status).unwrap(), &headers);
        match (status, answer) {
            (200..=299, Answer::Passes(passed)) => {
                assert_eq!(passed.set, [("x-user".to_owned(), "alice".to_owned())]);
                assert_eq!(passed.cookies, ["authc=1"]);
            }
            (401, Answer::Refused(refused)) => {
                assert_eq!(refused.status, 401);
                let challenge = ("www-authenticate".to_owned(), "Bearer".to_owned());
                assert_eq!(refused.headers, [challenge]);
            }
            (403, Answer::Refused(refused)) => {
                assert_eq!((refused.status, refused.headers.len()), (403, 0));
            }
            (200..=299 | 401 | 403, answer) => panic!("{status}: {answer:?}"),
            (_, answer) => assert_eq!(answer, Answer::Refused(Refused::status(500)), "{status}"),
        }
    }
}

/// As nginx keeps them, and never longer than the Ingress says.
#[test]
fn answers_are_kept_as_long_as_they_say() {
    for (said, expected) in [
        (&[][..], Some(300)),
        (&[("cache-control", "public")], Some(300)),
        (&[("cache-control", "max-age=60")], Some(60)),
        (&[("cache-control", "public, Max-Age=900")], Some(300)),
        (&[("cache-control", "max-age=0")], None),
        (&[("cache-control", "max-age=soon")], None),
        (&[("cache-control", "no-store")], None),
        (
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "private"),
            ],
            None,
        ),
        (&[("cache-control", "No-Cache")], None),
        (&[("vary", "Cookie")], None),
        (&[("expires", "Thu, 01 Jan 2037 00:00:00 GMT")], None),
        (&[("x-accel-expires", "10")], Some(10)),
        (&[("x-accel-expires", "0")], None),
        (&[("set-cookie", "a=1")], None),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(held(&headers, 300), expected, "{said:?}");
    }
}

/// A yes for one location, or for the text that one Ingress makes of a request, is none for another.
#[test]
fn a_kept_answer_is_of_one_location() {
    let (discovery, _subscriptions) = discovery("test");
    let subrequests = Subrequests::new(discovery, Vec::new()).unwrap();
    let about = request("a.test", "/", &[]);
    let of = |location: &str, key: &str| Subrequest {
        cache: Some(crate::model::AnswerCache {
            location: location.into(),
            key: text(key),
            seconds: BTreeMap::from([(200, 60)]),
        }),
        ..subrequest("http://auth/check")
    };
    let key =
        |subrequest: &Subrequest| subrequests.key(subrequest, &about, "http://auth/check", "k");
    let one = key(&of("Ingress a/b /public", "$cookie_s"));
    assert_eq!(one, key(&of("Ingress a/b /public", "$cookie_s")));
    assert_ne!(one, key(&of("Ingress a/b /admin", "$cookie_s")));
    assert_ne!(one, key(&of("Ingress a/b /public", "$http_x")));
}

/// What is no ASCII is asked and told as it was said.
#[test]
fn text_of_other_languages_is_kept() {
    let subrequest = subrequest("http://auth/check");
    let about = request("a.test", "/ü", &[("cookie", "s=1; n=José")]);
    let asked = asked(&subrequest, &about, "http://auth/check").unwrap();
    assert_eq!(
        asked.headers()["cookie"].as_bytes(),
        "s=1; n=José".as_bytes()
    );
    assert_eq!(
        asked.headers()["x-auth-request-redirect"].as_bytes(),
        "/ü".as_bytes()
    );
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-user",
        HeaderValue::from_bytes("José".as_bytes()).unwrap(),
    );
    let Answer::Passes(passed) = answer(&subrequest, StatusCode::OK, &headers) else {
        panic!("no yes");
    };
    assert_eq!(passed.set, [("x-user".to_owned(), "José".to_owned())]);
    headers.insert("x-user", HeaderValue::from_bytes(b"\xff").unwrap());
    let refused = Answer::Refused(Refused::status(500));
    assert_eq!(answer(&subrequest, StatusCode::OK, &headers), refused);
}

#[test]
fn signing_in_leads_back() {
    let about = request("HOST.test", "/x?a=1&b=%2F", &[]);
    for (url, parameter, expected) in [
        (
            "https://login.test/start",
            "rd",
            "https://login.test/start?rd=http://HOST.test%2Fx%3Fa%3D1%26b%3D%252F",
        ),
        (
            "https://login.test/start?x=1",
            "back",
            "https://login.test/start?x=1&back=http://HOST.test%2Fx%3Fa%3D1%26b%3D%252F",
        ),
        (
            "https://$host/start?rd=$escaped_request_uri",
            "rd",
            "https://host.test/start?rd=%2Fx%3Fa%3D1%26b%3D%252F",
        ),
        (
            "/login",
            "rd",
            "http://HOST.test/login?rd=http://HOST.test%2Fx%3Fa%3D1%26b%3D%252F",
        ),
    ] {
        let sign_in = SignIn {
            url: text(url),
            parameter: parameter.into(),
        };
        assert_eq!(location(&sign_in, &about).as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn only_a_401_signs_in() {
    let (discovery, _subscriptions) = discovery("test");
    let subrequests = Subrequests::new(discovery, Vec::new()).unwrap();
    let about = request("a.test", "/", &[]);
    let guard = |sign_in: bool, always_set_cookie| Guard {
        subrequest: Some(Box::new(Subrequest {
            sign_in: sign_in.then(|| SignIn {
                url: text("/login"),
                parameter: "rd".into(),
            }),
            always_set_cookie,
            ..subrequest("http://auth/check")
        })),
        ..Guard::default()
    };
    for (status, signs_in, always, expected, has_cookie) in [
        (401, true, false, 302, true),
        (403, true, false, 403, false),
        (500, true, false, 500, false),
        (401, false, false, 401, false),
        (401, false, true, 401, true),
    ] {
        let refused = Refused {
            status,
            headers: Vec::new(),
            cookies: vec!["authc=1".to_owned()],
        };
        let answer = subrequests.signed_in(&guard(signs_in, always), &about, refused);
        let Answer::Refused(refused) = answer else {
            panic!("{status}: {answer:?}");
        };
        assert_eq!(refused.status, expected);
        let cookies = refused
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        assert_eq!(cookies.count() == 1, has_cookie, "{status}");
    }
}
