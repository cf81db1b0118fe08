//! Time-outs and retries on a real Envoy: what a back end's answers, try by try, come to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use isobath::model::{
    BackOff, CircuitBreakers, ClusterSettings, Forward, ForwardOptions, HeaderName, PathMatch,
    RateLimitedBackOff, ResetFormat, RetryBudget, RetryPolicy, Route, RouteAction,
};
use tokio::net::TcpListener;

use crate::backend;
use crate::client::{plain, request};
use crate::fixture::{World, cluster_with, forward, route};
use crate::proxy::{Proxy, envoy};
use crate::scripted::Scripted;

const HOST: &str = "a.example.com";

/// A route with these retries.
fn retrying(path: &str, retry: RetryPolicy) -> Route {
    let forward = Forward {
        retry: Some(Box::new(retry)),
        ..forward(&["back"])
    };
    to(path, forward)
}

fn to(path: &str, forward: Forward) -> Route {
    route(
        PathMatch::PathPrefix(path.into()),
        RouteAction::Forward(forward),
    )
}

fn on(conditions: &[&str], num_retries: u32) -> RetryPolicy {
    RetryPolicy {
        retry_on: conditions.iter().map(|it| (*it).into()).collect(),
        num_retries,
        ..RetryPolicy::default()
    }
}

fn on_codes(codes: &[u16], num_retries: u32) -> RetryPolicy {
    RetryPolicy {
        status_codes: codes.iter().copied().collect(),
        ..on(&[], num_retries)
    }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn policies() -> Vec<Route> {
    let quick = RetryPolicy {
        per_try_timeout: Some(ms(100)),
        ..on_codes(&[504], 2)
    };
    let silent = RetryPolicy {
        per_try_idle_timeout: Some(ms(100)),
        ..on(&["5xx"], 1)
    };
    let no_retry_but_quick = RetryPolicy {
        per_try_timeout: Some(ms(100)),
        ..RetryPolicy::never()
    };
    let brief = Forward {
        timeout: Some(ms(150)),
        ..forward(&["back"])
    };
    let idle = Forward {
        options: Some(Box::new(ForwardOptions {
            idle_timeout: Some(ms(150)),
            ..ForwardOptions::default()
        })),
        ..forward(&["back"])
    };
    vec![
        to("/default", forward(&["back"])),
        retrying("/5xx", on(&["5xx"], 2)),
        retrying("/gateway", on(&["gateway-error"], 2)),
        retrying("/4xx", on(&["retriable-4xx"], 2)),
        retrying("/codes", on_codes(&[418, 503], 2)),
        retrying("/ten", on_codes(&[503], 10)),
        retrying(
            "/never",
            RetryPolicy {
                num_retries: 0,
                ..on(&["5xx"], 0)
            },
        ),
        retrying("/quick", quick),
        retrying("/silent", silent),
        retrying("/one-quick", no_retry_but_quick),
        to("/brief", brief),
        to("/idle", idle),
    ]
}

/// Path, what the back end answers try by try, what the client sees, and the number of tries.
const ROWS: &[(&str, &str, u16, usize)] = &[
    // What the back end has seen is not tried again by default.
    ("/default", "503,200", 503, 1),
    ("/default", "200", 200, 1),
    ("/5xx", "500,200", 200, 2),
    ("/5xx", "503,502,200", 200, 3),
    ("/5xx", "503,502,501,200", 501, 3),
    ("/5xx", "404,200", 404, 1),
    ("/gateway", "503,200", 200, 2),
    ("/gateway", "500,200", 500, 1),
    ("/4xx", "409,200", 200, 2),
    ("/4xx", "404,200", 404, 1),
    ("/4xx", "503,200", 503, 1),
    ("/codes", "418,200", 200, 2),
    ("/codes", "418,503,200", 200, 3),
    ("/codes", "418,503,418,200", 418, 3),
    ("/codes", "500,200", 500, 1),
    ("/codes", "504,200", 504, 1),
    ("/ten", "503,503,503,503,503,503,200", 200, 7),
    ("/never", "503,200", 503, 1),
    ("/quick", "hang,hang,200", 200, 3),
    ("/quick", "hang", 504, 3),
    ("/silent", "hang,200", 200, 2),
    ("/silent", "hang", 504, 2),
    ("/one-quick", "hang", 504, 1),
    ("/brief", "hang", 504, 1),
    ("/brief", "200", 200, 1),
    ("/idle", "hang", 504, 1),
    ("/idle", "200", 200, 1),
];

#[tokio::test]
async fn tries() {
    let Some(envoy) = envoy() else { return };
    let back = Scripted::start("back").await;
    let world = World::new()
        .cluster("back", &[back.address])
        .http(HOST, policies());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (index, (path, script, status, tries)) in ROWS.iter().enumerate() {
        let key = index.to_string();
        let headers = [format!("X-Key: {key}"), format!("X-Script: {script}")];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = plain(proxy.http, &request("GET", HOST, path, &headers)).await;
        let found = (answer.status, back.tries(&key).len());
        if found != (*status, *tries) {
            wrong.push(format!("{path} {script}: {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

#[tokio::test]
async fn pauses_between_tries() {
    let Some(envoy) = envoy() else { return };
    let back = Scripted::start("back").await;
    let patient = RetryPolicy {
        back_off: Some(BackOff::new(ms(1), Some(ms(2))).unwrap()),
        ..on_codes(&[503], 20)
    };
    let reset = |format| {
        let header = HeaderName::new("X-Reset").unwrap();
        let back_off = RateLimitedBackOff::new(vec![(header, format)], Duration::from_secs(3));
        RetryPolicy {
            rate_limited_back_off: Some(back_off.unwrap()),
            ..on_codes(&[429], 2)
        }
    };
    let world = World::new().cluster("back", &[back.address]).http(
        HOST,
        vec![
            retrying("/patient", patient),
            retrying("/reset", reset(ResetFormat::Seconds)),
            retrying("/at", reset(ResetFormat::UnixTimestamp)),
        ],
    );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let many = "503,".repeat(15) + "200";
    // Path, script, what the answer says, and the pause between its tries: at least, and at most (far from any default).
    let rows = [
        ("/patient", &*many, "x-none: 0", ms(0), ms(500)),
        ("/reset", "429,200", "x-reset: 1", ms(950), ms(30_000)),
        // More than the maximum is not obeyed.
        ("/reset", "429,200", "x-reset: 100", ms(0), ms(900)),
        ("/reset", "429,200", "x-other: 2", ms(0), ms(900)),
        ("/at", "429,200", "x-reset: 1", ms(0), ms(900)),
    ];
    for (index, (path, script, say, least, most)) in rows.iter().enumerate() {
        let key = index.to_string();
        let headers = [
            format!("X-Key: {key}"),
            format!("X-Script: {script}"),
            format!("X-Say: {say}"),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = plain(proxy.http, &request("GET", HOST, path, &headers)).await;
        assert_eq!(answer.status, 200, "{path} {say}");
        let tries = back.tries(&key);
        assert_eq!(tries.len(), script.split(',').count(), "{path} {say}");
        let pauses: Vec<Duration> = tries.windows(2).map(|it| it[1] - it[0]).collect();
        let is_right = |pause: &&Duration| *least <= **pause && **pause <= *most;
        assert!(
            pauses.iter().filter(is_right).count() == pauses.len(),
            "{path} {say}: {pauses:?}"
        );
    }
    proxy.assert_content();
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn endpoints_of_tries() {
    let Some(envoy) = envoy() else { return };
    let (one, two) = (Scripted::start("one").await, Scripted::start("two").await);
    let elsewhere = on_codes(&[503], 1);
    let anywhere = RetryPolicy {
        may_repeat_endpoint: true,
        ..elsewhere.clone()
    };
    let never = Forward {
        retry: Some(Box::new(RetryPolicy::never())),
        ..forward(&["dead"])
    };
    let world = World::new()
        .cluster("back", &[one.address, two.address])
        .cluster("dead", &[nobody().await])
        .cluster("good", &[backend::start("good").await])
        .http(
            HOST,
            vec![
                retrying("/elsewhere", elsewhere),
                retrying("/anywhere", anywhere),
                to("/dead-never", never),
                to("/dead", forward(&["dead"])),
            ],
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut both = BTreeSet::new();
    for (path, index) in ["/elsewhere", "/anywhere"]
        .iter()
        .flat_map(|path| (0..20).map(move |index| (*path, index)))
    {
        let key = format!("{path}{index}");
        let headers = [format!("X-Key: {key}"), "X-Script: 503".to_owned()];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = plain(proxy.http, &request("GET", HOST, path, &headers)).await;
        assert_eq!(answer.status, 503);
        let of_one = one.tries(&key).len();
        assert_eq!(of_one + two.tries(&key).len(), 2, "{key}");
        both.insert((path, of_one == 1));
    }
    // Round robin takes the other one too, so that both ways are seen with one of them only.
    assert!(!both.contains(&("/elsewhere", false)), "{both:?}");
    for (path, retries) in [("/dead-never", 0), ("/dead", 2)] {
        let before = proxy.statistic("cluster.dead.upstream_rq_retry").await;
        let answer = plain(proxy.http, &request("GET", HOST, path, &[])).await;
        assert_eq!(answer.status, 503, "{path}");
        let after = proxy.statistic("cluster.dead.upstream_rq_retry").await;
        assert_eq!(after - before, retries, "{path}");
    }
    proxy.assert_content();
}

#[tokio::test]
async fn clusters_bound_connecting_and_retries() {
    let Some(envoy) = envoy() else { return };
    let back = Scripted::start("back").await;
    let budget = |percent, least| {
        let settings = ClusterSettings {
            circuit_breakers: CircuitBreakers {
                retry_budget: Some(RetryBudget { percent, least }),
                ..CircuitBreakers::default()
            },
            ..ClusterSettings::default()
        };
        cluster_with(if least == 0 { "none" } else { "some" }, settings)
    };
    let settings = ClusterSettings {
        connect_timeout: Some(ms(50)),
        ..ClusterSettings::default()
    };
    let slow = cluster_with("slow", settings);
    let of = |cluster: &str| Forward {
        retry: Some(Box::new(on_codes(&[503], 1))),
        ..forward(&[cluster])
    };
    // A full backlog: connections to it do not come up.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let held: Vec<_> = (0..8)
        .map(|_| tokio::spawn(tokio::net::TcpStream::connect(address)))
        .collect();
    let world = World::new()
        .cluster_with(&budget(0, 0), &[back.address])
        .cluster_with(&budget(100, 5), &[back.address])
        .cluster_with(&slow, &[address])
        .http(
            HOST,
            vec![
                to("/none", of("none")),
                to("/some", of("some")),
                to("/slow", forward(&["slow"])),
            ],
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (path, status) in [("/none", 503), ("/some", 200), ("/slow", 503)] {
        let headers = [format!("X-Key: {path}"), "X-Script: 503,200".to_owned()];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = plain(proxy.http, &request("GET", HOST, path, &headers)).await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_ne!(
        proxy
            .statistic("cluster.slow.upstream_cx_connect_timeout")
            .await,
        0
    );
    for connection in held {
        connection.abort();
    }
    proxy.assert_content();
}
