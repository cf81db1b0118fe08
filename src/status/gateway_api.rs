//! Writes the status of the kinds of the Gateway API, and gives Gateways their addresses.
//!
//! Other controllers have conditions, and entries for their own parents, in the same lists. So each write reads the object first,
//! puts what is ours in the place of what was ours, leaves the rest as it is and where it is, and is taken by the API server only if
//! nobody has written meanwhile. All that is ours of an object is one write: nobody sees conditions of two generations.
//!
//! An address that is given to a Gateway stands in its status before anybody binds it. What it is then is told by the watch, and
//! so all replicas agree; which one it is, whoever holds the lease decides: the lowest that no other Gateway has.

mod given;
mod merge;
mod programmed;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use given::{gateways, give};
use programmed::Programmed;

use super::address::Addresses;
use super::settle::{Action, Memory};
use super::writer::Subject;
use super::writes::CALL_LIMIT;
use crate::model::Cidr;
use crate::model::verdict::{Delivery, GatewayApiFacts, Statuses};
use crate::objects::gateway_api::{
    ConditionStatus, Status, StatusCondition, is_programmed_message,
};
use crate::objects::{Kind, LoadBalancerAddress, NamespacedName, ObjectRef};
use crate::status::api_call::{Failure, within};

/// How often a write is tried again at once that another came before.
const TRIES: usize = 4;

/// The kinds whose status is written here.
pub(super) const KINDS: [Kind; 9] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::BackendTlsPolicy,
];

type Seen = OrdMap<ObjectRef, GatewayApiFacts>;

/// Objects of one kind, as one term as leader knows them. A write is two calls at least: it reads what is there first.
pub(super) struct GatewayApi {
    calls: Calls,
    ranges: Box<[Cidr]>,
    /// What this term has given, until the watch brings it.
    given: BTreeMap<NamespacedName, Box<[IpAddr]>>,
    fleet: Fleet,
    programmed: Programmed,
    written: Memory<Arc<Status>>,
}

/// The addresses of Gateways that are reached as Ingresses are.
#[derive(Debug, Default)]
struct Fleet {
    /// As they are published on Ingresses.
    addresses: Addresses,
    /// Whether some are still to come, from a load balancer.
    is_awaited: bool,
}

/// The most addresses that the status of a Gateway has room for.
const MOST_ADDRESSES: usize = 16;

impl Fleet {
    /// Enters them into the status of a Gateway. What was seen there stays while nothing better is known, if it was we who said that
    /// it is reached by that: another controller's addresses, or those of another class, are not the fleet's.
    fn enter(&self, wanted: &mut Status, seen: &Status) {
        let Some(addresses) = &self.addresses else {
            let mut conditions = seen.conditions.iter();
            let is_ours = conditions
                .any(|it| &*it.kind == "Programmed" && is_programmed_message(&it.message));
            if is_ours {
                wanted.addresses = seen.addresses.clone();
            }
            if self.is_awaited && wanted.addresses.is_empty() {
                await_address(&mut wanted.conditions);
            }
            return;
        };
        let addresses = addresses.iter().map(|address| match address {
            LoadBalancerAddress::Ip(ip) => ("IPAddress".into(), ip.clone()),
            LoadBalancerAddress::Hostname(name) => ("Hostname".into(), name.clone()),
        });
        wanted.addresses = addresses.take(MOST_ADDRESSES).collect();
    }
}

/// Nobody can reach what has no address yet.
fn await_address(conditions: &mut [StatusCondition]) {
    let mut programmed = conditions.iter_mut().filter(|it| &*it.kind == "Programmed");
    if let Some(condition) = programmed.find(|it| it.status == ConditionStatus::True) {
        condition.status = ConditionStatus::False;
        condition.reason = "AddressNotAssigned".into();
        condition.message = "the Service of --envoy-service has no address yet".into();
    }
}

/// What calls are made with.
#[derive(Clone)]
pub(super) struct Calls {
    kind: Kind,
    client: Client,
}

impl GatewayApi {
    /// `ranges` has the addresses that Gateways are given; `is_awaited` says whether a load balancer is to have those that they
    /// share with Ingresses.
    pub(super) fn new(kind: Kind, client: Client, ranges: Box<[Cidr]>, is_awaited: bool) -> Self {
        Self {
            calls: Calls { kind, client },
            ranges,
            given: BTreeMap::new(),
            fleet: Fleet {
                addresses: None,
                is_awaited,
            },
            programmed: Programmed::default(),
            written: Memory::default(),
        }
    }
}

impl Subject for GatewayApi {
    type Key = ObjectRef;
    type Facts = GatewayApiFacts;
    type Write = Arc<Status>;
    type Calls = Calls;

    const RIVAL: &str = "does it have the same controllerName?";

    fn kind(&self) -> Kind {
        self.calls.kind
    }

    fn of(&mut self, statuses: &Statuses) -> Seen {
        self.programmed.follow(statuses.snapshot);
        statuses.gateway_api.clone()
    }

    fn name<'a>(&self, object: &'a ObjectRef) -> Option<&'a NamespacedName> {
        (object.kind == self.calls.kind).then_some(&object.name)
    }

    fn key(&self, name: &NamespacedName) -> ObjectRef {
        ObjectRef {
            kind: self.calls.kind,
            name: name.clone(),
        }
    }

    fn uid(facts: &GatewayApiFacts) -> &Arc<str> {
        &facts.uid
    }

    fn gone(&mut self, name: &NamespacedName) {
        self.programmed.forget(name);
        self.written.forget(name);
    }

    fn delivered(&mut self, delivery: &Delivery) -> Option<Vec<NamespacedName>> {
        match self.calls.kind {
            Kind::Gateway | Kind::ListenerSet => self.programmed.delivered(delivery),
            _ => Some(Vec::new()),
        }
    }

    fn news(&mut self, all: &Seen) -> Vec<NamespacedName> {
        if self.calls.kind != Kind::Gateway || self.ranges.is_empty() {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.given);
        self.given = give(&self.ranges, gateways(all), &before);
        let given = self.given.keys();
        given
            .filter(|name| !before.contains_key(*name))
            .cloned()
            .collect()
    }

    fn publishes(&mut self, addresses: &Addresses) -> bool {
        self.fleet.addresses.clone_from(addresses);
        self.calls.kind == Kind::Gateway
    }

    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        now: Instant,
    ) -> Action<Arc<Status>> {
        let of_object = facts.wanted.as_ref().filter(|it| !it.is_foreign);
        let Some(of_object) = of_object else {
            self.programmed.forget(name);
            self.written.forget(name);
            return Action::Nothing;
        };
        let mut wanted = fitting(&of_object.status, facts.room);
        if of_object.has_fleet_addresses {
            self.fleet.enter(&mut wanted, &facts.seen);
        }
        if let Some(given) = self.given.get(name) {
            let given = given
                .iter()
                .map(|it| ("IPAddress".into(), it.to_string().into()));
            wanted.addresses = wanted.addresses.iter().cloned().chain(given).collect();
        }
        if matches!(self.calls.kind, Kind::Gateway | Kind::ListenerSet)
            && let Some(until) = (self.programmed).enter(name, facts, of_object, &mut wanted, now)
        {
            return Action::Later(until);
        }
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
        facts: GatewayApiFacts,
        status: Arc<Arc<Status>>,
    ) -> Result<&'static str, Failure> {
        let Calls { kind, client } = calls;
        apply(client, kind, &name, &facts.uid, &status).await
    }

    fn wrote(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        status: &Arc<Status>,
        at: Instant,
    ) -> Option<u32> {
        let (seen, wrote) = (facts.seen.clone(), status.clone());
        Some(self.written.wrote(name, &facts.uid, seen, wrote, at))
    }
}

/// As much of a status as there is room for: the rest would never be seen there, and be written for ever.
fn fitting(wanted: &Status, room: Option<usize>) -> Status {
    let parents = wanted.parents.iter();
    Status {
        parents: parents.take(room.unwrap_or(usize::MAX)).cloned().collect(),
        ..wanted.clone()
    }
}

async fn apply(
    client: Client,
    kind: Kind,
    name: &NamespacedName,
    uid: &str,
    wanted: &Status,
) -> Result<&'static str, Failure> {
    let version = kind.api_version().rsplit('/').next().unwrap_or_default();
    let resource = ApiResource {
        group: kind.group().to_owned(),
        version: version.to_owned(),
        api_version: kind.api_version().to_owned(),
        kind: kind.name().to_owned(),
        plural: kind.plural().to_owned(),
    };
    let api: Api<DynamicObject> = match kind.is_namespaced() {
        true => Api::namespaced_with(client, &name.namespace, &resource),
        false => Api::all_with(client, &resource),
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let object = within(CALL_LIMIT, api.get(&name.name)).await?;
        // One that was created anew under its name is another one, which the watch brings.
        if object.metadata.uid.as_deref() != Some(uid) {
            return Ok("unchanged");
        }
        let current = object.data.get("status").cloned().unwrap_or_default();
        let status = merge::merged(kind, &current, wanted, &jiff::Timestamp::now());
        if status == current {
            return Ok("unchanged");
        }
        let patch = json!({
            "metadata": {"resourceVersion": object.metadata.resource_version},
            "status": status,
        });
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        match within(CALL_LIMIT, api.patch_status(&name.name, &params, &patch)).await {
            Ok(_) => {
                debug!(object = %format_args!("{kind} {name}"), "status written");
                return Ok("ok");
            }
            Err(failure) if failure.code() == Some(409) && tries < TRIES => {}
            Err(failure) => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::objects::gateway_api::{NOT_ACKNOWLEDGED, PROGRAMMED};

    use super::*;
    use crate::objects::gateway_api::{ParentReference, ParentStatus};
    use crate::objects::{Object, decode};

    /// With ancestors that others have there, ours are as many as are left, and are settled when they are seen.
    #[test]
    fn what_there_is_no_room_for_is_not_wanted() {
        let parents = |names: std::ops::Range<usize>| -> Box<[ParentStatus]> {
            let parent = |name: usize| ParentReference {
                group: "g".into(),
                kind: "Gateway".into(),
                namespace: None,
                name: format!("{name:02}").into(),
                section_name: None,
                port: None,
            };
            let parents = names.map(|name| ParentStatus {
                parent: parent(name),
                conditions: Box::default(),
            });
            parents.collect()
        };
        let of = |parents| Status {
            parents,
            ..Status::default()
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let entry =
            |name: &str| json!({"ancestorRef": {"name": name}, "controllerName": "other.test/one"});
        let others: Vec<_> = ["a", "b", "c"].map(entry).into();
        let wanted = of(parents(0..16));
        for (room, expected) in [(None, 16), (Some(16), 16), (Some(13), 13), (Some(0), 0)] {
            let fitting = fitting(&wanted, room);
            assert_eq!(fitting, of(parents(0..expected)), "{room:?}");
        }
        let fitting = fitting(&wanted, Some(13));
        let current = json!({ "ancestors": others });
        let merged = merge::merged(Kind::BackendTlsPolicy, &current, &fitting, &now);
        let ancestors = merged["ancestors"].as_array().unwrap();
        assert_eq!((ancestors.len(), &ancestors[..3]), (16, &others[..]));
        // One more has come since: what is ours is cut, though there seemed to be room, and what is others' stays.
        let more: Vec<_> = ["a", "b", "c", "d"].map(entry).into();
        let cut = merge::merged(
            Kind::BackendTlsPolicy,
            &json!({ "ancestors": more }),
            &fitting,
            &now,
        );
        let cut = cut["ancestors"].as_array().unwrap();
        assert_eq!((cut.len(), &cut[..4]), (16, &more[..]));
        assert_eq!(cut[4..], ancestors[3..15]);
        let policy = json!({
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "a"}],
                     "validation": {"hostname": "a.test", "wellKnownCACertificates": "System"}},
            "status": merged,
        });
        let decoded = decode(Kind::BackendTlsPolicy, &policy.to_string()).unwrap();
        let Object::BackendTlsPolicy(policy) = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(policy.others, 3);
        let (name, uid) = (&policy.metadata.name, &policy.metadata.uid);
        let (seen, wanted) = (&policy.status, Arc::new(fitting));
        let settled = Memory::default().decide(name, uid, seen, wanted, Instant::now());
        assert_eq!(settled, Action::Nothing);
    }

    fn programmed(message: &str) -> StatusCondition {
        StatusCondition {
            kind: "Programmed".into(),
            status: ConditionStatus::True,
            reason: "Programmed".into(),
            message: message.into(),
            observed_generation: 1,
        }
    }

    fn seen_of(addresses: &[&str], message: &str) -> Status {
        let addresses = addresses.iter();
        let addresses = addresses.map(|it| ("IPAddress".into(), Arc::from(*it)));
        Status {
            conditions: [programmed(message)].into(),
            addresses: addresses.collect(),
            ..Status::default()
        }
    }

    /// Those of Ingresses, as many as there is room for; until they are known what was there stays, and a Gateway that waits for a
    /// load balancer and has never had one is not programmed.
    #[test]
    fn addresses_of_the_fleet_are_those_of_ingresses() {
        let seen = |addresses: &[&str]| seen_of(addresses, PROGRAMMED);
        let many = (0..20).map(|at| LoadBalancerAddress::Ip(format!("192.0.2.{at:02}").into()));
        let many: Arc<[_]> = many.collect();
        let one: Arc<[_]> = [LoadBalancerAddress::Hostname("lb.test".into())].into();
        for (addresses, is_awaited, has, expected, is_programmed) in [
            (Some(one), true, seen(&[]), vec!["Hostname lb.test"], true),
            (None, true, seen(&[]), vec![], false),
            (None, false, seen(&[]), vec![], true),
            (
                None,
                true,
                seen(&["192.0.2.1"]),
                vec!["IPAddress 192.0.2.1"],
                true,
            ),
            // Ours, before an Envoy has it.
            (
                None,
                true,
                seen_of(&["192.0.2.1"], NOT_ACKNOWLEDGED),
                vec!["IPAddress 192.0.2.1"],
                true,
            ),
            (
                None,
                true,
                seen_of(
                    &["192.0.2.1"],
                    "none of its listeners is programmed: listener a",
                ),
                vec!["IPAddress 192.0.2.1"],
                true,
            ),
            // Another controller's.
            (
                None,
                true,
                seen_of(&["192.0.2.1"], "another says so"),
                vec![],
                false,
            ),
        ] {
            let mut wanted = Status {
                conditions: [programmed(PROGRAMMED)].into(),
                ..Status::default()
            };
            let fleet = Fleet {
                addresses,
                is_awaited,
            };
            fleet.enter(&mut wanted, &has);
            let found = wanted.addresses.iter();
            let found: Vec<String> = found
                .map(|(kind, value)| format!("{kind} {value}"))
                .collect();
            assert_eq!(found, expected, "{fleet:?}");
            let condition = &wanted.conditions[0];
            let expected = match is_programmed {
                true => (ConditionStatus::True, "Programmed"),
                false => (ConditionStatus::False, "AddressNotAssigned"),
            };
            assert_eq!(
                (condition.status, &*condition.reason),
                expected,
                "{fleet:?}"
            );
        }
        let mut wanted = Status::default();
        let fleet = Fleet {
            addresses: Some(many),
            is_awaited: false,
        };
        fleet.enter(&mut wanted, &Status::default());
        assert_eq!(wanted.addresses.len(), MOST_ADDRESSES);
    }
}
