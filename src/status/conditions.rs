//! Writes the status of HTTPProxies and ExtensionServices: the condition `Valid` with what is wrong, and for HTTPProxies the
//! two words before it and our addresses, as Contour does.
//!
//! People and tools read these: external-dns takes the addresses of what is `valid`, Argo CD and Flagger wait for it. So the
//! words are Contour's, and only what differs is written. It is applied by the server, which keeps the conditions of others:
//! their list is a map by `type`. What is of a class that is not ours is never written to, so an old status stays, and so do
//! the addresses in it. What another writes over and over we write again ever more slowly. A write to an object that was
//! created anew meanwhile is not kept from it (the server takes no `uid` with an applied status, as seen on 1.36): the watch
//! brings the new one, and it is written to again.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::address::Addresses;
use super::metrics::Metrics;
use super::queue::Pace;
use super::settle::{Action, REFUSED_PAUSE, SETTLED, Written, decide};
use super::writes::{CALL_LIMIT, Fate, Turn, Writes, sleep_until};
use crate::model::verdict::{ConditionFacts, Statuses};
use crate::objects::http_proxy::{Status, SubCondition, ValidCondition};
use crate::objects::{Kind, LoadBalancerAddress, NamespacedName};
use crate::status::api_call::{Failure, within};

/// Calls per second, as for Ingresses.
const PER_SECOND: u32 = 50;

/// The writer of one kind, of one term as leader.
pub(super) struct Writer {
    calls: Calls,
    writes: Writes,
    written: HashMap<NamespacedName, Written<Status>>,
}

/// How one call ended.
struct Ended {
    name: NamespacedName,
    facts: ConditionFacts,
    wrote: Status,
    result: Result<(), Failure>,
}

impl Writer {
    pub(super) fn new(
        kind: Kind,
        client: Client,
        field_manager: Arc<str>,
        metrics: &Metrics,
    ) -> Self {
        let pace = Pace::new(PER_SECOND, 2 * PER_SECOND);
        let activity = match kind {
            Kind::HttpProxy => "writing the status of HTTPProxies",
            _ => "writing the status of ExtensionServices",
        };
        Self {
            calls: Calls {
                kind,
                client,
                field_manager,
            },
            writes: Writes::new(activity, pace, metrics.status_writes.clone()),
            written: HashMap::new(),
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
            let current = self.of_kind(&statuses.borrow_and_update());
            self.take_in(&seen, &current);
            seen = current;
            if addresses.has_changed().unwrap_or(false) {
                publish.clone_from(&addresses.borrow_and_update());
                let now = Instant::now();
                seen.keys().for_each(|name| self.writes.add(name, now));
            }
            match self.writes.turn(Instant::now()) {
                Turn::Of(name) => {
                    if let Some(facts) = seen.get(&name)
                        && let Some(wanted) = self.decide(&name, facts, publish.as_deref())
                    {
                        let calls = self.calls.clone();
                        under_way.push(calls.make(name, facts.clone(), wanted));
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

    fn of_kind(&self, statuses: &Statuses) -> OrdMap<NamespacedName, ConditionFacts> {
        match self.calls.kind {
            Kind::HttpProxy => statuses.http_proxies.clone(),
            _ => statuses.extension_services.clone(),
        }
    }

    /// Puts what changed on the list.
    fn take_in(
        &mut self,
        before: &OrdMap<NamespacedName, ConditionFacts>,
        now: &OrdMap<NamespacedName, ConditionFacts>,
    ) {
        let at = Instant::now();
        for item in before.diff(now) {
            match item {
                DiffItem::Add(name, _) => self.writes.add(name, at),
                DiffItem::Update { new: (name, _), .. } => self.writes.add(name, at),
                DiffItem::Remove(name, _) => {
                    self.writes.remove(name);
                    self.written.remove(name);
                }
            }
        }
    }

    /// What is to be written now, if anything.
    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &ConditionFacts,
        publish: Option<&[LoadBalancerAddress]>,
    ) -> Option<Status> {
        let now = Instant::now();
        if !facts.served {
            self.written.remove(name);
            return None;
        }
        let wanted = wanted(self.calls.kind, facts, publish);
        let written = self.written.get(name).filter(|it| it.uid == facts.uid);
        match decide(&*facts.seen, wanted, written, now) {
            Action::Nothing => {
                self.written.remove(name);
                None
            }
            Action::Later(when) => {
                self.writes.add(name, when);
                None
            }
            Action::Write(status) => self.writes.begin(name, now).then_some(status),
        }
    }

    /// Takes in how a call ended.
    fn take_out(&mut self, ended: Ended, seen: &OrdMap<NamespacedName, ConditionFacts>) {
        let Ended {
            name,
            facts,
            wrote,
            result,
        } = ended;
        let now = Instant::now();
        let is_there = seen.get(&name).is_some_and(|known| known.uid == facts.uid);
        match result {
            Ok(()) => {
                self.writes.went_well(&name, "ok", now);
                if is_there {
                    self.wrote(&name, facts, wrote, now);
                    self.writes.add(&name, now + SETTLED);
                }
            }
            Err(failure) => {
                let fate = self.writes.failed(&name, &failure, now);
                if fate == Fate::Final && is_there {
                    let kind = self.calls.kind;
                    warn!(object = %format_args!("{kind} {name}"), error = %failure, "the API server does not take the status");
                    self.writes.add(&name, now + REFUSED_PAUSE);
                }
            }
        }
    }

    fn wrote(&mut self, name: &NamespacedName, facts: ConditionFacts, wrote: Status, at: Instant) {
        let known = self.written.get(name);
        let known = known.filter(|it| it.uid == facts.uid && it.wrote == wrote);
        let overwritten = known.map_or(0, |known| known.overwritten + 1);
        if overwritten == 3 {
            let kind = self.calls.kind;
            warn!(object = %format_args!("{kind} {name}"), "another controller keeps writing its status: does it serve the same class?");
        }
        let written = Written {
            uid: facts.uid,
            before: facts.seen,
            wrote,
            at,
            overwritten,
        };
        self.written.insert(name.clone(), written);
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
struct Calls {
    kind: Kind,
    client: Client,
    /// Names this installation as the owner of fields that it wrote.
    field_manager: Arc<str>,
}

impl Calls {
    async fn make(self, name: NamespacedName, facts: ConditionFacts, wanted: Status) -> Ended {
        let result = self.apply(&name, &wanted).await;
        Ended {
            name,
            facts,
            wrote: wanted,
            result,
        }
    }

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

    use std::time::Duration;

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

    #[test]
    fn only_what_differs_is_written_and_a_quarrel_is_slow() {
        let now = Instant::now();
        let wanted = || wanted(Kind::HttpProxy, &facts(&[], &[]), None);
        let seen = |status: Status| ConditionFacts {
            seen: Arc::new(status),
            ..facts(&[], &[])
        };
        let other = Status {
            current_status: "invalid".into(),
            ..Status::default()
        };
        let after = |overwritten, seconds| {
            let written = Written {
                uid: "1".into(),
                before: Arc::default(),
                wrote: wanted(),
                at: now,
                overwritten,
            };
            (Some(written), now + Duration::from_secs(seconds))
        };
        let later = |seconds| Action::Later(now + Duration::from_secs(seconds));
        for (there, (written, now), expected) in [
            (Status::default(), (None, now), Action::Write(wanted())),
            (wanted(), (None, now), Action::Nothing),
            // The watch has not brought it back yet.
            (Status::default(), after(0, 1), later(30)),
            (Status::default(), after(0, 30), Action::Write(wanted())),
            (wanted(), after(0, 1), later(30)),
            (wanted(), after(0, 30), Action::Nothing),
            (wanted(), after(1, 30), later(600)),
            // Another wrote.
            (other.clone(), after(0, 0), later(1)),
            (other.clone(), after(3, 7), later(8)),
            (other.clone(), after(3, 8), Action::Write(wanted())),
            (other, after(30, 255), later(256)),
        ] {
            let facts = seen(there);
            assert_eq!(
                decide(&*facts.seen, wanted(), written.as_ref(), now),
                expected
            );
        }
    }
}
