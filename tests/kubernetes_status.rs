//! Status, Events and the Lease on a real API server, with exactly the rights of `deploy/base`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/control_plane.rs"]
mod control_plane;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use control_plane::{ADMIN, ControlPlane};
use futures::StreamExt as _;
use isobath::k8s::{Kind, LoadBalancerAddress, NamespacedName, ObjectRef, Problem};
use isobath::lease::{self, Elector, Timing};
use isobath::pod::Pod;
use isobath::status::{self, Reporter, Writer};
use isobath::verdict::{IngressFacts, ObjectProblems, Refusal, Statuses};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A term that is short enough for a test.
const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry_period: Duration::from_millis(300),
};

const WITHIN: Duration = Duration::from_secs(60);

/// The rules of the roles of a kind in a file of `deploy`.
fn rules(file: &str, kind: &str) -> Vec<Value> {
    let path = format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap())
        .filter(|document| document["kind"] == kind)
        .flat_map(|document| document["rules"].as_array().unwrap().clone())
        .collect()
}

/// One test's corner of the control plane: two namespaces (Isobath's and the users') and a user with rights.
struct Corner {
    plane: Arc<ControlPlane>,
    admin: Client,
    home: String,
    shop: String,
    user: String,
}

impl Corner {
    async fn new(name: &str) -> Option<Self> {
        let plane = ControlPlane::shared().await?;
        let corner = Self {
            admin: plane.client(ADMIN).await,
            home: format!("{name}-isobath"),
            shop: format!("{name}-shop"),
            user: format!("{name}-user"),
            plane,
        };
        for namespace in [&corner.home, &corner.shop] {
            corner.kubectl(&["create", "namespace", namespace], "");
        }
        Some(corner)
    }

    fn kubectl(&self, args: &[&str], stdin: &str) -> String {
        self.plane.kubectl(ADMIN, args, stdin)
    }

    /// Grants what `deploy/base` grants, less the rule that `except` selects.
    fn grant(&self, files: &[&str], except: impl Fn(&Value) -> bool) {
        let gather = |kind| -> Vec<Value> {
            let all = files.iter().flat_map(|file| rules(file, kind));
            all.filter(|rule| !except(rule)).collect()
        };
        let text = |rules: &Vec<Value>| serde_json::to_string(rules).unwrap();
        self.plane.grant(&self.user, &text(&gather("ClusterRole")));
        self.plane
            .grant_in(&self.home, &self.user, &text(&gather("Role")));
    }

    fn ingress(&self, name: &str, class: &str) {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": self.shop},
            "spec": {"ingressClassName": class, "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        });
        self.kubectl(&["apply", "-f", "-"], &object.to_string());
    }

    fn ingresses(&self) -> Api<Ingress> {
        Api::namespaced(self.admin.clone(), &self.shop)
    }

    async fn addresses(&self, name: &str) -> Vec<String> {
        addresses(&self.ingresses().get(name).await.unwrap())
            .iter()
            .map(text)
            .collect()
    }

    async fn until_addresses(&self, name: &str, expected: &[&str]) {
        let what = format!("{name} has {expected:?}");
        until(&what, || async { self.addresses(name).await == expected }).await;
    }

    /// Starts a replica that serves the class `isobath`.
    async fn replica(&self, pod: &str, flags: &[&str]) -> Replica {
        let client = self.plane.client(&self.user).await;
        Replica::start(client, self.admin.clone(), self, pod, flags)
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    status: status::Args,
    #[command(flatten)]
    lease: lease::Args,
}

/// A replica as the process wires it, with a small controller in the place of the real one.
struct Replica {
    tasks: JoinSet<&'static str>,
    statuses: Arc<watch::Sender<Arc<Statuses>>>,
    refusals: watch::Sender<Arc<[Refusal]>>,
    leads: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    registry: Registry,
}

impl Replica {
    fn start(client: Client, admin: Client, corner: &Corner, pod: &str, flags: &[&str]) -> Self {
        let line = std::iter::once("isobath").chain(flags.iter().copied());
        let line = Line::parse_from(line);
        let pod = Pod {
            name: Some(pod.to_owned()),
            namespace: Some(corner.home.clone()),
        };
        let mut registry = Registry::default();
        let (of_status, of_lease) = (status::Metrics::default(), lease::Metrics::default());
        let reporter = Reporter::default();
        of_status.register(&mut registry);
        of_lease.register(&mut registry);
        reporter.register(&mut registry);

        let (elector, leads) = Elector::new(client.clone(), &line.lease, &pod, TIMING, of_lease);
        let home = line.lease.namespace(&client, &pod);
        let installation = (home.as_str(), line.lease.name.as_str());
        let writer = Writer::new(client, &line.status, &pod, installation, of_status).unwrap();

        let statuses = Arc::new(watch::Sender::new(Arc::new(Statuses::default())));
        let refusals = watch::Sender::new(Arc::from([]));
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let mut tasks = JoinSet::new();
        let elected = async move {
            elector
                .run(async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                })
                .await;
            "elector"
        };
        tasks.spawn(elected);
        let writing = writer.run(statuses.subscribe(), refusals.subscribe(), leads.clone());
        tasks.spawn(async move {
            writing.await;
            "writer"
        });
        let reporting = reporter.run(statuses.subscribe());
        tasks.spawn(async move {
            reporting.await;
            "reporter"
        });
        tasks.spawn(mirror(
            Api::namespaced(admin, &corner.shop),
            statuses.clone(),
        ));
        Self {
            tasks,
            statuses,
            refusals,
            leads,
            stop,
            registry,
        }
    }

    async fn until_leader(&mut self) {
        let leads = self.leads.wait_for(|leads| *leads);
        tokio::time::timeout(WITHIN, leads)
            .await
            .expect("leads")
            .unwrap();
    }

    /// The values of a metric by the value of one label.
    fn metric(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page.lines()
            .filter_map(|line| {
                let (series, value) = line.split_once("} ")?;
                let labels = series.strip_prefix(name)?.strip_prefix('{')?;
                let (_, rest) = labels.split_once(&format!("{label}=\""))?;
                let (key, _) = rest.split_once('"')?;
                Some((key.to_owned(), value.parse().unwrap()))
            })
            .collect()
    }

    fn writes(&self, result: &str) -> u64 {
        let writes = self.metric("status_writes_total", "result");
        writes.get(result).copied().unwrap_or(0)
    }

    fn events(&self, result: &str) -> u64 {
        let writes = self.metric("event_writes_total", "result");
        writes.get(result).copied().unwrap_or(0)
    }

    fn problems(&self, problems: &[(Problem, &str)]) {
        let mut grouped: BTreeMap<ObjectRef, (BTreeSet<Problem>, Arc<str>)> = BTreeMap::new();
        for (problem, uid) in problems {
            let entry = grouped.entry(problem.object.clone()).or_default();
            entry.0.insert(problem.clone());
            entry.1 = (*uid).into();
        }
        let finish = |(problems, uid): (BTreeSet<Problem>, Arc<str>)| ObjectProblems {
            uid,
            problems: problems.into_iter().collect(),
        };
        let problems = grouped
            .into_iter()
            .map(|(object, rest)| (object, finish(rest)))
            .collect();
        self.statuses
            .send_modify(|statuses| Arc::make_mut(statuses).problems = problems);
    }

    fn is_alive(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            panic!("a task ended: {ended:?}");
        }
    }

    /// Ends without a word, as a killed process does.
    async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends as on SIGTERM: the lease is released.
    async fn stop(mut self) {
        self.stop.send(true).unwrap();
        loop {
            let ended = tokio::time::timeout(WITHIN, self.tasks.join_next())
                .await
                .unwrap();
            if ended.unwrap().unwrap() == "elector" {
                return;
            }
        }
    }
}

/// What the source, the store and the controller do, as far as the writer can see.
async fn mirror(api: Api<Ingress>, statuses: Arc<watch::Sender<Arc<Statuses>>>) -> &'static str {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        statuses.send_modify(|statuses| {
            let ingresses = &mut Arc::make_mut(statuses).ingresses;
            match event.unwrap() {
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                    let facts = IngressFacts {
                        uid: object.uid().unwrap().into(),
                        served: object.spec.as_ref().unwrap().ingress_class_name.as_deref()
                            == Some("isobath"),
                        load_balancer: addresses(&object).into(),
                    };
                    ingresses.insert(name_of(&object), facts);
                }
                watcher::Event::Delete(object) => {
                    ingresses.remove(&name_of(&object));
                }
                watcher::Event::Init | watcher::Event::InitDone => {}
            }
        });
    }
    "mirror"
}

fn name_of(object: &Ingress) -> NamespacedName {
    NamespacedName::new(object.namespace().unwrap(), object.name_any())
}

fn addresses(object: &Ingress) -> Vec<LoadBalancerAddress> {
    let balancer = object
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let entries = balancer
        .and_then(|balancer| balancer.ingress.as_ref())
        .into_iter()
        .flatten();
    entries
        .map(|entry| match (&entry.ip, &entry.hostname) {
            (Some(ip), _) => LoadBalancerAddress::Ip(ip.as_str().into()),
            (None, Some(name)) => LoadBalancerAddress::Hostname(name.as_str().into()),
            (None, None) => panic!("an empty entry"),
        })
        .collect()
}

fn text(address: &LoadBalancerAddress) -> String {
    match address {
        LoadBalancerAddress::Ip(ip) => ip.to_string(),
        LoadBalancerAddress::Hostname(name) => name.to_string(),
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + WITHIN;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const RBAC: &[&str] = &["base/rbac.yaml"];
const BY_ADDRESS: &[&str] = &["--ingress-status-address", "192.0.2.1,lb.example.com"];

#[tokio::test]
async fn addresses_come_and_go_with_the_class() {
    let Some(corner) = Corner::new("addresses").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    corner.ingress("other", "nginx");
    let api = corner.ingresses();
    let status =
        |entries: Value| Patch::Merge(json!({"status": {"loadBalancer": {"ingress": entries}}}));
    let nginx = PatchParams {
        field_manager: Some("nginx".into()),
        ..PatchParams::default()
    };
    // Another controller on the same address, and one of our Ingresses with a leftover of it.
    let shared = status(json!([{"ip": "192.0.2.1"}]));
    api.patch_status("other", &nginx, &shared).await.unwrap();
    let leftover = status(json!([{"ip": "198.51.100.7"}]));
    api.patch_status("web", &nginx, &leftover).await.unwrap();

    let mut replica = corner.replica("a", BY_ADDRESS).await;
    replica.until_leader().await;
    corner
        .until_addresses("web", &["192.0.2.1", "lb.example.com"])
        .await;
    let listed = corner.kubectl(&["get", "ingress", "web", "-n", &corner.shop], "");
    assert!(listed.contains("192.0.2.1,lb.example.com"), "{listed}");

    // It leaves, and its next controller was faster: what it added stays, with all its fields.
    let entries = json!([{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"},
        {"ip": "198.51.100.8", "ports": [{"port": 80, "protocol": "TCP"}]}]);
    corner.ingress("web", "nginx");
    api.patch_status("web", &nginx, &status(entries))
        .await
        .unwrap();
    corner.until_addresses("web", &["198.51.100.8"]).await;
    let left = api
        .get("web")
        .await
        .unwrap()
        .status
        .unwrap()
        .load_balancer
        .unwrap();
    let ports = left.ingress.unwrap()[0].ports.clone().unwrap();
    assert_eq!(ports[0].port, 80);

    // It publishes an address that happens to be ours: that is its own affair now.
    api.patch_status("web", &nginx, &status(json!([{"ip": "192.0.2.1"}])))
        .await
        .unwrap();
    // One that leaves alone is left without any.
    corner.ingress("alone", "isobath");
    corner
        .until_addresses("alone", &["192.0.2.1", "lb.example.com"])
        .await;
    corner.ingress("alone", "nginx");
    corner.until_addresses("alone", &[]).await;
    assert_eq!(corner.addresses("web").await, ["192.0.2.1"]);
    assert_eq!(corner.addresses("other").await, ["192.0.2.1"]);

    // It leaves while nobody looks: the next process still knows what was ours.
    corner.ingress("later", "isobath");
    corner
        .until_addresses("later", &["192.0.2.1", "lb.example.com"])
        .await;
    replica.stop().await;
    corner.ingress("later", "nginx");
    let mut replica = corner.replica("b", BY_ADDRESS).await;
    replica.until_leader().await;
    corner.until_addresses("later", &[]).await;
    assert_eq!(corner.addresses("web").await, ["192.0.2.1"]);
    assert_eq!(corner.addresses("other").await, ["192.0.2.1"]);

    // A write that is meant for the Ingress that had the name before is refused; the writer knows by these words.
    let late = json!({"metadata": {"uid": "another"}, "status": {"loadBalancer": null}});
    let late = api.patch_status("other", &nginx, &Patch::Merge(late)).await;
    let refused =
        |status: &kube::core::Status| status.code == 422 && status.message.contains("metadata.uid");
    assert!(
        matches!(&late, Err(kube::Error::Api(status)) if refused(status)),
        "{late:?}"
    );
    // Created anew under its name.
    corner.ingress("again", "isobath");
    corner
        .until_addresses("again", &["192.0.2.1", "lb.example.com"])
        .await;
    corner.kubectl(&["delete", "ingress", "again", "-n", &corner.shop], "");
    corner.ingress("again", "isobath");
    corner
        .until_addresses("again", &["192.0.2.1", "lb.example.com"])
        .await;
    replica.is_alive();
}

#[tokio::test]
async fn a_services_address_is_followed_and_stays_while_there_is_none() {
    let Some(corner) = Corner::new("service").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    let service = format!("{}/envoy", corner.home);
    let mut replica = corner.replica("a", &["--envoy-service", &service]).await;
    replica.until_leader().await;
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "envoy", "namespace": corner.home},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    let balance = |entries: Value| {
        let patch = json!({"status": {"loadBalancer": {"ingress": entries}}}).to_string();
        let args = [
            "patch",
            "service",
            "envoy",
            "-n",
            &corner.home,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        corner.kubectl(&args, "");
    };
    corner.kubectl(&["apply", "-f", "-"], &object.to_string());
    balance(json!([{"ip": "203.0.113.5"}]));
    corner.until_addresses("web", &["203.0.113.5"]).await;
    balance(json!([{"hostname": "lb.example.net"}, {"ip": "203.0.113.6"}]));
    corner
        .until_addresses("web", &["203.0.113.6", "lb.example.net"])
        .await;
    // Away and back: nothing is taken out of DNS meanwhile, and what is new arrives.
    corner.kubectl(&["delete", "service", "envoy", "-n", &corner.home], "");
    corner.kubectl(&["apply", "-f", "-"], &object.to_string());
    corner.ingress("second", "isobath");
    corner
        .until_addresses("second", &["203.0.113.6", "lb.example.net"])
        .await;
    assert_eq!(
        corner.addresses("web").await,
        ["203.0.113.6", "lb.example.net"]
    );
    balance(json!([{"ip": "203.0.113.7"}]));
    corner.until_addresses("web", &["203.0.113.7"]).await;
    assert_eq!(replica.writes("ok"), 5);
    replica.is_alive();
}

#[tokio::test]
async fn nodes_with_a_ready_pod_are_published() {
    let Some(corner) = Corner::new("nodes").await else {
        return;
    };
    corner.grant(
        &[
            "base/rbac.yaml",
            "components/node-addresses/rbac-nodes.yaml",
        ],
        |_| false,
    );
    corner.ingress("web", "isobath");
    for (name, addresses) in [
        (
            "nodes-1",
            json!([{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "ExternalIP", "address": "203.0.113.1"}]),
        ),
        (
            "nodes-2",
            json!([{"type": "InternalIP", "address": "10.0.0.2"}]),
        ),
        (
            "nodes-3",
            json!([{"type": "InternalIP", "address": "10.0.0.3"}]),
        ),
    ] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        corner.kubectl(&["apply", "-f", "-"], &node.to_string());
        let patch = json!({"status": {"addresses": addresses}}).to_string();
        corner.kubectl(
            &[
                "patch",
                "node",
                name,
                "--subresource=status",
                "--type=merge",
                "-p",
                &patch,
            ],
            "",
        );
    }
    let pod = |name: &str, node: &str, ready: &str, app: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": corner.home, "labels": {"app": app, "pod-template-hash": name}},
            "spec": {"nodeName": node, "containers": [{"name": "envoy", "image": "envoy",
                "ports": [{"containerPort": 8080, "hostPort": 80}]}]}});
        corner.kubectl(&["apply", "-f", "-"], &pod.to_string());
        let patch = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}}).to_string();
        corner.kubectl(
            &[
                "patch",
                "pod",
                name,
                "-n",
                &corner.home,
                "--subresource=status",
                "--type=merge",
                "-p",
                &patch,
            ],
            "",
        );
    };
    pod("a", "nodes-1", "True", "isobath");
    pod("b", "nodes-2", "True", "isobath");
    pod("c", "nodes-3", "False", "isobath");
    pod("d", "nodes-3", "True", "other");
    // No flag: the pod's host ports are enough of a hint.
    let mut replica = corner.replica("a", &[]).await;
    replica.until_leader().await;
    corner
        .until_addresses("web", &["10.0.0.2", "203.0.113.1"])
        .await;
    replica.is_alive();
}

#[tokio::test]
async fn one_of_two_replicas_writes_and_the_other_takes_over() {
    let Some(corner) = Corner::new("replicas").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    // Every version of every Ingress that the API server ever had.
    let mut versions = Api::<Ingress>::namespaced(corner.admin.clone(), &corner.shop)
        .watch(&kube::api::WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    let mut a = corner.replica("a", BY_ADDRESS).await;
    a.until_leader().await;
    let mut b = corner.replica("b", BY_ADDRESS).await;
    for n in 0..20 {
        corner.ingress(&format!("web-{n}"), "isobath");
    }
    for n in 0..20 {
        corner
            .until_addresses(&format!("web-{n}"), &["192.0.2.1", "lb.example.com"])
            .await;
    }
    assert_eq!((a.writes("ok"), b.writes("ok")), (20, 0));
    assert!(*a.leads.borrow() && !*b.leads.borrow());

    a.kill().await;
    b.until_leader().await;
    corner.ingress("last", "isobath");
    corner
        .until_addresses("last", &["192.0.2.1", "lb.example.com"])
        .await;
    assert_eq!(
        b.writes("ok"),
        1,
        "{:?}",
        b.metric("status_writes_total", "result")
    );

    // A released lease is taken over, too.
    let mut c = corner.replica("c", BY_ADDRESS).await;
    b.is_alive();
    b.stop().await;
    c.until_leader().await;
    corner.ingress("very-last", "isobath");
    corner
        .until_addresses("very-last", &["192.0.2.1", "lb.example.com"])
        .await;
    assert_eq!(c.writes("ok"), 1);

    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    while seen.get("very-last") != Some(&2) {
        let event = tokio::time::timeout(WITHIN, versions.next()).await.unwrap();
        if let kube::api::WatchEvent::Added(object) | kube::api::WatchEvent::Modified(object) =
            event.unwrap().unwrap()
        {
            *seen.entry(object.name_any()).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 22);
    assert!(
        seen.values().all(|versions| *versions == 2),
        "created, written once: {seen:?}"
    );
}

#[tokio::test]
async fn problems_and_refusals_are_told_once() {
    let Some(corner) = Corner::new("events").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    let uid = corner.ingresses().get("web").await.unwrap().uid().unwrap();
    let object = ObjectRef::new(Kind::Ingress, corner.shop.as_str(), "web");
    let missing = Problem::new(
        object.clone(),
        "SecretNotFound",
        "Secret shop/web does not exist",
    );
    let port = Problem::new(object, "PortNotFound", "Service web has no port 81");
    let class = Problem::new(
        ObjectRef::new(Kind::IngressClass, "", "events"),
        "Odd",
        "text",
    );
    let all = [
        (missing.clone(), uid.as_str()),
        (port.clone(), &uid),
        (class, ""),
    ];
    let events: Api<Event> = Api::namespaced(corner.admin.clone(), &corner.shop);
    let told = || async {
        let of_web = ListParams::default().fields("regarding.name=web");
        let list = events.list(&of_web).await.unwrap();
        let reasons = list.items.iter().map(|event| event.reason.clone().unwrap());
        let mut reasons: Vec<_> = reasons.collect();
        reasons.sort();
        reasons
    };

    let mut a = corner.replica("a", &[]).await;
    a.until_leader().await;
    let mut b = corner.replica("b", &[]).await;
    for replica in [&a, &b] {
        replica.problems(&all);
    }
    until("both are told", || async {
        told().await == ["PortNotFound", "SecretNotFound"]
    })
    .await;
    let described = corner.kubectl(&["describe", "ingress", "web", "-n", &corner.shop], "");
    for words in [
        "Warning",
        "SecretNotFound",
        "isobath.dev/ingress-controller",
        "Service web has no port 81",
    ] {
        assert!(described.contains(words), "{words}: {described}");
    }
    let elsewhere: Api<Event> = Api::namespaced(corner.admin.clone(), "default");
    let of_class = ListParams::default().fields("regarding.name=events,reason=Odd");
    until("the class is told of", || async {
        elsewhere.list(&of_class).await.unwrap().items.len() == 1
    })
    .await;

    // The same again, another one gone: nothing further.
    a.problems(&[(port.clone(), &uid)]);
    a.problems(&all);
    let refusal = Refusal {
        owner: format!("Ingress {}/web", corner.shop),
        reason: "virtual host web.example.com: bad regex".into(),
    };
    for replica in [&a, &b] {
        replica.refusals.send_replace([refusal.clone()].into());
    }
    let three = ["PortNotFound", "RefusedByEnvoy", "SecretNotFound"];
    until("the refusal is told", || async { told().await == three }).await;
    assert_eq!((a.events("ok"), a.events("known")), (4, 0));
    assert_eq!((b.events("ok"), b.events("known")), (0, 0));
    // The metric is on every replica.
    for replica in [&a, &b] {
        let problems = replica.metric("object_problems", "reason");
        assert_eq!(problems.get("SecretNotFound"), Some(&1), "{problems:?}");
    }

    // The next leader finds them told.
    a.kill().await;
    b.until_leader().await;
    until("the other looks", || async { b.events("known") == 4 }).await;
    assert_eq!(b.events("ok"), 0);
    assert_eq!(told().await, three);
    b.is_alive();
}

#[tokio::test]
async fn without_a_right_it_warns_and_goes_on() {
    let Some(corner) = Corner::new("rights").await else {
        return;
    };
    corner.ingress("web", "isobath");
    let resource = |rule: &Value| rule["resources"][0].as_str().unwrap().to_owned();
    let problem = |corner: &Corner| {
        let object = ObjectRef::new(Kind::Ingress, corner.shop.as_str(), "web");
        Problem::new(object, "SecretNotFound", "Secret shop/web does not exist")
    };
    // Without the Lease nobody leads; nothing is written, nothing ends.
    corner.grant(RBAC, |rule| resource(rule) == "leases");
    let mut replica = corner.replica("a", BY_ADDRESS).await;
    until("the lease is forbidden", || async {
        replica
            .metric("lease_errors_total", "reason")
            .contains_key("forbidden")
    })
    .await;
    replica.is_alive();
    assert!(corner.addresses("web").await.is_empty());
    replica.kill().await;

    // Without one of the two, the other works.
    corner.grant(RBAC, |rule| resource(rule) == "events");
    let mut replica = corner.replica("b", BY_ADDRESS).await;
    replica.until_leader().await;
    replica.problems(&[(problem(&corner), "")]);
    corner
        .until_addresses("web", &["192.0.2.1", "lb.example.com"])
        .await;
    until("Events are forbidden", || async {
        replica.events("forbidden") > 0
    })
    .await;
    replica.is_alive();
    replica.stop().await;

    corner.grant(RBAC, |rule| resource(rule) == "ingresses/status");
    corner.ingress("second", "isobath");
    let mut replica = corner.replica("c", BY_ADDRESS).await;
    replica.until_leader().await;
    replica.problems(&[(problem(&corner), "")]);
    until("the Event is written", || async {
        replica.events("ok") == 1
    })
    .await;
    until("status is forbidden", || async {
        replica.writes("forbidden") > 0
    })
    .await;
    replica.is_alive();

    replica.stop().await;

    // Without the right to look, nothing is taken away.
    let looks = |rule: &Value| resource(rule) == "ingresses" && rule["verbs"] == json!(["get"]);
    corner.grant(RBAC, looks);
    let mut replica = corner.replica("d", BY_ADDRESS).await;
    corner
        .until_addresses("second", &["192.0.2.1", "lb.example.com"])
        .await;
    corner.ingress("second", "nginx");
    until("looking is forbidden", || async {
        replica.writes("forbidden") > 0
    })
    .await;
    assert_eq!(
        corner.addresses("second").await,
        ["192.0.2.1", "lb.example.com"]
    );
    replica.is_alive();

    // With all rights it is made good, without a restart.
    corner.grant(RBAC, |_| false);
    corner.until_addresses("second", &[]).await;
    replica.is_alive();
}

#[tokio::test]
async fn nodes_without_rights_and_a_missing_service_are_no_end() {
    let Some(corner) = Corner::new("sources").await else {
        return;
    };
    corner.grant(RBAC, |_| false);
    corner.ingress("web", "isobath");
    let nowhere = format!("{}/nowhere", corner.home);
    for flags in [
        ["--ingress-status-from", "nodes"],
        ["--envoy-service", &nowhere],
    ] {
        let mut replica = corner.replica("a", &flags).await;
        replica.until_leader().await;
        if flags[1] == "nodes" {
            until("pods are forbidden", || async {
                replica
                    .metric("status_address_errors_total", "reason")
                    .contains_key("forbidden")
            })
            .await;
        }
        replica.is_alive();
        assert!(corner.addresses("web").await.is_empty());
        replica.stop().await;
    }
}
