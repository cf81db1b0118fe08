//! A replica as the process wires it, with a small controller in the place of the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::StreamExt as _;
use isobath::model::verdict::{Delivery, IngressFacts, ObjectProblems, RefusedObject, Statuses};
use isobath::objects::{LoadBalancerAddress, NamespacedName, ObjectRef, Problem};
use isobath::process::pod::Pod;
use isobath::status::lease::{self, ElectionTiming, Elector};
use isobath::status::{self, Reporter, Writer};
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::corner::{Corner, WITHIN, until};

/// A term that is short enough for a test in which it has to end, and longer than a busy machine keeps a replica from
/// renewing it: who loses it writes anew what it can't know to be written.
const TIMING: ElectionTiming = ElectionTiming {
    lease_duration: Duration::from_secs(10),
    renew_deadline: Duration::from_secs(8),
    retry_period: Duration::from_millis(300),
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    status: status::Args,
    #[command(flatten)]
    lease: lease::Args,
}

/// A replica as the process wires it, with a small controller in the place of the real one.
pub(crate) struct Replica {
    tasks: JoinSet<&'static str>,
    statuses: Arc<watch::Sender<Arc<Statuses>>>,
    pub(crate) refusals: watch::Sender<Arc<[RefusedObject]>>,
    pub(crate) leads: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    sees: watch::Sender<bool>,
    registry: Registry,
}

impl Replica {
    pub(crate) fn start(
        client: Client,
        admin: Client,
        corner: &Corner,
        pod: &str,
        flags: &[&str],
    ) -> Self {
        let line = std::iter::once("isobath").chain(flags.iter().copied());
        let line = Line::parse_from(line);
        let pod = Pod {
            name: Some(pod.to_owned()),
            namespace: Some(corner.home.clone()),
            ..Pod::default()
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
        let delivery = watch::Sender::new(Delivery::default());
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
        let writing = writer.run(
            statuses.subscribe(),
            (refusals.subscribe(), delivery.subscribe()),
            leads.clone(),
        );
        tasks.spawn(async move {
            writing.await;
            "writer"
        });
        let reporting = reporter.run(statuses.subscribe(), |_| None);
        tasks.spawn(async move {
            reporting.await;
            "reporter"
        });
        let sees = watch::Sender::new(true);
        tasks.spawn(mirror(
            Api::namespaced(admin, &corner.shop),
            statuses.clone(),
            sees.subscribe(),
        ));
        Self {
            tasks,
            statuses,
            refusals,
            leads,
            stop,
            sees,
            registry,
        }
    }

    /// Whether it hears of changes. What it has not heard of meanwhile it hears of afterwards.
    pub(crate) fn sees(&self, sees: bool) {
        self.sees.send_replace(sees);
    }

    pub(crate) async fn until_leader(&mut self) {
        let leads = self.leads.wait_for(|leads| *leads);
        tokio::time::timeout(WITHIN, leads)
            .await
            .expect("leads")
            .unwrap();
    }

    /// The values of a metric by the value of one label.
    pub(crate) fn metric(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
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

    pub(crate) fn writes(&self, result: &str) -> u64 {
        let writes = self.metric("status_writes_total", "result");
        writes.get(result).copied().unwrap_or(0)
    }

    pub(crate) fn events(&self, result: &str) -> u64 {
        let writes = self.metric("event_writes_total", "result");
        writes.get(result).copied().unwrap_or(0)
    }

    /// Waits until it has counted so many writes, and sees that it has not written more often. Whoever asks the API
    /// server sees an object before its writer has the answer, and that is when it counts.
    pub(crate) async fn has_written(&self, times: u64) {
        until("the writes are counted", || async {
            self.writes("ok") >= times
        })
        .await;
        let counts = self.metric("status_writes_total", "result");
        assert_eq!(self.writes("ok"), times, "{counts:?}");
    }

    /// The same for Events.
    pub(crate) async fn has_told(&self, times: u64) {
        until("the Events are counted", || async {
            self.events("ok") >= times
        })
        .await;
        let counts = self.metric("event_writes_total", "result");
        assert_eq!(self.events("ok"), times, "{counts:?}");
    }

    pub(crate) fn problems(&self, problems: &[(Problem, &str)]) {
        let mut grouped: BTreeMap<ObjectRef, (BTreeSet<Problem>, Arc<str>)> = BTreeMap::new();
        for (problem, uid) in problems {
            let entry = grouped.entry(problem.source.object.clone()).or_default();
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

    /// The controller has found something.
    pub(crate) fn say(&self, found: impl FnOnce(&mut Statuses)) {
        self.statuses
            .send_modify(|statuses| found(Arc::make_mut(statuses)));
    }

    pub(crate) fn is_alive(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            panic!("a task ended: {ended:?}");
        }
    }

    /// Ends without a word, as a killed process does.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends as on SIGTERM: the lease is released.
    pub(crate) async fn stop(mut self) {
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
async fn mirror(
    api: Api<Ingress>,
    statuses: Arc<watch::Sender<Arc<Statuses>>>,
    mut sees: watch::Receiver<bool>,
) -> &'static str {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        if sees.wait_for(|sees| *sees).await.is_err() {
            break;
        }
        statuses.send_modify(|statuses| {
            let ingresses = &mut Arc::make_mut(statuses).ingresses;
            match event.unwrap() {
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                    let facts = IngressFacts {
                        uid: object.uid().unwrap().into(),
                        served: object.spec.as_ref().unwrap().ingress_class_name.as_deref()
                            == Some("isobath"),
                        load_balancer: addresses(&object).into(),
                        ingress: None,
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

pub(crate) fn addresses(object: &Ingress) -> Vec<LoadBalancerAddress> {
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
