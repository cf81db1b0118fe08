//! The tables, and the worlds that they are asked in.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::rig::Rig;
use crate::row::{Row, rows};
use crate::run::{World, file, objects};
use crate::support::envoy::Envoy;
use crate::support::isobath::Isobath;
use crate::support::resolver::Resolver;
use crate::support::stand::{Stand, bootstrap};
use crate::verdict::Verdicts;

/// The files of rows that are asked together, without flags.
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("addresses", include_str!("rows/addresses.txt")),
    ("authorization", include_str!("rows/authorization.txt")),
    ("balancing", include_str!("rows/balancing.txt")),
    ("beside-ingress", include_str!("rows/beside-ingress.txt")),
    ("changes", include_str!("rows/changes.txt")),
    (
        "client-certificates",
        include_str!("rows/client-certificates.txt"),
    ),
    ("configured", include_str!("rows/configured.txt")),
    ("cookies", include_str!("rows/cookies.txt")),
    ("cors", include_str!("rows/cors.txt")),
    ("edge", include_str!("rows/edge.txt")),
    (
        "extension-services",
        include_str!("rows/extension-services.txt"),
    ),
    ("header-policies", include_str!("rows/header-policies.txt")),
    ("headers", include_str!("rows/headers.txt")),
    ("health", include_str!("rows/health.txt")),
    ("hosts", include_str!("rows/hosts.txt")),
    ("includes", include_str!("rows/includes.txt")),
    ("jwt", include_str!("rows/jwt.txt")),
    ("messages", include_str!("rows/messages.txt")),
    ("paths", include_str!("rows/paths.txt")),
    ("queries", include_str!("rows/queries.txt")),
    ("rate-limits", include_str!("rows/rate-limits.txt")),
    ("redirects", include_str!("rows/redirects.txt")),
    ("refused", include_str!("rows/refused.txt")),
    ("retries", include_str!("rows/retries.txt")),
    ("rewriting", include_str!("rows/rewriting.txt")),
    ("schema", include_str!("rows/schema.txt")),
    ("services", include_str!("rows/services.txt")),
    ("tcpproxy", include_str!("rows/tcpproxy.txt")),
    ("tls", include_str!("rows/tls.txt")),
];
/// With `--allow-external-names` and a trusted hop.
pub(crate) const EXTERNAL_NAMES: &str = include_str!("rows/external-names.txt");
/// With a rate limit service, and a fallback certificate.
pub(crate) const OPERATOR: &str = include_str!("rows/operator.txt");
/// With a root namespace, a class, and `--disable-permit-insecure`.
pub(crate) const ROOT_NAMESPACES: &str = include_str!("rows/root-namespaces.txt");

/// All rows that there are.
pub(crate) fn all() -> Vec<Row> {
    let mut all: Vec<Row> = TABLES.iter().flat_map(|(_, text)| rows(text)).collect();
    all.extend(rows(EXTERNAL_NAMES));
    all.extend(rows(OPERATOR));
    all.extend(rows(ROOT_NAMESPACES));
    all
}

/// A world with the objects of these rows. `more` is appended to Envoy's bootstrap.
async fn world(rig: Rig, rows: &[Row], flags: &[&'static str], more: &str) -> World {
    let mut isobath = Isobath::prepare(flags);
    let shared: String = rig
        .objects
        .iter()
        .map(|object| format!("---\n{object}\n"))
        .collect();
    isobath.write_text("shared.yaml", &shared);
    let mut everything: Vec<Value> = rig.objects.clone();
    for row in rows {
        isobath.write_text(
            &format!("{}.yaml", row.id),
            &file(&rig, &row.id, &row.objects),
        );
        everything.extend(objects(&rig, &row.id, &row.objects));
    }
    isobath.restart().await;
    let path = bootstrap(isobath.directory(), &isobath.xds_address());
    let mut written = OpenOptions::new().append(true).open(&path).unwrap();
    written.write_all(more.as_bytes()).unwrap();
    let log = isobath.directory().join("envoy.log");
    let admin = isobath.directory().join("admin.sock");
    let mut envoy = Envoy::start(&path, &admin, &log);
    envoy.live().await;
    World {
        stand: Stand { envoy, isobath },
        verdicts: Verdicts::new(&everything, flags),
        flags: flags.to_vec(),
        rig,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_answered_as_it_says() {
    let only = std::env::var("ROWS").unwrap_or_default();
    let rig = Rig::start().await;
    let rows: Vec<Row> = TABLES
        .iter()
        .flat_map(|(_, text)| rows(&rig.fill(text)))
        .collect();
    // Keys of tokens are fetched by name.
    let resolver = Resolver::start(&["keys.example"]).await;
    let world = world(rig, &rows, &[], &resolver.bootstrap()).await;
    let asked: Vec<Row> = rows
        .into_iter()
        .filter(|row| row.id.starts_with(&only))
        .collect();
    world.check(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_names_are_asked_for() {
    let rig = Rig::start().await;
    let resolver = Resolver::start(&["outside.example"]).await;
    let text = rig.fill(EXTERNAL_NAMES);
    let [plain, _, tls, _] = rig.backends["b"].addresses;
    let mut rig = rig;
    for (name, port) in [("outside", plain.port()), ("outsidetls", tls.port())] {
        rig.objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "hp", "name": name},
            "spec": {"type": "ExternalName", "externalName": "outside.example", "ports": [{"port": port}]},
        }));
    }
    let flags = ["--allow-external-names", "--envoy-trusted-hops", "1"];
    let world = world(rig, &rows(&text), &flags, &resolver.bootstrap()).await;
    world.check(&rows(&text)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_decides_holds() {
    let flags = [
        "--rate-limit-service-extension",
        "hp/rls",
        "--rate-limit-service-domain",
        "dom",
        "--rate-limit-service-enable-x-ratelimit-headers",
        "--tls-fallback-certificate",
        "certs/fallback",
    ];
    let rows = rows(OPERATOR);
    let world = world(Rig::start().await, &rows, &flags, "").await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_are_in_the_namespaces_of_roots() {
    let flags = [
        "--root-namespaces",
        "team1",
        "--ingress-class",
        "pub",
        "--disable-permit-insecure",
    ];
    let rows = rows(ROOT_NAMESPACES);
    let world = world(Rig::start().await, &rows, &flags, "").await;
    world.check(&rows).await;
}

/// Two rows of one name would share a host, and one without an ask would say nothing.
#[test]
fn rows_are_told_apart_and_ask() {
    let all = all();
    assert!(all.len() > 330, "{}", all.len());
    let mut seen = BTreeSet::new();
    for row in &all {
        assert!(seen.insert(&row.id), "{} is there twice", row.id);
        let asks = row.steps.iter().filter(|step| match step {
            crate::row::Step::Ask(ask) => row.asks(ask),
            _ => false,
        });
        assert!(asks.count() > 0, "{} asks nothing", row.id);
    }
}
