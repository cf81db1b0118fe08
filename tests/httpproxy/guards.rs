//! Guards against what may be wrong with them: nothing of it ever answers 200 to who is not let in.

use std::net::Ipv4Addr;

use http::Method;

use crate::rig::Rig;
use crate::row::{Row, rows};
use crate::support::client::{Connection, Version};
use crate::support::eventually::eventually;
use crate::worlds::world;

/// Annotations that guard, each with what makes it one that can't be honoured, and what a client has to bring where it can. In `AUTH`
/// stands a Service.
const GUARDS: [(&str, &str, &str); 6] = [
    (
        "basic",
        "auth-type: basic, auth-secret: SECRET",
        "Basic YXByOnNlY3JldA==",
    ),
    (
        "map",
        "auth-type: basic, auth-secret: SECRET, auth-secret-type: auth-map",
        "Basic YXByOnNlY3JldA==",
    ),
    ("url", "auth-url: \"http://AUTH/check?status=200\"", ""),
    (
        "signin",
        "auth-url: \"http://AUTH/check?status=401\", auth-signin: \"https://login.test/\"",
        "never",
    ),
    (
        "both",
        "auth-type: basic, auth-secret: SECRET, auth-url: \"http://AUTH/check?status=200\"",
        "Basic YXByOnNlY3JldA==",
    ),
    (
        "any",
        "auth-type: basic, auth-secret: SECRET, whitelist-source-range: 10.0.0.0/8, satisfy: any",
        "Basic YXByOnNlY3JldA==",
    ),
];

/// What is wrong, and the Secret and the Service that make it so.
const WRONG: [(&str, &str, &str); 6] = [
    ("valid", "", "b.hp.svc.cluster.local"),
    ("value", "hp/hp/hp", "127.0.0.1"),
    ("missing", "nosuch", "nosuch.hp.svc.cluster.local"),
    ("empty", "noauth", "empty.hp.svc.cluster.local"),
    ("others", "team1/hp", "t2.team2.svc.cluster.local"),
    ("closed", "", "b.hp.svc.cluster.local:9"),
];

/// The rows of all pairs: their hosts, and what each pair is.
fn pairs() -> Vec<(Row, &'static str, &'static str, &'static str)> {
    let mut all = Vec::new();
    for (guard, annotations, token) in GUARDS {
        for (wrong, secret, service) in WRONG {
            let own = if guard == "map" { "hpmap" } else { "hp" };
            let secret = if secret.is_empty() { own } else { secret };
            let said = annotations
                .replace("SECRET", secret)
                .replace("AUTH", service);
            let row = format!("row g-{guard}-{wrong}\nnginx: {{{said}}}; P / > a\n/ -> 200\n");
            all.push((rows(&row).remove(0), guard, wrong, token));
        }
    }
    all
}

/// Whether who is asked has a part in the guard.
fn asks(guard: &str) -> bool {
    ["url", "signin", "both"].contains(&guard)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_guard_opens_whatever_is_wrong() {
    let pairs = pairs();
    let all: Vec<Row> = pairs.iter().map(|(row, ..)| row.clone()).collect();
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let mut world = world(rig, &all, &["--ingress-class", "nginx"], "").await;
    let http = world.stand.isobath.http();
    let status = async |host: &str, token: &str| {
        let headers = [("authorization", token)];
        let headers = if token.is_empty() { &[][..] } else { &headers };
        let mut connection = Connection::open(http, Version::H1, None).await?;
        let answer = connection.send(Method::GET, host, "/", headers).await?;
        anyhow::Ok(answer.status)
    };
    let hosts: Vec<(String, &str, &str, &str)> = pairs
        .iter()
        .map(|(row, guard, wrong, token)| (format!("{}.test", row.id), *guard, *wrong, *token))
        .collect();
    let mut open = 0;
    for (host, guard, wrong, token) in &hosts {
        // A port where nobody speaks HTTP, and a Secret, are no part of the other's guard.
        let is_valid = *wrong == "valid" || (*wrong == "closed" && !asks(guard));
        let nobody = status(host, "").await.unwrap();
        let is_open_to_all = *guard == "url" && is_valid;
        assert_eq!(nobody == 200, is_open_to_all, "{host}: {nobody}");
        let somebody = status(host, token).await.unwrap();
        let is_let_in = is_valid && *guard != "signin";
        assert_eq!(somebody == 200, is_let_in, "{host}: {somebody}");
        assert!(
            is_valid || [500, 503].contains(&somebody),
            "{host}: {somebody}"
        );
        open += usize::from(somebody == 200);
    }
    assert_eq!(open, 8, "those that are valid let somebody in");
    // Killed, it lets nobody in; back again, it knows what it knew.
    world.authz.kill().await;
    for (host, .., token) in &hosts {
        let refused = status(host, token).await.unwrap();
        assert!([500, 503].contains(&refused), "{host}: {refused}");
    }
    // Its own control plane may be away as well: what the routes tell is enough to ask others, and passwords are refused.
    world.stand.isobath.kill().await;
    world.authz.restart().await;
    for (host, guard, wrong, token) in &hosts {
        let refused = status(host, token).await.unwrap();
        assert!(
            [302, 401, 500, 503].contains(&refused),
            "{host} {guard} {wrong}: {refused}"
        );
    }
    world.stand.isobath.restart().await;
    for (host, guard, wrong, token) in hosts
        .iter()
        .filter(|(_, guard, wrong, _)| *wrong == "valid" && *guard != "signin")
    {
        eventually("guards let in again", async || {
            let found = status(host, token).await?;
            anyhow::ensure!(found == 200, "{host} {guard} {wrong}: {found}");
            Ok(())
        })
        .await;
    }
    // What it has it keeps while the control plane is away.
    world.stand.isobath.kill().await;
    for (host, ..) in hosts
        .iter()
        .filter(|(_, guard, wrong, _)| *wrong == "valid" && *guard != "signin")
    {
        let token = "Basic YXByOnNlY3JldA==";
        assert_eq!(status(host, token).await.unwrap(), 200, "{host}");
        assert_ne!(
            status(host, "Basic YXByOndyb25n").await.unwrap() == 200,
            !host.contains("g-url"),
            "{host}"
        );
    }
}
