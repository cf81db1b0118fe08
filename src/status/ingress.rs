//! Writes `status.loadBalancer.ingress` of Ingresses.
//!
//! - A served Ingress has exactly our addresses: it has one class and so one controller, and what another one
//!   left behind (a migration) would send clients, by external-dns, to where nothing answers any more.
//! - From an Ingress that we do not serve any more we take away only entries equal to our own addresses, and only
//!   once if we saw it leave, else only out of a list that we wrote: the API server keeps who did
//!   (`managedFields`), also over our restarts. Another controller on the same nodes publishes equal addresses on
//!   Ingresses of its own, which must stay.
//! - What is there already is never written. What another writes over and over we write again ever more slowly.

use std::collections::{BTreeSet, HashMap, HashSet};
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

use super::queue::{Pace, Queue};
use super::{Addresses, CALL_LIMIT, FORBIDDEN_PAUSE, Metrics};
use crate::api_call::{Failure, Trouble, within};
use crate::k8s::{LoadBalancerAddress, NamespacedName};
use crate::verdict::{IngressFacts, Statuses};

/// Calls per second. client-go's 5 leave 1,500 Ingresses without address for 5 minutes; API servers defend
/// themselves by 429, which is honoured.
const PER_SECOND: u32 = 50;

/// When a written status is looked at again: it should have come back by the watch long before.
const SETTLED: Duration = Duration::from_secs(30);

/// For how long a quarrel over one Ingress is remembered.
const QUARREL: Duration = Duration::from_secs(600);

/// What we wrote to one Ingress.
#[derive(Debug)]
struct Written {
    uid: Arc<str>,
    /// What was there before, which we go on to see until the watch brings what we wrote.
    before: Arc<[LoadBalancerAddress]>,
    wrote: Arc<[LoadBalancerAddress]>,
    at: Instant,
    /// How often another has written something else since.
    overwritten: u32,
}

/// What has to be done to one Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// Nothing.
    Nothing,
    /// Look again at this time.
    Later(Instant),
    /// Write these addresses.
    Publish(Arc<[LoadBalancerAddress]>),
    /// Take ours away.
    Withdraw,
}

/// The writer of one term as leader.
pub(super) struct Writer {
    client: Client,
    field_manager: String,
    metrics: Metrics,
    pace: Pace,
    trouble: Trouble,
    queue: Queue<NamespacedName>,
    written: HashMap<NamespacedName, Written>,
    /// Every address published in this term.
    own: BTreeSet<LoadBalancerAddress>,
    /// Ingresses that were served and are not any more, from which nothing was taken away yet.
    leaving: HashSet<NamespacedName>,
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
            written: HashMap::new(),
            own: BTreeSet::new(),
            leaving: HashSet::new(),
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
                self.own
                    .extend(publish.iter().flat_map(|list| list.iter().cloned()));
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
                    if new.served || new.uid != old.uid {
                        self.leaving.remove(name);
                    } else if old.served {
                        self.leaving.insert(name.clone());
                    }
                    self.queue.add(name.clone(), at);
                }
                DiffItem::Remove(name, _) => {
                    self.queue.remove(name);
                    self.written.remove(name);
                    self.leaving.remove(name);
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
        match self.decide(name, facts, publish, now) {
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
                        self.leaving.remove(name);
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

    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        publish: Option<&Arc<[LoadBalancerAddress]>>,
        now: Instant,
    ) -> Action {
        if !facts.served {
            self.written.remove(name);
            let ours = facts
                .load_balancer
                .iter()
                .any(|entry| self.own.contains(entry));
            if ours {
                return Action::Withdraw;
            }
            if !self.own.is_empty() {
                self.leaving.remove(name);
            }
            return Action::Nothing;
        }
        let Some(publish) = publish else {
            return Action::Nothing;
        };
        let mut there = facts.load_balancer.to_vec();
        there.sort();
        let settled = there == **publish;
        let Some(written) = self.written.get_mut(name).filter(|w| w.uid == facts.uid) else {
            return if settled {
                Action::Nothing
            } else {
                Action::Publish(publish.clone())
            };
        };
        if settled {
            let forget = written.at
                + if written.overwritten == 0 {
                    SETTLED
                } else {
                    QUARREL
                };
            if now < forget {
                return Action::Later(forget);
            }
            self.written.remove(name);
            return Action::Nothing;
        }
        if written.wrote != *publish {
            return Action::Publish(publish.clone());
        }
        if written.before == facts.load_balancer && now < written.at + SETTLED {
            return Action::Later(written.at + SETTLED);
        }
        // Somebody else writes, too: double the pause each time, up to 256 s.
        let again = written.at + Duration::from_secs(1 << written.overwritten.min(8));
        if now < again {
            return Action::Later(again);
        }
        if written.overwritten == 2 {
            warn!(ingress = %name, theirs = ?facts.load_balancer, ours = ?publish,
                "another controller keeps writing its addresses: does it serve the same class?");
        }
        Action::Publish(publish.clone())
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
        let overwritten = self
            .written
            .get(name)
            .filter(|known| known.uid == facts.uid && known.wrote == addresses)
            .map_or(0, |known| known.overwritten + 1);
        let written = Written {
            uid: facts.uid.clone(),
            before: facts.load_balancer.clone(),
            wrote: addresses,
            at,
            overwritten,
        };
        self.written.insert(name.clone(), written);
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
        let ours = self.leaving.contains(name) || wrote_addresses(&ingress, &self.field_manager);
        let Some(left) = without(&ingress, &self.own).filter(|_| same && ours) else {
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
        match failure.code() {
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

    fn facts(served: bool, addresses: &[&str]) -> IngressFacts {
        IngressFacts {
            uid: "1".into(),
            served,
            load_balancer: list(addresses),
        }
    }

    fn writer() -> Writer {
        // Nothing is sent: `decide` is pure, the client is there for the type.
        let nowhere = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no server"))
        });
        Writer::new(
            Client::new(nowhere, "default"),
            field_manager("n", "l"),
            Metrics::default(),
        )
    }

    #[tokio::test]
    async fn what_is_there_is_not_written() {
        let (mut writer, now) = (writer(), Instant::now());
        writer.own = list(&["192.0.2.1", "192.0.2.2"]).iter().cloned().collect();
        let name = NamespacedName::new("shop", "web");
        let publish = list(&["192.0.2.1", "192.0.2.2"]);
        let mut check = |served, there: &[&str], publish: Option<&_>, expected| {
            assert_eq!(
                writer.decide(&name, &facts(served, there), publish, now),
                expected
            );
        };
        let all = Some(&publish);
        check(true, &[], None, Action::Nothing);
        check(true, &["192.0.2.9"], None, Action::Nothing);
        check(true, &[], all, Action::Publish(publish.clone()));
        check(true, &["192.0.2.1", "192.0.2.2"], all, Action::Nothing);
        check(true, &["192.0.2.2", "192.0.2.1"], all, Action::Nothing);
        check(true, &["192.0.2.1"], all, Action::Publish(publish.clone()));
        check(
            true,
            &["192.0.2.1", "192.0.2.2", "192.0.2.9"],
            all,
            Action::Publish(publish.clone()),
        );
        check(false, &[], all, Action::Nothing);
        check(false, &["192.0.2.9"], all, Action::Nothing);
        check(false, &["192.0.2.9", "192.0.2.1"], all, Action::Withdraw);
    }

    #[tokio::test]
    async fn what_was_written_is_not_written_again_until_another_interferes() {
        let (mut writer, start) = (writer(), Instant::now());
        let name = NamespacedName::new("shop", "web");
        let publish = list(&["192.0.2.1"]);
        let wrote = |overwritten| Written {
            uid: "1".into(),
            before: list(&[]),
            wrote: publish.clone(),
            at: start,
            overwritten,
        };
        let mut check = |overwritten, there: &[&str], publish: &_, after, expected| {
            writer.written.insert(name.clone(), wrote(overwritten));
            let now = start + Duration::from_secs(after);
            let action = writer.decide(&name, &facts(true, there), Some(publish), now);
            assert_eq!(action, expected);
        };
        let later = |seconds| Action::Later(start + Duration::from_secs(seconds));
        let again = Action::Publish(publish.clone());
        // The watch has not brought it back yet.
        check(0, &[], &publish, 1, later(30));
        check(0, &[], &publish, 30, again.clone());
        check(0, &["192.0.2.1"], &publish, 1, later(30));
        check(0, &["192.0.2.1"], &publish, 30, Action::Nothing);
        // Our address changed meanwhile.
        let other = list(&["192.0.2.2"]);
        check(0, &[], &other, 1, Action::Publish(other.clone()));
        // Another wrote: again, ever more slowly.
        check(0, &["192.0.2.9"], &publish, 0, later(1));
        check(0, &["192.0.2.9"], &publish, 1, again.clone());
        check(3, &["192.0.2.9"], &publish, 7, later(8));
        check(3, &["192.0.2.9"], &publish, 8, again.clone());
        check(30, &["192.0.2.9"], &publish, 255, later(256));
        check(3, &["192.0.2.1"], &publish, 30, later(600));
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
