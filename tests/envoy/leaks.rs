//! One owner's feature is nobody else's: switched on and off on one route, it changes nothing for another route, another
//! host, another listener, and no request fails meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use isobath::model::{Filters, Route, RouteAction, VirtualHost};
use tokio::net::TcpStream;

use crate::ads::Resources;
use crate::backend;
use crate::client::{Answer, exchange, plain, request, tls};
use crate::features::{self, Feature};
use crate::fixture::{World, all_to, forward, virtual_host};
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::to;

const OWNER: &str = "a.example.com";
const OTHER: &str = "b.example.com";

/// Counts the tables for clear text that Envoy has taken.
const TABLES: &str = "http.http.rds.http.config_reload";

/// The owner's host with the feature on one route, or without.
fn owner(feature: Option<&Feature>) -> VirtualHost {
    let mut sent = forward(&["a"]);
    sent.options = feature.map(|feature| Box::new(feature.forward.clone()));
    let mut on = to("/on", sent);
    on.filters = feature.map(|feature| Box::new(feature.route.clone()));
    let mut other = to("/other", forward(&["a"]));
    other.filters = feature.map(|_| {
        Box::new(Filters {
            ignores_host: true,
            ignores_global_limit: true,
            ..Filters::default()
        })
    });
    VirtualHost {
        client_check: None,
        filters: feature.and_then(|it| it.host.clone()).map(Box::new),
        ..virtual_host(OWNER, vec![on, other])
    }
}

struct Stand {
    a: std::net::SocketAddr,
    https: World,
}

impl Stand {
    fn new(a: std::net::SocketAddr) -> Self {
        // A certificate is made anew each time.
        let https = World::new()
            .cluster("a", &[a])
            .https("web/one", &[(OWNER, "a"), (OTHER, "a")]);
        Self { a, https }
    }

    fn with(&self, feature: Option<&Feature>) -> Resources {
        let world = World::new()
            .cluster("a", &[self.a])
            .http_host(&owner(feature))
            .http(OTHER, all_to("a"));
        let mut all = self.https.resources();
        all.extend(
            world
                .resources()
                .into_iter()
                .filter(|((_, name), _)| name == "http"),
        );
        all
    }
}

/// An answer without what differs from one time to the next.
fn stable(answer: &Answer) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    let lines = answer.body.lines();
    let lines: Vec<&str> = lines
        .filter(|line| !line.starts_with("x-request-id"))
        .collect();
    format!(
        "{} {:?} {lines:?}",
        answer.status,
        headers.collect::<Vec<_>>()
    )
}

async fn ask(proxy: &Proxy, host: &str, path: &str, feature: &Feature) -> Answer {
    let request = request(feature.method, host, path, feature.headers);
    plain(proxy.http, &request).await
}

/// What everybody else is answered.
async fn others(proxy: &Proxy, feature: &Feature) -> Vec<String> {
    let mut seen = Vec::new();
    for (host, path) in [(OTHER, "/on"), (OTHER, "/other"), (OWNER, "/other")] {
        for _ in 0..2 {
            seen.push(stable(&ask(proxy, host, path, feature).await));
        }
    }
    for host in [OWNER, OTHER] {
        let stream = tls(proxy.https, Some(host), "http/1.1").await.unwrap();
        let asked = request(feature.method, host, "/on", feature.headers);
        seen.push(stable(&exchange(stream, &asked).await));
    }
    seen
}

fn features_of(envoy: &std::path::Path) -> impl Iterator<Item = Feature> {
    let all = features::all().into_iter();
    let makes_all = makes_all_filters(envoy);
    let refused = |name: &str| {
        let of = ["token", "global rate limit", "error page"];
        of.iter().any(|of| name.starts_with(of))
    };
    all.filter(move |feature| makes_all || !refused(feature.name))
}

/// The feature shows on a connection from before it, and on new ones; nothing else changes, and no listener or manager.
#[tokio::test]
async fn features_are_their_owners_alone() {
    let Some(envoy) = envoy() else { return };
    let stand = Stand::new(backend::start("a").await);
    let proxy = Proxy::start(&envoy, stand.with(None)).await;
    let mut wrong = Vec::new();
    for feature in features_of(&envoy) {
        let name = feature.name;
        let before = others(&proxy, &feature).await;
        let mut open = TcpStream::connect(proxy.http).await.unwrap();
        let kept = request(feature.method, OWNER, "/on", feature.headers)
            .replace("Connection: close\r\n", "");
        let plain_answer = exchange(&mut open, &kept).await;
        if plain_answer.status != feature.without || (feature.shows)(&plain_answer) {
            wrong.push(format!("{name}: shown without it: {plain_answer:?}"));
        }
        proxy
            .update(|all| *all = stand.with(Some(&feature)), TABLES)
            .await;
        // The first empties what counts.
        exchange(&mut open, &kept).await;
        for is_new in [false, true] {
            let answer = match is_new {
                false => exchange(&mut open, &kept).await,
                true => ask(&proxy, OWNER, "/on", &feature).await,
            };
            if !(feature.shows)(&answer) {
                wrong.push(format!("{name}: not shown (new {is_new}): {answer:?}"));
            }
        }
        let meanwhile = others(&proxy, &feature).await;
        proxy.update(|all| *all = stand.with(None), TABLES).await;
        let after = others(&proxy, &feature).await;
        if before != meanwhile || before != after {
            wrong.push(format!("{name}: {before:#?}\n{meanwhile:#?}\n{after:#?}"));
        }
        let answer = exchange(&mut open, &kept).await;
        if answer.status != feature.without || (feature.shows)(&answer) {
            wrong.push(format!("{name}: shown after it: {answer:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_nothing_moved(&proxy).await;
    proxy.assert_content();
}

async fn assert_nothing_moved(proxy: &Proxy) {
    for (name, value) in [
        ("listener_manager.listener_modified", 0),
        ("listener_manager.listener_in_place_updated", 0),
        // The first one of each manager.
        (
            "extension_config_discovery.network_filter.http.config_reload",
            1,
        ),
        (
            "extension_config_discovery.network_filter.https.config_reload",
            1,
        ),
    ] {
        assert_eq!(proxy.statistic(name).await, value, "{name}");
    }
}

/// How often each feature is switched on and off.
const SWITCHES: usize = 50;

#[tokio::test]
async fn nobody_fails_while_features_are_switched() {
    let Some(envoy) = envoy() else { return };
    let stand = Stand::new(backend::start("a").await);
    let proxy = Proxy::start(&envoy, stand.with(None)).await;
    let (stop, failed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let traffic = tokio::spawn({
        let (stop, failed, http) = (stop.clone(), failed.clone(), proxy.http);
        async move {
            let kept = request("GET", OTHER, "/", &[]).replace("Connection: close\r\n", "");
            let mut open = TcpStream::connect(http).await.unwrap();
            let mut sent = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let old = exchange(&mut open, &kept).await.status;
                let new = plain(http, &request("GET", OTHER, "/", &[])).await.status;
                failed.fetch_add(u64::from((old, new) != (200, 200)), Ordering::Relaxed);
                sent += 2;
            }
            sent
        }
    });
    for feature in features_of(&envoy) {
        for _ in 0..SWITCHES {
            proxy
                .update(|all| *all = stand.with(Some(&feature)), TABLES)
                .await;
            proxy.update(|all| *all = stand.with(None), TABLES).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = traffic.await.unwrap();
    assert!(sent > 1000, "only {sent} requests");
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {sent}");
    assert_nothing_moved(&proxy).await;
}

/// A route that answers by itself has its filters too.
#[tokio::test]
async fn answers_and_redirects_are_guarded() {
    let Some(envoy) = envoy() else { return };
    let guard = features::all().remove(0);
    let guarded = |route: Route| Route {
        filters: Some(Box::new(guard.route.clone())),
        ..route
    };
    let redirect = isobath::model::Redirect::to_https(None);
    let routes = [
        ("/answer", RouteAction::status(204)),
        ("/redirect", RouteAction::Redirect(redirect)),
        ("/nobody", RouteAction::Forward(forward(&[]))),
        ("/missing", RouteAction::Forward(forward(&["missing"]))),
    ]
    .map(|(path, action)| {
        guarded(Route {
            action,
            ..to(path, forward(&[]))
        })
    });
    let world = World::new().http(OWNER, routes.into());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for path in ["/answer", "/redirect", "/nobody", "/missing"] {
        let answer = ask(&proxy, OWNER, path, &guard).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    proxy.assert_content();
}
