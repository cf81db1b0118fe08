//! Tunnels (CONNECT), on a real Envoy: on where a route says so, and off everywhere else.

use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use isobath::envoy::edge::Edge;
use isobath::model::{
    AddressRules, AddressSource, ClientCheck, Connect, Filters, ForwardOptions, PathMatch, Route,
    RouteAction, VirtualHost,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backend;
use crate::client::{exchange, plain, request, tls};
use crate::filter_cases::ranges;
use crate::fixture::{World, all_to, certificate, forward, tls_server, virtual_host};
use crate::proxy::{Proxy, envoy};
use crate::sending::to;
use crate::served::Fleet;

/// Bounds every wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn tunnel(cluster: &str, connect: Option<Connect>) -> Route {
    let options = ForwardOptions {
        connect,
        ..ForwardOptions::default()
    };
    let mut to = forward(&[cluster]);
    to.options = Some(Box::new(options));
    Route {
        action: RouteAction::Forward(to),
        ..of(PathMatch::Connect)
    }
}

fn of(path: PathMatch) -> Route {
    let mut route = to("/", forward(&["a"]));
    route.matches.path = path;
    route
}

/// Asks for a tunnel; the status, and where it is 200 what a request through it gets.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, authority: &str) -> String {
    let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(connect.as_bytes()).await.unwrap();
    // TLS keeps what the socket does not take at once, and reading does not send it.
    stream.flush().await.unwrap();
    let head = tokio::time::timeout(PATIENCE, head(&mut stream)).await;
    let head = head.expect("no answer in time");
    let status = head.get(9..12).unwrap_or_default().to_owned();
    if status != "200" {
        return status;
    }
    format!("200 {}", inside(stream).await)
}

/// What a request through a tunnel gets.
async fn inside(stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let asked = request("GET", "inside.test", "/inside", &[]);
    exchange(stream, &asked).await.echo().to_owned()
}

/// All up to the first empty line.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

async fn in_clear(proxy: &Proxy, authority: &str) -> String {
    ask(TcpStream::connect(proxy.http).await.unwrap(), authority).await
}

/// A proxy that is asked for tunnels, and answers within them what it was asked for.
async fn forwarder() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let asked = head(&mut stream).await;
                let asked = asked.lines().next().unwrap_or_default().to_owned();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                head(&mut stream).await;
                let length = asked.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{asked}");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

fn guarded(mut route: Route) -> Route {
    let denied = AddressRules::deny(ranges(AddressSource::Peer, &["127.0.0.0/8", "::1"]));
    route.filters = Some(Box::new(Filters {
        addresses: Some(denied),
        ..Filters::default()
    }));
    route
}

async fn world() -> World {
    let (a, forwarder) = (backend::start("a").await, forwarder().await);
    let on = || tunnel("a", Some(Connect::Terminate));
    let and_all = |route| [vec![route], all_to("a")].concat();
    World::new()
        .cluster("a", &[a])
        .cluster("forwarder", &[forwarder])
        .http("on.example.com", and_all(on()))
        .http("only.example.com", vec![on()])
        .http(
            "passed.example.com",
            vec![tunnel("forwarder", Some(Connect::Forward))],
        )
        .http("off.example.com", and_all(tunnel("a", None)))
        .http("none.example.com", all_to("a"))
        .http("guarded.example.com", and_all(guarded(on())))
        .http(
            "missing.example.com",
            vec![tunnel("missing", Some(Connect::Terminate))],
        )
        .http("*.wild.example.com", vec![on()])
}

const THROUGH: &str = "200 a h1 GET /inside";

#[tokio::test]
async fn tunnels_are_there_where_a_route_has_them() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, world().await.resources()).await;
    for (authority, expected) in [
        ("on.example.com:443", THROUGH),
        ("ON.example.com:22", THROUGH),
        ("only.example.com:443", THROUGH),
        ("a.wild.example.com:1", THROUGH),
        (
            "passed.example.com:443",
            "200 CONNECT passed.example.com:443 HTTP/1.1",
        ),
        ("off.example.com:443", "403"),
        ("none.example.com:443", "404"),
        ("guarded.example.com:443", "403"),
        ("missing.example.com:443", "503"),
        ("b.a.wild.example.com:443", "403"),
        ("nobody.test:443", "404"),
        // Where it leads is never the client's say.
        (&proxy.stats.to_string(), "404"),
    ] {
        assert_eq!(in_clear(&proxy, authority).await, expected, "{authority}");
    }
    // Requests with a path are none, and go where they went.
    for (host, expected) in [("on", 200), ("only", 404), ("off", 200), ("guarded", 200)] {
        let asked = request("GET", &format!("{host}.example.com"), "/", &[]);
        assert_eq!(plain(proxy.http, &asked).await.status, expected, "{host}");
    }
    proxy.assert_content();
}

/// Over TLS, by HTTP/1.1 and HTTP/2; a host's guards are before its tunnels.
#[tokio::test]
async fn tunnels_are_guarded_as_their_hosts() {
    let Some(envoy) = envoy() else { return };
    let mut fleet = Fleet::new(Edge::default());
    fleet.cluster("a", backend::start("a").await);
    let on = || vec![tunnel("a", Some(Connect::Terminate))];
    let checked = VirtualHost {
        client_check: Some(ClientCheck::Validated),
        ..virtual_host("checked.example.com", on())
    };
    let hosts = [
        virtual_host("on.example.com", on()),
        checked,
        virtual_host("*.example.com", on()),
    ];
    for host in hosts {
        let of = format!("web/{}", host.host.as_str().replace('*', "any"));
        fleet.certificate(&certificate(&of, &[host.host.as_str()]));
        fleet.serve(&host, &tls_server(&of, &[&of]));
    }
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    for (sni, authority, expected) in [
        ("on.example.com", "on.example.com:443", THROUGH),
        ("x.example.com", "x.example.com:443", THROUGH),
        ("y.x.example.com", "y.x.example.com:443", "403"),
        ("checked.example.com", "checked.example.com:443", "403"),
        // Of another host's connection: no tunnel.
        ("on.example.com", "checked.example.com:443", "404"),
        ("on.example.com", "x.example.com:443", "404"),
        ("x.example.com", "on.example.com:443", "403"),
        ("x.example.com", "checked.example.com:443", "403"),
    ] {
        let stream = tls(proxy.https, Some(sni), "http/1.1").await.unwrap();
        assert_eq!(ask(stream, authority).await, expected, "{sni} {authority}");
        let over_http2 = over_http2(&proxy, sni, authority).await;
        assert_eq!(over_http2, expected, "{sni} {authority} by HTTP/2");
    }
    proxy.assert_content();
}

async fn over_http2(proxy: &Proxy, sni: &str, authority: &str) -> String {
    let stream = tls(proxy.https, Some(sni), "h2").await.unwrap();
    let (executor, stream) = (TokioExecutor::new(), TokioIo::new(stream));
    let handshake = hyper::client::conn::http2::handshake(executor, stream).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let asked = http::Request::connect(authority)
        .body(String::new())
        .unwrap();
    let answer = sender.send_request(asked).await.unwrap();
    match answer.status().as_u16() {
        200 => {
            let upgraded = hyper::upgrade::on(answer).await.unwrap();
            format!("200 {}", inside(TokioIo::new(upgraded)).await)
        }
        status => status.to_string(),
    }
}

/// Switched on and off on one host: whoever has a tunnel keeps it, another host has none and loses no request.
#[tokio::test]
async fn tunnels_are_switched_on_and_off() {
    const TABLES: &str = "http.http.rds.http.config_reload";
    let Some(envoy) = envoy() else { return };
    let a = backend::start("a").await;
    let world = |connect| {
        let routes = [vec![tunnel("a", connect)], all_to("a")].concat();
        let world = World::new().cluster("a", &[a]);
        let world = world.http("on.example.com", routes);
        world.http("other.example.com", all_to("a")).resources()
    };
    let proxy = Proxy::start(&envoy, world(None)).await;
    let other = request("GET", "other.example.com", "/", &[]);
    for _ in 0..50 {
        assert_eq!(in_clear(&proxy, "on.example.com:443").await, "403");
        let now = world(Some(Connect::Terminate));
        proxy.update(|all| *all = now, TABLES).await;
        assert_eq!(in_clear(&proxy, "on.example.com:443").await, THROUGH);
        assert_eq!(in_clear(&proxy, "other.example.com:443").await, "404");
        assert_eq!(plain(proxy.http, &other).await.status, 200);
        let mut kept = TcpStream::connect(proxy.http).await.unwrap();
        let connect = "CONNECT on.example.com:443 HTTP/1.1\r\nHost: on.example.com:443\r\n\r\n";
        kept.write_all(connect.as_bytes()).await.unwrap();
        assert!(head(&mut kept).await.starts_with("HTTP/1.1 200"));
        proxy.update(|all| *all = world(None), TABLES).await;
        assert_eq!(inside(kept).await, "a h1 GET /inside");
        assert_eq!(plain(proxy.http, &other).await.status, 200);
    }
    for name in ["listener_modified", "listener_in_place_updated"] {
        let name = format!("listener_manager.{name}");
        assert_eq!(proxy.statistic(&name).await, 0, "{name}");
    }
    proxy.assert_content();
}
