//! The `stats` listener and the bootstrap, on a real Envoy.

use std::process::Command;

use isobath::envoy::bootstrap::{Bootstrap, TlsFiles, XdsServer};

use crate::client::{plain, request};
use crate::fixture::World;
use crate::proxy::{Proxy, envoy};

#[tokio::test]
async fn ready_and_metrics() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let ask = async |method: &str, path: &str| {
        plain(proxy.stats, &request(method, "node", path, &[])).await
    };
    assert_eq!(ask("GET", "/ready").await.status, 200);
    let metrics = ask("GET", "/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("envoy_server_live"), "{metrics:?}");
    // Nothing else of the admin interface, in any spelling, and no other method.
    for path in [
        "/",
        "/metrics/",
        "/metrics?filter=(a*)*b",
        "/metrics/../quitquitquit",
        "/metrics/%2e%2e/quitquitquit",
        "/metrics;/../quitquitquit",
        "/metrics%2f..%2fquitquitquit",
        "/metrics#",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        r"/\metrics",
        "/METRICS",
        "/%6detrics",
        "/ready/",
        "/stats",
        "/stats/prometheus",
        "/stats/prometheus/../../quitquitquit",
        "/config_dump",
        "/quitquitquit",
        "/healthcheck/fail",
        "http://node/quitquitquit",
    ] {
        for method in ["GET", "POST"] {
            let status = ask(method, path).await.status;
            assert!(matches!(status, 400 | 404), "{method} {path}: {status}");
        }
    }
    for method in ["POST", "PUT", "HEAD"] {
        assert_eq!(ask(method, "/metrics").await.status, 404, "{method}");
    }
    // Not ready while it drains; alive all the same.
    assert_eq!(proxy.admin("POST", "/healthcheck/fail").await.status, 200);
    assert_eq!(ask("GET", "/ready").await.status, 503);
    assert_eq!(ask("GET", "/metrics").await.status, 200);
    assert_eq!(proxy.admin("POST", "/healthcheck/ok").await.status, 200);
    assert_eq!(ask("GET", "/ready").await.status, 200);
    proxy.assert_content();
}

#[test]
fn envoy_accepts_every_form_of_the_bootstrap() {
    let Some(envoy) = envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let pair = rcgen::generate_simple_self_signed(["isobath.web".to_owned()]).unwrap();
    std::fs::write(path("tls.crt"), pair.cert.pem()).unwrap();
    std::fs::write(path("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    let tls = TlsFiles {
        ca: path("tls.crt"),
        certificate: path("tls.crt"),
        key: path("tls.key"),
    };
    let unix = XdsServer::Unix(path("xds.sock"));
    let servers = [
        unix.clone(),
        XdsServer::parse("127.0.0.1:8001", None).unwrap(),
        XdsServer::parse("[::1]:8001", None).unwrap(),
        XdsServer::parse("localhost:8001", None).unwrap(),
        XdsServer::parse("isobath.web:8001", Some(tls.clone())).unwrap(),
        XdsServer::parse("10.0.0.1:8001", Some(tls)).unwrap(),
    ];
    for (number, xds) in servers.into_iter().enumerate() {
        let bootstrap = Bootstrap {
            xds,
            admin_socket: path("admin.sock"),
            authz_socket: "/nowhere".into(),
            node_id: "node".to_owned(),
            node_cluster: "isobath".to_owned(),
            max_heap_bytes: (number % 2 == 0).then_some(1 << 30),
        };
        let document = bootstrap.to_json();
        for (name, text) in [
            ("envoy.json", document.to_string()),
            ("envoy.yaml", serde_saphyr::to_string(&document).unwrap()),
        ] {
            std::fs::write(path(name), text).unwrap();
            let output = Command::new(&envoy)
                .args([
                    "--mode",
                    "validate",
                    "--disable-hot-restart",
                    "-l",
                    "warning",
                    "-c",
                ])
                .arg(path(name))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} of {bootstrap:?}: {said}");
            assert!(
                !said.contains("[warning]"),
                "{name} of {bootstrap:?}: {said}"
            );
        }
    }
}
