//! The worlds that the tables are asked in.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::rig::{Rig, objects};
use crate::row::{Row, rows};
use crate::run::{World, file};
use crate::support::authz::Authz;
use crate::support::envoy::Envoy;
use crate::support::isobath::Isobath;
use crate::support::resolver::Resolver;
use crate::support::stand::{Stand, bootstrap};
use crate::tables::{
    CLIENT_CERTIFICATE_MISSING, CONFIGURED, CONFIGURED_FLAGS, EXTERNAL_NAMES, EXTERNAL_NAMES_FLAGS,
    OF_ALL, OF_ALL_FLAGS, OPERATOR, OPERATOR_FLAGS, RESTARTED, ROOT_NAMESPACES,
    ROOT_NAMESPACES_FLAGS, TABLES,
};
use crate::verdict::Verdicts;

/// The flags of the table with a client certificate that is missing.
pub(crate) const CLIENT_CERTIFICATE_MISSING_FLAGS: &[&str] =
    &["--tls-envoy-client-certificate", "hp/nosuch"];

/// A world with the objects of these rows. `more` is appended to Envoy's bootstrap.
pub(crate) async fn world(rig: Rig, rows: &[Row], flags: &[&'static str], more: &str) -> World {
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
    let authz = Authz::start(isobath.directory(), &isobath.xds_address()).await;
    World {
        authz,
        stand: Stand { envoy, isobath },
        verdicts: Verdicts::new(&everything, flags),
        flags: flags.to_vec(),
        rig,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_answered_as_it_says() {
    let only = std::env::var("ROWS").unwrap_or_default();
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
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
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
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
    let world = world(
        rig,
        &rows(&text),
        EXTERNAL_NAMES_FLAGS,
        &resolver.bootstrap(),
    )
    .await;
    world.check(&rows(&text)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_decides_holds() {
    let rows = rows(OPERATOR);
    let world = world(
        Rig::start(Ipv4Addr::LOCALHOST).await,
        &rows,
        OPERATOR_FLAGS,
        "",
    )
    .await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_says_of_all_holds() {
    let rows = rows(OF_ALL);
    let world = world(
        Rig::start(Ipv4Addr::LOCALHOST).await,
        &rows,
        OF_ALL_FLAGS,
        "",
    )
    .await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_missing() {
    let rows = rows(CLIENT_CERTIFICATE_MISSING);
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let world = world(rig, &rows, CLIENT_CERTIFICATE_MISSING_FLAGS, "").await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contour_has_in_its_configuration_holds() {
    let rows = rows(CONFIGURED);
    let world = world(
        Rig::start(Ipv4Addr::LOCALHOST).await,
        &rows,
        CONFIGURED_FLAGS,
        "",
    )
    .await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_are_in_the_namespaces_of_roots() {
    let rows = rows(ROOT_NAMESPACES);
    let world = world(
        Rig::start(Ipv4Addr::LOCALHOST).await,
        &rows,
        ROOT_NAMESPACES_FLAGS,
        "",
    )
    .await;
    world.check(&rows).await;
}

/// What Envoy would refuse is there while it starts: it has all that others are to have.
#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_starts_has_what_is_not_refused() {
    let rows = rows(RESTARTED);
    let world = world(Rig::start(Ipv4Addr::LOCALHOST).await, &rows, &[], "").await;
    world.check(&rows).await;
    let World {
        authz,
        stand,
        rig,
        verdicts,
        flags,
    } = world;
    let Stand { envoy, isobath } = stand;
    envoy.kill().await;
    let directory = isobath.directory();
    let (path, admin) = (
        directory.join("bootstrap.yaml"),
        directory.join("admin.sock"),
    );
    let mut envoy = Envoy::start(&path, &admin, &directory.join("envoy-2.log"));
    envoy.live().await;
    let stand = Stand { envoy, isobath };
    let world = World {
        authz,
        stand,
        rig,
        verdicts,
        flags,
    };
    world.check(&rows).await;
}
