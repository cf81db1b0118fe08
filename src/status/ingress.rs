//! Writes `status.loadBalancer.ingress` of Ingresses.
//!
//! - A served Ingress has exactly our addresses: it has one class and so one controller, and what another one
//!   left behind (a migration) would send clients, by external-dns, to where nothing answers any more.
//! - From an Ingress that we do not serve any more we take away only entries equal to our own addresses, and only
//!   once if we saw it leave, else only out of a list that we wrote: the API server keeps who did
//!   (`managedFields`), also over our restarts. Another controller on the same nodes publishes equal addresses on
//!   Ingresses of its own, which must stay.
//! - What is there already is never written. What another writes over and over we write again ever more slowly.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::api::{Patch, PatchParams};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use xxhash_rust::xxh3::xxh3_64;

use super::decision::{Action, Decisions, SETTLED};
use super::queue::{Pace, Queue};
use super::{Addresses, CALL_LIMIT, FORBIDDEN_PAUSE, Metrics};
use crate::api_call::{Failure, Trouble, within};
use crate::k8s::{LoadBalancerAddress, NamespacedName};
use crate::verdict::{IngressFacts, Statuses};

/// Calls per second. client-go's 5 leave 1,500 Ingresses without address for 5 minutes; API servers defend
/// themselves by 429, which is honoured.
const PER_SECOND: u32 = 50;

/// The writer of one term as leader.
pub(super) struct Writer {
    client: Client,
    field_manager: String,
    metrics: Metrics,
    pace: Pace,
    trouble: Trouble,
    queue: Queue<NamespacedName>,
    decisions: Decisions,
    /// Namespaces in which a write was forbidden, and until when that is believed.
    forbidden: HashMap<Arc<str>, Instant>,
}

/// The `fieldManager` of an installation: at most 128 characters, as the API server demands.
pub(super) fn field_manager(lease_namespace: &str, lease_name: &str) -> String {
    let full = format!("isobath/{lease_namespace}/{lease_name}");
    if full.len() <= 128 {
        return full;
    }
    format!("isobath/{:016x}", xxh3_64(full.as_bytes()))
}

impl Writer {
    pub(super) fn new(client: Client, field_manager: String, metrics: Metrics) -> Self {
        Self {
            client,
            field_manager,
            metrics,
            pace: Pace::new(PER_SECOND, 2 * PER_SECOND),
            trouble: Trouble::with("writing the status of Ingresses"),
            queue: Queue::new(),
            decisions: Decisions::default(),
            forbidden: HashMap::new(),
        }
    }

    /// Writes until `statuses` is closed.
    pub(super) async fn run(
        &mut self,
        mut statuses: watch::Receiver<Arc<Statuses>>,
        mut addresses: watch::Receiver<Addresses>,
    ) {
        let mut seen = OrdMap::new();
        let mut publish: Addresses = None;
        let mut backoff = DefaultBackoff::default();
        loop {
            let current = statuses.borrow_and_update().ingresses.clone();
            self.take_in(&seen, &current);
            seen = current;
            if addresses.has_changed().unwrap_or(false) {
                publish.clone_from(&addresses.borrow_and_update());
                self.decisions
                    .publishing(publish.as_deref().unwrap_or_default());
                let now = Instant::now();
                seen.keys()
                    .for_each(|name| self.queue.add(name.clone(), now));
            }
            let now = Instant::now();
            let Some(name) = self.queue.pop(now) else {
                let due = self.queue.next_due();
                tokio::select! {
                    news = statuses.changed() => if news.is_err() { return },
                    // The other end lives as long as this term.
                    Ok(()) = addresses.changed() => addresses.mark_changed(),
                    () = sleep_until(due) => {}
                }
                continue;
            };
            let Some(facts) = seen.get(&name) else {
                continue;
            };
            match self.settle(&name, facts, publish.as_ref()).await {
                Ok(()) => {}
                Err(failure) => {
                    if let Some(pause) = self.after(&name, &failure, &mut backoff) {
                        tokio::time::sleep(pause).await;
                    }
                    continue;
                }
            }
            backoff.reset();
        }
    }

    /// Puts what changed on the list.
    fn take_in(
        &mut self,
        before: &OrdMap<NamespacedName, IngressFacts>,
        now: &OrdMap<NamespacedName, IngressFacts>,
    ) {
        let at = Instant::now();
        for item in before.diff(now) {
            match item {
                DiffItem::Add(name, _) => self.queue.add(name.clone(), at),
                DiffItem::Update {
                    old: (_, old),
                    new: (name, new),
                } => {
                    self.decisions.changed(name, old, new);
                    self.queue.add(name.clone(), at);
                }
                DiffItem::Remove(name, _) => {
                    self.queue.remove(name);
                    self.decisions.gone(name);
                }
            }
        }
    }

    async fn settle(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        publish: Option<&Arc<[LoadBalancerAddress]>>,
    ) -> Result<(), Failure> {
        let now = Instant::now();
        match self.decisions.decide(name, facts, publish, now) {
            Action::Nothing => Ok(()),
            Action::Later(when) => {
                self.queue.add(name.clone(), when);
                Ok(())
            }
            action => {
                if let Some(until) = self.forbidden.get(&name.namespace).copied() {
                    if now < until {
                        self.queue.add(name.clone(), until);
                        return Ok(());
                    }
                    self.forbidden.remove(&name.namespace);
                }
                tokio::time::sleep_until(self.pace.take(now)).await;
                let wrote = match action {
                    Action::Publish(addresses) => self.publish(name, facts, addresses).await?,
                    _ => {
                        let wrote = self.withdraw(name, facts).await?;
                        self.decisions.left(name);
                        wrote
                    }
                };
                if wrote {
                    self.count("ok");
                    self.trouble.over();
                }
                Ok(())
            }
        }
    }

    async fn publish(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        addresses: Arc<[LoadBalancerAddress]>,
    ) -> Result<bool, Failure> {
        let entries: Vec<Value> = addresses
            .iter()
            .map(|address| match address {
                LoadBalancerAddress::Ip(ip) => json!({ "ip": ip }),
                LoadBalancerAddress::Hostname(name) => json!({ "hostname": name }),
            })
            .collect();
        let mut patch = json!({"status": {"loadBalancer": {"ingress": entries}}});
        if !facts.uid.is_empty() {
            // A patch with a uid fails on an Ingress that was created anew under the old name.
            patch["metadata"] = json!({ "uid": facts.uid });
        }
        self.patch(name, &patch).await?;
        debug!(ingress = %name, ?addresses, "status written");
        let at = Instant::now();
        if self.decisions.wrote(name, facts, addresses, at) == 3 {
            warn!(ingress = %name, theirs = ?facts.load_balancer,
                "another controller keeps writing its addresses: does it serve the same class?");
        }
        self.queue.add(name.clone(), at + SETTLED);
        Ok(true)
    }

    async fn withdraw(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
    ) -> Result<bool, Failure> {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &name.namespace);
        let Some(ingress) = within(CALL_LIMIT, api.get_opt(&name.name)).await? else {
            return Ok(false);
        };
        let same = ingress.metadata.uid.as_deref().unwrap_or_default() == &*facts.uid;
        let ours = self.decisions.leaves(name) || wrote_addresses(&ingress, &self.field_manager);
        let Some(left) = without(&ingress, self.decisions.own()).filter(|_| same && ours) else {
            return Ok(false);
        };
        let left =
            serde_json::to_value(left).map_err(|error| Failure::Broken(error.to_string()))?;
        let patch = json!({
            // Only on what we have just read: another controller may be writing its first address.
            "metadata": {"resourceVersion": ingress.metadata.resource_version},
            "status": {"loadBalancer": {"ingress": left}},
        });
        self.patch(name, &patch).await?;
        info!(ingress = %name, "not served any more: its addresses were taken away");
        Ok(true)
    }

    async fn patch(&self, name: &NamespacedName, patch: &Value) -> Result<(), Failure> {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &name.namespace);
        let params = PatchParams {
            field_manager: Some(self.field_manager.clone()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        within(CALL_LIMIT, api.patch_status(&name.name, &params, &patch)).await?;
        Ok(())
    }

    /// What follows from a failure: when to look at the Ingress again, and how long to leave the server alone.
    fn after(
        &mut self,
        name: &NamespacedName,
        failure: &Failure,
        backoff: &mut DefaultBackoff,
    ) -> Option<Duration> {
        self.count(failure.label());
        let now = Instant::now();
        // The API server's word for a uid that is another's: created anew under its name.
        let replaced = |message: &str| message.contains("metadata.uid");
        let code = match failure {
            Failure::Refused {
                code: 422, message, ..
            } if replaced(message) => Some(409),
            other => other.code(),
        };
        match code {
            // It is gone, which the watch will tell.
            Some(404) => None,
            Some(409) => {
                debug!(ingress = %name, error = %failure, "the Ingress has changed; looking again");
                self.queue.add(name.clone(), now + Duration::from_secs(1));
                None
            }
            Some(403) => {
                self.trouble.failed(name, failure);
                self.forbidden
                    .insert(name.namespace.clone(), now + FORBIDDEN_PAUSE);
                self.queue.add(name.clone(), now + FORBIDDEN_PAUSE);
                None
            }
            // Nothing but a change of the object can help.
            Some(400 | 422) => {
                warn!(ingress = %name, error = %failure, "the API server does not take the status");
                None
            }
            _ => {
                self.trouble.failed(name, failure);
                self.queue.add(name.clone(), now);
                let pause = backoff.next().unwrap_or(FORBIDDEN_PAUSE);
                match failure {
                    Failure::Refused {
                        retry_after: Some(asked),
                        ..
                    } => Some(pause.max(*asked)),
                    _ => Some(pause),
                }
            }
        }
    }

    fn count(&self, result: &'static str) {
        self.metrics
            .status_writes
            .get_or_create(&[("result", result)])
            .inc();
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Whether `manager` was the last to write the list of addresses. The list is atomic: it has one owner.
fn wrote_addresses(ingress: &Ingress, manager: &str) -> bool {
    ingress
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .any(|entry| {
            entry.manager.as_deref() == Some(manager)
                && entry.subresource.as_deref() == Some("status")
                && entry.fields_v1.as_ref().is_some_and(|fields| {
                    fields
                        .0
                        .pointer("/f:status/f:loadBalancer/f:ingress")
                        .is_some()
                })
        })
}

/// The entries that are not ours, with all their fields; `None` where none of them is.
fn without<'a>(
    ingress: &'a Ingress,
    own: &BTreeSet<LoadBalancerAddress>,
) -> Option<Vec<&'a IngressLoadBalancerIngress>> {
    let entries = ingress
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?;
    let ours = |entry: &&IngressLoadBalancerIngress| {
        let ip = entry.ip.as_deref().filter(|ip| !ip.is_empty());
        let hostname = entry.hostname.as_deref().filter(|name| !name.is_empty());
        match (ip, hostname) {
            (Some(ip), None) => own.contains(&LoadBalancerAddress::Ip(ip.into())),
            (None, Some(name)) => own.contains(&LoadBalancerAddress::Hostname(name.into())),
            // We never write both in one entry.
            _ => false,
        }
    };
    let left: Vec<_> = entries.iter().filter(|entry| !ours(entry)).collect();
    (left.len() < entries.len()).then_some(left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn list(addresses: &[&str]) -> Arc<[LoadBalancerAddress]> {
        let ip = |ip: &&str| LoadBalancerAddress::Ip((*ip).into());
        addresses.iter().map(ip).collect()
    }

    #[test]
    fn only_our_entries_are_taken_and_only_out_of_a_list_of_ours() {
        let ingress = |manager: &str, entries: Value| -> Ingress {
            serde_json::from_value(json!({
                "metadata": {"managedFields": [{
                    "manager": manager, "operation": "Update", "subresource": "status",
                    "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}}]},
                "status": {"loadBalancer": {"ingress": entries}},
            }))
            .unwrap()
        };
        let own = list(&["192.0.2.1"]).iter().cloned().collect();
        let ours = ingress(
            "isobath/n/l",
            json!([{"ip": "192.0.2.1"}, {"ip": "192.0.2.9", "ports": [{"port": 80, "protocol": "TCP"}]}]),
        );
        assert!(wrote_addresses(&ours, "isobath/n/l"));
        assert!(!wrote_addresses(&ours, "isobath/n/other"));
        assert!(!wrote_addresses(&Ingress::default(), "isobath/n/l"));
        let left = serde_json::to_value(without(&ours, &own).unwrap()).unwrap();
        assert_eq!(
            left,
            json!([{"ip": "192.0.2.9", "ports": [{"port": 80, "protocol": "TCP"}]}])
        );
        assert!(without(&ingress("x", json!([{"ip": "192.0.2.9"}])), &own).is_none());
        assert!(without(&Ingress::default(), &own).is_none());
    }

    #[test]
    fn field_managers_fit() {
        assert_eq!(field_manager("edge", "isobath"), "isobath/edge/isobath");
        let long = "a".repeat(120);
        assert!(field_manager("edge", &long).len() <= 128);
        assert_ne!(field_manager("edge", &long), field_manager("edge2", &long));
    }
}
