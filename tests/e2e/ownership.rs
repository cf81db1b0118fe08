//! `--host-ownership namespace`: whose a host is, as clients see it.

use crate::check::{PLAIN, Row, apps, check, word};
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::PathType::{Exact, Prefix};
use crate::support::manifest::{Manifest, ingress, site};
use crate::support::stand::Stand;

const CHALLENGE: &str = "/.well-known/acme-challenge/token";

/// By HTTP.
const CLEAR: &[Row] = &[
    ("a.test", "/", "west"),
    // A longer prefix, a challenge, and a redirect of the other namespace.
    ("a.test", "/long", "west"),
    ("a.test", CHALLENGE, "west"),
    ("plain.test", "/", "west"),
    ("v.wild.test", "/", "west"),
    // Exact hosts of the other namespace below the wildcard: one with routes, one with a certificate only.
    ("x.wild.test", "/", "east"),
    ("x.wild.test", "/elsewhere", "404"),
    ("y.wild.test", "/", "404"),
    // The other namespace's wildcard, and what nobody names.
    ("z.test", "/", "east"),
    ("nobody.example", "/", "west"),
];

/// Server name, Host, answer.
const SEALED: &[(&str, &str, &str)] = &[
    ("a.test", "a.test", "west"),
    ("v.wild.test", "v.wild.test", "west"),
    // The wildcard's certificate would be good for these, but they are another's.
    ("x.wild.test", "x.wild.test", "refused"),
    ("v.wild.test", "x.wild.test", "421"),
    ("y.wild.test", "y.wild.test", "404"),
    ("v.wild.test", "y.wild.test", "421"),
    // And so the other way round.
    ("z.test", "z.test", "east"),
    ("plain.test", "plain.test", "refused"),
    ("z.test", "plain.test", "421"),
    ("z.test", "a.test", "421"),
];

fn of_west(leaf: &Leaf) -> Vec<Manifest> {
    let all = [
        site("a", "a.test", "west:80").tls(&["a.test"], "cert"),
        site("wild", "*.wild.test", "west:80").tls(&["*.wild.test"], "cert"),
        site("plain", "plain.test", "west:80"),
        ingress("rest").default_backend("west:80"),
    ];
    let aged = all.map(|manifest| manifest.namespace("west").created("2020-01-01T00:00:00Z"));
    aged.into_iter()
        .chain([leaf.secret_in("west", "cert")])
        .collect()
}

fn of_east(leaf: &Leaf) -> Vec<Manifest> {
    let all = [
        ingress("a")
            .annotate("isobath.dev/response-headers", "X-A: 1")
            .rule(
                "a.test",
                &[("/long", Prefix, "east:80"), (CHALLENGE, Exact, "east:80")],
            )
            .tls(&["a.test"], "cert"),
        ingress("below")
            .rule("x.wild.test", &[("/", Exact, "east:80")])
            .tls(&["y.wild.test"], "cert"),
        site("wild", "*.test", "east:80").tls(&["*.test"], "cert"),
        ingress("rest").default_backend("east:80"),
    ];
    let aged = all.map(|manifest| manifest.namespace("east").created("2024-01-01T00:00:00Z"));
    aged.into_iter()
        .chain([leaf.secret_in("east", "cert")])
        .collect()
}

/// Whether the host is presented this certificate.
async fn is_presented(stand: &Stand, host: &str, leaf: &Leaf) -> bool {
    let tls = Tls::sni(host);
    let connection = Connection::open(stand.isobath.https(), Version::H1, Some(&tls));
    connection.await.unwrap().certificate() == Some(&leaf.der)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_one_namespaces() {
    let authority = Authority::new();
    let names = &["a.test", "*.test", "*.wild.test"];
    let leaves = [authority.leaf(names), authority.leaf(names)];
    let (_backends, services) = apps(&["west", "east"]).await;
    let services: Vec<_> = services
        .into_iter()
        .map(|manifest| {
            let is_west = manifest.0.to_string().contains("\"west");
            manifest.namespace(if is_west { "west" } else { "east" })
        })
        .collect();
    let (west, east) = (of_west(&leaves[0]), of_east(&leaves[1]));
    let mut isobath = Isobath::prepare(&["--host-ownership", "namespace"]);
    isobath.write("services.yaml", &services);
    isobath.write("west.yaml", &west);
    isobath.write("east.yaml", &east);
    isobath.restart().await;
    let stand = Stand::on(isobath).await;

    check(&stand, CLEAR, PLAIN).await;
    for &(sni, host, want) in SEALED {
        for version in [Version::H1, Version::H2] {
            let address = stand.isobath.https();
            let got = word(address, version, Some(&Tls::sni(sni)), host, "/").await;
            assert_eq!(got, want, "{sni:?} asked for {host} by {version:?}");
        }
    }
    for (host, leaf) in [
        ("a.test", 0),
        ("v.wild.test", 0),
        ("y.wild.test", 1),
        ("z.test", 1),
    ] {
        assert!(is_presented(&stand, host, &leaves[leaf]).await, "{host}");
    }

    // The owner goes, and the other one has what it asked for.
    stand.isobath.remove("west.yaml");
    eventually("the next owner's path is served", async || {
        let got = word(stand.isobath.http(), Version::H1, None, "a.test", CHALLENGE).await;
        anyhow::ensure!(got == "east", "{got}");
        Ok(())
    })
    .await;
    let rows: &[Row] = &[
        ("a.test", "/long", "east"),
        ("a.test", "/", "404"),
        ("plain.test", "/", "east"),
        ("nobody.example", "/", "east"),
    ];
    check(&stand, rows, PLAIN).await;
    // A listener comes after all that it leads to.
    eventually("the next owner's certificate is presented", async || {
        let is_there = is_presented(&stand, "a.test", &leaves[1]).await;
        anyhow::ensure!(is_there, "the one from before");
        Ok(())
    })
    .await;
}
