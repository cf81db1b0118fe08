//! The operator's flags for the edge, each against its default.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::{PLAIN, TLS, apps, check};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Version};
use crate::support::isobath::Isobath;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{Manifest, app, ingress, site};
use crate::support::stand::Stand;

async fn stand(manifests: &[Manifest], flags: &[&str]) -> Stand {
    Stand::on(Isobath::start_with(manifests, flags).await).await
}

/// Writes these bytes and returns the first line of the answer.
async fn first_line(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(answer).unwrap().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn escaped_slashes() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    manifests.push(site("web", "web.test", "web:80").tls(&[], "web"));
    manifests.push(authority.leaf(&["web.test"]).secret("web"));
    for (flags, answer, seen) in [
        (&[][..], "307 /a/b?c", ""),
        (&["--envoy-escaped-slashes", "redirect"], "307 /a/b?c", ""),
        (&["--envoy-escaped-slashes", "forward"], "web", "/a/b?c"),
        (&["--envoy-escaped-slashes", "keep"], "web", "/a%2Fb?c"),
        (&["--envoy-escaped-slashes", "reject"], "400", ""),
    ] {
        let stand = stand(&manifests, flags).await;
        let table = [
            ("web.test", "/a%2Fb?c", answer),
            ("web.test", "/a/b", "web"),
        ];
        check(&stand, &table, PLAIN).await;
        check(&stand, &table, TLS).await;
        if !seen.is_empty() {
            let echo = stand.get("web.test", "/a%2Fb?c").await.unwrap().echo();
            assert_eq!(echo.path, seen, "{flags:?}");
        }
    }
}

/// A servlet container reads `/admin;x` as `/admin`: by default that is a path of its own.
#[tokio::test(flavor = "multi_thread")]
async fn path_parameters() {
    let (_backends, mut manifests) = apps(&["web", "admin"]).await;
    let authority = Authority::new();
    manifests.push(
        ingress("web")
            .rule(
                "web.test",
                &[("/", Prefix, "web:80"), ("/admin", Prefix, "admin:80")],
            )
            .tls(&[], "web"),
    );
    manifests.push(authority.leaf(&["web.test"]).secret("web"));
    for (flags, answers, seen) in [
        (&[][..], ["web", "web", "web"], "/admin;x/y?a;b"),
        (
            &["--envoy-path-parameters", "keep"],
            ["web", "web", "web"],
            "/admin;x/y?a;b",
        ),
        (
            &["--envoy-path-parameters", "ignore"],
            ["admin", "admin", "web"],
            "/admin;x/y?a;b",
        ),
        (
            &["--envoy-path-parameters", "reject"],
            ["400", "400", "400"],
            "",
        ),
    ] {
        let stand = stand(&manifests, flags).await;
        let [last, inner, first] = answers;
        let table = [
            ("web.test", "/admin;x", last),
            ("web.test", "/admin;x/y?a;b", inner),
            // Envoy takes what is in front of the first semicolon.
            ("web.test", "/;x/admin", first),
            // The dots are gone before anybody looks for a semicolon.
            ("web.test", "/a;x/../admin", "admin"),
            ("web.test", "/admin%3Bx", "web"),
            ("web.test", "/?a;b", "web"),
        ];
        check(&stand, &table, PLAIN).await;
        check(&stand, &table, TLS).await;
        if !seen.is_empty() {
            let echo = stand
                .get("web.test", "/admin;x/y?a;b")
                .await
                .unwrap()
                .echo();
            assert_eq!(echo.path, seen, "{flags:?}");
        }
    }
}

/// An upload that takes its time, and an answer that does.
#[tokio::test(flavor = "multi_thread")]
async fn time_limits() {
    let slow = Backend::start("slow").await;
    slow.delay(Duration::from_millis(2500));
    let mut manifests = app("slow", &[&slow]);
    manifests.push(site("slow", "slow.test", "slow:80"));
    let upload = "POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 5\r\n\r\nab";
    let request = "GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n";
    for (flag, bytes, want) in [
        ("--envoy-request-timeout", upload, "HTTP/1.1 408"),
        // Its answer is late, not the request.
        ("--envoy-request-timeout", request, "HTTP/1.1 200"),
        ("--envoy-stream-idle-timeout", upload, "HTTP/1.1 408"),
        ("--envoy-stream-idle-timeout", request, "HTTP/1.1 504"),
    ] {
        let stand = stand(&manifests, &[flag, "1s"]).await;
        let got = first_line(stand.isobath.http(), bytes).await;
        assert!(got.starts_with(want), "{flag}: {got}");
    }
    // Zero is no limit, not one of zero seconds.
    let flags = [
        "--envoy-request-timeout",
        "0s",
        "--envoy-stream-idle-timeout",
        "0s",
    ];
    let stand = stand(&manifests, &flags).await;
    check(&stand, &[("slow.test", "/", "slow")], PLAIN).await;
}

/// Whoever is redirected to HTTPS comes from the port of HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_https() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    let forced = |name: &str, host: &str| {
        site(name, host, "web:80")
            .annotate("ingress.kubernetes.io/force-ssl-redirect", "true")
            .tls(&[], "certificate")
    };
    manifests.extend([
        forced("exact", "a.test"),
        // Not every path: no host of redirects alone.
        forced("mixed", "b.test"),
        ingress("open").rule("b.test", &[("/open", Prefix, "web:80")]),
        forced("wild", "*.c.test"),
        authority
            .leaf(&["a.test", "b.test", "*.c.test"])
            .secret("certificate"),
    ]);
    let hosts = ["a.test", "b.test", "x.c.test"];
    for (flags, ports) in [
        (&[][..], ["", "", ":8080"]),
        (&["--envoy-https-redirect-to", "8443"], [":8443"; 3]),
    ] {
        let stand = stand(&manifests, flags).await;
        for host in hosts {
            for (asked, told) in ["", ":80", ":8080"].into_iter().zip(ports) {
                let answer = stand.get(&format!("{host}{asked}"), "/x?y").await.unwrap();
                let location = format!("https://{host}{told}/x?y");
                assert_eq!(answer.header("location"), location, "{flags:?} {asked}");
            }
        }
    }
}

/// Who the client is: the peer, what a trusted proxy says, or what the PROXY header says.
#[tokio::test(flavor = "multi_thread")]
async fn the_clients_address() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let sent = [
        ("x-forwarded-for", "203.0.113.7, 198.51.100.9"),
        ("x-forwarded-proto", "https"),
    ];
    for (hops, client, scheme) in [
        ("0", "127.0.0.1", "http"),
        ("1", "198.51.100.9", "https"),
        ("2", "203.0.113.7", "https"),
    ] {
        let stand = stand(&manifests, &["--envoy-trusted-hops", hops]).await;
        let mut connection = Connection::open(stand.isobath.http(), Version::H2, None)
            .await
            .unwrap();
        let answer = connection
            .send(http::Method::GET, "web.test", "/", &sent)
            .await
            .unwrap();
        let headers = answer.echo().headers;
        assert_eq!(headers["x-envoy-external-address"], client, "{hops}");
        assert_eq!(headers["x-forwarded-proto"], scheme, "{hops}");
    }

    let stand = stand(&manifests, &["--envoy-proxy-protocol"]).await;
    let address = stand.isobath.http();
    let request = "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n";
    let header = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bytes = format!("{header}{request}");
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains(r#""x-envoy-external-address":"203.0.113.7""#),
        "{answer}"
    );
    // Who leaves it out is not served, by neither port.
    assert_eq!(first_line(address, request).await, "");
    check(&stand, &[("web.test", "/", "refused")], TLS).await;
}
