//! Tokens that requests must bring, on a real Envoy, with keys in the table and keys that are fetched.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use isobath::model::{
    Claim, Filters, HeaderName, HostFilters, JwtKeys, JwtProvider, JwtProviders, JwtRequirement,
    PublicKeys, RemoteKeys, Route, TokenSource, VirtualHost,
};

use crate::backend;
use crate::filter_cases::changed;
use crate::fixture::{World, forward, virtual_host};
use crate::issuer::Issuer;
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::{HOST, get, to};

fn required(providers: &[&str], may_be_missing: bool) -> Filters {
    Filters {
        jwt: Some(JwtRequirement {
            providers: providers.iter().map(|name| Arc::from(*name)).collect(),
            may_be_missing,
        }),
        ..Filters::default()
    }
}

fn guarded(path: &str, filters: Filters) -> Route {
    Route {
        filters: Some(Box::new(filters)),
        ..to(path, forward(&["a"]))
    }
}

fn host(one: &Issuer) -> VirtualHost {
    let second = Duration::from_secs(5);
    let header = |name: &str| HeaderName::new(name).unwrap();
    let inline = JwtKeys::Inline(PublicKeys::new(&one.keys()).unwrap());
    let claim = |name| Claim::new(name).unwrap();
    let first = JwtProvider::new(inline).give(claim("sub"), header("x-sub"));
    let first = changed(first.unwrap(), |it| {
        it.issuer = Some("one".into());
        it.audiences = vec!["shop".into()];
    });
    let remote = |cluster: &str| {
        let keys = RemoteKeys::new(cluster, "http://keys.test/jwks", second, second * 60);
        JwtProvider::new(JwtKeys::Remote(keys.unwrap()))
    };
    let two = remote("keys/one/80").give(claim("role"), header("x-role"));
    let second = changed(two.unwrap(), |it| {
        it.issuer = Some("two".into());
        it.sources = vec![
            TokenSource::Header(header("x-token")),
            TokenSource::Parameter("token".into()),
            TokenSource::Cookie("token".into()),
        ];
        it.forwards_token = true;
    });
    let mut providers = JwtProviders::default();
    providers.add("one", first).unwrap();
    providers.add("two", second).unwrap();
    providers.add("gone", remote("keys/missing/80")).unwrap();
    let limits_are_not_for_it = changed(required(&["one"], false), |it| it.ignores_host = true);
    VirtualHost {
        filters: Some(Box::new(HostFilters {
            jwt_providers: providers,
            ..HostFilters::default()
        })),
        ..virtual_host(
            HOST,
            vec![
                guarded("/one", required(&["one"], false)),
                guarded("/two", required(&["two"], false)),
                guarded("/any", required(&["one", "two"], false)),
                guarded("/may", required(&["one"], true)),
                guarded("/gone", required(&["gone"], false)),
                guarded("/nobody", required(&["nobody"], false)),
                guarded("/some", required(&["nobody", "one"], false)),
                guarded("/ignores", limits_are_not_for_it),
                to("/off", forward(&["a"])),
            ],
        )
    }
}

/// Path, the header that is sent with a token in the place of its star, whose it is, and the status of the answer.
const ROWS: &[(&str, &str, &str, u16)] = &[
    ("/one", "", "", 401),
    ("/one", "Authorization: Bearer *", "one", 200),
    ("/one", "Authorization: Bearer *", "two", 401),
    ("/one", "Authorization: Bearer *", "forged", 401),
    ("/one", "Authorization: Bearer *", "late", 401),
    ("/one", "Authorization: Bearer *", "other audience", 403),
    ("/one", "Authorization: Bearer x.y.z", "", 401),
    ("/one", "X-Token: *", "one", 401),
    ("/two", "", "", 401),
    ("/two", "X-Token: *", "two", 200),
    ("/two", "Cookie: token=*", "two", 200),
    ("/two", "Authorization: Bearer *", "two", 401),
    ("/two", "X-Token: *", "one", 401),
    ("/any", "Authorization: Bearer *", "one", 200),
    ("/any", "X-Token: *", "two", 200),
    ("/any", "", "", 401),
    ("/may", "", "", 200),
    ("/may", "Authorization: Bearer *", "one", 200),
    ("/may", "Authorization: Bearer *", "forged", 401),
    ("/gone", "Authorization: Bearer *", "two", 401),
    ("/nobody", "Authorization: Bearer *", "one", 403),
    ("/some", "Authorization: Bearer *", "one", 200),
    ("/some", "", "", 401),
    ("/ignores", "", "", 401),
    ("/ignores", "Authorization: Bearer *", "one", 200),
    ("/off", "", "", 200),
    ("/off", "Authorization: Bearer *", "forged", 200),
];

#[tokio::test]
async fn tokens_are_checked() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let (one, two) = (Issuer::new(), Issuer::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = listener.local_addr().unwrap();
    let set = two.keys();
    let app = Router::new().fallback(move || async move { set });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .cluster("keys/one/80", &[keys])
        .http_host(&host(&one));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    proxy.assert_content();
    let token = |whose: &str| {
        let claims = |issuer: &str, audience: &str, expires: u64| serde_json::json!({"iss": issuer, "aud": audience, "sub": "alice", "role": "clerk", "exp": expires});
        let far = 9_000_000_000_u64;
        match whose {
            "one" => one.token(&claims("one", "shop", far)),
            "late" => one.token(&claims("one", "shop", 1_000)),
            "other audience" => one.token(&claims("one", "bank", far)),
            "two" => two.token(&claims("two", "any", far)),
            "forged" => two.token(&claims("one", "shop", far)),
            _ => String::new(),
        }
    };
    let mut wrong = Vec::new();
    for (path, header, whose, expected) in ROWS {
        let header = header.replace('*', &token(whose));
        // What only a token may say.
        let mut headers = vec!["X-Sub: mallory", "X-Role: admin"];
        headers.extend((!header.is_empty()).then_some(header.as_str()));
        let answer = get(&proxy, path, &headers).await;
        if answer.status != *expected {
            wrong.push(format!("{path} {whose}: {} {}", answer.status, answer.body));
        }
        if answer.status == 200 && *whose == "one" && *path != "/off" {
            let found = (answer.received("x-sub"), answer.received("authorization"));
            if found != (Some("alice"), None) {
                wrong.push(format!("{path} {whose}: {found:?}"));
            }
        }
        // Each says what its own tokens say, and of what another's would say there is nothing.
        let (subject, role) = match *whose {
            "one" if *path != "/off" => (Some("alice"), None),
            "two" => (None, Some("clerk")),
            _ => (None, None),
        };
        let found = (answer.received("x-sub"), answer.received("x-role"));
        if answer.status == 200 && found != (subject, role) {
            wrong.push(format!("{path} {whose}: {found:?}"));
        }
        if *path == "/two" && answer.status == 200 && header.starts_with("X-Token") {
            assert!(answer.received("x-token").is_some(), "it is forwarded");
        }
    }
    let answer = get(&proxy, &format!("/two?token={}", token("two")), &[]).await;
    assert_eq!(answer.status, 200, "in the query");
    // Without a token nobody says who it is, where one may be missing.
    let answer = get(&proxy, "/may", &["X-Sub: mallory"]).await;
    assert_eq!(answer.received("x-sub"), None);
    assert_eq!(wrong, Vec::<String>::new());
    // It says on its own log that a cluster of keys is missing, as one is here.
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}
