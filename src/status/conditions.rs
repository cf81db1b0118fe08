//! Writes the status of HTTPProxies and ExtensionServices: the condition `Valid` with what is wrong, and for HTTPProxies the
//! two words before it and our addresses, as Contour does.
//!
//! People and tools read these: external-dns takes the addresses of what is `valid`, Argo CD and Flagger wait for it. So the
//! words are Contour's, and only what differs is written. It is applied by the server, which keeps the conditions of others:
//! their list is a map by `type`. What is of a class that is not ours is never written to, so an old status stays, and so do
//! the addresses in it. What another writes over and over we write again ever more slowly. A write to an object that was
//! created anew meanwhile is not kept from it (the server takes no `uid` with an applied status, as seen on 1.36): the watch
//! brings the new one, and it is written to again.

use std::sync::Arc;

use imbl::OrdMap;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::debug;

use super::address::Addresses;
use super::settle::{Action, Memory};
use super::writer::Subject;
use super::writes::CALL_LIMIT;
use crate::model::verdict::{ConditionFacts, Statuses};
use crate::objects::http_proxy::{Status, SubCondition, ValidCondition};
use crate::objects::{Kind, LoadBalancerAddress, NamespacedName};
use crate::status::api_call::{Failure, within};

/// Objects of one kind, as one term as leader knows them.
pub(super) struct Conditions {
    calls: Calls,
    publish: Addresses,
    written: Memory<Arc<Status>>,
}

impl Conditions {
    pub(super) fn new(kind: Kind, client: Client, field_manager: Arc<str>) -> Self {
        Self {
            calls: Calls {
                kind,
                client,
                field_manager,
            },
            publish: None,
            written: Memory::default(),
        }
    }
}

impl Subject for Conditions {
    type Key = NamespacedName;
    type Facts = ConditionFacts;
    type Write = Arc<Status>;
    type Calls = Calls;

    fn kind(&self) -> Kind {
        self.calls.kind
    }

    fn of(&mut self, statuses: &Statuses) -> OrdMap<NamespacedName, ConditionFacts> {
        match self.calls.kind {
            Kind::HttpProxy => statuses.http_proxies.clone(),
            _ => statuses.extension_services.clone(),
        }
    }

    fn name<'a>(&self, key: &'a NamespacedName) -> Option<&'a NamespacedName> {
        Some(key)
    }

    fn key(&self, name: &NamespacedName) -> NamespacedName {
        name.clone()
    }

    fn uid(facts: &ConditionFacts) -> &Arc<str> {
        &facts.uid
    }

    fn gone(&mut self, name: &NamespacedName) {
        self.written.forget(name);
    }

    fn publishes(&mut self, addresses: &Addresses) -> bool {
        self.publish.clone_from(addresses);
        true
    }

    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &ConditionFacts,
        now: Instant,
    ) -> Action<Arc<Status>> {
        if !facts.served {
            self.written.forget(name);
            return Action::Nothing;
        }
        let wanted = wanted(self.calls.kind, facts, self.publish.as_deref());
        let wanted = Arc::new(wanted);
        self.written
            .decide(name, &facts.uid, &facts.seen, wanted, now)
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    async fn call(
        calls: Calls,
        name: NamespacedName,
        _: ConditionFacts,
        status: Arc<Arc<Status>>,
    ) -> Result<&'static str, Failure> {
        calls.apply(&name, &status).await.map(|()| "ok")
    }

    fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &ConditionFacts,
        status: &Arc<Status>,
        at: Instant,
    ) -> Option<u32> {
        let (seen, wrote) = (facts.seen.clone(), status.clone());
        Some(self.written.wrote(name, &facts.uid, seen, wrote, at))
    }
}

/// The status that an object is to have. Addresses that nobody knows are left as they are.
fn wanted(kind: Kind, facts: &ConditionFacts, publish: Option<&[LoadBalancerAddress]>) -> Status {
    let is_valid = facts.errors.is_empty();
    let (status, reason, message) = match is_valid {
        true => ("True", "Valid", format!("Valid {kind}")),
        false => {
            let message = "At least one error present, see Errors for details";
            ("False", "ErrorPresent", message.to_owned())
        }
    };
    let valid = ValidCondition {
        status: status.into(),
        observed_generation: facts.generation,
        reason: reason.into(),
        message: message.clone().into(),
        errors: facts.errors.iter().cloned().collect(),
        warnings: facts.warnings.iter().cloned().collect(),
    };
    if kind != Kind::HttpProxy {
        return Status {
            valid: Some(valid),
            ..Status::default()
        };
    }
    let mut errors = facts.errors.iter();
    let orphan = errors.find(|error| &*error.kind == "Orphaned");
    let (current_status, description) = match orphan {
        Some(orphan) => ("orphaned", orphan.message.clone()),
        None if is_valid => ("valid", message.into()),
        None => ("invalid", message.into()),
    };
    let load_balancer = match publish {
        // As they are written: nobody sorts them.
        Some(publish) => publish.into(),
        None => facts.seen.load_balancer.clone(),
    };
    Status {
        current_status: current_status.into(),
        description,
        valid: Some(valid),
        load_balancer,
    }
}

/// The calls to the API server.
#[derive(Clone)]
pub(super) struct Calls {
    kind: Kind,
    client: Client,
    /// Names this installation as the owner of fields that it wrote.
    field_manager: Arc<str>,
}

impl Calls {
    async fn apply(&self, name: &NamespacedName, wanted: &Status) -> Result<(), Failure> {
        let kind = self.kind;
        let version = kind.api_version().rsplit('/').next().unwrap_or_default();
        let resource = ApiResource {
            group: kind.group().to_owned(),
            version: version.to_owned(),
            api_version: kind.api_version().to_owned(),
            kind: kind.name().to_owned(),
            plural: kind.plural().to_owned(),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &name.namespace, &resource);
        let params = PatchParams {
            field_manager: Some(self.field_manager.to_string()),
            // The condition is ours while the object is of our class, whoever wrote it before.
            force: true,
            ..PatchParams::default()
        };
        let object = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.name(),
            "metadata": {"name": &*name.name},
            "status": body(kind, wanted, &jiff::Timestamp::now()),
        });
        let patch = Patch::Apply(object);
        within(CALL_LIMIT, api.patch_status(&name.name, &params, &patch)).await?;
        debug!(object = %format_args!("{kind} {name}"), "status written");
        Ok(())
    }
}

/// `status`, as it is written.
fn body(kind: Kind, wanted: &Status, now: &jiff::Timestamp) -> Value {
    let conditions: Vec<Value> = wanted.valid.iter().map(|it| condition(it, now)).collect();
    let mut status = json!({ "conditions": conditions });
    if kind == Kind::HttpProxy {
        status["currentStatus"] = json!(&*wanted.current_status);
        status["description"] = json!(&*wanted.description);
        let addresses = wanted.load_balancer.iter().map(|address| match address {
            LoadBalancerAddress::Ip(ip) => json!({ "ip": &**ip }),
            LoadBalancerAddress::Hostname(name) => json!({ "hostname": &**name }),
        });
        let addresses: Vec<Value> = addresses.collect();
        // A list without entries: of an object without fields the server makes a null, which it refuses.
        status["loadBalancer"] = json!({ "ingress": addresses });
    }
    status
}

fn condition(valid: &ValidCondition, now: &jiff::Timestamp) -> Value {
    // To the second, as Kubernetes writes times.
    let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(*now);
    let mut condition = json!({
        "type": "Valid",
        "status": &*valid.status,
        "observedGeneration": valid.observed_generation,
        "lastTransitionTime": now.to_string(),
        "reason": &*valid.reason,
        "message": &*valid.message,
    });
    // Also those without entries: what is not applied stays as another has written it.
    for (field, list) in [("errors", &valid.errors), ("warnings", &valid.warnings)] {
        condition[field] = list.iter().map(sub_condition).collect();
    }
    condition
}

fn sub_condition(said: &SubCondition) -> Value {
    json!({
        "type": &*said.kind,
        "status": "True",
        "reason": &*said.reason,
        "message": &*said.message,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn said(kind: &str, reason: &str, message: &str) -> SubCondition {
        SubCondition {
            kind: kind.into(),
            reason: reason.into(),
            message: message.into(),
        }
    }

    fn facts(errors: &[SubCondition], warnings: &[SubCondition]) -> ConditionFacts {
        ConditionFacts {
            uid: "1".into(),
            generation: 3,
            served: true,
            errors: errors.into(),
            warnings: warnings.into(),
            seen: Arc::default(),
        }
    }

    /// Field for field what Contour 1.33 writes.
    #[test]
    fn what_is_written() {
        let warning = said("SpecError", "IgnoredField", "w");
        let error = said("TLSError", "SecretNotValid", "e");
        let orphan = said("Orphaned", "Orphaned", "not part");
        let ip = [LoadBalancerAddress::Ip("192.0.2.1".into())];
        let time = jiff::Timestamp::from_millisecond(1_500).unwrap();
        let written = |kind, facts: &ConditionFacts, publish| {
            body(kind, &wanted(kind, facts, publish), &time)
        };
        let condition = |status: &str, reason: &str, message: &str| {
            json!({
                "type": "Valid", "status": status, "observedGeneration": 3, "reason": reason, "message": message,
                "lastTransitionTime": "1970-01-01T00:00:01Z", "errors": [], "warnings": [],
            })
        };
        let mut valid = condition("True", "Valid", "Valid HTTPProxy");
        valid["warnings"] = json!([{"type": "SpecError", "status": "True", "reason": "IgnoredField", "message": "w"}]);
        assert_eq!(
            written(Kind::HttpProxy, &facts(&[], &[warning]), Some(&ip)),
            json!({
                "currentStatus": "valid", "description": "Valid HTTPProxy", "conditions": [valid],
                "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]},
            })
        );
        let why = "At least one error present, see Errors for details";
        let mut invalid = condition("False", "ErrorPresent", why);
        invalid["errors"] = json!([{"type": "TLSError", "status": "True", "reason": "SecretNotValid", "message": "e"}]);
        assert_eq!(
            written(
                Kind::HttpProxy,
                &facts(std::slice::from_ref(&error), &[]),
                None
            ),
            json!({"currentStatus": "invalid", "description": why, "conditions": [invalid], "loadBalancer": {"ingress": []}})
        );
        let orphaned = written(Kind::HttpProxy, &facts(&[orphan], &[]), None);
        assert_eq!(orphaned["currentStatus"], "orphaned");
        assert_eq!(orphaned["description"], "not part");
        assert_eq!(orphaned["conditions"][0]["message"], why);
        let extension = written(Kind::ExtensionService, &facts(&[], &[]), None);
        let valid = condition("True", "Valid", "Valid ExtensionService");
        assert_eq!(extension, json!({"conditions": [valid]}));
        let extension = written(Kind::ExtensionService, &facts(&[error], &[]), None);
        assert_eq!(extension["conditions"][0]["reason"], "ErrorPresent");
    }
}
