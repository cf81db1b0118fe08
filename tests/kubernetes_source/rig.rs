//! API server, proxy, source, and what a receiver of its events would know.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use isobath::objects::{Event, Kind, Object};
use isobath::sources::kubernetes::{Args, ConnectError, Kubernetes, SourceError, WatchTiming};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::control_plane::{ADMIN, ControlPlane};
use crate::fault_proxy::{Fault, FaultProxy, Upstream};

/// Nothing in these tests takes longer, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace of a real API server, behind a proxy of its own.
pub(crate) struct Rig {
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) proxy: FaultProxy,
    pub(crate) namespace: &'static str,
    admin: kube::Client,
}

impl Rig {
    pub(crate) async fn new(namespace: &'static str) -> Option<Self> {
        Some(Self::on(ControlPlane::shared().await?, namespace).await)
    }

    pub(crate) async fn on(plane: Arc<ControlPlane>, namespace: &'static str) -> Self {
        let admin = plane.client(ADMIN).await;
        let proxy = proxy(&plane, Some(ADMIN)).await;
        let rig = Self {
            plane,
            proxy,
            namespace,
            admin,
        };
        rig.post(
            "/api/v1/namespaces",
            format!(r#"{{"metadata":{{"name":"{namespace}"}}}}"#),
        )
        .await;
        rig
    }

    /// Arguments for this namespace, by way of the proxy.
    pub(crate) fn args(&self) -> Args {
        let kubeconfig = self.plane.kubeconfig_at(ADMIN, self.proxy.address());
        Args {
            watch_namespaces: vec![self.namespace.to_owned()],
            ..args(kubeconfig)
        }
    }

    /// A source for this namespace, by way of the proxy.
    pub(crate) async fn source(&self) -> Kubernetes {
        source(&self.args()).await
    }

    pub(crate) async fn run(&self) -> Run {
        Run::start(self.source().await)
    }

    /// Paths of this namespace's objects of one kind, as the proxy sees them.
    pub(crate) fn requests(&self, plural: &str) -> impl Fn(&str) -> bool + Clone + Send + use<> {
        let path = format!("/namespaces/{}/{plural}?", self.namespace);
        move |uri| uri.contains(&path)
    }

    /// The server has no streaming lists.
    pub(crate) fn forbid_streaming_lists(&self) {
        self.proxy.on(
            usize::MAX,
            |uri| uri.contains("sendInitialEvents"),
            status(422, "sendInitialEvents is forbidden"),
        );
    }

    pub(crate) async fn create_service(&self, name: &str) {
        let path = format!("/api/v1/namespaces/{}/services", self.namespace);
        let service = format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{"type":"ExternalName","externalName":"example.org"}}}}"#
        );
        self.post(&path, service).await;
    }

    /// Makes one object of each namespaced kind.
    pub(crate) async fn create_one_of_each(&self, name: &str) {
        let namespace = self.namespace;
        let core = format!("/api/v1/namespaces/{namespace}");
        let secret = format!(
            r#"{{"metadata":{{"name":"{name}"}},"type":"kubernetes.io/tls","data":{{"tls.crt":"","tls.key":""}}}}"#
        );
        self.post(&format!("{core}/secrets"), secret).await;
        let slice = format!(
            r#"{{"metadata":{{"name":"{name}"}},"addressType":"IPv4","endpoints":[],"ports":[]}}"#
        );
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        self.post(&slices, slice).await;
        self.create_ingress(name).await;
        self.create_service(name).await;
    }

    async fn create_ingress(&self, name: &str) {
        let path = format!(
            "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
            self.namespace
        );
        let ingress = format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{"defaultBackend":{{"service":{{"name":"a","port":{{"number":80}}}}}}}}}}"#
        );
        self.post(&path, ingress).await;
    }

    /// Makes so many Ingresses.
    pub(crate) async fn create_ingresses(&self, count: usize) {
        stream::iter(0..count)
            .for_each_concurrent(32, |n| async move {
                self.create_ingress(&format!("ingress-{n}")).await;
            })
            .await;
    }

    pub(crate) async fn delete_service(&self, name: &str) {
        let path = format!("/api/v1/namespaces/{}/services/{name}", self.namespace);
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        self.admin.request_text(request).await.unwrap();
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> String {
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(body.into_bytes())
            .unwrap();
        self.admin.request_text(request).await.unwrap()
    }
}

/// A proxy to `plane`, as the given user, or as whoever's token comes along.
pub(crate) async fn proxy(plane: &ControlPlane, user: Option<&str>) -> FaultProxy {
    let group = |user: &str| (user == ADMIN).then_some("system:masters");
    let authority = plane.authority();
    let identity = user.map(|user| authority.client(user, group(user)));
    let server = authority.server();
    let upstream = Upstream {
        address: plane.address(),
        ca: authority.certificate().to_owned(),
        identity: identity.map(|identity| (identity.certificate, identity.key)),
    };
    FaultProxy::start(upstream, &server.certificate, &server.key).await
}

pub(crate) fn args(kubeconfig: PathBuf) -> Args {
    Args {
        kubeconfig: Some(kubeconfig),
        context: None,
        watch_namespaces: Vec::new(),
        opaque_secrets: false,
        config_map: None,
        start_jitter: Duration::ZERO,
    }
}

/// A source that reads classes by name, with watches of one second.
pub(crate) async fn source(args: &Args) -> Kubernetes {
    try_source(args).await.unwrap()
}

pub(crate) async fn try_source(args: &Args) -> Result<Kubernetes, ConnectError> {
    let source = Kubernetes::connect(args, true).await?;
    Ok(source.with_timing(WatchTiming {
        watch: Duration::from_secs(1),
        watch_spread: Duration::ZERO,
        margin: Duration::from_secs(1),
        answer: Duration::from_secs(20),
        discovery: Duration::from_millis(200),
    }))
}

/// An answer that the API server would give.
pub(crate) fn status(code: u16, message: &str) -> Fault {
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"{message}","code":{code}}}"#
    );
    Fault::Answer(code, Vec::new(), Bytes::from(body))
}

/// What a receiver of the events knows.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    /// Kind and name of every object, `!` before those that are invalid.
    pub(crate) objects: BTreeSet<(Kind, String)>,
    /// How many lists came.
    pub(crate) lists: BTreeMap<Kind, usize>,
    /// Kinds and namespaces of all lists.
    pub(crate) listed: BTreeSet<(Kind, Option<Arc<str>>)>,
    /// Names of the objects that were deleted one by one.
    pub(crate) deleted: Vec<String>,
}

impl Mirror {
    fn apply(&mut self, event: Event) {
        let shown = |object: &Object| {
            let reference = object.reference();
            let mark = if matches!(object, Object::Invalid(_)) {
                "!"
            } else {
                ""
            };
            (reference.kind, format!("{mark}{}", reference.name.name))
        };
        match event {
            Event::Apply(object) => {
                let name = object.reference().name.name.to_string();
                let kind = object.reference().kind;
                self.objects.remove(&(kind, name.clone()));
                self.objects.remove(&(kind, format!("!{name}")));
                self.objects.insert(shown(&object));
            }
            Event::Delete(reference) => {
                let name = reference.name.name.to_string();
                self.objects.remove(&(reference.kind, name.clone()));
                self.objects.remove(&(reference.kind, format!("!{name}")));
                self.deleted.push(name);
            }
            Event::Replace {
                kind,
                namespace,
                objects,
            } => {
                self.listed.insert((kind, namespace));
                *self.lists.entry(kind).or_default() += 1;
                self.objects.retain(|(other, _)| *other != kind);
                self.objects.extend(objects.iter().map(shown));
            }
            Event::Batch(events) => events.into_iter().for_each(|event| self.apply(event)),
        }
    }

    /// The names of one kind, in order.
    pub(crate) fn names(&self, kind: Kind) -> Vec<&str> {
        let of_kind = self.objects.iter().filter(|(other, _)| *other == kind);
        of_kind.map(|(_, name)| name.as_str()).collect()
    }

    /// How often a kind was listed.
    pub(crate) fn lists(&self, kind: Kind) -> usize {
        self.lists.get(&kind).copied().unwrap_or_default()
    }
}

/// A source that runs.
pub(crate) struct Run {
    task: JoinHandle<Result<Infallible, SourceError>>,
    events: mpsc::Receiver<Event>,
    pub(crate) mirror: Mirror,
}

impl Run {
    pub(crate) fn start(source: Kubernetes) -> Self {
        let (sender, events) = mpsc::channel(16);
        Self {
            task: tokio::spawn(source.run(sender)),
            events,
            mirror: Mirror::default(),
        }
    }

    /// Receives until the mirror is as told. The source must not end before.
    pub(crate) async fn until(&mut self, what: &str, so: impl Fn(&Mirror) -> bool) {
        let wait = async {
            while !so(&self.mirror) {
                match self.events.recv().await {
                    Some(event) => self.mirror.apply(event),
                    None => panic!("{what}: {}", (&mut self.task).await.unwrap().unwrap_err()),
                }
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("{what}: waited for in vain, with {:?}", self.mirror);
        }
    }

    /// Receives until something outside of the events is as told, which is looked at every now and then.
    pub(crate) async fn until_seen(&mut self, what: &str, so: impl Fn() -> bool) {
        let wait = async {
            while !so() {
                match timeout(Duration::from_millis(20), self.events.recv()).await {
                    Ok(Some(event)) => self.mirror.apply(event),
                    Ok(None) => panic!("{what}: {}", (&mut self.task).await.unwrap().unwrap_err()),
                    Err(_) => {}
                }
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("{what}: waited for in vain, with {:?}", self.mirror);
        }
    }

    /// Receives until all of the namespaced kinds are listed.
    pub(crate) async fn until_listed(&mut self) {
        self.until("all kinds listed", |mirror| mirror.lists.len() == 4)
            .await;
    }

    /// Receives until the source ends.
    pub(crate) async fn end(mut self) -> (SourceError, Mirror) {
        let wait = async {
            while let Some(event) = self.events.recv().await {
                self.mirror.apply(event);
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("the source did not end, with {:?}", self.mirror);
        }
        let error = self.task.await.unwrap().unwrap_err();
        (error, self.mirror)
    }
}
