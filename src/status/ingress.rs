//! Writes `status.loadBalancer.ingress` of Ingresses.
//!
//! - A served Ingress has exactly our addresses: it has one class and so one controller, and what another one
//!   left behind (a migration) would send clients, by external-dns, to where nothing answers any more.
//! - From an Ingress that we do not serve any more we take away only entries equal to our own addresses, and only
//!   once if we saw it leave, else only out of a list that we wrote: the API server keeps who did
//!   (`managedFields`), also over our restarts. Another controller on the same nodes publishes equal addresses on
//!   Ingresses of its own, which must stay.
//! - What is there already is never written. What another writes over and over we write again ever more slowly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use xxhash_rust::xxh3::xxh3_64;

use super::address::Addresses;
use super::decision::{Action, Decisions, SETTLED};
use super::metrics::Metrics;
use super::queue::Pace;
use super::writes::{CALL_LIMIT, Fate, Turn, Writes, sleep_until};
use crate::model::verdict::{IngressFacts, ObjectProblems, Statuses};
use crate::objects::{Kind, LoadBalancerAddress, NamespacedName, ObjectRef, Problem};
use crate::status::api_call::{Failure, within};

/// The Ingresses whose status the API server does not take, and why.
pub(super) type Unwritten = OrdMap<ObjectRef, ObjectProblems>;

/// Calls per second. client-go's 5 leave 1,500 Ingresses without address for 5 minutes; API servers defend
/// themselves by 429, which is honoured.
const PER_SECOND: u32 = 50;

/// When an Ingress is tried again whose status the API server did not take. Only a change of the object can help, which
/// gives it another turn at once; but not all of it is seen here (others' annotations and managed fields count as well).
const REFUSED_PAUSE: Duration = Duration::from_secs(1800);

/// The reason of the problem that such an Ingress has.
const NOT_WRITTEN: &str = "StatusNotWritten";

/// The writer of one term as leader.
pub(super) struct Writer {
    calls: Calls,
    metrics: Metrics,
    writes: Writes,
    decisions: Decisions,
    /// The Ingresses whose status the API server does not take.
    unwritten: watch::Sender<Unwritten>,
}

/// What is to be written to one Ingress.
enum Write {
    /// Exactly these addresses.
    Publish(Arc<[LoadBalancerAddress]>),
    /// None of ours any more. `leaves`: this term saw it leave.
    Withdraw {
        leaves: bool,
        own: BTreeSet<LoadBalancerAddress>,
    },
}

/// How one call ended.
struct Ended {
    name: NamespacedName,
    /// The Ingress as it was known when the call was made.
    facts: IngressFacts,
    write: Write,
    /// Whether anything was written.
    result: Result<bool, Failure>,
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
    pub(super) fn new(
        client: Client,
        field_manager: Arc<str>,
        metrics: Metrics,
        unwritten: watch::Sender<Unwritten>,
    ) -> Self {
        let pace = Pace::new(PER_SECOND, 2 * PER_SECOND);
        let results = metrics.status_writes.clone();
        Self {
            calls: Calls {
                client,
                field_manager,
            },
            metrics,
            writes: Writes::new("writing the status of Ingresses", pace, results),
            decisions: Decisions::default(),
            unwritten,
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
        let mut under_way = FuturesUnordered::new();
        loop {
            let current = statuses.borrow_and_update().ingresses.clone();
            self.take_in(&seen, &current);
            seen = current;
            if addresses.has_changed().unwrap_or(false) {
                publish.clone_from(&addresses.borrow_and_update());
                self.decisions
                    .publishing(publish.as_deref().unwrap_or_default());
                let now = Instant::now();
                seen.keys().for_each(|name| self.writes.add(name, now));
            }
            match self.writes.turn(Instant::now()) {
                Turn::Of(name) => {
                    if let Some(facts) = seen.get(&name)
                        && let Some(write) = self.decide(&name, facts, publish.as_ref())
                    {
                        under_way.push(self.calls.clone().make(name, facts.clone(), write));
                    }
                }
                Turn::Wait(until) => tokio::select! {
                    news = statuses.changed() => if news.is_err() { return },
                    // The other end lives as long as this term.
                    Ok(()) = addresses.changed() => addresses.mark_changed(),
                    Some(ended) = under_way.next() => self.take_out(ended, &seen),
                    () = sleep_until(until) => {}
                },
            }
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
                DiffItem::Add(name, _) => self.writes.add(name, at),
                DiffItem::Update {
                    old: (_, old),
                    new: (name, new),
                } => {
                    self.decisions.changed(name, old, new);
                    self.writes.add(name, at);
                }
                DiffItem::Remove(name, _) => {
                    self.writes.remove(name);
                    self.decisions.gone(name);
                    self.written(name);
                }
            }
        }
    }

    /// What is to be written now, if anything.
    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        publish: Option<&Arc<[LoadBalancerAddress]>>,
    ) -> Option<Write> {
        let now = Instant::now();
        let write = match self.decisions.decide(name, facts, publish, now) {
            Action::Nothing => {
                self.written(name);
                return None;
            }
            Action::Later(when) => {
                self.writes.add(name, when);
                return None;
            }
            Action::Publish(addresses) => Write::Publish(addresses),
            Action::Withdraw => Write::Withdraw {
                leaves: self.decisions.leaves(name),
                own: self.decisions.own().clone(),
            },
        };
        self.writes.begin(name, now).then_some(write)
    }

    /// Takes in how a call ended.
    fn take_out(&mut self, ended: Ended, seen: &OrdMap<NamespacedName, IngressFacts>) {
        let Ended {
            name,
            facts,
            write,
            result,
        } = ended;
        let now = Instant::now();
        let is_there = seen.get(&name).is_some_and(|known| known.uid == facts.uid);
        match result {
            Ok(wrote) => {
                let result = if wrote { "ok" } else { "unchanged" };
                self.writes.went_well(&name, result, now);
                self.written(&name);
                match write {
                    Write::Publish(addresses) if is_there => {
                        if self.decisions.wrote(&name, &facts, addresses, now) == 3 {
                            warn!(ingress = %name, theirs = ?facts.load_balancer,
                                "another controller keeps writing its addresses: does it serve the same class?");
                        }
                        self.writes.add(&name, now + SETTLED);
                    }
                    Write::Publish(_) => {}
                    Write::Withdraw { .. } => self.decisions.left(&name),
                }
            }
            Err(failure) => {
                let fate = self.writes.failed(&name, &failure, now);
                if fate == Fate::Final && is_there {
                    self.writes.add(&name, now + REFUSED_PAUSE);
                    self.tell(name, facts.uid, &failure);
                }
            }
        }
    }

    /// The API server does not take the status of an Ingress: its owner is told, and the log once.
    fn tell(&self, name: NamespacedName, uid: Arc<str>, failure: &Failure) {
        let help = if failure.is_too_large() {
            ": it has no room left for a status, so make several Ingresses of it"
        } else {
            ""
        };
        let message = format!(
            "the API server does not take the addresses in the status of this Ingress{help} ({failure})"
        );
        let object = ObjectRef {
            kind: Kind::Ingress,
            name,
        };
        let problems = ObjectProblems {
            uid,
            problems: [Problem::new(object.clone(), NOT_WRITTEN, message)].into(),
        };
        let is_news = self.unwritten.send_if_modified(|unwritten| {
            let is_news = unwritten.get(&object) != Some(&problems);
            unwritten.insert(object.clone(), problems);
            is_news
        });
        if is_news {
            warn!(ingress = %object.name, error = %failure, "the API server does not take the status");
        }
        self.count_unwritten();
    }

    /// There is nothing left to be written to an Ingress.
    fn written(&self, name: &NamespacedName) {
        let object = ObjectRef {
            kind: Kind::Ingress,
            name: name.clone(),
        };
        self.unwritten
            .send_if_modified(|unwritten| unwritten.remove(&object).is_some());
        self.count_unwritten();
    }

    fn count_unwritten(&self) {
        let count = self.unwritten.borrow().len();
        self.metrics
            .unwritten
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// The calls to the API server.
#[derive(Clone)]
struct Calls {
    client: Client,
    /// Names this installation as the owner of fields that it wrote.
    field_manager: Arc<str>,
}

impl Calls {
    async fn make(self, name: NamespacedName, facts: IngressFacts, write: Write) -> Ended {
        let result = match &write {
            Write::Publish(addresses) => self.publish(&name, &facts, addresses).await,
            Write::Withdraw { leaves, own } => self.withdraw(&name, &facts, *leaves, own).await,
        };
        Ended {
            name,
            facts,
            write,
            result: result.map_err(replaced),
        }
    }

    async fn publish(
        &self,
        name: &NamespacedName,
        facts: &IngressFacts,
        addresses: &[LoadBalancerAddress],
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
        Ok(true)
    }

    async fn withdraw(
        &self,
        name: &NamespacedName,
        facts: &IngressFacts,
        leaves: bool,
        own: &BTreeSet<LoadBalancerAddress>,
    ) -> Result<bool, Failure> {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &name.namespace);
        let Some(ingress) = within(CALL_LIMIT, api.get_opt(&name.name)).await? else {
            return Ok(false);
        };
        let same = ingress.metadata.uid.as_deref().unwrap_or_default() == &*facts.uid;
        let ours = leaves || wrote_addresses(&ingress, &self.field_manager);
        let Some(left) = without(&ingress, own).filter(|_| same && ours) else {
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
            field_manager: Some(self.field_manager.to_string()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        within(CALL_LIMIT, api.patch_status(&name.name, &params, &patch)).await?;
        Ok(())
    }
}

/// The API server's 422 for a uid that is another's is a conflict: the Ingress was created anew under its name.
fn replaced(failure: Failure) -> Failure {
    match failure {
        Failure::Refused {
            code: 422,
            message,
            retry_after,
        } if message.contains("metadata.uid") => Failure::Refused {
            code: 409,
            message,
            retry_after,
        },
        other => other,
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
