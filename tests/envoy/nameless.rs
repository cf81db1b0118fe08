//! Clients that ask for no name in TLS, or for one that nobody serves, on a real Envoy.

use std::collections::BTreeSet;

use isobath::build::tls::{RenderedForwarding, Served};
use isobath::envoy::edge::Edge;
use isobath::envoy::filter_chain;
use isobath::model::{Forwarding, Host, TlsServer};

use crate::backend;
use crate::client::{certificate_names, exchange, request, tls};
use crate::eventually::eventually;
use crate::fixture::{all_to, certificate, tls_server, virtual_host};
use crate::proxy::{Proxy, envoy};
use crate::served::Fleet;

const IN_PLACE: &str = "listener_manager.listener_in_place_updated";

fn server_for(fleet: &mut Fleet, name: &str) -> TlsServer {
    let of = format!("web/{}", name.replace('*', "any"));
    fleet.certificate(&certificate(&of, &[name]));
    tls_server(&of, &[&of])
}

/// Serves a host, by name only or to everybody.
fn serve(fleet: &mut Fleet, name: &str, by: Option<&TlsServer>) {
    let server = server_for(fleet, name);
    let host = virtual_host(name, all_to("a"));
    match by {
        None => fleet.serve(&host, &server),
        Some(by) => fleet.serve_nameless(&host, &server, by),
    }
}

/// The certificate that is shown, and the status for a host on that connection.
async fn ask(proxy: &Proxy, sni: Option<&str>, host: &str) -> String {
    let Ok(stream) = tls(proxy.https, sni, "http/1.1").await else {
        return "refused".to_owned();
    };
    let shown = certificate_names(&stream)[0].clone();
    let answer = exchange(stream, &request("GET", host, "/", &[])).await;
    format!("{shown} {}", answer.status)
}

#[tokio::test]
async fn hosts_are_found_by_their_name_in_the_request() {
    let Some(envoy) = envoy() else { return };
    let mut fleet = Fleet::new(Edge::default());
    fleet.cluster("a", backend::start("a").await);
    let everybody = server_for(&mut fleet, "everybody.test");
    for name in [
        "a.example.com",
        "*.wild.example.com",
        "own.wild.example.com",
    ] {
        serve(&mut fleet, name, Some(&everybody));
    }
    for name in [
        "n.example.com",
        "not.wild.example.com",
        "*.other.example.com",
    ] {
        serve(&mut fleet, name, None);
    }
    // Of another one, which is not served: the first name is.
    let late = server_for(&mut fleet, "late.test");
    serve(&mut fleet, "late.example.com", Some(&late));
    fleet.set(&Host::new("closed.wild.example.com"), Served::Closed);
    let through = Host::new("through.wild.example.com");
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
        (None, "a.example.com", "everybody.test 200"),
        (None, "A.example.com:8443", "everybody.test 200"),
        (None, "a.example.com.", "everybody.test 200"),
        (
            Some("unknown.name.test"),
            "a.example.com",
            "everybody.test 200",
        ),
        (Some("isobath.invalid"), "a.example.com", "refused"),
        (Some("a.example.com"), "a.example.com", "a.example.com 200"),
        (None, "x.wild.example.com", "everybody.test 200"),
        (None, "own.wild.example.com", "everybody.test 200"),
        // Hosts that do not have it.
        (None, "n.example.com", "everybody.test 404"),
        (None, "x.other.example.com", "everybody.test 404"),
        (None, "late.example.com", "everybody.test 404"),
        (None, "unknown.test", "everybody.test 404"),
        (Some("n.example.com"), "n.example.com", "n.example.com 200"),
        (
            Some("late.example.com"),
            "late.example.com",
            "late.example.com 200",
        ),
        // Below the wildcard of one that does.
        (None, "not.wild.example.com", "everybody.test 421"),
        (None, "closed.wild.example.com", "everybody.test 421"),
        (None, "through.wild.example.com", "everybody.test 421"),
        (None, "x.y.wild.example.com", "everybody.test 421"),
        // On connections with a name nothing is otherwise than before.
        (Some("n.example.com"), "a.example.com", "n.example.com 421"),
        (Some("a.example.com"), "n.example.com", "a.example.com 421"),
        (
            Some("x.wild.example.com"),
            "a.example.com",
            "*.wild.example.com 421",
        ),
        (
            Some("x.wild.example.com"),
            "x.wild.example.com",
            "*.wild.example.com 200",
        ),
    ] {
        assert_eq!(ask(&proxy, sni, host).await, expected, "{sni:?} {host}");
    }
    proxy.assert_content();
}

/// A host for every name is before it, and gives way to it.
#[tokio::test]
async fn a_host_for_every_name_comes_first() {
    let Some(envoy) = envoy() else { return };
    let mut fleet = Fleet::new(Edge::default());
    fleet.cluster("a", backend::start("a").await);
    let everybody = server_for(&mut fleet, "everybody.test");
    serve(&mut fleet, "a.example.com", Some(&everybody));
    serve(&mut fleet, "*", None);
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    assert_eq!(ask(&proxy, None, "whoever.test").await, "* 200");
    assert_eq!(ask(&proxy, None, "a.example.com").await, "* 200");
    fleet.set(&Host::any(), Served::No);
    let now = fleet.resources();
    proxy.update(|all| *all = now, IN_PLACE).await;
    eventually("the fallback", async || {
        let found = ask(&proxy, None, "a.example.com").await;
        is("everybody.test 200", &found)
    })
    .await;
    proxy.assert_content();
}

fn is(expected: &str, found: &str) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?} and not {expected:?}")),
    }
}

/// Hosts have it and lose it, the last and the first among them: a connection of another host stays open, and none of its
/// requests fails.
#[tokio::test]
async fn fallbacks_come_and_go() {
    const HOST: &str = "a.example.com";
    const OTHER: &str = "other.example.com";
    let Some(envoy) = envoy() else { return };
    let mut fleet = Fleet::new(Edge::default());
    fleet.cluster("a", backend::start("a").await);
    let everybody = server_for(&mut fleet, "everybody.test");
    serve(&mut fleet, OTHER, None);
    serve(&mut fleet, HOST, None);
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    let mut open = tls(proxy.https, Some(OTHER), "http/1.1").await.unwrap();
    let kept = request("GET", OTHER, "/", &[]).replace("Connection: close\r\n", "");
    let own = tls_server("web/a.example.com", &["web/a.example.com"]);
    let host = virtual_host(HOST, all_to("a"));
    for has_it in [true, false].into_iter().cycle().take(100) {
        let expected = match has_it {
            true => {
                fleet.serve_nameless(&host, &own, &everybody);
                "everybody.test 200"
            }
            false => {
                fleet.serve(&host, &own);
                "refused"
            }
        };
        let now = fleet.resources();
        proxy.update(|all| *all = now, IN_PLACE).await;
        eventually("clients without a name", async || {
            is(expected, &ask(&proxy, None, HOST).await)
        })
        .await;
        assert_eq!(exchange(&mut open, &kept).await.status, 200);
        assert_eq!(
            ask(&proxy, Some(OTHER), OTHER).await,
            "other.example.com 200"
        );
        assert_eq!(ask(&proxy, Some(HOST), HOST).await, "a.example.com 200");
    }
    proxy.assert_content();
}
