//! Sessions that stay with an endpoint, on a real Envoy with several.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use isobath::model::{
    BackendOptions, Forward, ForwardOptions, HeaderName, PathRewrite, Refused, RefusedStatus,
    Route, SessionCookie, SessionKey, SessionPersistence, SetCookie, WeightedCluster,
};
use isobath::xds::ResourceType;

use crate::backend;
use crate::client::Answer;
use crate::fixture::{World, forward};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, to, with};

pub fn by_cookie(ttl: u64, path: &str, attributes: &[(&str, &str)]) -> SessionPersistence {
    let set = SetCookie::new(Some(Duration::from_secs(ttl)), path, attributes).unwrap();
    SessionPersistence {
        key: SessionKey::Cookie(SessionCookie::new("s", set).unwrap()),
        is_strict: false,
    }
}

pub fn by_header(name: &str) -> SessionPersistence {
    SessionPersistence {
        key: SessionKey::Header(HeaderName::new(name).unwrap()),
        is_strict: false,
    }
}

fn held(path: &str, forward: Forward, session: SessionPersistence) -> Route {
    let options = forward.options.as_deref().cloned().unwrap_or_default();
    let options = ForwardOptions {
        session: Some(session),
        ..options
    };
    to(path, with(forward, options))
}

fn strict(session: SessionPersistence) -> SessionPersistence {
    SessionPersistence {
        is_strict: true,
        ..session
    }
}

fn without_value(cookie: &str) -> String {
    match (cookie.split_once('='), cookie.split_once(';')) {
        (Some((name, _)), Some((_, rest))) => format!("{name}=*;{rest}"),
        _ => cookie.to_owned(),
    }
}

/// What a client sends after this answer.
fn kept(answer: &Answer) -> String {
    let pairs = answer
        .cookies()
        .into_iter()
        .filter_map(|it| it.split(';').next());
    format!("Cookie: {}", pairs.collect::<Vec<_>>().join("; "))
}

/// Who answered.
fn who(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.echo().split(' ').next().unwrap().to_owned()
}

/// Life, path and attributes of a cookie, the path that is asked for, and the cookie that is set.
type Row = (
    u64,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    Option<&'static str>,
);

const ROWS: &[Row] = &[
    (0, "/", &[], "", Some("s=*; Path=/; HttpOnly")),
    (0, "", &[], "", Some("s=*; HttpOnly")),
    (60, "/", &[], "", Some("s=*; Max-Age=60; Path=/; HttpOnly")),
    (
        60,
        "/",
        &[
            ("SameSite", "Lax"),
            ("Secure", ""),
            ("HttpOnly", ""),
            ("Domain", "a.example.com"),
        ],
        "",
        Some("s=*; Max-Age=60; Path=/; SameSite=Lax; Secure; Domain=a.example.com; HttpOnly"),
    ),
    // Only below the cookie's path.
    (0, "/other", &[], "", None),
    (0, "/7", &[], "/7", Some("s=*; Path=/7; HttpOnly")),
];

#[tokio::test]
async fn cookies_are_set_as_asked() {
    let Some(envoy) = envoy() else { return };
    let routes = ROWS
        .iter()
        .enumerate()
        .map(|(index, (ttl, path, attributes, own, _))| {
            let path_of_route = if own.is_empty() {
                format!("/row-{index}")
            } else {
                (*own).to_owned()
            };
            held(
                &path_of_route,
                forward(&["two"]),
                by_cookie(*ttl, path, attributes),
            )
        });
    let [a, b] = [backend::start("a").await, backend::start("b").await];
    let world = World::new()
        .cluster("two", &[a, b])
        .http(HOST, routes.collect());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (index, (_, _, _, own, expected)) in ROWS.iter().enumerate() {
        let path = if own.is_empty() {
            format!("/row-{index}")
        } else {
            (*own).to_owned()
        };
        let answer = get(&proxy, &path, &[]).await;
        let found = answer.cookies().first().map(|it| without_value(it));
        if found.as_deref() != *expected {
            wrong.push(format!("{index}: {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

async fn four() -> [SocketAddr; 4] {
    [
        backend::start("a").await,
        backend::start("b").await,
        backend::start("c").await,
        backend::start("d").await,
    ]
}

/// Who answers so many requests with these headers.
async fn answers(proxy: &Proxy, path: &str, headers: &[&str], requests: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for _ in 0..requests {
        seen.insert(who(&get(proxy, path, headers).await));
    }
    seen
}

#[tokio::test]
async fn a_session_stays_with_its_endpoint() {
    let Some(envoy) = envoy() else { return };
    let all = four().await;
    let routes = vec![
        held("/session", forward(&["four"]), by_cookie(0, "/", &[])),
        held("/permanent", forward(&["four"]), by_cookie(60, "/", &[])),
        held("/header", forward(&["four"]), by_header("X-Session")),
        to("/none", forward(&["four"])),
    ];
    let world = World::new().cluster("four", &all).http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for path in ["/session", "/permanent"] {
        for _ in 0..4 {
            let first = get(&proxy, path, &[]).await;
            let cookie = kept(&first);
            assert_eq!(
                answers(&proxy, path, &[&cookie], 8).await,
                [who(&first)].into(),
                "{path}"
            );
            let again = get(&proxy, path, &[&cookie]).await;
            assert_eq!(again.cookies(), Vec::<&str>::new(), "set once");
            let beside = format!("Cookie: x=1; {}", &cookie["Cookie: ".len()..]);
            assert_eq!(
                answers(&proxy, path, &[&beside], 8).await,
                [who(&first)].into()
            );
        }
    }
    for _ in 0..4 {
        let first = get(&proxy, "/header", &[]).await;
        let header = format!("X-Session: {}", first.header("x-session").unwrap());
        let seen = answers(&proxy, "/header", &[&header], 8).await;
        assert_eq!(seen, [who(&first)].into());
    }
    // Nobody is held who asks elsewhere, or has made it up.
    let cookie = kept(&get(&proxy, "/session", &[]).await);
    assert_eq!(answers(&proxy, "/none", &[&cookie], 16).await.len(), 4);
    for made_up in ["X-Session: MTI3LjAuMC4xOjE=", "X-Session: no address"] {
        assert_eq!(
            answers(&proxy, "/header", &[made_up], 16).await.len(),
            4,
            "{made_up}"
        );
    }
    proxy.assert_content();
}

/// Strict or not.
#[tokio::test]
async fn an_endpoint_that_is_gone() {
    let Some(envoy) = envoy() else { return };
    let all = four().await;
    let routes = || {
        vec![
            held("/again", forward(&["four"]), by_cookie(0, "/", &[])),
            held(
                "/strict",
                forward(&["four"]),
                strict(by_cookie(0, "/", &[])),
            ),
            held(
                "/strict-header",
                forward(&["four"]),
                strict(by_header("X-Session")),
            ),
        ]
    };
    let world = |addresses: &[SocketAddr]| {
        let world = World::new().cluster("four", addresses);
        world.http(HOST, routes()).resources()
    };
    let proxy = Proxy::start(&envoy, world(&all)).await;
    let again = kept(&get(&proxy, "/again", &[]).await);
    let strict = kept(&get(&proxy, "/strict", &[]).await);
    let header = get(&proxy, "/strict-header", &[]).await;
    let header = format!("X-Session: {}", header.header("x-session").unwrap());
    // Others take the place of all four.
    let others = [backend::start("e").await, backend::start("f").await];
    let endpoints = world(&others);
    let key = (ResourceType::Endpoint, "four".to_owned());
    let bytes = endpoints[&key].clone();
    proxy
        .update(
            |all| {
                all.insert(key, bytes);
            },
            "cluster.four.update_success",
        )
        .await;
    for _ in 0..3000 {
        if get(&proxy, "/again", &[&again]).await.cookies().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        } else {
            break;
        }
    }
    let new = get(&proxy, "/again", &[&again]).await;
    assert!(["e", "f"].contains(&&*who(&new)));
    let cookie = kept(&new);
    assert_eq!(
        answers(&proxy, "/again", &[&cookie], 8).await,
        [who(&new)].into()
    );
    for (path, brings) in [("/strict", &strict), ("/strict-header", &header)] {
        assert_eq!(get(&proxy, path, &[brings]).await.status, 503, "{path}");
        assert_eq!(get(&proxy, path, &[]).await.status, 200, "{path}");
    }
    proxy.assert_content();
}

/// A session stays with its back end too, whatever form shares have in Envoy.
#[tokio::test]
async fn a_session_stays_with_its_back_end() {
    let Some(envoy) = envoy() else { return };
    let [a, b, c, d] = four().await;
    let split = |rewrite: Option<&str>| Forward {
        backends: ["ab", "cd"]
            .map(|cluster| WeightedCluster {
                options: rewrite.map(|path| {
                    Box::new(BackendOptions {
                        rewrite: Some(PathRewrite::ReplaceFullPath(
                            format!("{path}{cluster}").into(),
                        )),
                        ..BackendOptions::default()
                    })
                }),
                ..WeightedCluster::new(cluster, 1)
            })
            .into(),
        ..forward(&[])
    };
    let refused = ForwardOptions {
        refused: Some(Refused {
            weight: 1,
            status: RefusedStatus::ServiceUnavailable,
        }),
        ..ForwardOptions::default()
    };
    let lax = [("SameSite", "Lax"), ("HttpOnly", "")];
    let twice = Forward {
        backends: vec![WeightedCluster::new("ab", 1), WeightedCluster::new("ab", 1)],
        ..forward(&[])
    };
    let routes = vec![
        held("/split", split(None), by_cookie(0, "/", &[])),
        held("/rewritten", split(Some("/to-")), by_cookie(60, "/", &lax)),
        held(
            "/refused",
            with(forward(&["ab"]), refused),
            by_cookie(0, "/", &[]),
        ),
        held("/twice", twice, by_cookie(0, "/", &[])),
        held("/header", split(None), by_header("X-Session")),
        held("/some", split(None), by_cookie(0, "/some", &[])),
    ];
    let world = World::new()
        .cluster("ab", &[a, b])
        .cluster("cd", &[c, d])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for path in ["/split", "/rewritten", "/refused", "/twice"] {
        let mut seen = BTreeSet::new();
        for _ in 0..48 {
            let first = get(&proxy, path, &[]).await;
            if first.status == 503 {
                assert_eq!(first.cookies(), Vec::<&str>::new());
                continue;
            }
            let cookie = kept(&first);
            assert_eq!(
                answers(&proxy, path, &[&cookie], 6).await,
                [who(&first)].into(),
                "{path}"
            );
            seen.insert(who(&first));
        }
        let expected = if path == "/refused" || path == "/twice" {
            2
        } else {
            4
        };
        assert_eq!(seen.len(), expected, "{path}: {seen:?}");
    }
    let first = get(&proxy, "/rewritten", &[]).await;
    let names: Vec<String> = first.cookies().into_iter().map(without_value).collect();
    assert_eq!(
        BTreeSet::from_iter(names),
        BTreeSet::from([
            "s=*; Max-Age=60; Path=/; SameSite=Lax; HttpOnly".to_owned(),
            "s-backend=*; Max-Age=60; Path=/; SameSite=Lax; HttpOnly".to_owned(),
        ])
    );
    // A header is held to an endpoint in its own share of the requests, and to no back end.
    let first = get(&proxy, "/header", &[]).await;
    let header = format!("X-Session: {}", first.header("x-session").unwrap());
    assert_eq!(answers(&proxy, "/header", &[&header], 40).await.len(), 3);
    // So is a cookie for some paths: others would move the session.
    let first = get(&proxy, "/some", &[]).await;
    let names: Vec<String> = first.cookies().into_iter().map(without_value).collect();
    assert_eq!(names, ["s=*; Path=/some; HttpOnly"]);
    let cookie = kept(&first);
    assert_eq!(answers(&proxy, "/some", &[&cookie], 40).await.len(), 3);
    proxy.assert_content();
}
