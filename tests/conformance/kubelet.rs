//! A small kubelet of one node: binds pods to it, runs them, says that they are ready, and lets them go.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1 as core;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control_plane::Authority;
use crate::node::NodeServer;
use crate::pod::{Files, Pod, Program, files, make_bridge};
use crate::pod_logs::{self, Logs};

/// The name of its node.
const NODE: &str = "node";

/// How long a pod is waited for. One of the suite's is never ready: its back end refuses connections on purpose.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// A running kubelet; dropping it ends its pods.
pub(crate) struct Kubelet {
    task: JoinHandle<()>,
    _logs: NodeServer,
}

impl Kubelet {
    /// Registers the node, and runs what pods there are and come.
    pub(crate) async fn start(
        client: Client,
        address: Ipv4Addr,
        authority: &Authority,
        program: Program,
    ) -> Self {
        make_bridge();
        let logs = Logs::default();
        let server = pod_logs::start(address, &authority.server(), logs.clone()).await;
        register(&client, &server).await;
        let running = Running {
            client,
            program,
            pods: BTreeMap::new(),
            started: 1,
            address,
            logs,
        };
        Self {
            task: tokio::spawn(running.run()),
            _logs: server,
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn register(client: &Client, server: &NodeServer) {
    let nodes = Api::<core::Node>::all(client.clone());
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    let node = serde_json::from_value(node).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let status = json!({"status": server.status()});
    nodes
        .patch_status(NODE, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

/// When a pod is tried again whose volumes are not there yet, or of which a call failed. No event may ever come of it again.
const AGAIN: Duration = Duration::from_millis(200);

/// What becomes of a pod that was waited for.
enum News {
    /// It takes connections, or was given up; or that is still to be said.
    Ready(Key, bool),
    /// Its volumes may be there by now, or the API server answers.
    Again(Key),
}

impl News {
    /// Tells it in a while.
    fn later(self, to: &mpsc::UnboundedSender<Self>) {
        let to = to.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AGAIN).await;
            let _ = to.send(self);
        });
    }
}

/// Whether a call is to be made again: not of what is gone, or was done by somebody else.
fn is_worth_another(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if [404, 409].contains(&status.code))
}

/// Namespace and name.
type Key = (String, String);

struct Running {
    client: Client,
    program: Program,
    pods: BTreeMap<Key, Pod>,
    /// How many pods there ever were; each has an address of its own.
    started: u16,
    address: Ipv4Addr,
    logs: Logs,
}

impl Running {
    async fn run(mut self) {
        let all = Api::<core::Pod>::all(self.client.clone());
        let mut events = watcher(all, watcher::Config::default())
            .default_backoff()
            .applied_objects()
            .boxed();
        // What a pod waits for does not hold the others up.
        let (sender, mut news) = mpsc::unbounded_channel::<News>();
        loop {
            tokio::select! {
                event = events.try_next() => match event {
                    Ok(Some(pod)) => self.take(&pod, &sender).await,
                    Ok(None) => return,
                    Err(error) => eprintln!("kubelet: {error}"),
                },
                Some(news) = news.recv() => match news {
                    News::Ready(key, is_ready) => self.tell(key, is_ready, &sender).await,
                    News::Again(key) => {
                        let pods = Api::<core::Pod>::namespaced(self.client.clone(), &key.0);
                        match pods.get_opt(&key.1).await {
                            Ok(Some(pod)) => self.take(&pod, &sender).await,
                            Ok(None) => {}
                            Err(_) => News::Again(key).later(&sender),
                        }
                    }
                },
            }
        }
    }

    async fn take(&mut self, pod: &core::Pod, news: &mpsc::UnboundedSender<News>) {
        let key = (pod.namespace().unwrap(), pod.name_any());
        let api = Api::<core::Pod>::namespaced(self.client.clone(), &key.0);
        if pod.metadata.deletion_timestamp.is_some() {
            self.pods.remove(&key);
            let now = DeleteParams::default().grace_period(0);
            // Somebody else may have been faster.
            if let Err(error) = api.delete(&key.1, &now).await
                && is_worth_another(&error)
            {
                News::Again(key).later(news);
            }
            return;
        }
        if pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_none())
        {
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": key.1, "namespace": key.0},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
            });
            let parameters = PostParams::default();
            let bound = api
                .create_subresource::<_, Value>("binding", &key.1, &parameters, &binding)
                .await;
            if let Err(error) = bound {
                eprintln!("kubelet: {key:?} is not bound: {error}");
                if is_worth_another(&error) {
                    News::Again(key).later(news);
                }
            }
            return;
        }
        if self.pods.contains_key(&key) {
            return;
        }
        let Some(volumes) = self.volumes(&key.0, pod).await else {
            News::Again(key).later(news);
            return;
        };
        self.started += 1;
        let started = Pod::start(&self.program, self.started, pod, &volumes);
        self.logs.insert(key.clone(), started.lines());
        let probe = started.probe();
        self.pods.insert(key.clone(), started);
        let news = news.clone();
        tokio::spawn(async move {
            let is_ready = tokio::time::timeout(READY_WITHIN, probe).await.is_ok();
            let _ = news.send(News::Ready(key, is_ready));
        });
    }

    /// What the pod's volumes have, by their names; `None` where one is missing: the suite makes Secrets and ConfigMaps after the
    /// pods that mount them.
    async fn volumes(&self, namespace: &str, pod: &core::Pod) -> Option<BTreeMap<String, Files>> {
        let secrets = Api::<core::Secret>::namespaced(self.client.clone(), namespace);
        let maps = Api::<core::ConfigMap>::namespaced(self.client.clone(), namespace);
        let mut volumes = BTreeMap::new();
        for volume in pod.spec.as_ref()?.volumes.iter().flatten() {
            let made = if let Some(source) = &volume.secret {
                let secret = secrets.get(source.secret_name.as_ref()?).await.ok()?;
                let data = secret.data.into_iter().flatten();
                let data = data.map(|(key, value)| (key, value.0)).collect();
                files(data, source.items.as_ref())
            } else if let Some(source) = &volume.config_map {
                let map = maps.get(&source.name).await.ok()?;
                let data = map.data.into_iter().flatten();
                let data = data.map(|(key, value)| (key, value.into_bytes())).collect();
                files(data, source.items.as_ref())
            } else {
                continue;
            };
            volumes.insert(volume.name.clone(), made);
        }
        Some(volumes)
    }

    /// Says on the pod that it runs. One that takes no connections is told to be ready as well: nothing of the
    /// suite's probes its pods, and one of them is to be asked although it refuses.
    async fn tell(&self, key: Key, is_ready: bool, news: &mpsc::UnboundedSender<News>) {
        let Some(pod) = self.pods.get(&key) else {
            return;
        };
        if !is_ready {
            eprintln!("kubelet: {key:?} takes no connections: {:?}", pod.said());
        }
        let api = Api::<core::Pod>::namespaced(self.client.clone(), &key.0);
        let conditions: Vec<_> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .iter()
            .map(|name| json!({"type": name, "status": "True"}))
            .collect();
        let ip = pod.address();
        let status = json!({"status": {
            "phase": "Running",
            "hostIP": self.address,
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": conditions,
        }});
        let told = api
            .patch_status(&key.1, &PatchParams::default(), &Patch::Merge(status))
            .await;
        if let Err(error) = told {
            eprintln!("kubelet: the status of {key:?}: {error}");
            if is_worth_another(&error) {
                News::Ready(key, is_ready).later(news);
            }
        }
    }
}
