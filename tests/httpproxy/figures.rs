//! What a guard costs a request: requests a second and the slowest hundredth, beside a route without one. Prints, and proves nothing.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use http::Method;

use crate::rig::Rig;
use crate::row::{Row, rows};
use crate::support::client::{Connection, Version};
use crate::worlds::world;

const CLIENTS: usize = 16;
const EACH: usize = 250;

/// The guards, and the password that they take.
const GUARDS: &str = "\
row f-none
nginx: P / > a
/ -> 200 a

row f-apr1
nginx: {auth-type: basic, auth-secret: hp}; P / > a
/ [authorization: Basic YXByOnNlY3JldA==] -> 200 a

row f-bcrypt
nginx: {auth-type: basic, auth-secret: hp}; P / > a
/ [authorization: Basic YmM6c2VjcmV0] -> 200 a

row f-asked
nginx: {auth-url: \"http://b.hp.svc.cluster.local/check\"}; P / > a
/ -> 200 a

row f-kept
nginx: {auth-url: \"http://b.hp.svc.cluster.local/check\", auth-cache-key: \"${http_authorization}\"}; P / > a
/ [authorization: Basic YXByOnNlY3JldA==] -> 200 a
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make figures-authz"]
async fn figures_of_guards() {
    let rows: Vec<Row> = rows(GUARDS);
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let world = world(rig, &rows, &["--ingress-class", "nginx"], "").await;
    world.check(&rows).await;
    let http = world.stand.isobath.http();
    let build = match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    };
    println!(
        "guards: {CLIENTS} clients, {EACH} requests each, {build} build of isobath authz and of the back ends"
    );
    println!(
        "{:<10} {:>10} {:>10} {:>10}",
        "guard", "requests/s", "p50", "p99"
    );
    for (guard, token) in [
        ("none", ""),
        ("apr1", "Basic YXByOnNlY3JldA=="),
        ("bcrypt", "Basic YmM6c2VjcmV0"),
        ("asked", ""),
        ("kept", "Basic YXByOnNlY3JldA=="),
        ("none", ""),
    ] {
        let begun = Instant::now();
        let clients = (0..CLIENTS).map(|_| {
            tokio::spawn(async move {
                let host = format!("f-{guard}.test");
                let headers = [("authorization", token)];
                let headers = if token.is_empty() { &[][..] } else { &headers };
                let mut connection = Connection::open(http, Version::H1, None).await.unwrap();
                let mut took = Vec::new();
                for _ in 0..EACH {
                    let begun = Instant::now();
                    let answer = connection.send(Method::GET, &host, "/", headers).await;
                    assert_eq!(answer.unwrap().status, 200);
                    took.push(begun.elapsed());
                }
                took
            })
        });
        let mut all: Vec<Duration> = Vec::new();
        for client in futures::future::join_all(clients).await {
            all.extend(client.unwrap());
        }
        let seconds = begun.elapsed().as_secs_f64();
        all.sort_unstable();
        let at = |part: usize| all[all.len() * part / 100];
        println!(
            "{guard:<10} {:>10.0} {:>10.1?} {:>10.1?}",
            all.len() as f64 / seconds,
            at(50),
            at(99),
        );
    }
}
