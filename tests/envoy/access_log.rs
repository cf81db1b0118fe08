//! The access log of a real Envoy: whatever a client sends stays inside its JSON field.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use isobath::model::{PathMatch, Route, RouteAction};
use isobath::objects::Kind;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::backend;
use crate::client::{plain, request};
use crate::fixture::{World, forward, route, source};
use crate::proxy::{Proxy, envoy};

const HOST: &str = "a.example.com";

/// Values that would end a field, a line or an object of a log that were put together by hand; and such that are no
/// text at all.
const HOSTILE: [&[u8]; 16] = [
    br#"a"},{"owner": "Ingress evil/evil", "x": ""#,
    br#"", "response_code": 200, ""#,
    br#"\"#,
    br#"\", "owner": "x"#,
    br"\u0022\u002c\n\r\x22",
    b"%REQ(AUTHORIZATION)% %ENVIRONMENT(HOME)%",
    b"{}[]:,null",
    "\u{e9}\u{2028}\u{2029}\u{feff}\u{1f41f}".as_bytes(),
    b"\x80",
    b"\xff\xfe\"",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xe2\x80",
    b"tab\tinside",
    // These two Envoy refuses, and logs that.
    b"\x1b[31m",
    b"\x7f",
];

/// The fields that every line has, and no others.
const FIELDS: usize = 21;

/// Sends bytes as they are and reads until the other side has done.
async fn send(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A refused request may be answered by a reset.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn with(path: &[u8], host: &[u8], agent: &[u8], forwarded: &[u8]) -> Vec<u8> {
    [
        b"GET /",
        path,
        b" HTTP/1.1\r\nHost: ",
        host,
        b"\r\nUser-Agent: ",
        agent,
        b"\r\nX-Forwarded-For: ",
        forwarded,
        b"\r\nX-Request-Id: ",
        agent,
        b"\r\nConnection: close\r\n\r\n",
    ]
    .concat()
}

#[tokio::test]
async fn what_clients_send_stays_in_its_field() {
    let Some(envoy) = envoy() else { return };
    let logged = Route {
        source: source(Kind::Ingress, "logged"),
        ..route(
            PathMatch::PathPrefix("/".into()),
            RouteAction::Forward(forward(&["good"])),
        )
    };
    let world = World::new()
        .cluster("good", &[backend::start("good").await])
        .http(HOST, vec![logged]);
    let proxy = Proxy::start(&envoy, world.resources()).await;

    let mut sent = 0;
    let mut accepted = BTreeSet::new();
    for value in HOSTILE {
        for request in [
            with(b"agent", HOST.as_bytes(), value, b"192.0.2.1"),
            with(b"forwarded", HOST.as_bytes(), b"test", value),
            with(b"host", value, b"test", b"192.0.2.1"),
            with(value, HOST.as_bytes(), b"path", b"192.0.2.1"),
        ] {
            let answer = send(proxy.http, &request).await;
            sent += 1;
            if answer.starts_with(b"HTTP/1.1 200") && request.starts_with(b"GET /agent") {
                accepted.extend(std::str::from_utf8(value).map(str::to_owned));
            }
        }
    }
    for broken in [
        &b"\x16\x03\x01 not HTTP\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nx\0: y\r\n\r\n",
    ] {
        send(proxy.http, broken).await;
        sent += 1;
    }
    let last = request("GET", HOST, "/the-last/%22%7d?token=secret", &[]);
    assert_eq!(plain(proxy.http, &last).await.status, 200);
    sent += 1;

    let log = proxy.access_log("/the-last/").await;
    assert_eq!(log.len(), sent, "one line for each request");
    let names =
        |line: &Value| -> BTreeSet<String> { line.as_object().unwrap().keys().cloned().collect() };
    let expected = names(log.last().unwrap());
    assert_eq!(expected.len(), FIELDS);
    for line in &log {
        assert_eq!(names(line), expected, "{line}");
        assert!(
            line["owner"] == "Ingress web/logged" || line["owner"].is_null(),
            "{line}"
        );
    }
    let agents: BTreeSet<String> = log
        .iter()
        .filter(|line| line["path"] == "/agent" && line["response_code"] == 200)
        .filter_map(|line| Some(line["user_agent"].as_str()?.to_owned()))
        .collect();
    assert!(accepted.len() >= 8, "{accepted:?}");
    assert!(
        accepted.is_subset(&agents),
        "logged as sent: {accepted:?} {agents:?}"
    );

    let line = log.last().unwrap();
    assert_eq!(line["path"], "/the-last/%22%7d", "without the query");
    assert_eq!(line["owner"], "Ingress web/logged");
    assert_eq!(line["response_code"], 200);
    assert_eq!(line["upstream_cluster"], "good");
    // Nor does what counts by Ingress complain of a request that has no route, no code or no answer.
    proxy.assert_content();
}
