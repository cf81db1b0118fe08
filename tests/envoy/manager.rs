//! The shared connection managers, on a real Envoy: changed, refused later, and refused from the first start on.

use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use isobath::envoy::edge::Edge;

use isobath::xds::ResourceType;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ads::Resources;
use crate::backend;
use crate::client::{exchange, plain, request};
use crate::fixture::{World, all_to, managers};
use crate::proxy::{Proxy, envoy};

async fn world() -> Resources {
    let a = backend::start("a").await;
    let world = World::new()
        .cluster("a", &[a])
        .http("a.example.com", all_to("a"));
    world.resources()
}

/// The managers of an operator who lets this header through.
fn keeping(header: &str) -> Vec<((ResourceType, String), Bytes)> {
    let edge = Edge {
        kept_headers: [header.parse().unwrap()].into(),
        ..Edge::default()
    };
    let managers = managers(&edge).into_iter();
    let named = |name: &str| (ResourceType::Extension, name.to_owned());
    managers
        .map(|manager| (named(manager.name()), manager.bytes()))
        .collect()
}

/// Managers that Envoy refuses.
fn bad() -> Vec<((ResourceType, String), Bytes)> {
    let managers = managers(&Edge::default()).into_iter();
    managers
        .map(|manager| {
            let mut extension = TypedExtensionConfig::decode(manager.bytes()).unwrap();
            // `stat_prefix` must not be empty.
            extension.typed_config.as_mut().unwrap().value.clear();
            let name = (ResourceType::Extension, manager.name().to_string());
            (name, extension.encode_to_vec().into())
        })
        .collect()
}

/// What the back end is told of a header that is kept only where the operator says so.
async fn told(proxy: &Proxy) -> Option<String> {
    let headers = ["true-client-ip: 192.0.2.1"];
    let request = request("GET", "a.example.com", "/", &headers);
    let answer = plain(proxy.http, &request).await;
    assert_eq!(answer.status, 200);
    answer.received("true-client-ip").map(str::to_owned)
}

const RELOADS: &str = "extension_config_discovery.network_filter.http.config_reload";
const REFUSED: &str = "extension_config_discovery.network_filter.http.config_fail";

/// What operators decide moves no listener and closes no connection; new connections get it.
#[tokio::test]
async fn a_manager_changes_without_its_listener() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, world().await).await;
    assert_eq!(told(&proxy).await, None);
    let mut open = TcpStream::connect(proxy.http).await.unwrap();
    let keep_alive = "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n";
    assert_eq!(exchange(&mut open, keep_alive).await.status, 200);
    proxy
        .update(|all| all.extend(keeping("true-client-ip")), RELOADS)
        .await;
    await_told(&proxy, Some("192.0.2.1")).await;
    let last = request("GET", "a.example.com", "/last", &[]);
    let answer = exchange(open, &last).await;
    assert_eq!(answer.status, 200, "the connection from before goes on");
    for moved in ["listener_modified", "listener_in_place_updated"] {
        let name = format!("listener_manager.{moved}");
        assert_eq!(proxy.statistic(&name).await, 0, "{moved}");
    }
    // Refused later: Envoy goes on with the one that it has.
    proxy.update(|all| all.extend(bad()), REFUSED).await;
    assert_eq!(told(&proxy).await.as_deref(), Some("192.0.2.1"));
    assert!(!proxy.refusals().is_empty());
}

/// Workers take a manager some time after Envoy has counted it.
async fn await_told(proxy: &Proxy, expected: Option<&str>) {
    for _ in 0..3000 {
        if told(proxy).await.as_deref() == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never told {expected:?}");
}

/// Refused from the first start on: the listener opens all the same and refuses every request until the manager comes.
#[tokio::test]
async fn a_manager_that_is_refused_at_the_first_start() {
    let Some(envoy) = envoy() else { return };
    let good = world().await;
    let mut resources = good.clone();
    resources.extend(bad());
    let proxy = Proxy::start(&envoy, resources).await;
    assert!(!proxy.refusals().is_empty());
    let answer = until_closed(&proxy).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    proxy.update(|all| *all = good, RELOADS).await;
    for _ in 0..3000 {
        if until_closed(&proxy).await.starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never served");
}

/// What comes on a new connection until it is closed.
async fn until_closed(proxy: &Proxy) -> String {
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let asked = request("GET", "a.example.com", "/", &[]);
    // A connection that is closed at once may be an error on either way.
    let _ = stream.write_all(asked.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
