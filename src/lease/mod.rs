//! One writer among all pods, by a `coordination.k8s.io/v1` Lease.
//!
//! [`Elector::run`] keeps a `watch::Receiver<bool>` that is true only while this process may write. It turns false
//! at once when somebody else holds the Lease, when a renewal is overdue (even if its request hangs), and before
//! the Lease is released at the end. Failures of the API server are never fatal: they back off with jitter,
//! count in a metric and warn once.
//!
//! `kube-lease-manager` 0.13 was weighed and not taken: it believes the holder's wall clock, takes an expired
//! Lease over by a patch without a version (two candidates can both believe that they won), and a renewal that
//! hangs keeps its flag true.

mod election;

use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::api_call::{self, Failure, Trouble};
use crate::pod::Pod;
pub use election::{Election, Step, Timing};

/// No call to the API server may take longer, so that a leader can try more than once before its deadline.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// Where the Lease is.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Leader election")]
pub struct Args {
    /// Name of the Lease that elects the one writer of status and Events among all pods. Installations beside
    /// each other in one namespace need different names.
    #[arg(
        id = "lease_name",
        long = "lease-name",
        env = "ISOBATH_LEASE_NAME",
        default_value = "isobath"
    )]
    pub name: String,

    /// Namespace of the Lease. Default: the pod's, or the one of the kubeconfig's context.
    #[arg(
        id = "lease_namespace",
        long = "lease-namespace",
        env = "ISOBATH_LEASE_NAMESPACE"
    )]
    pub namespace: Option<String>,
}

impl Args {
    /// The namespace of the Lease: the flag, the pod's, or the client's.
    #[must_use]
    pub fn namespace(&self, client: &Client, pod: &Pod) -> String {
        self.namespace
            .as_ref()
            .or(pod.namespace.as_ref())
            .filter(|namespace| !namespace.is_empty())
            .map_or_else(|| client.default_namespace().to_owned(), Clone::clone)
    }
}

/// Counters of the election.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    leader: Gauge,
    errors: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    /// Adds the metrics; `registry` brings the prefix `isobath_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "leader",
            "Whether this process holds the Lease and writes status and Events (1) or not (0)",
            self.leader.clone(),
        );
        registry.register(
            "lease_errors",
            "Calls for the Lease that failed",
            self.errors.clone(),
        );
    }
}

/// A candidate for the one writer.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    name: String,
    election: Election,
    metrics: Metrics,
    leader: watch::Sender<bool>,
    trouble: Trouble,
}

impl Elector {
    /// A candidate, and the receiver that says whether it leads.
    ///
    /// The identity is the pod's name and a random part, so that a process never takes itself for its
    /// predecessor.
    pub fn new(
        client: Client,
        args: &Args,
        pod: &Pod,
        timing: Timing,
        metrics: Metrics,
    ) -> (Self, watch::Receiver<bool>) {
        let namespace = args.namespace(&client, pod);
        // The keys of a RandomState come from the system's randomness: uniqueness needs no more.
        let unique = RandomState::new().hash_one(std::process::id());
        let identity = format!("{}_{unique:016x}", pod.name.as_deref().unwrap_or("isobath"));
        let (leader, follow) = watch::channel(false);
        let elector = Self {
            api: Api::namespaced(client, &namespace),
            name: args.name.clone(),
            election: Election::new(&namespace, &args.name, &identity, timing),
            metrics,
            leader,
            trouble: Trouble::with("leader election"),
        };
        (elector, follow)
    }

    /// Takes part until `shutdown` is done; then stops leading and releases the Lease.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut backoff = DefaultBackoff::default();
        loop {
            let outcome = tokio::select! {
                biased;
                () = &mut shutdown => break,
                outcome = self.attempt() => outcome,
            };
            let now = Instant::now();
            let mut pause = self.election.pause(now);
            match outcome {
                Ok(()) => {
                    self.trouble.over();
                    backoff.reset();
                }
                Err(failure) => {
                    self.election.refused();
                    let label = [("reason", failure.label())];
                    self.metrics.errors.get_or_create(&label).inc();
                    self.trouble.failed(&self.name, &failure);
                    // A leader keeps to its period: it has a deadline to meet.
                    if !self.election.leads(now) {
                        let delay = backoff.next().unwrap_or(CALL_LIMIT);
                        pause = pause.max(delay);
                    }
                }
            }
            self.publish(self.election.leads(now));
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = tokio::time::sleep(pause) => {}
            }
            // After a pause that ended at the deadline, the flag falls before any further call.
            self.publish(self.election.leads(Instant::now()));
        }
        self.release().await;
    }

    async fn attempt(&mut self) -> Result<(), Failure> {
        let mut step = self.election.begin(Instant::now(), Timestamp::now());
        // Renew, read, write: a further refusal means that others are faster, and is no failure.
        for _ in 0..3 {
            let asked = Instant::now();
            // A refusal may have taken until the deadline: the flag falls before any further call.
            self.publish(self.election.leads(asked));
            let limit = match self.election.leads_until() {
                Some(until) if asked < until => CALL_LIMIT.min(until - asked),
                _ => CALL_LIMIT,
            };
            let params = PostParams::default();
            let written = match &step {
                Step::Wait => return Ok(()),
                Step::Read => {
                    let lease = api_call::within(limit, self.api.get_opt(&self.name)).await?;
                    step = self.election.read(Instant::now(), Timestamp::now(), lease);
                    continue;
                }
                Step::Create(lease) => {
                    api_call::within(limit, self.api.create(&params, lease)).await
                }
                Step::Replace(lease) => {
                    api_call::within(limit, self.api.replace(&self.name, &params, lease)).await
                }
            };
            match written {
                Ok(lease) => {
                    self.election.wrote(asked, lease);
                    return Ok(());
                }
                // 404 for a Lease that was deleted since; for one that can't be created it is an error.
                Err(failure)
                    if failure.code() == Some(409)
                        || (failure.code() == Some(404) && matches!(step, Step::Replace(_))) =>
                {
                    debug!(error = %failure, "the Lease was changed by somebody else");
                    self.election.refused();
                    step = Step::Read;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn publish(&self, leads: bool) {
        let changed = self.leader.send_if_modified(|current| {
            let changed = *current != leads;
            *current = leads;
            changed
        });
        if changed {
            self.metrics.leader.set(leads.into());
            if leads {
                info!(lease = %self.name, "leader: this process writes status and Events");
            } else {
                info!(lease = %self.name, holder = self.election.holder(), "not leader any more");
            }
        }
    }

    async fn release(mut self) {
        self.publish(false);
        if let Some(lease) = self.election.release(Timestamp::now()) {
            let params = PostParams::default();
            let call = self.api.replace(&self.name, &params, &lease);
            if let Err(failure) = api_call::within(Duration::from_secs(2), call).await {
                debug!(error = %failure, "the Lease was not released and will expire");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::{Arc, Mutex};

    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::oneshot;

    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    enum Mood {
        #[default]
        Answers,
        Hangs,
        Fails(u16),
        FailsAfter(Duration, u16),
    }

    /// An API server with one Lease.
    #[derive(Default)]
    struct Server {
        mood: Mood,
        lease: Option<Value>,
        version: u64,
        calls: usize,
    }

    fn client(server: &Arc<Mutex<Server>>) -> Client {
        let server = server.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mood = {
                    let mut server = server.lock().unwrap();
                    server.calls += 1;
                    server.mood
                };
                let (code, answer) = match mood {
                    Mood::Hangs => std::future::pending().await,
                    Mood::Fails(code) => (code, json!({"code": code, "message": "no"})),
                    Mood::FailsAfter(time, code) => {
                        tokio::time::sleep(time).await;
                        (code, json!({"code": code, "message": "no"}))
                    }
                    Mood::Answers => server.lock().unwrap().answer(&head.method, &body),
                };
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                let response = http::Response::builder().status(code).body(body).unwrap();
                Ok::<_, std::io::Error>(response)
            }
        });
        Client::new(service, "isobath")
    }

    impl Server {
        fn answer(&mut self, method: &http::Method, body: &[u8]) -> (u16, Value) {
            let missing = (404, json!({"code": 404, "reason": "NotFound"}));
            match (method.as_str(), &self.lease) {
                ("GET", Some(lease)) => return (200, lease.clone()),
                ("GET" | "PUT", None) => return missing,
                _ => {}
            }
            let mut lease: Value = serde_json::from_slice(body).unwrap();
            let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
            if self
                .lease
                .as_ref()
                .is_some_and(|known| version(known) != version(&lease))
            {
                return (409, json!({"code": 409, "message": "changed"}));
            }
            self.version += 1;
            lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.lease = Some(lease.clone());
            (200, lease)
        }
    }

    struct Running {
        leads: watch::Receiver<bool>,
        stop: Option<oneshot::Sender<()>>,
        task: tokio::task::JoinHandle<()>,
        metrics: Metrics,
    }

    fn start(server: &Arc<Mutex<Server>>, pod: &str) -> Running {
        let args = Args {
            name: "isobath".into(),
            namespace: None,
        };
        let pod = Pod {
            name: Some(pod.into()),
            namespace: Some("isobath".into()),
        };
        let metrics = Metrics::default();
        let (elector, leads) = Elector::new(
            client(server),
            &args,
            &pod,
            Timing::default(),
            metrics.clone(),
        );
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(elector.run(async move {
            let _ = stopped.await;
        }));
        Running {
            leads,
            stop: Some(stop),
            task,
            metrics,
        }
    }

    /// Waits until the flag has this value, and returns after how long.
    async fn until(running: &mut Running, leads: bool) -> Duration {
        let start = Instant::now();
        let changed = running.leads.wait_for(|current| *current == leads);
        tokio::time::timeout(Duration::from_secs(120), changed)
            .await
            .expect("in time")
            .unwrap();
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_hangs_ends_the_term_before_others_begin_theirs() {
        for mood in [
            Mood::Hangs,
            Mood::Fails(500),
            Mood::Fails(403),
            Mood::Fails(429),
        ] {
            let server = Arc::new(Mutex::new(Server::default()));
            let mut a = start(&server, "a");
            until(&mut a, true).await;
            server.lock().unwrap().mood = mood;
            let stopped = until(&mut a, false).await;
            assert!(stopped <= Duration::from_secs(10), "{mood:?}: {stopped:?}");
            // It never gives up: it leads again once the server answers.
            tokio::time::sleep(Duration::from_secs(300)).await;
            assert!(!a.task.is_finished(), "{mood:?}");
            let calls = server.lock().unwrap().calls;
            assert!(calls < 60, "{mood:?}: {calls} calls in 5 minutes");
            server.lock().unwrap().mood = Mood::Answers;
            until(&mut a, true).await;
            let failed: u64 = ["timeout", "refused", "forbidden", "throttled"]
                .into_iter()
                .map(|reason| a.metrics.errors.get_or_create(&[("reason", reason)]).get())
                .sum();
            assert!(failed > 5, "{mood:?}: {failed}");
        }
    }

    /// The refusal of a renewal comes at the very deadline: what follows is no leader's call.
    #[tokio::test(start_paused = true)]
    async fn a_term_ends_between_two_calls() {
        let server = Arc::new(Mutex::new(Server::default()));
        let mut a = start(&server, "a");
        until(&mut a, true).await;
        let mood = |mood| server.lock().unwrap().mood = mood;
        mood(Mood::Fails(500));
        tokio::time::sleep(Duration::from_secs(7)).await;
        // The renewal at 8 s is answered at 10 s, and then nothing is any more.
        mood(Mood::FailsAfter(Duration::from_secs(2), 409));
        tokio::time::sleep(Duration::from_secs(2)).await;
        mood(Mood::Hangs);
        let stopped = until(&mut a, false).await;
        assert!(stopped <= Duration::from_secs(1), "{stopped:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_one_is_the_beginning_of_the_other() {
        let server = Arc::new(Mutex::new(Server::default()));
        let mut a = start(&server, "a");
        until(&mut a, true).await;
        let mut b = start(&server, "b");
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(*a.leads.borrow() && !*b.leads.borrow());

        a.stop.take().unwrap().send(()).unwrap();
        until(&mut a, false).await;
        a.task.await.unwrap();
        assert_eq!(a.metrics.leader.get(), 0);
        let taken = until(&mut b, true).await;
        assert!(taken <= Duration::from_secs(15), "{taken:?}");
        assert_eq!(b.metrics.leader.get(), 1);

        // Without release the lease has to expire first.
        let mut c = start(&server, "c");
        tokio::time::sleep(Duration::from_secs(20)).await;
        b.task.abort();
        let taken = until(&mut c, true).await;
        assert!(taken >= Duration::from_secs(13), "{taken:?}");
        assert!(taken <= Duration::from_secs(33), "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_lease_is_made_anew() {
        let server = Arc::new(Mutex::new(Server::default()));
        let mut a = start(&server, "a");
        until(&mut a, true).await;
        server.lock().unwrap().lease = None;
        server.lock().unwrap().version = 100;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(*a.leads.borrow());
        assert!(server.lock().unwrap().lease.is_some());
    }
}
