//! By which scheme a request came: what is redirected, and what is not served in clear, follows the one that the operator
//! has said is to be believed.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::apps;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Tls, Version};
use crate::support::isobath::Isobath;
use crate::support::manifest::PathType::{Exact, Prefix};
use crate::support::manifest::{Manifest, ingress, site};
use crate::support::stand::Stand;

const FORCE: &str = "ingress.kubernetes.io/force-ssl-redirect";
const CHALLENGE: &str = "/.well-known/acme-challenge/token";

/// A host that only redirects, one that also does other things, one that is for HTTPS alone, one without a certificate, a
/// wildcard, and one with an ACME challenge.
async fn hosts() -> (Vec<crate::support::backend::Backend>, Vec<Manifest>) {
    let (backends, mut manifests) = apps(&["web"]).await;
    let forced = |name: &str, host: &str| site(name, host, "web:80").annotate(FORCE, "true");
    let authority = Authority::new();
    let names = [
        "only.test",
        "mixed.test",
        "closed.test",
        "*.wild.test",
        "acme.test",
    ];
    manifests.extend([
        forced("only", "only.test").tls(&[], "all"),
        forced("mixed", "mixed.test").tls(&[], "all"),
        ingress("open").rule("mixed.test", &[("/open", Prefix, "web:80")]),
        site("closed", "closed.test", "web:80")
            .annotate("kubernetes.io/ingress.allow-http", "false")
            .tls(&[], "all"),
        forced("bare", "bare.test"),
        forced("wild", "*.wild.test").tls(&[], "all"),
        forced("acme", "acme.test").tls(&[], "all"),
        ingress("solver").rule("acme.test", &[(CHALLENGE, Exact, "web:80")]),
        authority.leaf(&names).secret("all"),
    ]);
    (backends, manifests)
}

/// Host, path, and the answers to who came by HTTP and by HTTPS.
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("only.test", "/x?y", "301 https://only.test/x?y", "web"),
    ("mixed.test", "/", "301 https://mixed.test/", "web"),
    ("mixed.test", "/open", "web", "web"),
    ("closed.test", "/", "404", "web"),
    ("a.wild.test", "/", "301 https://a.wild.test/", "web"),
    ("acme.test", CHALLENGE, "web", "web"),
    ("acme.test", "/other", "301 https://acme.test/other", "web"),
];

async fn ask(
    address: SocketAddr,
    version: Version,
    tls: bool,
    host: &str,
    path: &str,
    told: Option<&str>,
) -> String {
    let tls = tls.then(|| Tls::sni(host));
    let mut connection = Connection::open(address, version, tls.as_ref())
        .await
        .unwrap();
    let headers: Vec<_> = told
        .iter()
        .map(|scheme| ("x-forwarded-proto", *scheme))
        .collect();
    let answer = connection
        .send(http::Method::GET, host, path, &headers)
        .await
        .unwrap();
    match answer.status {
        200 => answer.backend().to_owned(),
        status => format!("{status} {}", answer.header("location"))
            .trim_end()
            .to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_which_scheme() {
    let (_backends, manifests) = hosts().await;
    let mut wrong = Vec::new();
    for hops in ["0", "1"] {
        let flags = ["--envoy-trusted-hops", hops];
        let stand = Stand::on(Isobath::start_with(&manifests, &flags).await).await;
        let (http, https) = (stand.isobath.http(), stand.isobath.https());
        for &(host, path, clear, sealed) in ROWS {
            for version in [Version::H1, Version::H2] {
                for (address, tls) in [(http, false), (https, true)] {
                    for told in [
                        None,
                        Some("http"),
                        Some("https"),
                        Some("HTTPS"),
                        Some("ftp"),
                    ] {
                        let believed = told.filter(|_| hops == "1");
                        let is_https =
                            believed.map_or(tls, |told| told.eq_ignore_ascii_case("https"));
                        let want = if is_https { sealed } else { clear };
                        let got = ask(address, version, tls, host, path, told).await;
                        if got != want {
                            wrong.push(format!(
                                "{hops} hops, {version:?}, TLS {tls}, {told:?}: {host}{path}: want {want}, got {got}"
                            ));
                        }
                    }
                }
            }
        }
        // Without a certificate here: the proxy has it.
        let redirect = "301 https://bare.test/";
        for (told, want) in [
            ("http", redirect),
            ("https", ["", "web"][usize::from(hops == "1")]),
        ] {
            let want = if want.is_empty() { redirect } else { want };
            let got = ask(http, Version::H1, false, "bare.test", "/", Some(told)).await;
            assert_eq!(got, want, "{hops} {told}");
        }
        let told = stand.isobath.metrics().await;
        let counted = told
            .iter()
            .any(|(name, value)| name.contains("HTTPSNotServed") && *value > 0.0);
        assert_eq!(counted, hops == "0", "{told:#?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A balancer that ends TLS and speaks PROXY says the port that its client asked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_a_proxy_header_says_which_scheme() {
    let (_backends, manifests) = hosts().await;
    for (flags, https) in [
        (&["--envoy-proxy-protocol"][..], &[443][..]),
        (
            &[
                "--envoy-proxy-protocol",
                "--envoy-https-redirect-to",
                "9443",
            ],
            &[443, 9443],
        ),
    ] {
        let stand = Stand::on(Isobath::start_with(&manifests, flags).await).await;
        let redirect = match https.last() {
            Some(443) => "301 https://only.test/x?y".to_owned(),
            port => format!("301 https://only.test:{}/x?y", port.unwrap()),
        };
        for port in [80, 443, 8080, 9443] {
            let bytes = format!(
                "PROXY TCP4 203.0.113.7 192.0.2.1 4711 {port}\r\n\
                 GET /x?y HTTP/1.1\r\nHost: only.test\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
            );
            let mut stream = TcpStream::connect(stand.isobath.http()).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let status = answer.split(' ').nth(1).unwrap();
            let location = answer
                .lines()
                .find_map(|line| line.strip_prefix("location: "));
            let got = format!("{status} {}", location.unwrap_or_default());
            let want = if https.contains(&port) {
                "200 "
            } else {
                &redirect
            };
            assert_eq!(got, want, "{flags:?} {port}");
            if https.contains(&port) {
                assert!(
                    answer.contains(r#""x-forwarded-proto":"https""#),
                    "{answer}"
                );
            }
        }
    }
}
