//! What a pod shows to its network: the ports that its manifest declares, and on them nothing that changes anything
//! (anybody could drain Contour's Envoy by a port that nobody thought of; a path that was compared before it
//! was normalised led to Envoy's `/quitquitquit`).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::local_pod::LocalPod;
use crate::manifest::{list, rendered, workloads};
use crate::namespace::Namespace;
use crate::support::certificate::Authority;
use crate::support::client::{self, Version};
use crate::support::envoy;
use crate::support::manifest;
use crate::support::network::alone;

/// Of everything on the wire.
const PATIENCE: Duration = Duration::from_secs(60);

/// What must not be reached: it stops, drains or changes an Envoy, or shows more than metrics.
const TARGETS: [&str; 8] = [
    "quitquitquit",
    "healthcheck/fail",
    "drain_listeners?graceful",
    "reset_counters",
    "runtime_modify?a=b",
    "logging?level=trace",
    "config_dump",
    "debug/xds",
];

/// Spellings that some parser takes for `/TARGET`; `{}` is the target.
const SPELLINGS: [&str; 28] = [
    "/{}",
    "//{}",
    "/./{}",
    "/%2e/{}",
    "/x/../{}",
    "/%2f{}",
    "/{}/",
    "/{}%00",
    "/{};a=b",
    r"/\{}",
    "http://localhost/{}",
    "http://127.0.0.1:6060/{}",
    "*/{}",
    "/metrics/{}",
    "/metrics/../{}",
    "/metrics/..;/{}",
    "/metrics;/../{}",
    "/metrics/%2e%2e/{}",
    "/metrics/.%2e/{}",
    "/metrics%2f..%2f{}",
    r"/metrics/..\{}",
    "/metrics/..%5c{}",
    "/metrics/..%c0%af{}",
    "/metrics%3f/../{}",
    "/metrics%23/../{}",
    "/ready/../{}",
    "/ready/%2e%2e/{}",
    "/stats/prometheus/../../{}",
];

#[test]
fn only_declared_ports_answer_and_nothing_on_them_changes_anything() {
    alone(async || scan().await);
}

/// An EndpointSlice that leads to the pod's own metrics: nothing of them gets out, whether the pod knows its address or
/// not, and where it does its owner is told.
#[test]
fn what_is_for_the_pods_network_is_not_for_clients() {
    alone(async || {
        for knows_its_address in [true, false] {
            own_metrics(knows_its_address).await;
        }
    });
}

async fn own_metrics(knows_its_address: bool) {
    let namespace = Namespace::make();
    let address = namespace.address();
    let folder = tempfile::tempdir().unwrap();
    let own = address.to_string();
    let manifests = [
        manifest::site("self", "self.test", "self:80"),
        manifest::service("self"),
        manifest::endpoint_slice("self", "self", "", &[&own], 8003, true),
    ];
    std::fs::write(folder.path().join("all.yaml"), manifest::text(&manifests)).unwrap();
    let mut environment = vec![("ISOBATH_MANIFESTS", folder.path().to_owned())];
    if knows_its_address {
        environment.push(("ISOBATH_POD_IPS", own.into()));
    }
    let pod = LocalPod::start_in(namespace, &environment).await;
    let status = async |path| {
        let answer = client::get(pod.http(), Version::H1, None, "self.test", path).await;
        answer.unwrap().status
    };
    let page = client::get(pod.metrics(), Version::H1, None, "metrics", "/metrics").await;
    let told = r#"isobath_object_problems{kind="Service",namespace="default",reason="EndpointNotAllowed"} 1"#;
    assert_eq!(page.unwrap().text().contains(told), knows_its_address);
    let expected = if knows_its_address {
        [503, 503]
    } else {
        [403, 200]
    };
    assert_eq!(
        [status("/metrics").await, status("/healthz").await],
        expected
    );
}

async fn scan() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = [
        manifest::site("web", "web.test", "web:80").tls(&["web.test"], "web"),
        Authority::new().leaf(&["web.test"]).secret("web"),
    ];
    std::fs::write(folder.path().join("all.yaml"), manifest::text(&manifests)).unwrap();
    let environment = [("ISOBATH_MANIFESTS", folder.path().to_owned())];
    let namespace = Namespace::make();
    let address = namespace.address();
    let mut pod = LocalPod::start_in(namespace, &environment).await;

    assert_eq!(open_ports(address).await, declared_ports());

    let before = state(&pod).await;
    let mut count = 0;
    for port in declared_ports() {
        for target in TARGETS {
            for spelling in SPELLINGS {
                for method in ["GET", "POST"] {
                    let path = spelling.replace("{}", target);
                    let status = ask(SocketAddr::new(address, port), method, &path).await;
                    // None is a connection that is closed without an answer, as HTTPS does with clear text.
                    assert!(
                        status.is_none_or(|status| (300..=499).contains(&status)),
                        "{port}: {method} {path}: {status:?}"
                    );
                    count += 1;
                }
            }
        }
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"] {
            for path in ["/", "/metrics", "/ready", "/readyz"] {
                let status = ask(SocketAddr::new(address, port), method, path).await;
                // Envoy's health check answers whatever the method is.
                let expected = status.is_none_or(|status| (300..=499).contains(&status))
                    || path == "/ready" && status == Some(200);
                assert!(expected, "{port}: {method} {path}: {status:?}");
                count += 1;
            }
        }
    }
    assert_eq!(state(&pod).await, before, "after {count} requests");
    pod.ready().await.unwrap();
    pod.started().await.unwrap();
    pod.sidecar.assert_running();
    pod.envoy.assert_running();
    eprintln!("65535 ports, {count} requests");
}

/// The container ports of the DaemonSet.
fn declared_ports() -> BTreeSet<u16> {
    let objects = rendered("hostport");
    let all = workloads(&objects);
    all[0]
        .containers()
        .into_iter()
        .flat_map(|container| list(&container["ports"]))
        .map(|port| u16::try_from(port["containerPort"].as_u64().unwrap()).unwrap())
        .collect()
}

async fn open_ports(address: IpAddr) -> BTreeSet<u16> {
    futures::stream::iter(1..=u16::MAX)
        .map(|port| async move {
            match timeout(PATIENCE, TcpStream::connect((address, port))).await {
                Ok(Ok(_)) => Some(port),
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => None,
                other => panic!("{port}: {other:?}"),
            }
        })
        .buffer_unordered(128)
        .filter_map(|port| async move { port })
        .collect()
        .await
}

/// Sends a request line as it is; the status of the answer, if there is one.
async fn ask(address: SocketAddr, method: &str, path: &str) -> Option<u16> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        // Either may fail on a connection that is closed at once.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut piece = [0; 256];
        while answer.len() < 12 {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => answer.extend_from_slice(&piece[..length]),
            }
        }
        answer
    };
    let answer = timeout(PATIENCE, exchange).await.expect("an answer");
    let status = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(status).unwrap().parse().ok()
}

/// What the admin interface could have been made to change.
async fn state(pod: &LocalPod) -> Vec<Value> {
    let mut state = Vec::new();
    for path in [
        "/listeners?format=json",
        "/runtime?format=json",
        "/certs",
        "/server_info",
    ] {
        let page = envoy::page(&pod.admin_socket(), path).await.unwrap();
        // As a value: the order of Envoy's maps is random.
        let mut page: Value = serde_json::from_str(&page).unwrap();
        for growing in ["uptime_current_epoch", "uptime_all_epochs"] {
            page.as_object_mut().unwrap().remove(growing);
        }
        state.push(page);
    }
    assert_eq!(state[3]["state"], "LIVE");
    state
}
