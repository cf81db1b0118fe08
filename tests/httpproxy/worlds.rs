//! The worlds that the tables are asked in.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::rig::{Rig, objects};
use crate::row::{Row, rows};
use crate::run::{World, file};
use crate::support::envoy::Envoy;
use crate::support::isobath::Isobath;
use crate::support::resolver::Resolver;
use crate::support::stand::{Stand, bootstrap};
use crate::tables::{CONFIGURED, EXTERNAL_NAMES, OF_ALL, OPERATOR, ROOT_NAMESPACES, TABLES};
use crate::verdict::Verdicts;

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
    let world = world(Rig::start(Ipv4Addr::LOCALHOST).await, &rows, &flags, "").await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_says_of_all_holds() {
    let flags = [
        "--tls-envoy-client-certificate",
        "hp/envoyclient",
        "--policy-request-headers-set",
        "X-Global=g",
        "--policy-request-headers-set",
        "X-Over=global",
        "--policy-request-headers-set",
        "X-Ns=%CONTOUR_NAMESPACE%",
        "--policy-request-headers-set",
        "X-Service=%CONTOUR_SERVICE_NAME%",
        "--policy-request-headers-set",
        "X-From=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "--policy-request-headers-remove",
        "X-Drop",
        "--policy-response-headers-set",
        "X-Gresp=g",
        "--policy-apply-to-ingress",
    ];
    let rows = rows(OF_ALL);
    let world = world(Rig::start(Ipv4Addr::LOCALHOST).await, &rows, &flags, "").await;
    world.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contour_has_in_its_configuration_holds() {
    let flags = [
        "--global-ext-auth-extension",
        "team1/gauth",
        "--global-ext-auth-context",
        "g=1",
        "--disable-permit-insecure",
        "--envoy-merge-slashes",
        "false",
        "--envoy-server-header",
        "overwrite",
        "--envoy-idle-timeout",
        "60s",
        "--envoy-max-connection-duration",
        "1h",
        "--envoy-delayed-close-timeout",
        "2s",
        "--envoy-connection-shutdown-grace-period",
        "10s",
        "--envoy-max-requests-per-connection",
        "1000",
        "--envoy-http2-max-concurrent-streams",
        "50",
        "--envoy-upstream-connect-timeout",
        "5s",
        "--envoy-upstream-max-requests-per-connection",
        "100",
        "--envoy-upstream-buffer-limit",
        "1048576",
        "--envoy-dns-lookup-family",
        "all",
        "--circuit-breakers-max-connections",
        "1000",
        "--circuit-breakers-max-retries",
        "3",
        "--upstream-tls-minimum-protocol-version",
        "1.3",
        "--upstream-tls-cipher-suites",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "--tls-minimum-protocol-version",
        "1.3",
        "--default-http-versions",
        "HTTP/1.1",
        "--rate-limit-service-extension",
        "hp/rls",
        "--rate-limit-service-default-policy",
        r#"{"descriptors":[{"entries":[{"genericKey":{"value":"default"}}]}]}"#,
    ];
    let rows = rows(CONFIGURED);
    let world = world(Rig::start(Ipv4Addr::LOCALHOST).await, &rows, &flags, "").await;
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
    let world = world(Rig::start(Ipv4Addr::LOCALHOST).await, &rows, &flags, "").await;
    world.check(&rows).await;
}
