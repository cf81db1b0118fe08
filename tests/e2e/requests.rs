//! Requests that strangers' programs send and that should be answered: old and new methods, offers, headers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::apps;
use crate::scripted::{Scripted, ok};
use crate::support::client::{Connection, Version};
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, ingress, site};
use crate::support::stand::Stand;

async fn stand(manifests: &[Manifest], flags: &[&str]) -> Stand {
    Stand::on(Isobath::start_with(manifests, flags).await).await
}

/// Writes these bytes and reads the head of the answer.
async fn head(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_u8());
        match read.await.expect("an answer in time") {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(answer).unwrap()
}

fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_the_applications_words() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let stand = stand(&manifests, &[]).await;
    let words = "GET HEAD POST PUT PATCH DELETE OPTIONS LIST PURGE SEARCH BREW PROPFIND PROPPATCH MKCOL COPY MOVE \
        LOCK UNLOCK REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH VERSION-CONTROL BASELINE-CONTROL QUERY";
    for word in words.split_whitespace() {
        let method = Method::from_bytes(word.as_bytes()).unwrap();
        for version in [Version::H1, Version::H2] {
            let mut connection = Connection::open(stand.isobath.http(), version, None)
                .await
                .unwrap();
            let answer = connection
                // Envoy knows QUERY and asks a type of it.
                .send(method.clone(), "web.test", "/", &[("content-type", "a/b")])
                .await
                .unwrap();
            assert_eq!(answer.status, 200, "{word} {version:?}");
            if word != "HEAD" {
                assert_eq!(answer.echo().method, word);
            }
        }
    }
    let wrong = "G@T / HTTP/1.1\r\nHost: web.test\r\n\r\n";
    assert_eq!(status(&head(stand.isobath.http(), wrong).await), "400");
}

/// HTTP/1.0 knows no Host. HAProxy's default check is `OPTIONS / HTTP/1.0`.
#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_needs_no_host() {
    let (_backends, mut manifests) = apps(&["web", "any"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    manifests.push(ingress("any").default_backend("any:80"));
    let stand = stand(&manifests, &[]).await;
    let (http, stats) = (stand.isobath.http(), stand.isobath.stats());
    for (address, request, want) in [
        (http, "GET / HTTP/1.0\r\n\r\n", "200"),
        (http, "OPTIONS / HTTP/1.0\r\n\r\n", "200"),
        (http, "GET / HTTP/1.0\r\nHost: web.test\r\n\r\n", "200"),
        // RFC 9112, 3.2: there it must be.
        (http, "GET / HTTP/1.1\r\n\r\n", "400"),
        (stats, "GET /ready HTTP/1.0\r\n\r\n", "200"),
        (stats, "HEAD /ready HTTP/1.0\r\n\r\n", "200"),
        (stats, "GET /other HTTP/1.0\r\n\r\n", "404"),
    ] {
        let head = head(address, request).await;
        assert_eq!(status(&head), want, "{request:?}");
        let by = match (address == http, want, request.contains("web.test")) {
            (true, "200", true) => "x-backend: web\r\n",
            (true, "200", false) => "x-backend: any\r\n",
            _ => "",
        };
        assert!(head.contains(by), "{request:?}: {head}");
    }
}

/// RFC 9110, 7.8: an offer may be ignored. Java's client offers TLS with every request since 2024.
#[tokio::test(flavor = "multi_thread")]
async fn offers_are_not_demands() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    for (flags, table) in [
        (
            &[][..],
            &[
                ("TLS/1.2", "200"),
                ("TLS/1.2, TLS/1.0", "200"),
                ("h2c", "200"),
                ("foo", "200"),
                ("", "200"),
                ("w", "200"),
                ("websocket", "101"),
                ("WebSocket", "101"),
                ("websockets", "200"),
                ("xwebsocket", "200"),
                ("TLS/1.2, websocket", "101"),
                ("websocket,TLS/1.2", "101"),
                ("h2c, websocket", "101"),
                ("SPDY/3.1", "200"),
                ("tcp", "200"),
            ][..],
        ),
        (
            &["--envoy-upgrades", "SPDY/3.1,tcp,websocket"],
            &[
                ("SPDY/3.1", "101"),
                ("spdy/3.1", "101"),
                ("SPDY/3x1", "200"),
                ("SPDY/3", "200"),
                ("tcp", "101"),
                ("tcps", "200"),
                ("websocket", "101"),
                ("TLS/1.2", "200"),
            ],
        ),
        (
            &["--envoy-upgrades", "tcp"],
            &[("websocket", "200"), ("tcp", "101")],
        ),
    ] {
        let stand = stand(&manifests, flags).await;
        for (offer, want) in table {
            let request = format!(
                "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: {offer}\r\n\r\n"
            );
            let head = head(stand.isobath.http(), &request).await;
            assert_eq!(status(&head), *want, "{flags:?} {offer:?}");
        }
    }
}

/// What back ends build their links from.
#[tokio::test(flavor = "multi_thread")]
async fn back_ends_are_told_what_the_client_asked_for() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let said = [
        ("x-forwarded-host", "said.test"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-real-ip", "203.0.113.8"),
    ];
    let hops: &[&str] = &["--envoy-trusted-hops", "1"];
    let real = &["--envoy-real-ip"][..];
    let both = &["--envoy-trusted-hops", "1", "--envoy-real-ip"][..];
    let other = &[
        "--envoy-trusted-hops",
        "1",
        "--envoy-https-redirect-to",
        "8443",
    ][..];
    let https = &said[2..4];
    for (flags, host, sent, want) in [
        (&[][..], "web.test", &[][..], ["web.test", "80", "http", ""]),
        (&[], "web.test", &said, ["web.test", "80", "http", ""]),
        (&[], "web.test:81", &said, ["web.test:81", "81", "http", ""]),
        (
            real,
            "web.test",
            &said,
            ["web.test", "80", "http", "127.0.0.1"],
        ),
        (
            hops,
            "web.test",
            &said,
            ["said.test", "1", "https", "203.0.113.8"],
        ),
        (hops, "web.test", https, ["web.test", "443", "https", ""]),
        (
            both,
            "web.test",
            &said,
            ["said.test", "1", "https", "203.0.113.7"],
        ),
        (other, "web.test", https, ["web.test", "8443", "https", ""]),
        (
            other,
            "web.test:82",
            https,
            ["web.test:82", "82", "https", ""],
        ),
        (hops, "web.test", &[], ["web.test", "80", "http", ""]),
    ] {
        let stand = stand(&manifests, flags).await;
        for version in [Version::H1, Version::H2] {
            let mut connection = Connection::open(stand.isobath.http(), version, None)
                .await
                .unwrap();
            let answer = connection.send(Method::GET, host, "/", sent).await.unwrap();
            let headers: BTreeMap<_, _> = answer.echo().headers;
            let got = ["host", "port", "proto"]
                .map(|name| headers.get(&format!("x-forwarded-{name}")).cloned())
                .into_iter()
                .chain([headers.get("x-real-ip").cloned()])
                .map(Option::unwrap_or_default);
            let got: Vec<_> = got.collect();
            assert_eq!(got, want, "{flags:?} {version:?} {host} {sent:?}");
        }
    }
}

/// How many, how large, how named. Over HTTP/2 Envoy has no answer to a request that it can't read: it resets the stream.
#[tokio::test(flavor = "multi_thread")]
async fn headers_have_limits_that_are_flags() {
    // It has no limit of its own.
    let backend = Scripted::start(|request| {
        let is_kept = request.head.contains("\r\nx_a: v\r\n");
        Some(ok(if is_kept { "x-kept: yes\r\n" } else { "" }))
    })
    .await;
    let mut manifests = backend.app("web");
    manifests.push(site("web", "web.test", "web:80"));
    let lines = |count: usize| -> Vec<(String, String)> {
        let line = |nth| (format!("x-h{nth}"), "v".to_owned());
        (0..count).map(line).collect()
    };
    let large = |kib: usize| -> Vec<(String, String)> {
        let line = |nth| (format!("x-h{nth}"), "v".repeat(8 << 10));
        (0..kib / 8).map(line).collect()
    };
    let underscore = vec![("x_a".to_owned(), "v".to_owned())];
    let many = &["--envoy-max-headers", "400"][..];
    let wide = &["--envoy-max-headers-kib", "256"][..];
    for (flags, headers, want) in [
        (&[][..], lines(80), ["200", "200"]),
        (&[], lines(150), ["431", "reset"]),
        (many, lines(350), ["200", "200"]),
        (many, lines(450), ["431", "reset"]),
        (&[], large(48), ["200", "200"]),
        (&[], large(72), ["431", "reset"]),
        (wide, large(200), ["200", "200"]),
        (&[], underscore.clone(), ["400", "reset"]),
        (
            &["--envoy-underscores", "drop"],
            underscore.clone(),
            ["200", "200"],
        ),
        (
            &["--envoy-underscores", "keep"],
            underscore,
            ["200 kept", "200 kept"],
        ),
    ] {
        let stand = stand(&manifests, flags).await;
        let sent: Vec<_> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        for (version, want) in [Version::H1, Version::H2].into_iter().zip(want) {
            let mut connection = Connection::open(stand.isobath.http(), version, None)
                .await
                .unwrap();
            let answer = connection.send(Method::GET, "web.test", "/", &sent).await;
            let got = match answer {
                Err(_) => "reset".to_owned(),
                Ok(answer) => {
                    let kept = if answer.header("x-kept") == "yes" {
                        " kept"
                    } else {
                        ""
                    };
                    format!("{}{kept}", answer.status)
                }
            };
            assert_eq!(got, want, "{flags:?} {version:?} {} headers", sent.len());
        }
    }
}

/// As many header lines as the README says, where Envoy alone takes 100.
#[tokio::test(flavor = "multi_thread")]
async fn answers_may_have_many_headers() {
    let backend = Scripted::start(|request| {
        let path = request.head.split(' ').nth(1)?;
        let (what, count) = path.strip_prefix('/')?.split_once('/')?;
        let count: usize = count.parse().ok()?;
        let lines = match what {
            "lines" => (0..count).map(|nth| format!("x-h{nth}: v\r\n")).collect(),
            _ => format!("x-large: {}\r\n", "v".repeat(count << 10)),
        };
        Some(ok(&lines))
    })
    .await;
    let mut manifests = backend.app("web");
    manifests.push(site("web", "web.test", "web:80"));
    let stand = stand(&manifests, &[]).await;
    for (path, want) in [
        ("/lines/90", "200"),
        ("/lines/150", "200"),
        ("/lines/990", "200"),
        ("/lines/1100", "502"),
        ("/kib/100", "200"),
        ("/kib/250", "200"),
        ("/kib/300", "502"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: web.test\r\n\r\n");
        let head = head(stand.isobath.http(), &request).await;
        assert_eq!(status(&head), want, "{path}");
    }
}
