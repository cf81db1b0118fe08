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

use imbl::OrdMap;
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, info};
use xxhash_rust::xxh3::xxh3_64;

use super::address::Addresses;
use super::decision::{self, Decisions};
use super::settle::Action;
use super::writer::Subject;
use super::writes::CALL_LIMIT;
use crate::model::verdict::{IngressFacts, Statuses};
use crate::objects::{Kind, LoadBalancerAddress, NamespacedName};
use crate::status::api_call::{Failure, within};

/// Ingresses, as one term as leader knows them.
pub(super) struct Ingresses {
    calls: Calls,
    decisions: Decisions,
    publish: Addresses,
}

/// What is to be written to one Ingress.
pub(super) enum Write {
    /// Exactly these addresses.
    Publish(Arc<[LoadBalancerAddress]>),
    /// None of ours any more. `leaves`: this term saw it leave.
    Withdraw {
        leaves: bool,
        own: BTreeSet<LoadBalancerAddress>,
    },
}

/// The `fieldManager` of an installation: at most 128 characters, as the API server demands.
pub(super) fn field_manager(lease_namespace: &str, lease_name: &str) -> String {
    let full = format!("isobath/{lease_namespace}/{lease_name}");
    if full.len() <= 128 {
        return full;
    }
    format!("isobath/{:016x}", xxh3_64(full.as_bytes()))
}

impl Ingresses {
    pub(super) fn new(client: Client, field_manager: Arc<str>) -> Self {
        Self {
            calls: Calls {
                client,
                field_manager,
            },
            decisions: Decisions::default(),
            publish: None,
        }
    }
}

impl Subject for Ingresses {
    type Key = NamespacedName;
    type Facts = IngressFacts;
    type Write = Write;
    type Calls = Calls;

    fn kind(&self) -> Kind {
        Kind::Ingress
    }

    fn of(&mut self, statuses: &Statuses) -> OrdMap<NamespacedName, IngressFacts> {
        statuses.ingresses.clone()
    }

    fn name<'a>(&self, key: &'a NamespacedName) -> Option<&'a NamespacedName> {
        Some(key)
    }

    fn key(&self, name: &NamespacedName) -> NamespacedName {
        name.clone()
    }

    fn uid(facts: &IngressFacts) -> &Arc<str> {
        &facts.uid
    }

    fn changed(&mut self, name: &NamespacedName, old: &IngressFacts, new: &IngressFacts) {
        self.decisions.changed(name, old, new);
    }

    fn gone(&mut self, name: &NamespacedName) {
        self.decisions.gone(name);
    }

    fn publishes(&mut self, addresses: &Addresses) -> bool {
        self.publish.clone_from(addresses);
        let addresses = addresses.as_deref().unwrap_or_default();
        self.decisions.publishing(addresses);
        true
    }

    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        now: Instant,
    ) -> Action<Write> {
        let publish = self.publish.as_ref();
        match self.decisions.decide(name, facts, publish, now) {
            decision::Action::Nothing => Action::Nothing,
            decision::Action::Later(when) => Action::Later(when),
            decision::Action::Publish(addresses) => Action::Write(Write::Publish(addresses)),
            decision::Action::Withdraw => Action::Write(Write::Withdraw {
                leaves: self.decisions.leaves(name),
                own: self.decisions.own().clone(),
            }),
        }
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    async fn call(
        calls: Calls,
        name: NamespacedName,
        facts: IngressFacts,
        write: Arc<Write>,
    ) -> Result<&'static str, Failure> {
        let result = match &*write {
            Write::Publish(addresses) => calls.publish(&name, &facts, addresses).await,
            Write::Withdraw { leaves, own } => calls.withdraw(&name, &facts, *leaves, own).await,
        };
        match result {
            Ok(true) => Ok("ok"),
            Ok(false) => Ok("unchanged"),
            Err(failure) => Err(replaced(failure)),
        }
    }

    fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &IngressFacts,
        write: &Write,
        at: Instant,
    ) -> Option<u32> {
        match write {
            Write::Publish(addresses) => {
                Some(self.decisions.wrote(name, facts, addresses.clone(), at))
            }
            Write::Withdraw { .. } => {
                self.decisions.left(name);
                None
            }
        }
    }
}

/// The calls to the API server.
#[derive(Clone)]
pub(super) struct Calls {
    client: Client,
    /// Names this installation as the owner of fields that it wrote.
    field_manager: Arc<str>,
}

impl Calls {
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
