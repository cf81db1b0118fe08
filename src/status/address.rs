//! Under which addresses Envoy is reached: given, copied from a Service, or those of the nodes.
//!
//! The last known addresses stay while nothing better is known: a Service that is being recreated, or pods that
//! are not ready for a moment, must not take every host out of DNS (external-dns follows the status).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::ListParams;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{self, DefaultBackoff};
use kube::runtime::{WatchStreamExt as _, watcher::watch_object};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::metrics::Metrics;
use super::writes::CALL_LIMIT;
use crate::objects::{LoadBalancerAddress, NamespacedName};
use crate::status::api_call::{Failure, Outage, within};

/// The addresses to publish, sorted, at least one; `None` while none is known.
pub(super) type Addresses = Option<Arc<[LoadBalancerAddress]>>;

/// How often the pods are listed. Pods move seldom, and every change writes every Ingress.
const PODS_PERIOD: Duration = Duration::from_secs(30);

/// How long the addresses of a node are kept before it is asked again.
const NODE_TTL: Duration = Duration::from_secs(600);

/// Labels that change with every roll-out of the same workload.
const REVISION_LABELS: [&str; 5] = [
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere.
    None,
    /// The flag; sorted.
    Fixed(Arc<[LoadBalancerAddress]>),
    /// This Service's load balancer.
    Service(NamespacedName),
    /// The nodes of the ready pods that have the labels of this pod.
    Nodes {
        /// The own pod.
        pod: NamespacedName,
        /// Only if the own pod can be reached by its node's address.
        only_with_host_ports: bool,
    },
}

/// Keeps `addresses` up to date. Never ends.
pub(super) async fn follow(
    client: Client,
    source: Source,
    addresses: watch::Sender<Addresses>,
    metrics: Metrics,
) {
    let mut output = Output {
        addresses,
        metrics,
        outage: Outage::with("finding the addresses to publish"),
        none: false,
    };
    match source {
        Source::None => {
            info!("no address is published on Ingresses: none is configured");
        }
        Source::Fixed(addresses) => output.publish(addresses.iter().cloned().collect()),
        Source::Service(name) => follow_service(client, &name, output).await,
        Source::Nodes {
            pod,
            only_with_host_ports,
        } => follow_nodes(client, &pod, only_with_host_ports, output).await,
    }
    std::future::pending::<()>().await;
}

struct Output {
    addresses: watch::Sender<Addresses>,
    metrics: Metrics,
    outage: Outage,
    /// Whether nothing was found last time.
    none: bool,
}

impl Output {
    fn publish(&mut self, found: BTreeSet<LoadBalancerAddress>) {
        if found.is_empty() {
            if !self.none {
                warn!(
                    "Envoy has no address at the moment; addresses on Ingresses stay as they are"
                );
            }
            self.none = true;
            return;
        }
        self.none = false;
        self.addresses.send_if_modified(|current| {
            if current
                .as_deref()
                .is_some_and(|current| current.iter().eq(&found))
            {
                return false;
            }
            info!(addresses = ?found, "publishing on Ingresses");
            self.metrics
                .addresses
                .set(i64::try_from(found.len()).unwrap_or(i64::MAX));
            *current = Some(found.into_iter().collect());
            true
        });
    }

    fn failed(&mut self, about: &NamespacedName, failure: &Failure) {
        let label = [("reason", failure.label())];
        self.metrics.address_errors.get_or_create(&label).inc();
        self.outage.failed(about, failure);
    }
}

async fn follow_service(client: Client, name: &NamespacedName, mut output: Output) {
    let api: Api<Service> = Api::namespaced(client, &name.namespace);
    let stream = watch_object(api, &name.name).default_backoff();
    let mut stream = std::pin::pin!(stream);
    loop {
        match stream.try_next().await {
            Ok(Some(Some(service))) => {
                output.outage.over();
                output.publish(of_service(&service));
            }
            Ok(Some(None)) => {
                output.outage.over();
                warn!(service = %name, "the Service of --envoy-service does not exist");
                output.publish(BTreeSet::new());
            }
            // watch_object never ends.
            Ok(None) => return,
            Err(error) => output.failed(name, &failure_of(error)),
        }
    }
}

fn failure_of(error: watcher::Error) -> Failure {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.into(),
        watcher::Error::WatchError(status) => kube::Error::Api(status).into(),
        other @ watcher::Error::NoResourceVersion => Failure::Broken(other.to_string()),
    }
}

/// The addresses of a Service: its load balancer's, and external IPs that are routed to the nodes.
fn of_service(service: &Service) -> BTreeSet<LoadBalancerAddress> {
    let balancer = service
        .status
        .iter()
        .filter_map(|status| status.load_balancer.as_ref()?.ingress.as_ref())
        .flatten()
        .filter_map(|entry| address(entry.ip.as_deref(), entry.hostname.as_deref()));
    let external = service
        .spec
        .iter()
        .filter_map(|spec| spec.external_ips.as_ref())
        .flatten()
        .filter_map(|ip| address(Some(ip), None));
    balancer.chain(external).collect()
}

fn address(ip: Option<&str>, hostname: Option<&str>) -> Option<LoadBalancerAddress> {
    let given = |text: &&str| !text.is_empty();
    ip.filter(given)
        .map(|ip| LoadBalancerAddress::Ip(ip.into()))
        .or_else(|| {
            hostname
                .filter(given)
                .map(|name| LoadBalancerAddress::Hostname(name.into()))
        })
}

async fn follow_nodes(
    client: Client,
    own: &NamespacedName,
    only_with_host_ports: bool,
    mut output: Output,
) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &own.namespace);
    let nodes: Api<Node> = Api::all(client);
    let mut backoff = DefaultBackoff::default();
    let mut selector = None;
    let mut known = Nodes::default();
    loop {
        let found = async {
            let labels = match &selector {
                Some(labels) => labels,
                None => {
                    let pod = within(CALL_LIMIT, pods.get(&own.name)).await?;
                    if only_with_host_ports && !uses_host_ports(&pod) {
                        return Ok(None);
                    }
                    selector.insert(workload_selector(&pod))
                }
            };
            let list = ListParams::default().labels(labels);
            let pods = within(CALL_LIMIT, pods.list(&list)).await?;
            known.of(&nodes, ready_nodes(&pods.items)).await.map(Some)
        };
        let pause = match found.await {
            Ok(Some(found)) => {
                output.outage.over();
                backoff.reset();
                output.publish(found);
                PODS_PERIOD
            }
            Ok(None) => {
                info!(
                    "no address is published on Ingresses: none is configured, and the pod uses no port of its host"
                );
                return;
            }
            Err(failure) => {
                output.failed(own, &failure);
                backoff.next().unwrap_or(PODS_PERIOD)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn uses_host_ports(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        spec.host_network == Some(true)
            || sidecars
                .chain(&spec.containers)
                .flat_map(|container| container.ports.iter().flatten())
                .any(|port| port.host_port.is_some())
    })
}

/// Selects the pods of the same workload, of any revision.
fn workload_selector(pod: &Pod) -> String {
    let labels: Vec<_> = pod
        .labels()
        .iter()
        .filter(|(key, _)| !REVISION_LABELS.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}

/// Names of the nodes that run a ready pod which is not about to end.
fn ready_nodes(pods: &[Pod]) -> BTreeSet<String> {
    let ready = |pod: &&Pod| {
        let status = pod.status.as_ref();
        let mut conditions = status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    pods.iter()
        .filter(ready)
        .filter_map(|pod| pod.spec.as_ref()?.node_name.clone())
        .collect()
}

/// Addresses of nodes, each asked for once in a while.
#[derive(Default)]
struct Nodes {
    known: HashMap<String, (Instant, BTreeSet<LoadBalancerAddress>)>,
}

impl Nodes {
    async fn of(
        &mut self,
        api: &Api<Node>,
        names: BTreeSet<String>,
    ) -> Result<BTreeSet<LoadBalancerAddress>, Failure> {
        self.known.retain(|name, _| names.contains(name));
        let mut all = BTreeSet::new();
        for name in names {
            let now = Instant::now();
            let believed = self
                .known
                .get(&name)
                .filter(|(asked, _)| now < *asked + NODE_TTL);
            if let Some((_, addresses)) = believed {
                all.extend(addresses.iter().cloned());
                continue;
            }
            // A node that is gone has no address; its pod will be gone soon.
            if let Some(node) = within(CALL_LIMIT, api.get_opt(&name)).await? {
                let addresses = of_node(&node);
                all.extend(addresses.iter().cloned());
                self.known.insert(name, (now, addresses));
            }
        }
        Ok(all)
    }
}

/// The external addresses of a node, else its internal ones.
fn of_node(node: &Node) -> BTreeSet<LoadBalancerAddress> {
    let mut by_type: BTreeMap<&str, BTreeSet<LoadBalancerAddress>> = BTreeMap::new();
    let addresses = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten());
    for entry in addresses {
        if let Some(ip) = address(Some(&entry.address), None) {
            by_type.entry(&entry.type_).or_default().insert(ip);
        }
    }
    by_type
        .remove("ExternalIP")
        .or_else(|| by_type.remove("InternalIP"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_service_gives_its_balancers_addresses() {
        let service = |status| -> Vec<String> {
            let service = from_value(
                json!({"metadata": {}, "spec": {"externalIPs": ["192.0.2.9"]}, "status": status}),
            );
            of_service(&service.unwrap())
                .iter()
                .map(|a| format!("{a:?}"))
                .collect()
        };
        let external = r#"Ip("192.0.2.9")"#.to_owned();
        assert_eq!(service(json!({})), std::slice::from_ref(&external));
        let two = json!({"loadBalancer": {"ingress": [
            {"hostname": "b.example.com"}, {"ip": "192.0.2.1", "hostname": "a.example.com"}, {"ip": ""}]}});
        let expected = [
            r#"Ip("192.0.2.1")"#.to_owned(),
            external,
            r#"Hostname("b.example.com")"#.to_owned(),
        ];
        assert_eq!(service(two), expected);
    }

    #[test]
    fn a_node_gives_external_addresses_before_internal_ones() {
        let node = |addresses| -> Vec<String> {
            let node = from_value(json!({"metadata": {}, "status": {"addresses": addresses}}));
            of_node(&node.unwrap())
                .iter()
                .map(|a| format!("{a:?}"))
                .collect()
        };
        let internal = json!({"type": "InternalIP", "address": "10.0.0.1"});
        let name = json!({"type": "Hostname", "address": "node-1"});
        let external = json!({"type": "ExternalIP", "address": "192.0.2.1"});
        assert_eq!(node(json!([name, internal])), [r#"Ip("10.0.0.1")"#]);
        assert_eq!(
            node(json!([internal, external, name])),
            [r#"Ip("192.0.2.1")"#]
        );
        assert!(node(json!([name])).is_empty());
    }

    #[test]
    fn pods_count_while_they_are_ready() {
        let pod = |node: &str, ready: &str, deleted: Option<&str>| -> Pod {
            from_value(json!({
                "metadata": {"deletionTimestamp": deleted, "labels": {"app": "isobath", "pod-template-hash": "1"}},
                "spec": {"nodeName": node, "containers": []},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        let pods = [
            pod("a", "True", None),
            pod("b", "False", None),
            pod("c", "True", Some("2026-01-01T00:00:00Z")),
        ];
        assert_eq!(ready_nodes(&pods), BTreeSet::from(["a".to_owned()]));
        assert_eq!(workload_selector(&pods[0]), "app=isobath");
        assert!(!uses_host_ports(&pods[0]));
        let spec = |spec| from_value::<Pod>(json!({"metadata": {}, "spec": spec})).unwrap();
        let ports = json!([{"containerPort": 8080, "hostPort": 80}]);
        assert!(uses_host_ports(&spec(
            json!({"containers": [{"name": "envoy", "ports": ports}]})
        )));
        assert!(uses_host_ports(&spec(
            json!({"containers": [], "hostNetwork": true})
        )));
    }
}
