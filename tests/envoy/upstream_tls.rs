//! TLS to endpoints, on a real Envoy: whom it takes them for, and what it shows them.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use isobath::envoy::secret;
use isobath::model::{
    Authorities, BackendOptions, CipherSuite, ClusterSettings, Forward, Group, ServerName,
    SubjectAltName, TlsParameters, TlsSettings, TlsVersion, UpstreamProtocol, UpstreamTls,
    Verification, WeightedCluster,
};
use isobath::xds::ResourceType;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::{Authority, Leaf, bundle};
use crate::client::{plain, request};
use crate::eventually::eventually;
use crate::fixture::{World, cluster_with, forward};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, sets, to};

/// What a back end has.
pub struct Shown<'a> {
    pub leaf: &'a Leaf,
    /// Whom clients must be vouched for by.
    pub clients: Option<&'a Authority>,
    pub versions: &'static [&'static SupportedProtocolVersion],
}

/// Starts a back end that answers with what it knows of the connection: server name, ALPN, version, cipher suite, group,
/// number of certificates that the client has shown.
pub async fn start(shown: Shown<'_>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(shown.versions)
        .unwrap();
    let builder = match shown.clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let (chain, key) = shown.leaf.parts();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            });
        }
    });
    address
}

async fn answer(stream: TlsStream<tokio::net::TcpStream>) {
    let connection = stream.get_ref().1;
    let alpn = connection.alpn_protocol().unwrap_or_default();
    let text = format!(
        "sni={} alpn={} {:?} {:?} {:?} certificates={}",
        connection.server_name().unwrap_or("-"),
        String::from_utf8_lossy(alpn),
        connection.protocol_version().unwrap(),
        connection.negotiated_cipher_suite().unwrap().suite(),
        connection.negotiated_key_exchange_group().unwrap().name(),
        connection.peer_certificates().map_or(0, <[_]>::len),
    );
    // The next request comes over another connection: one that is open stays as it is, whatever becomes of secrets.
    let is_h2 = alpn == b"h2";
    let service = service_fn(move |_: Request<Incoming>| {
        let mut answer = Response::new(text.clone());
        if !is_h2 {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert("connection", close);
        }
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

pub const BOTH: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;
const NEWEST: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn by_bundle(name: &str, names: &[SubjectAltName]) -> UpstreamTls {
    verified(Authorities::Bundle(name.into()), names)
}

fn verified(authorities: Authorities, names: &[SubjectAltName]) -> UpstreamTls {
    UpstreamTls {
        verification: Some(Verification {
            authorities,
            names: names.iter().cloned().collect(),
        }),
        ..UpstreamTls::default()
    }
}

fn over(protocol: UpstreamProtocol, tls: UpstreamTls) -> ClusterSettings {
    ClusterSettings {
        protocol,
        tls,
        ..ClusterSettings::default()
    }
}

fn dns(name: &str) -> SubjectAltName {
    SubjectAltName::dns(name).unwrap()
}

/// Whom an endpoint with a certificate of `ours` for shop.internal, *.wild.internal, a URI and 10.0.0.9 is taken for: the
/// settings, and whether it gets the request.
fn verifications() -> Vec<(&'static str, UpstreamTls, bool)> {
    let uri = |uri: &str| SubjectAltName::uri(uri).unwrap();
    let ip = |ip: [u8; 4]| SubjectAltName::Ip(ip.into());
    let by_host = UpstreamTls {
        server_name: ServerName::RequestHost,
        ..by_bundle("ours", &[])
    };
    vec![
        ("not at all", UpstreamTls::default(), true),
        ("any of ours", by_bundle("ours", &[]), true),
        ("any of theirs", by_bundle("theirs", &[]), false),
        ("of either", by_bundle("both", &[]), true),
        ("of the system", verified(Authorities::System, &[]), false),
        ("its name", by_bundle("ours", &[dns("shop.internal")]), true),
        (
            "in upper case",
            by_bundle("ours", &[dns("SHOP.internal")]),
            true,
        ),
        (
            "another name",
            by_bundle("ours", &[dns("other.internal")]),
            false,
        ),
        (
            "its name, theirs",
            by_bundle("theirs", &[dns("shop.internal")]),
            false,
        ),
        (
            "one of two",
            by_bundle("ours", &[dns("a.internal"), dns("shop.internal")]),
            true,
        ),
        (
            "below its wildcard",
            by_bundle("ours", &[dns("a.wild.internal")]),
            true,
        ),
        (
            "deep below it",
            by_bundle("ours", &[dns("a.b.wild.internal")]),
            false,
        ),
        (
            "above it",
            by_bundle("ours", &[dns("wild.internal")]),
            false,
        ),
        (
            "its URI",
            by_bundle("ours", &[uri("spiffe://td/shop")]),
            true,
        ),
        (
            "another URI",
            by_bundle("ours", &[uri("spiffe://td/shop2")]),
            false,
        ),
        ("its address", by_bundle("ours", &[ip([10, 0, 0, 9])]), true),
        (
            "another address",
            by_bundle("ours", &[ip([10, 0, 0, 8])]),
            false,
        ),
        (
            "a name that is a URI",
            by_bundle("ours", &[dns("spiffe")]),
            false,
        ),
        // The request is for a.example.com.
        ("the request's Host", by_host, false),
    ]
}

#[tokio::test]
async fn endpoints_are_who_they_say() {
    let Some(envoy) = envoy() else { return };
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let names = [
        "shop.internal",
        "*.wild.internal",
        "spiffe://td/shop",
        "10.0.0.9",
    ];
    let leaf = ours.leaf(1, &names);
    let endpoint = start(Shown {
        leaf: &leaf,
        clients: None,
        versions: BOTH,
    })
    .await;
    let mut world = World::new()
        .bundle(&bundle("ours", &[&ours], ""))
        .bundle(&bundle("theirs", &[&theirs], ""))
        .bundle(&bundle("both", &[&theirs, &ours], ""));
    let mut routes = Vec::new();
    for (index, (_, tls, _)) in verifications().into_iter().enumerate() {
        for (kind, protocol) in [("h1", UpstreamProtocol::Tls), ("h2", UpstreamProtocol::H2)] {
            let name = format!("{kind}-{index}");
            world = world.cluster_with(
                &cluster_with(&name, over(protocol, tls.clone())),
                &[endpoint],
            );
            routes.push(to(&format!("/{name}"), forward(&[&name])));
        }
    }
    let proxy = Proxy::start(&envoy, world.http(HOST, routes).resources()).await;
    for (index, (what, _, is_taken)) in verifications().into_iter().enumerate() {
        for (kind, alpn) in [("h1", "http/1.1"), ("h2", "h2")] {
            let answer = get(&proxy, &format!("/{kind}-{index}"), &[]).await;
            let expected = if is_taken { 200 } else { 503 };
            assert_eq!(answer.status, expected, "{what}, {kind}: {}", answer.body);
            if is_taken {
                assert!(
                    answer.body.contains(&format!("alpn={alpn} ")),
                    "{}",
                    answer.body
                );
            }
        }
    }
    proxy.assert_content();
}

/// What the endpoint sees.
fn connections() -> Vec<(&'static str, UpstreamTls, &'static str)> {
    let named = |server_name| UpstreamTls {
        server_name,
        ..UpstreamTls::default()
    };
    let with = |minimum, maximum, suites: &[&str], groups: &[&str]| UpstreamTls {
        parameters: TlsParameters {
            versions: TlsSettings { minimum, maximum },
            cipher_suites: suites
                .iter()
                .map(|name| CipherSuite::new(name).unwrap())
                .collect(),
            groups: groups
                .iter()
                .map(|name| Group::new(name).unwrap())
                .collect(),
        },
        ..UpstreamTls::default()
    };
    use TlsVersion::{V1_2, V1_3};
    let chacha = "ECDHE-ECDSA-CHACHA20-POLY1305";
    vec![
        ("nothing", UpstreamTls::default(), "sni=- "),
        ("nothing", UpstreamTls::default(), " TLSv1_3 "),
        (
            "a name",
            named(ServerName::new("inner.example.com").unwrap()),
            "sni=inner.example.com ",
        ),
        (
            "the Host",
            named(ServerName::RequestHost),
            "sni=a.example.com ",
        ),
        ("1.2", with(V1_2, V1_2, &[], &[]), " TLSv1_2 "),
        ("1.3", with(V1_3, V1_3, &[], &[]), " TLSv1_3 "),
        (
            "a suite",
            with(V1_2, V1_2, &[chacha], &[]),
            " TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 ",
        ),
        (
            "another",
            with(V1_2, V1_2, &["ECDHE-ECDSA-AES256-GCM-SHA384"], &[]),
            " TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 ",
        ),
        ("a group", with(V1_2, V1_3, &[], &["P-384"]), " secp384r1 "),
        (
            "another group",
            with(V1_2, V1_3, &[], &["P-256"]),
            " secp256r1 ",
        ),
    ]
}

#[tokio::test]
async fn endpoints_see_what_was_asked_for() {
    let Some(envoy) = envoy() else { return };
    let ours = Authority::new("ours");
    let leaf = ours.leaf(1, &["a.example.com", "b.example.com"]);
    let shown = || Shown {
        leaf: &leaf,
        clients: None,
        versions: BOTH,
    };
    let endpoint = start(shown()).await;
    let newest = start(Shown {
        versions: NEWEST,
        ..shown()
    })
    .await;
    let rows = connections();
    let mut world = World::new().bundle(&bundle("ours", &[&ours], ""));
    let mut routes = Vec::new();
    for (index, (_, tls, _)) in rows.iter().enumerate() {
        let name = format!("c{index}");
        let settings = over(UpstreamProtocol::Tls, tls.clone());
        world = world.cluster_with(&cluster_with(&name, settings.clone()), &[endpoint]);
        let new = format!("new{index}");
        world = world.cluster_with(&cluster_with(&new, settings), &[newest]);
        routes.push(to(&format!("/{name}"), forward(&[&name])));
        routes.push(to(&format!("/{new}"), forward(&[&new])));
    }
    // Verified as whom the endpoint sees in the request.
    let by_host = UpstreamTls {
        server_name: ServerName::RequestHost,
        ..by_bundle("ours", &[])
    };
    let by_host = over(UpstreamProtocol::Tls, by_host);
    world = world.cluster_with(&cluster_with("by-host", by_host), &[endpoint]);
    let as_host = |host: &str| Forward {
        backends: vec![WeightedCluster {
            options: Some(Box::new(BackendOptions {
                request_headers: sets("host", host),
                ..BackendOptions::default()
            })),
            ..WeightedCluster::new("by-host", 1)
        }],
        ..forward(&[])
    };
    routes.push(to("/by-host", forward(&["by-host"])));
    routes.push(to("/as-b", as_host("b.example.com")));
    routes.push(to("/as-c", as_host("c.example.com")));
    let proxy = Proxy::start(&envoy, world.http(HOST, routes).resources()).await;
    for (index, (what, tls, expected)) in rows.iter().enumerate() {
        let answer = get(&proxy, &format!("/c{index}"), &[]).await;
        assert!(answer.body.contains(expected), "{what}: {}", answer.body);
        let is_new = tls.parameters.versions.maximum == TlsVersion::V1_3;
        let answer = get(&proxy, &format!("/new{index}"), &[]).await;
        assert_eq!(answer.status, if is_new { 200 } else { 503 }, "{what}");
    }
    for (path, status, sni) in [
        ("/by-host", 200, "sni=a.example.com "),
        ("/as-b", 200, "sni=b.example.com "),
        ("/as-c", 503, ""),
        ("/by-host", 200, "sni=a.example.com "),
    ] {
        let answer = get(&proxy, path, &[]).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(
            status != 200 || answer.body.contains(sni),
            "{path}: {}",
            answer.body
        );
    }
    proxy.assert_content();
}

/// A certificate for endpoints that ask for one, and what is revoked or rotated: each secret changes no cluster.
#[tokio::test]
async fn secrets_change_under_a_cluster() {
    let Some(envoy) = envoy() else { return };
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (leaf, client) = (ours.leaf(7, &["shop.internal"]), ours.leaf(8, &["client"]));
    let of_theirs = theirs.leaf(9, &["client"]);
    let endpoint = start(Shown {
        leaf: &leaf,
        clients: Some(&ours),
        versions: BOTH,
    })
    .await;
    let with = |certificate: Option<&str>| UpstreamTls {
        client_certificate: certificate.map(Into::into),
        ..by_bundle("web/ca", &[])
    };
    let settings = |certificate| over(UpstreamProtocol::Tls, with(certificate));
    let world = World::new()
        .bundle(&bundle("web/ca", &[&ours], &ours.revokes(&[1])))
        .certificate(&client.model("web/client"))
        .certificate(&of_theirs.model("web/theirs"))
        .cluster_with(
            &cluster_with("shown", settings(Some("web/client"))),
            &[endpoint],
        )
        .cluster_with(
            &cluster_with("theirs", settings(Some("web/theirs"))),
            &[endpoint],
        )
        .cluster_with(&cluster_with("none", settings(None)), &[endpoint])
        .http(
            HOST,
            ["shown", "theirs", "none"]
                .map(|name| to(&format!("/{name}"), forward(&[name])))
                .into(),
        );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (path, status) in [("/shown", 200), ("/theirs", 503), ("/none", 503)] {
        let answer = get(&proxy, path, &[]).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(
            status != 200 || answer.body.ends_with("certificates=1"),
            "{}",
            answer.body
        );
    }
    let clusters = proxy.statistic("cluster_manager.cluster_modified").await;
    let ca = |revocations: &str, authorities: &[&Authority]| {
        secret::trust_bundle(&bundle("web/ca", authorities, revocations)).bytes()
    };
    let key = || (ResourceType::Secret, "web/ca".to_owned());
    for (what, bytes, status) in [
        ("revoked", ca(&ours.revokes(&[7]), &[&ours]), 503),
        ("not", ca(&ours.revokes(&[8]), &[&ours]), 200),
        ("of nobody that is trusted", ca("", &[&theirs]), 503),
        ("of one of two", ca("", &[&theirs, &ours]), 200),
    ] {
        let statistic = "cluster.shown.client_ssl_socket_factory.ssl_context_update_by_sds";
        proxy
            .update(|all| drop(all.insert(key(), bytes)), statistic)
            .await;
        until(&proxy, "/shown", status, what).await;
    }
    // Rotated to one that the endpoint does not take, and back.
    for (leaf, status) in [(&of_theirs, 503), (&client, 200)] {
        let bytes = secret::secret(&leaf.model("web/client")).bytes();
        let key = (ResourceType::Secret, "web/client".to_owned());
        let statistic = "cluster.shown.client_ssl_socket_factory.ssl_context_update_by_sds";
        proxy
            .update(|all| drop(all.insert(key, bytes)), statistic)
            .await;
        until(&proxy, "/shown", status, "rotated").await;
    }
    assert_eq!(
        proxy.statistic("cluster_manager.cluster_modified").await,
        clusters
    );
    proxy.assert_content();
}

/// Asks until this is the answer: workers take a secret some time after Envoy has counted it.
async fn until(proxy: &Proxy, path: &str, status: u16, what: &str) {
    eventually(what, async || {
        let answer = plain(proxy.http, &request("GET", HOST, path, &[])).await;
        match answer.status == status {
            true => Ok(()),
            false => Err(format!("{path} is {} and not {status}", answer.status)),
        }
    })
    .await;
}
