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

use crate::process::pod::Pod;
use crate::status::api_call::{self, Failure, Outage};
pub use election::{Election, ElectionTiming, Step};

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
    outage: Outage,
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
        timing: ElectionTiming,
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
            outage: Outage::with("leader election"),
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
                    self.outage.over();
                    backoff.reset();
                }
                Err(failure) => {
                    self.election.refused();
                    let label = [("reason", failure.label())];
                    self.metrics.errors.get_or_create(&label).inc();
                    self.outage.failed(&self.name, &failure);
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
mod tests;
