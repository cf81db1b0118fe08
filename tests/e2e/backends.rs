//! Services, ports, protocols and endpoints behind a route.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::{ALL, PLAIN, Row, apps, check};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{bare_service, endpoint_slice, ingress, service, slice, slice_of};
use crate::support::stand::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn services_and_ports() {
    let authority = Authority::new();
    let main = Backend::start("main").await;
    let side = Backend::start("side").await;
    let secure = Backend::tls("secure", &authority.leaf(&["upstream.test"])).await;
    let mut manifests = vec![
        bare_service("multi")
            .port("http", 80, 8080, "")
            .port("side", 8081, 8082, ""),
        slice_of("multi", "http", &main),
        slice_of("multi", "side", &side),
        bare_service("h2c").port("", 80, 8080, "kubernetes.io/h2c"),
        slice("h2c", &main),
        bare_service("ws").port("", 80, 8080, "kubernetes.io/ws"),
        slice("ws", &main),
        bare_service("https").port("", 443, 8443, "https"),
        slice("https", &secure),
        service("contour-h2c").annotate("projectcontour.io/upstream-protocol.h2c", "80"),
        slice("contour-h2c", &main),
        service("contour-tls").annotate("projectcontour.io/upstream-protocol.tls", "80"),
        slice("contour-tls", &secure),
        service("plain"),
        slice("plain", &main),
        service("without-slices"),
        service("unready"),
        endpoint_slice(
            "unready",
            "unready",
            "",
            &["127.0.0.1"],
            main.address().port(),
            false,
        ),
        service("empty"),
        endpoint_slice("empty", "empty", "", &[], 80, true),
        service("half"),
        slice("half", &side),
        endpoint_slice("half-unready", "half", "", &["127.0.0.1"], 1, false),
    ];
    let rows: &[(&str, &str, &str)] = &[
        ("/name", "multi:http", "main"),
        ("/number", "multi:80", "main"),
        ("/side", "multi:side", "side"),
        ("/side-number", "multi:8081", "side"),
        ("/target", "multi:8080", "503"),
        ("/unknown-name", "multi:nope", "503"),
        ("/unknown-number", "multi:1", "503"),
        ("/unknown-service", "nope:80", "503"),
        ("/without-slices", "without-slices:80", "503"),
        ("/unready", "unready:80", "503"),
        ("/empty", "empty:80", "503"),
        ("/half", "half:80", "side"),
        ("/plain", "plain:80", "main"),
        ("/h2c", "h2c:80", "main"),
        ("/ws", "ws:80", "main"),
        ("/https", "https:443", "secure"),
        ("/contour-h2c", "contour-h2c:80", "main"),
        ("/contour-tls", "contour-tls:80", "secure"),
    ];
    let paths: Vec<_> = rows
        .iter()
        .map(|(path, backend, _)| (*path, Prefix, *backend))
        .collect();
    manifests.push(
        ingress("ports")
            .rule("ports.test", &paths)
            .tls(&[], "certificate"),
    );
    manifests.push(authority.leaf(&["ports.test"]).secret("certificate"));
    let stand = Stand::start(&manifests).await;
    let table: Vec<Row> = rows
        .iter()
        .map(|(path, _, want)| ("ports.test", *path, *want))
        .collect();
    check(&stand, &table, ALL).await;

    for (path, version, tls) in [
        ("/plain", "HTTP/1.1", false),
        ("/ws", "HTTP/1.1", false),
        ("/h2c", "HTTP/2.0", false),
        ("/contour-h2c", "HTTP/2.0", false),
        ("/https", "HTTP/1.1", true),
        ("/contour-tls", "HTTP/1.1", true),
    ] {
        let echo = stand.get("ports.test", path).await.unwrap().echo();
        assert_eq!((&*echo.version, echo.tls), (version, tls), "{path}");
    }
    for path in ["/plain", "/ws"] {
        assert_eq!(
            websocket(&stand, "ports.test", path).await,
            "through",
            "{path}"
        );
    }
}

/// Upgrades a connection to a WebSocket's and sends bytes through it.
async fn websocket(stand: &Stand, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(stand.isobath.http()).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut echo = [0; 7];
    stream.write_all(b"through").await.unwrap();
    stream.read_exact(&mut echo).await.unwrap();
    String::from_utf8(echo.to_vec()).unwrap()
}

/// Endpoints as kube-proxy would choose them, and Services that are not what they seem.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_and_affinity() {
    let (mut backends, mut manifests) = apps(&["ready", "terminating", "stopped"]).await;
    let conditions = |service: &str, backend: &Backend, serving: bool| {
        let mut slice = slice(service, backend);
        let (ready, terminating) = (false, true);
        slice.0["endpoints"][0]["conditions"] = serde_json::json!(
            {"ready": ready, "serving": serving, "terminating": terminating}
        );
        slice
    };
    let mut external = bare_service("external").port("", 80, 80, "");
    external.0["spec"] = serde_json::json!({
        "type": "ExternalName", "externalName": "localhost", "ports": [{"port": backends[0].address().port()}],
    });
    let mut sticky = service("sticky");
    sticky.0["spec"]["sessionAffinity"] = "ClientIP".into();
    let mut duplicate = slice("doubled", &backends[0]);
    duplicate.0["metadata"]["name"] = "doubled-again".into();
    manifests.extend([
        // None is ready: those that still serve while they terminate get the requests.
        service("draining"),
        conditions("draining", &backends[1], true),
        conditions("draining", &backends[2], false),
        // One is ready: nobody else does.
        service("rolling"),
        slice("rolling", &backends[0]),
        conditions("rolling", &backends[1], true),
        service("stopping"),
        conditions("stopping", &backends[2], false),
        service("doubled"),
        slice("doubled", &backends[0]),
        duplicate,
        external,
        sticky,
    ]);
    for name in ["s1", "s2", "s3", "s4"] {
        let backend = Backend::start(name).await;
        manifests.push(slice("sticky", &backend));
        backends.push(backend);
    }
    let port = backends[0].address().port();
    let external = format!("external:{port}");
    manifests.push(ingress("all").rule(
        "all.test",
        &[
            ("/draining", Prefix, "draining:80"),
            ("/rolling", Prefix, "rolling:80"),
            ("/stopping", Prefix, "stopping:80"),
            ("/doubled", Prefix, "doubled:80"),
            ("/external", Prefix, &external),
            ("/sticky", Prefix, "sticky:80"),
        ],
    ));
    let stand = Stand::start(&manifests).await;
    for _ in 0..5 {
        check(
            &stand,
            &[
                ("all.test", "/draining", "terminating"),
                ("all.test", "/rolling", "ready"),
                ("all.test", "/stopping", "503"),
                ("all.test", "/doubled", "ready"),
                // Refused unless the operator allows it, and never for loopback.
                ("all.test", "/external", "503"),
            ],
            PLAIN,
        )
        .await;
    }
    let first = stand.get("all.test", "/sticky").await.unwrap();
    for _ in 0..20 {
        let answer = stand.get("all.test", "/sticky").await.unwrap();
        assert_eq!(
            answer.backend(),
            first.backend(),
            "one client, one back end"
        );
    }
}
