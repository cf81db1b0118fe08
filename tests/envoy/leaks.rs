//! One owner's feature is nobody else's: switched on and off on one route, it changes nothing for another route, another
//! host, another listener, and no request fails meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use isobath::envoy::edge::Edge;
use isobath::model::{Filters, Route, RouteAction, VirtualHost};
use isobath::xds::ResourceType;
use tokio::net::TcpStream;

use crate::ads::Resources;
use crate::backend;
use crate::client::{Answer, exchange, plain, request, tls};
use crate::eventually::eventually;
use crate::features::{self, Feature};
use crate::fixture::{World, all_to, forward, managers, virtual_host};
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::to;
use crate::tracing::by_http;

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
            .cluster(features::COPIES, &[a])
            .cluster("otel/http/1", &[a])
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
        // All requests are traced but those of who wants none.
        let edge = Edge {
            tracing: Some(by_http()),
            ..Edge::default()
        };
        for manager in managers(&edge) {
            let name = (ResourceType::Extension, manager.name().to_string());
            all.insert(name, manager.bytes());
        }
        all
    }
}

/// An answer without what differs from one time to the next.
fn stable(answer: &Answer) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    let lines = answer.body.lines();
    let lines: Vec<&str> = lines
        .filter(|line| !line.starts_with("x-request-id") && !line.starts_with("traceparent"))
        .collect();
    format!(
        "{} {:?} {lines:?}",
        answer.status,
        headers.collect::<Vec<_>>()
    )
}

async fn ask(proxy: &Proxy, host: &str, path: &str, feature: &Feature) -> Answer {
    plain(proxy.http, &feature.request(host, path, true)).await
}

/// What grows where the answer does not show the feature.
async fn counted(proxy: &Proxy, feature: &Feature) -> u64 {
    match feature.statistic {
        Some(name) => proxy.statistic(name).await,
        None => 0,
    }
}

/// Whether an answer shows the feature, with which so much is counted. A copy may be sent later than the answer comes.
async fn is_shown(proxy: &Proxy, feature: &Feature, answer: &Answer, with: u64) -> bool {
    if feature.statistic.is_none() {
        return (feature.shows)(answer);
    }
    eventually(feature.name, async || match counted(proxy, feature).await {
        count if count >= with => Ok(()),
        count => Err(count),
    })
    .await;
    true
}

/// Whether the answers so far show nothing of it.
async fn is_hidden(proxy: &Proxy, feature: &Feature, answer: &Answer, before: u64) -> bool {
    match feature.statistic {
        Some(_) => counted(proxy, feature).await == before,
        None => !(feature.shows)(answer),
    }
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
        let asked = feature.request(host, "/on", true);
        seen.push(stable(&exchange(stream, &asked).await));
    }
    seen
}

fn features_of(envoy: &std::path::Path) -> impl Iterator<Item = Feature> {
    let all = features::all().into_iter();
    let makes_all = makes_all_filters(envoy);
    let refused = |name: &str| {
        let of = [
            "token",
            "global rate limit",
            "error page",
            "body limit",
            "compression",
        ];
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
        let kept = feature.request(OWNER, "/on", false);
        let count = counted(&proxy, &feature).await;
        let plain_answer = exchange(&mut open, &kept).await;
        let is_hidden_before = is_hidden(&proxy, &feature, &plain_answer, count).await;
        if plain_answer.status != feature.without || !is_hidden_before {
            wrong.push(format!("{name}: shown without it: {plain_answer:?}"));
        }
        proxy
            .update(|all| *all = stand.with(Some(&feature)), TABLES)
            .await;
        let mut with = counted(&proxy, &feature).await;
        // The first empties what counts.
        if !feature.closes {
            with += 1;
            exchange(&mut open, &kept).await;
        }
        for is_new in [false, true] {
            with += 1;
            let answer = match is_new {
                false => exchange(&mut open, &kept).await,
                true => ask(&proxy, OWNER, "/on", &feature).await,
            };
            if !is_shown(&proxy, &feature, &answer, with).await {
                wrong.push(format!("{name}: not shown (new {is_new}): {answer:?}"));
            }
        }
        let count = counted(&proxy, &feature).await;
        let meanwhile = others(&proxy, &feature).await;
        if counted(&proxy, &feature).await != count {
            wrong.push(format!("{name}: counted for others"));
        }
        proxy.update(|all| *all = stand.with(None), TABLES).await;
        let after = others(&proxy, &feature).await;
        if feature.closes {
            open = TcpStream::connect(proxy.http).await.unwrap();
        }
        if before != meanwhile || before != after {
            wrong.push(format!("{name}: {before:#?}\n{meanwhile:#?}\n{after:#?}"));
        }
        let count = counted(&proxy, &feature).await;
        let answer = exchange(&mut open, &kept).await;
        let is_hidden_after = is_hidden(&proxy, &feature, &answer, count).await;
        if answer.status != feature.without || !is_hidden_after {
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
