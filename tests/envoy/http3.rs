//! HTTP/3 beside HTTPS, on a real Envoy with a real client of QUIC.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use isobath::build::tls::{RenderedForwarding, Served};
use isobath::envoy::edge::Edge;
use isobath::envoy::{filter_chain, secret};
use isobath::model::{
    Alpn, ClientCertificates, ClientVerification, Connect, Forwarding, Group, Host, TlsServer,
    TlsSettings, TlsVersion, VirtualHost,
};
use isobath::xds::ResourceType;

use crate::ads::Resources;
use crate::authority::{Authority, bundle};
use crate::backend;
use crate::client::{certificate_names, exchange, request, tls};
use crate::eventually::eventually;
use crate::fixture::{all_to, certificate, tls_server, virtual_host};
use crate::proxy::{Proxy, envoy};
use crate::quic::{client_config, connect, connect_by, is_answered};
use crate::served::Fleet;
use crate::tunnelling::tunnel;

const ACTIVE: &str = "listener_manager.total_listeners_active";
const IN_PLACE: &str = "listener_manager.listener_in_place_updated";

fn with_http3() -> Edge {
    Edge {
        http3: true,
        ..Edge::default()
    }
}

/// A fleet with a back end.
async fn fleet(edge: Edge) -> Fleet {
    let mut fleet = Fleet::new(edge);
    fleet.cluster("a", backend::start("a").await);
    fleet
}

/// Serves a host with a certificate of its own.
fn serve(fleet: &mut Fleet, name: &str) {
    let server = server_for(fleet, name);
    fleet.serve(&virtual_host(name, all_to("a")), &server);
}

fn server_for(fleet: &mut Fleet, name: &str) -> TlsServer {
    let of = format!("web/{}", name.replace('*', "any"));
    fleet.certificate(&certificate(&of, &[name]));
    tls_server(&of, &[&of])
}

/// Gives Envoy what the fleet has now. The ports of the listeners that have one by chance stay.
fn take(fleet: &mut Fleet) -> impl FnOnce(&mut Resources) + use<> {
    let now = fleet.resources();
    move |all| *all = now
}

/// How a host's server differs from others, and who comes to it over QUIC.
type Row = (&'static str, fn(&mut TlsServer), bool);

const ROWS: [Row; 6] = [
    ("plain.example.com", |_| {}, true),
    (
        "tls13.example.com",
        |server| server.parameters.versions.minimum = TlsVersion::V1_3,
        true,
    ),
    (
        "tls12.example.com",
        |server| {
            server.parameters.versions = TlsSettings {
                minimum: TlsVersion::V1_2,
                maximum: TlsVersion::V1_2,
            };
        },
        false,
    ),
    (
        "groups.example.com",
        |server| server.parameters.groups = vec![Group::new("P-384").unwrap()],
        false,
    ),
    (
        "http1.example.com",
        |server| server.alpn = Alpn::Http1,
        false,
    ),
    (
        "http2.example.com",
        |server| server.alpn = Alpn::Http2,
        false,
    ),
];

/// The certificate, the status, the back end and the protocol that the back end is spoken to by.
async fn ask(proxy: &Proxy, sni: &str, host: &str) -> String {
    let mut client = connect(proxy.https, sni).await;
    let answer = client.get(host, "/").await;
    let shown = client.certificate_names()[0].clone();
    let backend = answer.echo().split(' ').next().unwrap_or_default();
    format!("{shown} {} {backend}", answer.status)
        .trim_end()
        .to_owned()
}

/// A handshake that reaches Envoy, and that nobody answers.
async fn assert_refused(proxy: &Proxy, sni: &str) {
    const BEGUN: &str = "listener.https>http3.downstream_cx_total";
    let before = proxy.statistic(BEGUN).await;
    let is_answered = is_answered(proxy.https, sni, Duration::from_secs(1)).await;
    assert!(!is_answered, "{sni}");
    assert!(proxy.statistic(BEGUN).await > before, "{sni}");
}

/// Chains and tables are chosen as over TCP, and what QUIC can't honour is not there.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_served_over_quic() {
    let Some(envoy) = envoy() else { return };
    let mut fleet = fleet(with_http3()).await;
    let shared = server_for(&mut fleet, "a.example.com");
    for name in ["a.example.com", "second.example.com"] {
        fleet.serve(&virtual_host(name, all_to("a")), &shared);
    }
    for name in ["b.example.com", "*.example.com", "*.deep.example.com"] {
        serve(&mut fleet, name);
    }
    for (name, change, _) in ROWS {
        let mut server = server_for(&mut fleet, name);
        change(&mut server);
        fleet.serve(&virtual_host(name, all_to("a")), &server);
    }
    fleet.set(&Host::new("closed.example.com"), Served::Closed);
    let through = Host::new("through.example.com");
    let nobody = Forwarding::default();
    let chain = filter_chain::passthrough(&through, &nobody, None, BTreeSet::new());
    fleet.set(
        &through,
        Served::Forwarded(RenderedForwarding {
            chain,
            addresses: None,
            secrets: BTreeSet::new(),
        }),
    );
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    for (sni, host, expected) in [
        ("a.example.com", "a.example.com", "a.example.com 200 a"),
        ("A.Example.COM", "a.example.com", "a.example.com 200 a"),
        ("a.example.com", "A.example.com", "a.example.com 200 a"),
        ("a.example.com", "a.example.com:8443", "a.example.com 200 a"),
        ("a.example.com", "a.example.com.", "a.example.com 200 a"),
        ("a.example.com", "second.example.com", "a.example.com 200 a"),
        (
            "second.example.com",
            "second.example.com",
            "a.example.com 200 a",
        ),
        ("a.example.com", "b.example.com", "a.example.com 421"),
        ("a.example.com", "x.example.com", "a.example.com 421"),
        ("a.example.com", "unknown.test", "a.example.com 421"),
        ("b.example.com", "b.example.com", "b.example.com 200 a"),
        ("x.example.com", "x.example.com", "*.example.com 200 a"),
        ("x.example.com", "y.example.com", "*.example.com 200 a"),
        ("x.example.com", "a.example.com", "*.example.com 421"),
        ("x.example.com", "closed.example.com", "*.example.com 421"),
        ("x.example.com", "through.example.com", "*.example.com 421"),
        ("x.example.com", "tls12.example.com", "*.example.com 421"),
        (
            "x.deep.example.com",
            "x.deep.example.com",
            "*.deep.example.com 200 a",
        ),
        (
            "x.deep.example.com",
            "x.example.com",
            "*.deep.example.com 421",
        ),
        ("y.x.example.com", "y.x.example.com", "*.example.com 421"),
    ] {
        assert_eq!(ask(&proxy, sni, host).await, expected, "{sni} {host}");
    }
    for (name, _, is_served) in ROWS {
        match is_served {
            true => {
                let expected = format!("{name} 200 a");
                assert_eq!(ask(&proxy, name, name).await, expected, "{name}");
            }
            false => assert_refused(&proxy, name).await,
        }
        // Over TCP all of them are there. An answer says whether they are over QUIC.
        let stream = tls(proxy.https, Some(name), "http/1.1").await;
        let Ok(stream) = stream else {
            assert_eq!(name, "http2.example.com");
            continue;
        };
        let answer = exchange(stream, &request("GET", name, "/", &[])).await;
        let told = is_served.then_some("h3=\":443\"; ma=86400");
        assert_eq!(
            (answer.status, answer.header("alt-svc")),
            (200, told),
            "{name}"
        );
    }
    for name in [
        "closed.example.com",
        "through.example.com",
        "example.com",
        "isobath.invalid",
    ] {
        assert_refused(&proxy, name).await;
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Requests on one connection, and on new ones, while others go on with theirs.
struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<u64>,
}

impl Traffic {
    fn start(proxy: &Proxy, host: &'static str) -> Self {
        let (stop, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = tokio::spawn({
            let (stop, failed, address) = (stop.clone(), failed.clone(), proxy.https);
            async move {
                let mut open = connect(address, host).await;
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    let old = open.get(host, "/").await.status;
                    let new = connect(address, host).await.get(host, "/").await.status;
                    failed.fetch_add(u64::from((old, new) != (200, 200)), Ordering::Relaxed);
                    sent += 2;
                }
                assert_eq!(open.closed(), None);
                sent
            }
        });
        Self { stop, failed, task }
    }

    async fn assert_unharmed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.task.await.unwrap();
        assert!(sent > 20, "only {sent} requests");
        assert_eq!(self.failed.load(Ordering::Relaxed), 0, "of {sent}");
    }
}

/// Hosts and certificates come and go: connections over QUIC stay open, and so does the listener.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_come_and_go_under_open_connections() {
    const HOST: &str = "a.example.com";
    let Some(envoy) = envoy() else { return };
    let mut fleet = fleet(with_http3()).await;
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    // Without a host nothing listens.
    assert_eq!(proxy.statistic(ACTIVE).await, 3);
    let shared = server_for(&mut fleet, HOST);
    fleet.serve(&virtual_host(HOST, all_to("a")), &shared);
    proxy.change(take(&mut fleet), ACTIVE, 4).await;
    let mut open = connect(proxy.https, HOST).await;
    assert_eq!(open.get(HOST, "/").await.status, 200);
    let traffic = Traffic::start(&proxy, HOST);

    // One more name of the certificate in use.
    let second = Host::new("second.example.com");
    fleet.serve(&virtual_host(second.as_str(), all_to("a")), &shared);
    proxy.update(take(&mut fleet), IN_PLACE).await;
    eventually("the new name", async || {
        is(
            "a.example.com 200 a",
            &reached(&proxy, second.as_str()).await,
        )
    })
    .await;
    assert_eq!(open.get(second.as_str(), "/").await.status, 200);
    // Another host with a certificate of its own comes and goes, over and over.
    let other = Host::new("b.example.com");
    for _ in 0..10 {
        serve(&mut fleet, other.as_str());
        proxy.update(take(&mut fleet), IN_PLACE).await;
        eventually("the other host", async || {
            is(
                "b.example.com 200 a",
                &reached(&proxy, other.as_str()).await,
            )
        })
        .await;
        let mut leaving = connect(proxy.https, other.as_str()).await;
        assert_eq!(open.get(HOST, "/").await.status, 200);
        fleet.set(&other, Served::No);
        proxy.update(take(&mut fleet), IN_PLACE).await;
        // Who is connected for it is told that it is gone, or to end the connection.
        eventually("the other host gone", async || {
            let request = http::Request::get("https://b.example.com/")
                .body(())
                .unwrap();
            let status = leaving
                .try_send(request)
                .await
                .map_or(404, |answer| answer.status);
            is(404, &status)
        })
        .await;
        assert_eq!(open.get(HOST, "/").await.status, 200);
    }
    // Another certificate of the same name is another secret.
    let before = proxy.statistic(IN_PLACE).await;
    let rotated = certificate("web/a.example.com", &["rotated.example.com"]);
    let key = (ResourceType::Secret, "web/a.example.com".to_owned());
    let bytes = secret::secret(&rotated).bytes();
    proxy.replace(|all| drop(all.insert(key, bytes)));
    eventually("the new certificate", async || {
        is("rotated.example.com 200 a", &reached(&proxy, HOST).await)
    })
    .await;
    assert_eq!(proxy.statistic(IN_PLACE).await, before);
    assert_eq!(open.get(HOST, "/").await.status, 200);
    assert_eq!(open.closed(), None);
    traffic.assert_unharmed().await;
    for name in [
        "listener_removed",
        "listener_create_failure",
        "listener_stopped",
    ] {
        let name = format!("listener_manager.{name}");
        assert_eq!(proxy.statistic(&name).await, 0, "{name}");
    }

    // The last host takes the listener with it, and only that one.
    fleet.set(&second, Served::No);
    fleet.set(&Host::new(HOST), Served::No);
    proxy.change(take(&mut fleet), ACTIVE, 3).await;
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

async fn reached(proxy: &Proxy, host: &str) -> String {
    match is_answered(proxy.https, host, Duration::from_secs(1)).await {
        true => ask(proxy, host, host).await,
        false => "refused".to_owned(),
    }
}

/// Whether it is what it should be, for who waits for that.
fn is<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    expected: T,
    found: &U,
) -> Result<(), String> {
    match expected == *found {
        true => Ok(()),
        false => Err(format!("{found:?} and not {expected:?}")),
    }
}

/// Switched on and off under open connections: over TCP nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn http3_is_switched_on_and_off() {
    const HOST: &str = "a.example.com";
    let Some(envoy) = envoy() else { return };
    let mut fleet = fleet(Edge::default()).await;
    serve(&mut fleet, HOST);
    let without = fleet.resources();
    let proxy = Proxy::start(&envoy, without.clone()).await;
    assert!(!is_answered(proxy.https, HOST, Duration::from_millis(200)).await);
    let modified = proxy.statistic("listener_manager.listener_modified").await;
    for _ in 0..3 {
        fleet.declare(true);
        proxy.change(take(&mut fleet), ACTIVE, 4).await;
        eventually("HTTP/3", async || {
            is("a.example.com 200 a", &reached(&proxy, HOST).await)
        })
        .await;
        fleet.declare(false);
        assert_eq!(fleet.resources(), without);
        proxy.change(take(&mut fleet), ACTIVE, 3).await;
    }
    assert_eq!(
        proxy.statistic("listener_manager.listener_modified").await,
        modified
    );
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// What back ends and the log are told is what they are told over TCP, and a host that begins to ask for certificates is closed on
/// connections over QUIC.
#[tokio::test(flavor = "multi_thread")]
async fn requests_over_quic_are_requests() {
    const HOST: &str = "a.example.com";
    let Some(envoy) = envoy() else { return };
    let mut fleet = fleet(with_http3()).await;
    let server = server_for(&mut fleet, HOST);
    fleet.serve(&virtual_host(HOST, all_to("a")), &server);
    let ours = Authority::new("ours");
    fleet.bundle(&bundle("ours", &[&ours], ""));
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    let config = client_config(HOST, Some(ours.leaf(1, &["client"]).parts()));
    let mut open = connect_by(proxy.https, HOST, config.clone()).await;
    let asked = http::Request::get(format!("https://{HOST}/seen"))
        .header("x-isobath-scope", "evil")
        .header("x-isobath-server-name", "evil")
        .header("x-forwarded-client-cert", "By=evil")
        .header("x-forwarded-for", "192.0.2.1")
        .body(());
    let answer = open.send(asked.unwrap()).await;
    assert_eq!(answer.echo(), "a h1 GET /seen");
    let headers = ["X-Forwarded-For: 192.0.2.1", "X-Isobath-Scope: evil"];
    let stream = tls(proxy.https, Some(HOST), "http/1.1").await.unwrap();
    let over_tcp = exchange(stream, &self::request("GET", HOST, "/seen", &headers)).await;
    for name in ["x-forwarded-proto", "x-forwarded-for", "host"] {
        let seen = answer.received(name);
        assert!(seen.is_some_and(|it| it != "192.0.2.1"), "{name}");
        assert_eq!(seen, over_tcp.received(name), "{name}");
    }
    for name in [
        "x-isobath-scope",
        "x-isobath-server-name",
        "x-forwarded-client-cert",
    ] {
        assert_eq!(answer.received(name), None, "{name}");
    }
    // Sessions are taken up again, and nothing is sent before they are (`connect_by` looks).
    for _ in 0..3 {
        let mut again = connect_by(proxy.https, HOST, config.clone()).await;
        assert_eq!(again.get(HOST, "/").await.status, 200);
    }
    let log = proxy.access_log("/seen").await;
    let line = log.iter().find(|line| line["path"] == "/seen").unwrap();
    assert_eq!(line["protocol"], "HTTP/3");

    let clients = ClientCertificates {
        is_required: true,
        verification: Some(ClientVerification {
            authorities: "ours".into(),
            max_depth: None,
            only_leaf_revocations: false,
            accepts_untrusted: false,
        }),
        forwarded: None,
    };
    let guarded = VirtualHost {
        client_check: clients.check(),
        ..virtual_host(HOST, all_to("a"))
    };
    let asking = TlsServer {
        name: "web/asking".into(),
        clients: Some(Box::new(clients)),
        ..server
    };
    fleet.serve(&guarded, &asking);
    proxy.change(take(&mut fleet), ACTIVE, 3).await;
    assert!(!is_answered(proxy.https, HOST, Duration::from_millis(500)).await);
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Who asks for no name, or for one that nobody serves, is served over TCP where a host is for everybody. Over QUIC nobody answers, and
/// nobody is told that it is there.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_no_name_is_served_over_tcp() {
    const HOST: &str = "a.example.com";
    let Some(envoy) = envoy() else { return };
    let mut fleet = fleet(with_http3()).await;
    let everybody = server_for(&mut fleet, "everybody.test");
    let own = server_for(&mut fleet, HOST);
    fleet.serve_nameless(&virtual_host(HOST, all_to("a")), &own, &everybody);
    serve(&mut fleet, "b.example.com");
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    for (sni, shown, told) in [
        (None, "everybody.test", None),
        (Some("unknown.test"), "everybody.test", None),
        (Some(HOST), HOST, Some("h3=\":443\"; ma=86400")),
    ] {
        let stream = tls(proxy.https, sni, "http/1.1").await.unwrap();
        assert_eq!(certificate_names(&stream), [shown], "{sni:?}");
        let answer = exchange(stream, &request("GET", HOST, "/", &[])).await;
        let found = (answer.status, answer.header("alt-svc"));
        assert_eq!(found, (200, told), "{sni:?}");
    }
    for name in ["unknown.test", "everybody.test"] {
        assert_refused(&proxy, name).await;
    }
    // Its own name has its own certificate, and no host of another one's.
    for (host, expected) in [
        (HOST, "a.example.com 200 a"),
        ("b.example.com", "a.example.com 421"),
        ("unknown.test", "a.example.com 421"),
    ] {
        assert_eq!(ask(&proxy, HOST, host).await, expected, "{host}");
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

/// Tunnels are there where a route has them, and guarded as their hosts, as over TCP.
#[tokio::test(flavor = "multi_thread")]
async fn tunnels_go_over_quic() {
    let Some(envoy) = envoy() else { return };
    let mut fleet = fleet(with_http3()).await;
    let on = || vec![tunnel("a", Some(Connect::Terminate))];
    for host in [
        virtual_host("on.example.com", on()),
        virtual_host("off.example.com", vec![tunnel("a", None)]),
        virtual_host("none.example.com", all_to("a")),
        virtual_host("*.example.com", on()),
    ] {
        let server = server_for(&mut fleet, host.host.as_str());
        fleet.serve(&host, &server);
    }
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    let asked = request("GET", "inside.test", "/inside", &[]);
    for (sni, authority, expected) in [
        ("on.example.com", "on.example.com:443", "200"),
        ("x.example.com", "x.example.com:22", "200"),
        ("off.example.com", "off.example.com:443", "403"),
        ("none.example.com", "none.example.com:443", "404"),
        ("y.x.example.com", "y.x.example.com:443", "403"),
        // Of another host's connection: no tunnel.
        ("on.example.com", "x.example.com:443", "404"),
        ("x.example.com", "on.example.com:443", "403"),
    ] {
        let mut client = connect(proxy.https, sni).await;
        let found = client.tunnel(authority, &asked, "a h1 GET /inside").await;
        let (status, _) = found.split_at(3);
        assert_eq!(status, expected, "{sni} {authority}: {found}");
        // The connection is there for other requests.
        assert_eq!(client.closed(), None, "{sni} {authority}");
    }
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}
