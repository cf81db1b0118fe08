//! The parts of the suite against each other, without Isobath: what can't fail here can't be trusted there.

use std::fs;
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{self, Connection, Tls, Version};
use crate::support::envoy::Envoy;
use crate::support::load::{Load, Target};
use crate::support::port::Port;

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_says_who_it_is_and_what_reached_it() {
    let backend = Backend::start("plain").await;
    for (version, name) in [(Version::H1, "HTTP/1.1"), (Version::H2, "HTTP/2.0")] {
        let mut connection = Connection::open(backend.address(), version, None)
            .await
            .unwrap();
        for path in ["/a?b=c", "/d%2Fe"] {
            let echo = connection.get("Some.Host:81", path).await.unwrap().echo();
            assert_eq!(
                (&*echo.backend, &*echo.version, &*echo.host, &*echo.path),
                ("plain", name, "Some.Host:81", path)
            );
        }
    }
    assert_eq!(backend.requests(), 4);
    assert_eq!(backend.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_client_sends_the_server_name_as_spelled_and_sees_the_certificate() {
    let authority = Authority::new();
    for leaf in [
        authority.leaf(&["a.example"]),
        authority.rsa_leaf(&["a.example"]),
    ] {
        let backend = Backend::tls("tls", &leaf).await;
        let trusting = Tls {
            trust: authority.trust(),
            ..Tls::sni("a.example")
        };
        let dribble = Tls {
            dribble: true,
            ..trusting.clone()
        };
        for tls in [&trusting, &dribble, &Tls::sni("b.example"), &Tls::no_sni()] {
            for version in [Version::H1, Version::H2] {
                let mut connection = Connection::open(backend.address(), version, Some(tls))
                    .await
                    .unwrap();
                assert_eq!(connection.certificate(), Some(&leaf.der));
                let echo = connection.get("a.example", "/").await.unwrap().echo();
                assert_eq!(echo.sni, tls.sni);
                assert!(echo.tls);
            }
        }
        let wrong_name = Tls {
            sni: Some("b.example".to_owned()),
            ..trusting.clone()
        };
        let stranger = Tls {
            trust: Authority::new().trust(),
            ..trusting
        };
        for tls in [wrong_name, stranger] {
            let refused = Connection::open(backend.address(), Version::H1, Some(&tls)).await;
            assert!(refused.is_err(), "{tls:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_counts_every_failure() {
    let good = Backend::start("good").await;
    let target = |reconnect| Target {
        address: good.address(),
        version: Version::H1,
        tls: None,
        host: "a.example".to_owned(),
        path: "/".to_owned(),
        headers: &[],
        reconnect,
    };
    let load = Load::start([target(false), target(true)]).await;
    load.more(20).await;
    load.reaches("good").await;
    assert!(load.report().failures.is_empty());
    drop(good);
    load.more(10).await;
    let report = load.stop().await;
    assert!(report.failures.len() >= 9, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_starts_serves_and_counts() {
    let backend = Backend::start("behind").await;
    backend.delay(Duration::from_millis(1));
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("admin.sock");
    let listen = Port::take();
    let bootstrap = directory.path().join("static.json");
    let config = serde_json::json!({
        "admin": {"address": {"pipe": {"path": admin}}},
        "static_resources": {
            "listeners": [{
                "name": "http",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": listen.address().port()}},
                "filter_chains": [{"filters": [{
                    "name": "hcm",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "http",
                        "http_filters": [{"name": "router", "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
                        "route_config": {"virtual_hosts": [{
                            "name": "all", "domains": ["*"],
                            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "behind"}}]}]},
                    }}]}],
            }],
            "clusters": [{
                "name": "behind",
                "load_assignment": {"cluster_name": "behind", "endpoints": [{"lb_endpoints": [{
                    "endpoint": {"address": {"socket_address": {
                        "address": "127.0.0.1", "port_value": backend.address().port()}}}}]}]},
            }],
        },
    });
    fs::write(&bootstrap, config.to_string()).unwrap();
    let mut envoy = Envoy::start(&bootstrap, &admin, &directory.path().join("envoy.log"));
    envoy.live().await;
    for version in [Version::H1, Version::H2] {
        let answer = client::get(listen.address(), version, None, "a.example", "/x").await;
        assert_eq!(answer.unwrap().backend(), "behind");
    }
    assert_eq!(envoy.stat("listener_manager.listener_added").await, 1);
    let modified = envoy.modifications().await;
    assert_eq!(modified["cluster_manager.cluster_added"], 1);
    assert_eq!(modified["listener_manager.listener_modified"], 0);
}
