//! Virtual hosts on a real Envoy: which host of a table answers, in every spelling of a Host header.

use crate::backend;
use crate::client::{plain, request};
use crate::fixture::{World, all_to};
use crate::proxy::{Proxy, envoy};

#[tokio::test]
async fn hosts_in_clear_text() {
    let Some(envoy) = envoy() else { return };
    let mut world = World::new();
    for name in ["exact", "wild", "deep"] {
        world = world.cluster(name, &[backend::start(name).await]);
    }
    let world = world
        .http("a.example.com", all_to("exact"))
        .http("*.example.com", all_to("wild"))
        .http("*.b.example.com", all_to("deep"));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let cases = [
        ("a.example.com", "200 exact"),
        ("A.EXAMPLE.com", "200 exact"),
        ("a.example.com:8080", "200 exact"),
        ("a.example.com.", "200 exact"),
        ("a.example.com.:8080", "200 exact"),
        ("x.example.com", "200 wild"),
        ("X.Example.Com", "200 wild"),
        ("x.example.com:1", "200 wild"),
        ("x.example.com.", "200 wild"),
        ("x.example.com.:1", "200 wild"),
        ("x_y.example.com", "200 wild"),
        ("b.example.com", "200 wild"),
        ("x.b.example.com", "200 deep"),
        // One label and no more, no less.
        ("x.y.example.com", "404"),
        ("x.a.example.com", "404"),
        ("x.y.b.example.com", "404"),
        (".example.com", "404"),
        ("..example.com", "404"),
        ("example.com", "404"),
        ("example.com:80", "404"),
        ("xexample.com", "404"),
        ("unknown.test", "404"),
        ("127.0.0.1", "404"),
        ("[::1]:80", "404"),
    ];
    for (host, expected) in cases {
        let answer = plain(proxy.http, &request("GET", host, "/", &[])).await;
        let backend = answer.echo().split(' ').next().unwrap_or_default();
        assert_eq!(
            format!("{} {backend}", answer.status).trim_end(),
            expected,
            "{host}"
        );
        if answer.status == 200 {
            // The back end sees what the client sent, less the trailing dot.
            let sent = host.to_owned().replace(".:", ":");
            assert_eq!(
                answer.received("host"),
                Some(sent.trim_end_matches('.')),
                "{host}"
            );
        }
    }
    proxy.assert_content();
}

#[tokio::test]
async fn rules_without_a_host_take_the_rest() {
    let Some(envoy) = envoy() else { return };
    let world = World::new()
        .cluster("any", &[backend::start("any").await])
        .http("*", all_to("any"))
        .http("a.example.com", Vec::new());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (host, status) in [
        ("whoever.test", 200),
        ("127.0.0.1:80", 200),
        ("a.example.com", 404),
    ] {
        let answer = plain(proxy.http, &request("GET", host, "/", &[])).await;
        assert_eq!(answer.status, status, "{host}");
    }
    // HTTP/1.0, as simple tools speak it.
    let answer = plain(proxy.http, "GET / HTTP/1.0\r\nHost: old.test\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    proxy.assert_content();
}

/// Envoy without any host: the port is open and everything is unknown.
#[tokio::test]
async fn an_empty_table_answers() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, World::new().resources()).await;
    let answer = plain(proxy.http, &request("GET", "a.example.com", "/", &[])).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("server"), None);
    proxy.assert_content();
}
