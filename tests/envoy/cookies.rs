//! What becomes of the cookies that a back end sets, on a real Envoy.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use isobath::model::{
    AttributeRewrite, BackendOptions, CookieRewrite, CookieRewrites, Forward, ForwardOptions,
    PathRewrite, Route, SameSite, WeightedCluster,
};

use crate::filter_cases::changed;
use crate::fixture::{World, forward};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, sets, to, with};

/// A back end that sets the cookies of `X-Set`, which has `|` between them.
async fn start() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|request: Request| async move {
        let asked = request.headers().get("x-set");
        let asked = asked.map(|it| it.to_str().unwrap()).unwrap_or_default();
        let mut headers = HeaderMap::new();
        for cookie in asked.split('|').filter(|it| !it.is_empty()) {
            headers.append("set-cookie", HeaderValue::from_str(cookie).unwrap());
        }
        headers
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn set(text: &str) -> AttributeRewrite {
    AttributeRewrite::Set(text.into())
}

fn replace(from: &str, to: &str) -> AttributeRewrite {
    AttributeRewrite::Replace {
        from: from.into(),
        to: to.into(),
    }
}

fn of(name: &str) -> CookieRewrite {
    CookieRewrite::of(name).unwrap()
}

/// Every attribute of the cookie `a`.
pub fn full() -> CookieRewrite {
    let full = of("a").path(set("/new")).unwrap();
    changed(full.domain(set("new.test")).unwrap(), |it| {
        it.secure = Some(true);
        it.http_only = Some(true);
        it.same_site = Some(SameSite::Lax);
    })
}

/// What ingress-nginx' `proxy-cookie-path` and `-domain` are.
pub fn replaced() -> CookieRewrite {
    let all = CookieRewrite::of_all().path(replace("/one", "/two"));
    all.unwrap().domain(replace("a.test", "b.test")).unwrap()
}

pub fn rewrites(list: Vec<CookieRewrite>) -> CookieRewrites {
    CookieRewrites::new(list).unwrap()
}

fn changing(path: &str, list: Vec<CookieRewrite>) -> Route {
    let options = ForwardOptions {
        cookie_rewrites: rewrites(list),
        ..ForwardOptions::default()
    };
    to(path, with(forward(&["a"]), options))
}

fn unset() -> CookieRewrite {
    changed(CookieRewrite::of_all(), |it| {
        it.secure = Some(false);
        it.http_only = Some(false);
    })
}

fn routes() -> Vec<Route> {
    let path = |cookie: CookieRewrite, text| cookie.path(set(text)).unwrap();
    let lua = "%x\"]]..os.exit()";
    let none = changed(path(CookieRewrite::of_all(), "/rest"), |it| {
        it.same_site = Some(SameSite::None);
    });
    let strict = changed(of("a"), |it| it.same_site = Some(SameSite::Strict));
    vec![
        changing("/full", vec![full()]),
        changing("/unset", vec![unset()]),
        changing("/replaced", vec![replaced()]),
        changing("/same-site", vec![strict]),
        changing("/two", vec![path(of("a"), "/a"), path(of("b"), "/b")]),
        changing("/first", vec![path(of("a"), "/first"), none]),
        changing(
            "/steps",
            vec![
                CookieRewrite::of_all()
                    .path(replace("/one", "/two"))
                    .unwrap(),
                CookieRewrite::of_all()
                    .path(replace("/", "/rest/"))
                    .unwrap(),
            ],
        ),
        changing("/lua", vec![path(of("a"), lua)]),
        Route {
            response_headers: sets("set-cookie", "a=route; Path=/x"),
            ..changing("/added", vec![path(of("a"), "/new")])
        },
        to("/none", forward(&["a"])),
    ]
}

/// Path, the cookies that the back end sets, and those that the client gets, with `|` between them.
const ROWS: &[(&str, &str, &str)] = &[
    ("/none", "a=1; Path=/x|b=2", "a=1; Path=/x|b=2"),
    ("/full", "", ""),
    (
        "/full",
        "a=1",
        "a=1; Path=/new; Domain=new.test; Secure; HttpOnly; SameSite=Lax",
    ),
    (
        "/full",
        "a=1; Path=/x; Domain=x.test; Secure; HttpOnly; SameSite=Strict",
        "a=1; Path=/new; Domain=new.test; Secure; HttpOnly; SameSite=Lax",
    ),
    // In their place, whatever their case.
    (
        "/full",
        "a=1; samesite=none; HTTPONLY; Max-Age=5; domain=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/",
        "a=1; SameSite=Lax; HTTPONLY; Max-Age=5; Domain=new.test; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/new; \
         Secure",
    ),
    ("/full", "b=1; Path=/x", "b=1; Path=/x"),
    ("/full", "A=1", "A=1"),
    (
        "/full",
        "aa=1|a=2; Secure|b=3",
        "aa=1|a=2; Secure; Path=/new; Domain=new.test; HttpOnly; SameSite=Lax|b=3",
    ),
    ("/full", "a", "a"),
    ("/full", "=a", "=a"),
    (
        "/full",
        "a=b=c",
        "a=b=c; Path=/new; Domain=new.test; Secure; HttpOnly; SameSite=Lax",
    ),
    (
        "/full",
        "a=\"1;\"; x",
        "a=\"1; \"; x; Path=/new; Domain=new.test; Secure; HttpOnly; SameSite=Lax",
    ),
    // What is malformed comes out well.
    (
        "/full",
        "a=1;;  Path = /x ;Secure ; ",
        "a=1; Path=/new; Secure; Domain=new.test; HttpOnly; SameSite=Lax",
    ),
    (
        "/full",
        "a=1; Path=/x; Path=/y",
        "a=1; Path=/new; Domain=new.test; Secure; HttpOnly; SameSite=Lax",
    ),
    ("/unset", "a=1; Secure; Path=/x; HttpOnly", "a=1; Path=/x"),
    ("/unset", "a=1;Path=/x", "a=1;Path=/x"),
    (
        "/replaced",
        "a=1; Path=/one/x; Domain=a.test",
        "a=1; Path=/two/x; Domain=b.test",
    ),
    ("/replaced", "a=1; Path=/onerous", "a=1; Path=/tworous"),
    ("/replaced", "a=1; Path=/ONE", "a=1; Path=/ONE"),
    ("/replaced", "a=1; Path=/x/one", "a=1; Path=/x/one"),
    ("/replaced", "a=1; Domain=.A.Test", "a=1; Domain=b.test"),
    ("/replaced", "a=1; Domain=x.a.test", "a=1; Domain=x.a.test"),
    ("/replaced", "a=1;Secure", "a=1;Secure"),
    ("/replaced", "a=1; Path; Domain", "a=1; Path; Domain"),
    (
        "/same-site",
        "a=1; SameSite=None; Secure",
        "a=1; SameSite=Strict; Secure",
    ),
    ("/same-site", "a=1", "a=1; SameSite=Strict"),
    ("/two", "a=1|b=2|c=3", "a=1; Path=/a|b=2; Path=/b|c=3"),
    (
        "/first",
        "a=1|b=2",
        "a=1; Path=/first; SameSite=None|b=2; Path=/rest; SameSite=None",
    ),
    (
        "/steps",
        "a=1; Path=/one|a=1; Path=/x",
        "a=1; Path=/two|a=1; Path=/rest/x",
    ),
    ("/lua", "a=1", "a=1; Path=%x\"]]..os.exit()"),
    // What the route itself sets is changed as well.
    ("/added", "", "a=route; Path=/new"),
];

#[tokio::test]
async fn cookies_are_changed() {
    let Some(envoy) = envoy() else { return };
    let world = World::new()
        .cluster("a", &[start().await])
        .http(HOST, routes());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (path, sent, expected) in ROWS {
        let answer = get(&proxy, path, &[&format!("X-Set: {sent}")]).await;
        let found = answer.cookies().join("|");
        if answer.status != 200 || found != *expected {
            wrong.push(format!("{path} {sent}: {} {found}", answer.status));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// Of a share before those of the route, with all forms that shares have in Envoy.
#[tokio::test]
async fn shares_have_changes_of_their_own() {
    let Some(envoy) = envoy() else { return };
    let own = |cluster: &str, rewrite| {
        let own = of("a").path(set(&format!("/{cluster}"))).unwrap();
        let options = BackendOptions {
            cookie_rewrites: rewrites(vec![own]),
            rewrite,
            ..BackendOptions::default()
        };
        WeightedCluster {
            options: Some(Box::new(options)),
            ..WeightedCluster::new(cluster, 1)
        }
    };
    let of_route = changed(CookieRewrite::of_all().path(set("/route")).unwrap(), |it| {
        it.secure = Some(true);
    });
    let options = || ForwardOptions {
        cookie_rewrites: rewrites(vec![of_route.clone()]),
        ..ForwardOptions::default()
    };
    let plain = || WeightedCluster::new("b", 1);
    let backends = |backends| Forward {
        backends,
        ..forward(&[])
    };
    let elsewhere = || Some(PathRewrite::ReplaceFullPath("/elsewhere".into()));
    let routes = vec![
        to("/one", backends(vec![own("a", None)])),
        to("/share", backends(vec![own("a", None), plain()])),
        to(
            "/both",
            with(backends(vec![own("a", None), plain()]), options()),
        ),
        to(
            "/routes",
            with(backends(vec![own("a", elsewhere()), plain()]), options()),
        ),
    ];
    let cookie = |text: &str| format!("a=1{text}");
    let (own, plain) = ("; Path=/a", "");
    let (both, of_route) = ("; Path=/a; Secure", "; Path=/route; Secure");
    let world = World::new()
        .cluster("a", &[start().await])
        .cluster("b", &[start().await])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (path, expected) in [
        ("/one", vec![own]),
        ("/share", vec![plain, own]),
        ("/both", vec![both, of_route]),
        ("/routes", vec![both, of_route]),
    ] {
        let mut seen = BTreeSet::new();
        for _ in 0..40 {
            let answer = get(&proxy, path, &["X-Set: a=1"]).await;
            seen.insert(answer.cookies().join("|"));
        }
        let expected: BTreeSet<String> = expected.into_iter().map(cookie).collect();
        assert_eq!(seen, expected, "{path}");
    }
    proxy.assert_content();
}

/// What a back end sends costs time by its length, and not by its length twice over: the script is asked for all that a
/// client's connection takes of headers.
#[tokio::test]
async fn long_cookies_are_changed_in_time() {
    let Some(envoy) = envoy() else { return };
    let most: Vec<CookieRewrite> = (0..CookieRewrites::MOST)
        .map(|number| of(&format!("a{number}")).path(set("/new")).unwrap())
        .collect();
    let world = World::new().cluster("a", &[start().await]).http(
        HOST,
        vec![changing("/full", vec![full()]), changing("/most", most)],
    );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let before = proxy.cpu();
    for (path, sent) in [
        ("/full", format!("a=1{}", " ;".repeat(12_000))),
        ("/full", format!("a={}", "=".repeat(25_000))),
        ("/full", format!("a=1;{}Secure", " ".repeat(25_000))),
        ("/most", vec!["a63=1; Path=/x; Domain=y"; 90].join("|")),
    ] {
        for _ in 0..10 {
            let answer = get(&proxy, path, &[&format!("X-Set: {sent}")]).await;
            assert_eq!(answer.status, 200, "{path} {}", sent.len());
            assert!(answer.cookies()[0].contains("Path=/new"), "{path}");
        }
    }
    let spent = proxy.cpu() - before;
    assert!(spent < std::time::Duration::from_secs(4), "{spent:?}");
    proxy.assert_content();
}
