//! Hosts, paths and back ends of Ingress: a table of requests and answers.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::{ALL, PLAIN, Row, TLS, apps, check};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{self, Connection, Tls, Version};
use crate::support::manifest::PathType::{Exact, ImplementationSpecific, Prefix};
use crate::support::manifest::{
    Manifest, PathType, app, bare_service, endpoint_slice, ingress, service, site, slice, slice_of,
};
use crate::support::stand::Stand;

/// The back ends `p0`, `p1` … answer for the first, second … path of a rule.
const BACKENDS: &[&str] = &["p0", "p1", "p2", "p3"];

/// The rule of one host whose paths lead to `p0`, `p1` …
fn paths(name: &str, host: &str, paths: &[(PathType, &str)]) -> Manifest {
    let backends = ["p0:80", "p1:80", "p2:80", "p3:80"];
    let paths: Vec<_> = paths
        .iter()
        .zip(backends)
        .map(|((path_type, path), backend)| (*path, *path_type, backend))
        .collect();
    ingress(name).rule(host, &paths)
}

/// A host, its paths, and requests with their answers.
type Paths = (
    &'static str,
    &'static [(PathType, &'static str)],
    &'static [(&'static str, &'static str)],
);

/// The table of the Kubernetes documentation (Concepts, Ingress, "Examples"), row by row and in its order, each row
/// on a host of its own: paths, request, answer.
const DOCUMENTATION: &[Paths] = &[
    (
        "d01.test",
        &[(Prefix, "/")],
        &[("/", "p0"), ("/any/path", "p0"), ("/any?q=1", "p0")],
    ),
    (
        "d02.test",
        &[(Exact, "/foo")],
        &[("/foo", "p0"), ("/foo?q=1", "p0")],
    ),
    (
        "d03.test",
        &[(Exact, "/foo")],
        &[("/bar", "404"), ("/foobar", "404"), ("/foo/bar", "404")],
    ),
    ("d04.test", &[(Exact, "/foo")], &[("/foo/", "404")]),
    (
        "d05.test",
        &[(Exact, "/foo/")],
        &[("/foo", "404"), ("/foo/", "p0")],
    ),
    (
        "d06.test",
        &[(Prefix, "/foo")],
        &[("/foo", "p0"), ("/foo/", "p0"), ("/foo/a?q=/b", "p0")],
    ),
    (
        "d07.test",
        &[(Prefix, "/foo/")],
        &[("/foo", "p0"), ("/foo/", "p0")],
    ),
    (
        "d08.test",
        &[(Prefix, "/aaa/bb")],
        &[("/aaa/bbb", "404"), ("/aaa/bb", "p0")],
    ),
    (
        "d09.test",
        &[(Prefix, "/aaa/bbb")],
        &[("/aaa/bbb", "p0"), ("/aaa", "404"), ("/", "404")],
    ),
    (
        "d10.test",
        &[(Prefix, "/aaa/bbb/")],
        &[("/aaa/bbb", "p0"), ("/aaa/bbb/ccc", "p0")],
    ),
    ("d11.test", &[(Prefix, "/aaa/bbb")], &[("/aaa/bbb/", "p0")]),
    (
        "d12.test",
        &[(Prefix, "/aaa/bbb")],
        &[("/aaa/bbb/ccc", "p0")],
    ),
    (
        "d13.test",
        &[(Prefix, "/aaa/bbb")],
        &[("/aaa/bbbxyz", "404")],
    ),
    (
        "d14.test",
        &[(Prefix, "/"), (Prefix, "/aaa")],
        &[("/aaa/ccc", "p1"), ("/aaab", "p0")],
    ),
    (
        "d15.test",
        &[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")],
        &[("/aaa/bbb", "p2"), ("/aaa/bb", "p1"), ("/aaa/bbb/c", "p2")],
    ),
    (
        "d16.test",
        &[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")],
        &[("/ccc", "p0")],
    ),
    ("d17.test", &[(Prefix, "/aaa")], &[("/ccc", "404")]),
    (
        "d18.test",
        &[(Prefix, "/foo"), (Exact, "/foo")],
        &[("/foo", "p1"), ("/foo/", "p0")],
    ),
];

/// What the documentation leaves to the controller.
const OURS: &[Paths] = &[
    // ImplementationSpecific is a prefix of the string …
    (
        "i01.test",
        &[(ImplementationSpecific, "/impl")],
        &[
            ("/impl", "p0"),
            ("/implant", "p0"),
            ("/impl/x", "p0"),
            ("/imp", "404"),
        ],
    ),
    // … unless a character says that it is a regular expression, which must match the whole path.
    (
        "i02.test",
        &[(ImplementationSpecific, "/v[0-9]+/users")],
        &[
            ("/v12/users", "p0"),
            ("/v12/users?a=b", "p0"),
            ("/v12/users/x", "404"),
            ("/vx/users", "404"),
        ],
    ),
    (
        "i03.test",
        &[(ImplementationSpecific, "/img/.*")],
        &[
            ("/img/", "p0"),
            ("/img/a/b.png", "p0"),
            ("/img", "404"),
            ("/x/img/a", "404"),
        ],
    ),
    // Exact, then regular expressions, then prefixes by length: never the order in the object.
    (
        "i04.test",
        &[
            (Prefix, "/x"),
            (Prefix, "/x/2/3"),
            (ImplementationSpecific, "/x/[0-9]"),
            (Exact, "/x/1"),
        ],
        &[
            ("/x", "p0"),
            ("/x/1", "p3"),
            ("/x/2", "p2"),
            ("/x/2/3", "p1"),
            ("/x/9/9", "p0"),
        ],
    ),
    // A regular expression that can't be one spoils itself only.
    (
        "i05.test",
        &[(ImplementationSpecific, "/bad["), (Prefix, "/good")],
        &[("/good", "p1"), ("/bad[", "404"), ("/bad", "404")],
    ),
    // A path is matched in its canonical form.
    (
        "i06.test",
        &[
            (Prefix, "/foo"),
            (Exact, "/foo/bar"),
            (Prefix, "/caf\u{e9}"),
        ],
        &[
            ("//foo", "p0"),
            ("/foo//bar", "p1"),
            ("/x/../foo", "p0"),
            ("/./foo/./bar", "p1"),
            ("/%66oo", "p0"),
            ("/FOO", "404"),
            ("/foo%2Fbar", "307 /foo/bar"),
        ],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_one_host() {
    let (_backends, mut manifests) = apps(BACKENDS).await;
    let authority = Authority::new();
    let mut hosts = Vec::new();
    let mut table: Vec<Row> = Vec::new();
    for (host, rules, rows) in DOCUMENTATION.iter().chain(OURS) {
        // `tls.hosts` is left empty: the hosts of the rules.
        manifests.push(paths(&host.replace('.', "-"), host, rules).tls(&[], "all"));
        hosts.push(*host);
        table.extend(rows.iter().map(|(path, want)| (*host, *path, *want)));
    }
    manifests.push(authority.leaf(&hosts).secret("all"));
    let stand = Stand::start(&manifests).await;
    let pairs = check(&stand, &table, ALL).await;
    assert!(pairs >= 200, "{pairs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts() {
    let (_backends, mut manifests) = apps(&["one", "two", "three"]).await;
    let authority = Authority::new();
    manifests.extend([
        // The documentation's simple fanout and name based virtual hosting.
        ingress("fanout")
            .rule(
                "fan.test",
                &[("/foo", Prefix, "one:80"), ("/bar", Prefix, "two:80")],
            )
            .tls(&[], "certificate"),
        ingress("names")
            .rule("one.names.test", &[("/", Prefix, "one:80")])
            .rule("two.names.test", &[("/", Prefix, "two:80")])
            .tls(&[], "certificate"),
        // Wildcards stand for one label; an exact host hides them, whatever its paths.
        ingress("wild")
            .rule("*.wild.test", &[("/", Prefix, "one:80")])
            .rule("exact.wild.test", &[("/only", Prefix, "two:80")])
            .rule("*.sub.wild.test", &[("/", Prefix, "three:80")])
            .tls(&[], "certificate"),
        // Two Ingresses share a host, and so do two of different namespaces.
        ingress("share-a")
            .rule("share.test", &[("/a", Prefix, "one:80")])
            .tls(&[], "certificate"),
        ingress("share-b").rule("share.test", &[("/b", Prefix, "two:80")]),
        ingress("share-c")
            .namespace("other")
            .rule("share.test", &[("/c", Prefix, "far:80")]),
        // The same path twice: the older, then the one whose name comes first.
        ingress("z-old")
            .created("2020-01-01T00:00:00Z")
            .rule("age.test", &[("/", Prefix, "one:80")])
            .tls(&[], "certificate"),
        ingress("a-new")
            .created("2024-01-01T00:00:00Z")
            .rule("age.test", &[("/", Prefix, "two:80")]),
        ingress("0-ageless").rule("age.test", &[("/", Prefix, "three:80")]),
        ingress("b-name")
            .rule("name.test", &[("/", Prefix, "two:80")])
            .tls(&[], "certificate"),
        ingress("a-name").rule("name.test", &[("/", Prefix, "one:80")]),
        // Of one Ingress too.
        ingress("twice")
            .rule(
                "twice.test",
                &[("/", Prefix, "one:80"), ("/", Prefix, "two:80")],
            )
            .tls(&[], "certificate"),
    ]);
    let far = Backend::start("far").await;
    manifests.extend(
        app("far", &[&far])
            .into_iter()
            .map(|m| m.namespace("other")),
    );
    manifests.push(
        authority
            .leaf(&[
                "fan.test",
                "*.names.test",
                "*.wild.test",
                "*.sub.wild.test",
                "share.test",
                "age.test",
                "name.test",
                "twice.test",
                "*.test",
            ])
            .secret("certificate"),
    );
    let stand = Stand::start(&manifests).await;
    let mut pairs = check(
        &stand,
        &[
            ("fan.test", "/foo", "one"),
            ("fan.test", "/bar/x", "two"),
            ("fan.test", "/", "404"),
            ("one.names.test", "/", "one"),
            ("two.names.test", "/", "two"),
            ("a.wild.test", "/", "one"),
            ("b.wild.test", "/x", "one"),
            ("exact.wild.test", "/only", "two"),
            ("exact.wild.test", "/", "404"),
            ("sub.wild.test", "/", "one"),
            ("a.sub.wild.test", "/", "three"),
            ("share.test", "/a", "one"),
            ("share.test", "/b", "two"),
            ("share.test", "/c", "far"),
            ("share.test", "/d", "404"),
            ("age.test", "/", "one"),
            ("name.test", "/", "one"),
            ("twice.test", "/", "one"),
            // The same host in other spellings.
            ("FAN.Test", "/foo", "one"),
            ("A.WILD.test", "/", "one"),
            ("fan.test:80", "/foo", "one"),
            ("fan.test:12345", "/foo", "one"),
            ("a.wild.test:8443", "/", "one"),
            ("fan.test.", "/foo", "one"),
            ("a.wild.test.", "/", "one"),
            ("fan.test.:80", "/foo", "one"),
        ],
        ALL,
    )
    .await;
    pairs += check(
        &stand,
        &[
            ("nobody.test", "/", "404"),
            ("names.test", "/", "404"),
            ("three.names.test", "/", "404"),
            ("wild.test", "/", "404"),
            ("a.b.wild.test", "/", "404"),
            ("a.b.sub.wild.test", "/", "404"),
            ("a.exact.wild.test", "/only", "404"),
            ("127.0.0.1", "/", "404"),
            ("fan.test.evil", "/foo", "404"),
            ("evilfan.test", "/foo", "404"),
            (".wild.test", "/", "404"),
        ],
        PLAIN,
    )
    .await;
    // The back end sees the Host that the client sent, port and all.
    let answer = stand
        .get("fan.test:12345", "/foo?a=b")
        .await
        .unwrap()
        .echo();
    assert_eq!(
        (&*answer.host, &*answer.path),
        ("fan.test:12345", "/foo?a=b")
    );
    assert!(pairs >= 120, "{pairs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn default_backends() {
    let (_backends, mut manifests) = apps(&["rule", "default", "late", "any", "other"]).await;
    let authority = Authority::new();
    manifests.extend([
        ingress("own")
            .created("2020-01-01T00:00:00Z")
            .default_backend("default:80")
            .rule("own.test", &[("/foo", Prefix, "rule:80")])
            .tls(&[], "certificate"),
        // A rule without a host comes before the default of every host.
        ingress("any").rule("", &[("/any", Prefix, "any:80")]),
        ingress("other")
            .rule("other.test", &[("/x", Prefix, "other:80")])
            .tls(&[], "certificate"),
        ingress("late")
            .created("2024-01-01T00:00:00Z")
            .default_backend("late:80"),
        authority
            .leaf(&["own.test", "other.test"])
            .secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("own.test", "/foo", "rule"),
            ("own.test", "/bar", "default"),
            ("own.test", "/any", "default"),
            ("other.test", "/x", "other"),
            ("other.test", "/y", "404"),
            ("other.test", "/any", "404"),
        ],
        ALL,
    )
    .await;
    check(
        &stand,
        &[
            ("nobody.test", "/", "default"),
            ("nobody.test", "/any", "any"),
            ("nobody.test", "/any/x", "any"),
            ("127.0.0.1", "/", "default"),
        ],
        PLAIN,
    )
    .await;
    // A default back end needs a certificate that nobody named: not over TLS.
    check(&stand, &[("nobody.test", "/", "refused")], TLS).await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn http_and_https() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    let both = |name: &str| site(name, &format!("{name}.test"), "web:80").tls(&[], "certificate");
    manifests.extend([
        both("both"),
        both("forced").annotate("ingress.kubernetes.io/force-ssl-redirect", "true"),
        both("unforced").annotate("ingress.kubernetes.io/force-ssl-redirect", "false"),
        both("secure-only").annotate("kubernetes.io/ingress.allow-http", "false"),
        both("nonsense")
            .annotate("ingress.kubernetes.io/force-ssl-redirect", "maybe")
            .annotate("kubernetes.io/ingress.allow-http", "perhaps"),
        site("plain", "plain.test", "web:80"),
        // Without its Secret a host is served without TLS.
        site("unsealed", "unsealed.test", "web:80").tls(&[], "missing"),
        authority
            .leaf(&[
                "both.test",
                "forced.test",
                "unforced.test",
                "secure-only.test",
                "nonsense.test",
            ])
            .secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("both.test", "/", "web"),
            ("forced.test", "/", "301 https://forced.test/"),
            ("forced.test", "/a/b?c=d", "301 https://forced.test/a/b?c=d"),
            ("unforced.test", "/", "web"),
            ("secure-only.test", "/", "404"),
            ("nonsense.test", "/", "web"),
            ("plain.test", "/", "web"),
            ("unsealed.test", "/", "web"),
        ],
        PLAIN,
    )
    .await;
    check(
        &stand,
        &[
            ("both.test", "/", "web"),
            ("forced.test", "/a/b?c=d", "web"),
            ("unforced.test", "/", "web"),
            ("secure-only.test", "/", "web"),
            ("nonsense.test", "/", "web"),
            ("plain.test", "/", "refused"),
            ("unsealed.test", "/", "refused"),
        ],
        TLS,
    )
    .await;
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

/// What a client says about itself never reaches a back end as if Envoy had said it.
#[tokio::test(flavor = "multi_thread")]
async fn headers_at_the_edge() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    manifests.extend([
        site("edge", "edge.test", "web:80").tls(&[], "certificate"),
        authority.leaf(&["edge.test"]).secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    for (address, tls, scheme) in [
        (stand.isobath.http(), None, "http"),
        (stand.isobath.https(), Some(Tls::sni("edge.test")), "https"),
    ] {
        for version in [Version::H1, Version::H2] {
            let mut connection = Connection::open(address, version, tls.as_ref())
                .await
                .unwrap();
            let forged = [
                ("x-forwarded-for", "203.0.113.7"),
                ("x-forwarded-proto", "gopher"),
                ("x-envoy-original-path", "/forged"),
                ("x-envoy-upstream-rq-timeout-ms", "1"),
                ("x-envoy-internal", "true"),
                ("x-kept", "yes"),
            ];
            let answer = connection
                .send(http::Method::POST, "edge.test", "/", &forged)
                .await
                .unwrap();
            assert_eq!(answer.header("x-envoy-upstream-service-time"), "");
            let echo = answer.echo();
            assert_eq!(echo.method, "POST");
            let header = |name: &str| echo.headers.get(name).map_or("", |value| &**value);
            assert_eq!(header("x-forwarded-proto"), scheme);
            // What the client said comes first, what Envoy saw comes last (of loopback it says its own address).
            let forwarded = header("x-forwarded-for");
            assert!(forwarded.starts_with("203.0.113.7,"), "{echo:?}");
            assert_eq!(header("x-envoy-external-address"), "127.0.0.1");
            assert_eq!(header("x-envoy-original-path"), "");
            assert_eq!(header("x-envoy-upstream-rq-timeout-ms"), "");
            assert_eq!(header("x-envoy-internal"), "");
            assert_eq!(header("x-kept"), "yes");
            let underscore = connection
                .send(
                    http::Method::GET,
                    "edge.test",
                    "/",
                    &[("x_forwarded_for", "1.2.3.4")],
                )
                .await;
            assert_ne!(underscore.map_or(0, |answer| answer.status), 200);
        }
    }
    let stats = client::get(stand.isobath.stats(), Version::H1, None, "stats", "/ready").await;
    assert_eq!(stats.unwrap().status, 200);
}
