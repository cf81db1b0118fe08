//! What a client says about itself never reaches a back end as if a proxy had said it.

use crate::check::apps;
use crate::support::certificate::Authority;
use crate::support::client::{self, Connection, Tls, Version};
use crate::support::isobath::Isobath;
use crate::support::manifest::site;
use crate::support::stand::Stand;

/// A header that a stranger sends. Does it arrive behind a trusted proxy; does it where it is named?
const ROWS: &[(&str, bool, bool)] = &[
    // What proxies say of a connection.
    ("Forwarded", true, true),
    ("Front-End-Https", true, true),
    ("X-Forwarded", true, true),
    ("X-Forwarded-By", true, true),
    ("X-Forwarded-For", true, true),
    ("X-Forwarded-Host", true, true),
    ("X-Forwarded-Port", true, true),
    ("X-Forwarded-Prefix", true, true),
    // Envoy writes it over, where it trusts nobody.
    ("X-Forwarded-Proto", true, false),
    ("X-Forwarded-Protocol", true, true),
    ("X-Forwarded-Scheme", true, true),
    ("X-Forwarded-Server", true, true),
    ("X-Forwarded-Ssl", true, true),
    ("X-Real-IP", true, true),
    ("X-Scheme", true, true),
    ("X-Url-Scheme", true, true),
    // Its kind: nobody has listed these.
    ("X-Forwarded-Made-Up", true, true),
    ("X-Forwarded-Tls-Client-Cert", true, true),
    // What a proxy says of a person, of a client's address in another spelling, or of another request.
    ("CF-Connecting-IP", false, true),
    ("Client-IP", false, true),
    ("Fastly-Client-IP", false, true),
    ("Proxy", false, true),
    ("Remote-User", false, true),
    ("SSL-Client-Cert", false, true),
    ("SSL-Client-Verify", false, true),
    ("True-Client-IP", false, true),
    ("X-Auth-Request-Email", false, true),
    ("X-Auth-Request-User", false, true),
    ("X-Client-IP", false, true),
    ("X-Cluster-Client-IP", false, true),
    ("X-Forwarded-Access-Token", false, true),
    ("X-Forwarded-Email", false, true),
    ("X-Forwarded-Groups", false, true),
    ("X-Forwarded-Method", false, true),
    ("X-Forwarded-Path", false, true),
    ("X-Forwarded-Preferred-Username", false, true),
    ("X-Forwarded-Uri", false, true),
    ("X-Forwarded-User", false, true),
    ("X-Host", false, true),
    ("X-HTTP-Host-Override", false, true),
    ("X-Original-Forwarded-For", false, true),
    ("X-Original-Host", false, true),
    ("X-Original-Method", false, true),
    ("X-Original-URI", false, true),
    ("X-Original-URL", false, true),
    ("X-Remote-Extra-Scopes", false, true),
    ("X-Remote-Group", false, true),
    ("X-Remote-User", false, true),
    ("X-Rewrite-URL", false, true),
    ("X-SSL-Client-S-DN", false, true),
    ("X-WebAuth-User", false, true),
    // Envoy's own, those that it knows and those that nobody does.
    ("X-Envoy-Attempt-Count", false, false),
    ("X-Envoy-Decorator-Operation", false, false),
    ("X-Envoy-Expected-Rq-Timeout-Ms", false, false),
    ("X-Envoy-External-Address", false, false),
    ("X-Envoy-Internal", false, false),
    ("X-Envoy-Made-Up", false, false),
    ("X-Envoy-Max-Retries", false, false),
    ("X-Envoy-Original-Dst-Host", false, false),
    ("X-Envoy-Original-Path", false, false),
    ("X-Envoy-Peer-Metadata", false, false),
    ("X-Envoy-Retry-On", false, false),
    ("X-Envoy-Upstream-Rq-Timeout-Ms", false, false),
    ("X-Forwarded-Client-Cert", false, false),
    ("X-Request-Id", false, false),
];

/// Every header that the flag takes.
const NAMED: &str = "forwarded,front-end-https,x-forwarded,x-forwarded-*,x-forwarded-by,x-forwarded-for,\
    x-forwarded-host,x-forwarded-port,x-forwarded-prefix,x-forwarded-proto,x-forwarded-protocol,x-forwarded-scheme,\
    x-forwarded-server,x-forwarded-ssl,X-Real-IP,x-scheme,x-url-scheme,cf-connecting-ip,client-ip,fastly-client-ip,\
    proxy,remote-user,ssl-client-*,true-client-ip,x-auth-request-*,x-client-ip,x-cluster-client-ip,\
    x-forwarded-access-token,x-forwarded-email,x-forwarded-groups,x-forwarded-method,x-forwarded-path,\
    x-forwarded-preferred-username,x-forwarded-uri,x-forwarded-user,x-host,x-http-host-override,\
    x-original-forwarded-for,x-original-host,x-original-method,x-original-uri,x-original-url,x-remote-*,x-rewrite-url,\
    x-ssl-client-*,x-webauth-*";

/// Goes through all rows with these flags: which of the headers arrive as the client wrote them?
async fn check(flags: &[&str], arrives: impl Fn(&(&str, bool, bool)) -> bool) {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    manifests.extend([
        site("edge", "edge.test", "web:80").tls(&[], "certificate"),
        authority.leaf(&["edge.test"]).secret("certificate"),
    ]);
    let stand = Stand::on(Isobath::start_with(&manifests, flags).await).await;
    let mut sent: Vec<_> = ROWS.iter().map(|row| (row.0, "203.0.113.7")).collect();
    sent.push(("x-kept", "yes"));
    let mut wrong = Vec::new();
    for (address, tls, scheme) in [
        (stand.isobath.http(), None, "http"),
        (stand.isobath.https(), Some(Tls::sni("edge.test")), "https"),
    ] {
        for version in [Version::H1, Version::H2] {
            let mut connection = Connection::open(address, version, tls.as_ref())
                .await
                .unwrap();
            let post = http::Method::POST;
            let answer = connection.send(post, "edge.test", "/", &sent).await;
            let answer = answer.unwrap();
            // Nothing of Envoy's inside is told to the client either.
            assert_eq!(answer.header("x-envoy-upstream-service-time"), "");
            let echo = answer.echo();
            assert_eq!((&*echo.method, &*echo.headers["x-kept"]), ("POST", "yes"));
            for row in ROWS {
                let got = echo.headers.get(&row.0.to_lowercase());
                let is_forged = got.is_some_and(|value| value.contains("203.0.113.7"));
                if is_forged != arrives(row) {
                    wrong.push(format!("{flags:?} {scheme} {version:?} {}: {got:?}", row.0));
                }
            }
            if flags.is_empty() {
                // Envoy's own words are the only ones left.
                assert_eq!(echo.headers["x-forwarded-proto"], scheme);
                assert!(!echo.headers["x-forwarded-for"].contains(','), "{echo:?}");
                assert_eq!(echo.headers["x-envoy-external-address"], "127.0.0.1");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_speak_for_nobody() {
    check(&[], |_| false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_speaks_of_the_connection() {
    check(&["--envoy-trusted-hops", "1"], |row| {
        // Envoy believes the proxy, and says so in its own word.
        row.1 || row.0 == "X-Envoy-External-Address"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_let_through() {
    check(&["--envoy-keep-request-header", NAMED], |row| row.2).await;
}

/// `X_Forwarded_For` is `X-Forwarded-For` to CGI, WSGI and others.
#[tokio::test(flavor = "multi_thread")]
async fn an_underscore_is_refused() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("edge", "edge.test", "web:80"));
    let stand = Stand::start(&manifests).await;
    for version in [Version::H1, Version::H2] {
        let mut connection = Connection::open(stand.isobath.http(), version, None)
            .await
            .unwrap();
        let header = [("x_forwarded_for", "1.2.3.4")];
        let answer = connection.send(http::Method::GET, "edge.test", "/", &header);
        assert_ne!(answer.await.map_or(0, |answer| answer.status), 200);
    }
    let stats = client::get(stand.isobath.stats(), Version::H1, None, "stats", "/ready").await;
    assert_eq!(stats.unwrap().status, 200);
}
