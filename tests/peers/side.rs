//! One of the two: a controller, its Envoy, its back ends, its API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::answers::{Seen, Told, compare, compare_told};
use crate::asker::Asker;
use crate::cluster::{Cluster, Reference, reference};
use crate::contour::Contour;
use crate::control_plane::ADMIN;
use crate::counted::Counted;
use crate::rig::{Rig, objects};
use crate::row::{Ask, Question, Row, rows};
use crate::support::client::{self, Version};
use crate::support::envoy::Envoy;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::network::address;
use crate::support::resolver::Resolver;
use crate::support::stand::bootstrap;

/// What both publish.
pub(crate) const ADDRESS: &str = "192.0.2.1";
/// How long a change may take to be answered and told: several times what one ask may take ([`Asker`]), as a server of HTTP that is
/// about to be one of TCP answers no text that is not HTTP.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where a row says that Contour never answers so.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long all of the first objects may take to be told of.
const SETTLED_WITHIN: Duration = Duration::from_secs(150);
/// The host by which it is known that everything before it was taken.
const FENCE: &str = "fence.test";

/// What the two are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Isobath,
    Contour,
}

/// The controller.
pub(crate) enum Controller {
    Isobath(Box<Isobath>),
    Contour(Box<Contour>),
}

impl Controller {
    /// Where it has Envoy listen.
    pub(crate) fn http(&self) -> std::net::SocketAddr {
        match self {
            Self::Isobath(it) => it.http(),
            Self::Contour(it) => it.http(),
        }
    }
}

/// How both are set up.
pub(crate) struct Setup {
    /// Isobath's flags.
    pub(crate) flags: &'static [&'static str],
    /// Contour's file.
    pub(crate) configuration: Value,
    /// Contour's flags.
    pub(crate) contour_flags: &'static [&'static str],
    /// Names that are looked up.
    pub(crate) names: &'static [&'static str],
    /// The classes that both are told of; without any both serve what has none, or `contour`.
    pub(crate) classes: &'static [&'static str],
    /// Whether what Envoy gets is counted.
    pub(crate) counts: bool,
}

/// What one of the two answered.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// To requests.
    Seen(Vec<Seen>),
    /// Of an object.
    Told(Told),
}

/// One of the two.
pub(crate) struct Side {
    pub(crate) name: Name,
    /// The data plane. It goes first.
    pub(crate) envoy: Envoy,
    pub(crate) controller: Controller,
    pub(crate) cluster: Cluster,
    pub(crate) rig: Rig,
    /// What Envoy got, where it is counted.
    pub(crate) counted: Option<Counted>,
    _directory: tempfile::TempDir,
}

impl Side {
    /// Starts one, with the objects that all rows share. `None`: programs are missing, and this is not CI.
    pub(crate) async fn start(name: Name, setup: &Setup) -> Option<Self> {
        let cluster = Cluster::start(setup.classes).await?;
        let last = if name == Name::Isobath { 2 } else { 3 };
        let rig = Rig::start(address(last)).await;
        cluster.apply_all(&rig.objects).await;
        assert_eq!(cluster.refused(), BTreeMap::new());
        let home =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "isobath"}});
        cluster.apply(&home).await;
        let resolver = Resolver::start(setup.names).await;
        let directory = tempfile::Builder::new().prefix("peer-").tempdir().unwrap();
        let kubeconfig = cluster.plane.kubeconfig(ADMIN);
        let (controller, envoy, counted) = match name {
            Name::Isobath => isobath(&kubeconfig, setup, &resolver).await,
            Name::Contour => contour(directory.path(), &kubeconfig, setup, &resolver).await,
        };
        Some(Self {
            name,
            envoy,
            controller,
            cluster,
            rig,
            counted,
            _directory: directory,
        })
    }

    /// The controller's process id.
    pub(crate) fn pid(&self) -> i32 {
        let pid = match &self.controller {
            Controller::Isobath(it) => it.pid(),
            Controller::Contour(it) => it.process.pid(),
        };
        pid.as_raw()
    }

    /// The objects of rows.
    pub(crate) fn objects(&self, rows: &[Row]) -> Vec<Value> {
        let objects = rows
            .iter()
            .map(|row| objects(&self.rig, &row.id, &row.objects));
        objects.flatten().collect()
    }

    /// The rows of a table.
    pub(crate) fn rows(&self, text: &str) -> Vec<Row> {
        rows(&self.rig.fill(text))
    }

    /// Waits until all of these objects are told of.
    pub(crate) async fn until_told(&self, all: &[Value]) {
        let start = Instant::now();
        let is_judged = |it: &&Value| {
            matches!(it["kind"].as_str(), Some("HTTPProxy")) && self.cluster.serves(it)
        };
        let mut waiting: Vec<Reference> = all.iter().filter(is_judged).map(reference).collect();
        while !waiting.is_empty() {
            let mut untold = Vec::new();
            for reference in waiting {
                if self.cluster.told(&reference).await.word == "unserved" {
                    untold.push(reference);
                }
            }
            waiting = untold;
            assert!(
                start.elapsed() < SETTLED_WITHIN,
                "{:?} says nothing of {waiting:?}",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until all of these objects are told of, and what came last is served.
    pub(crate) async fn settle(&mut self, all: &[Value]) {
        let start = Instant::now();
        self.until_told(all).await;
        let fence = json!({
            "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"namespace": "team1", "name": "fence"},
            "spec": {"virtualhost": {"fqdn": FENCE}, "routes": [{
                // Whoever is asked about all requests is not asked here.
                "authPolicy": {"disabled": true}, "services": [{"name": "t1", "port": 80}],
            }]},
        });
        let mut fence = fence;
        if let Some(class) = self.cluster.classes.first() {
            fence["spec"]["ingressClassName"] = (*class).into();
        }
        self.cluster.apply(&fence).await;
        self.envoy.live().await;
        eventually(
            &format!("{:?} serves the last object", self.name),
            async || {
                let answer = client::get(self.http(), Version::H1, None, FENCE, "/").await?;
                ensure!(answer.status == 200, "{}", answer.status);
                Ok(())
            },
        )
        .await;
        if let Controller::Contour(contour) = &mut self.controller {
            contour.process.assert_running();
        }
        println!("{:?} has settled in {:.1?}", self.name, start.elapsed());
    }

    /// What Envoy has refused so far.
    pub(crate) async fn refusals(&self) -> Vec<String> {
        let counted = self.envoy.stats("update_rejected").await.unwrap();
        let refused = counted.into_iter().filter(|(_, count)| *count > 0);
        refused
            .map(|(name, count)| format!("{name}: {count}"))
            .collect()
    }

    pub(crate) fn http(&self) -> std::net::SocketAddr {
        self.controller.http()
    }

    fn https(&self) -> std::net::SocketAddr {
        match &self.controller {
            Controller::Isobath(it) => it.https(),
            Controller::Contour(it) => it.https(),
        }
    }

    /// Asks, again and again while it `may` change and is not as wanted; what came last, and what is not as wanted.
    pub(crate) async fn ask(
        &self,
        row: &Row,
        ask: &Ask,
        may: bool,
    ) -> (Outcome, Result<(), String>) {
        let start = Instant::now();
        let patience = match self.name == Name::Contour && !row.differs.is_empty() {
            true => SHORT_PATIENCE,
            false => PATIENCE,
        };
        // What is said is said a little later than it is done.
        let may = may
            || ask.until
            || matches!(ask.question, Question::Status(..) | Question::Extension(_));
        loop {
            let (outcome, is) = self.ask_once(&row.id, ask).await;
            if is.is_ok() || !may || start.elapsed() > patience {
                return (outcome, is);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask_once(&self, row: &str, ask: &Ask) -> (Outcome, Result<(), String>) {
        let of = |kind: &str, namespace: &str, name: &str| {
            (kind.to_owned(), namespace.to_owned(), name.to_owned())
        };
        let reference = match &ask.question {
            Question::Status(name, namespace) => of("HTTPProxy", namespace, name),
            Question::Extension(name) => of("ExtensionService", "hp", name),
            question => {
                let asker = Asker {
                    rig: &self.rig,
                    row,
                    http: self.http(),
                    https: self.https(),
                };
                let all = asker.answers(question).await.unwrap_or_default();
                let is = compare(&ask.answer, &all);
                return (Outcome::Seen(all), is);
            }
        };
        let told = self.cluster.told(&reference).await;
        let is = compare_told(&ask.answer, &told);
        (Outcome::Told(told), is)
    }
}

/// A controller, its Envoy, and what counts the bytes between them.
pub(crate) type Started = (Controller, Envoy, Option<Counted>);

pub(crate) async fn isobath(kubeconfig: &Path, setup: &Setup, resolver: &Resolver) -> Started {
    let pod = ["--pod-name", "isobath", "--pod-namespace", "isobath"];
    let flags = [
        &pod[..],
        &["--ingress-status-address", ADDRESS],
        setup.flags,
    ]
    .concat();
    let mut isobath = Isobath::of_cluster(kubeconfig, &flags);
    isobath.restart().await;
    let directory = isobath.directory();
    let relay = directory.join("relay.sock");
    let counted = setup.counts.then(|| Counted::unix(&relay, &isobath.xds()));
    let xds = match &counted {
        Some(_) => format!("unix:{}", relay.display()),
        None => isobath.xds_address(),
    };
    let path = bootstrap(directory, &xds);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + &resolver.bootstrap()).unwrap();
    let envoy = envoy(directory, &path);
    (Controller::Isobath(Box::new(isobath)), envoy, counted)
}

pub(crate) async fn contour(
    directory: &Path,
    kubeconfig: &Path,
    setup: &Setup,
    resolver: &Resolver,
) -> Started {
    let (configuration, flags) = (&setup.configuration, setup.contour_flags);
    let contour = Contour::start(directory, kubeconfig, configuration, flags);
    let counted = match setup.counts {
        true => Some(Counted::tcp(contour.xds()).await),
        false => None,
    };
    let xds = counted.as_ref().and_then(Counted::address);
    let more = resolver.bootstrap();
    let path = Contour::bootstrap(directory, xds.unwrap_or_else(|| contour.xds()), &more);
    let envoy = envoy(directory, &path);
    (Controller::Contour(Box::new(contour)), envoy, counted)
}

fn envoy(directory: &Path, bootstrap: &Path) -> Envoy {
    let (admin, log) = (directory.join("admin.sock"), directory.join("envoy.log"));
    let node = ["--service-cluster", "peers", "--service-node", "envoy"];
    Envoy::start_with(bootstrap, &admin, &log, &node)
}
