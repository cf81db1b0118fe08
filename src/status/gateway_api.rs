//! Writes the status of the kinds of the Gateway API, and gives Gateways their addresses.
//!
//! Other controllers have conditions, and entries for their own parents, in the same lists. So each write reads the object first,
//! puts what is ours in the place of what was ours, leaves the rest as it is and where it is, and is taken by the API server only if
//! nobody has written meanwhile. All that is ours of an object is one write: nobody sees conditions of two generations.
//!
//! An address that is given to a Gateway stands in its status before anybody binds it. What it is then is told by the watch, and
//! so all replicas agree; which one it is, whoever holds the lease decides: the lowest that no other Gateway has.

mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use super::settle::{Action, Memory};
use super::writer::Subject;
use super::writes::CALL_LIMIT;
use crate::model::Cidr;
use crate::model::verdict::{GatewayApiFacts, Statuses};
use crate::objects::gateway_api::Status;
use crate::objects::{Kind, NamespacedName, ObjectRef};
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
    written: Memory<Arc<Status>>,
}

/// What calls are made with.
#[derive(Clone)]
pub(super) struct Calls {
    kind: Kind,
    client: Client,
}

impl GatewayApi {
    /// `ranges` has the addresses that Gateways are given.
    pub(super) fn new(kind: Kind, client: Client, ranges: Box<[Cidr]>) -> Self {
        Self {
            calls: Calls { kind, client },
            ranges,
            given: BTreeMap::new(),
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

    fn of(&self, statuses: &Statuses) -> Seen {
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
        self.written.forget(name);
    }

    fn news(&mut self, all: &Seen) -> Vec<NamespacedName> {
        if self.calls.kind != Kind::Gateway {
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

    fn decide(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        now: Instant,
    ) -> Action<Arc<Status>> {
        let Some(wanted) = &facts.wanted else {
            self.written.forget(name);
            return Action::Nothing;
        };
        let mut wanted = fitting(&wanted.status, facts.room);
        if let Some(given) = self.given.get(name) {
            let given = given
                .iter()
                .map(|it| ("IPAddress".into(), it.to_string().into()));
            wanted.addresses = wanted.addresses.iter().cloned().chain(given).collect();
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

/// The Gateways among all objects, of which most are routes.
fn gateways(all: &Seen) -> impl Iterator<Item = (&ObjectRef, &GatewayApiFacts)> {
    let first = ObjectRef::new(Kind::Gateway, "", "");
    let from_there = all.range(first..);
    from_there.take_while(|(object, _)| object.kind == Kind::Gateway)
}

/// The addresses of Gateways that are still to be given some: the oldest Gateway has the lowest that nobody has, and keeps what it
/// was given before. One that its status shows though it is still to be given one can't be its own, and is not given again.
fn give<'a>(
    ranges: &[Cidr],
    gateways: impl Iterator<Item = (&'a ObjectRef, &'a GatewayApiFacts)>,
    before: &BTreeMap<NamespacedName, Box<[IpAddr]>>,
) -> BTreeMap<NamespacedName, Box<[IpAddr]>> {
    let mut used = BTreeSet::new();
    let mut waiting = Vec::new();
    for (object, facts) in gateways {
        let Some(wanted) = &facts.wanted else {
            continue;
        };
        let has = wanted.status.addresses.iter().chain(&facts.seen.addresses);
        used.extend(has.filter_map(|(_, value)| value.parse::<IpAddr>().ok()));
        if wanted.wanted_addresses > 0 {
            let age = (facts.created.is_none(), facts.created, &object.name);
            waiting.push((age, wanted.wanted_addresses));
        }
    }
    waiting.sort();
    let mut given = BTreeMap::new();
    for ((_, _, name), count) in &waiting {
        let count = usize::try_from(*count).unwrap_or(usize::MAX);
        let kept = before.get(*name).filter(|kept| {
            let is_free = kept.iter().all(|it| !used.contains(it));
            kept.len() == count && is_free
        });
        if let Some(kept) = kept {
            used.extend(kept.iter().copied());
            given.insert((*name).clone(), kept.clone());
        }
    }
    for ((_, _, name), count) in waiting {
        if given.contains_key(name) {
            continue;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let free = ranges.iter().flat_map(|range| range.hosts());
        let free: Box<[IpAddr]> = free.filter(|it| !used.contains(it)).take(count).collect();
        if free.len() == count {
            used.extend(free.iter().copied());
            given.insert(name.clone(), free);
        }
    }
    given
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

    use super::*;
    use crate::model::verdict::WantedStatus;
    use crate::objects::gateway_api::{ParentReference, ParentStatus};
    use crate::objects::{Object, decode};

    /// Of all objects only Gateways are looked at.
    #[test]
    fn gateways_are_a_range() {
        let objects = [
            ObjectRef::new(Kind::GatewayClass, "", "isobath"),
            ObjectRef::new(Kind::Gateway, "a", "one"),
            ObjectRef::new(Kind::Gateway, "b", "two"),
            ObjectRef::new(Kind::HttpRoute, "a", "one"),
        ];
        let all: Seen = objects
            .into_iter()
            .map(|object| (object, gateway(0, &[], 0)))
            .collect();
        let names: Vec<String> = gateways(&all).map(|(it, _)| it.to_string()).collect();
        assert_eq!(names, ["Gateway a/one", "Gateway b/two"]);
    }

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

    fn gateway(age: i64, has: &[&str], wanted_addresses: u32) -> GatewayApiFacts {
        let addresses = has.iter().map(|it| ("IPAddress".into(), Arc::from(*it)));
        let status = Status {
            addresses: addresses.collect(),
            ..Status::default()
        };
        GatewayApiFacts {
            uid: "1".into(),
            created: jiff::Timestamp::from_second(age).ok(),
            wanted: Some(Arc::new(WantedStatus {
                status,
                wanted_addresses,
            })),
            room: None,
            seen: Arc::default(),
        }
    }

    #[test]
    fn the_oldest_has_the_lowest_address_and_keeps_it() {
        let ranges = [
            Cidr::new("127.9.0.0/30").unwrap(),
            Cidr::new("127.9.1.1/32").unwrap(),
        ];
        let name = |name: &str| ObjectRef::new(Kind::Gateway, "a", name);
        let given = |gateways: &[(ObjectRef, GatewayApiFacts)], before: &BTreeMap<_, _>| {
            let gateways = gateways.iter().map(|(object, facts)| (object, facts));
            give(&ranges, gateways, before)
        };
        let texts = |given: &BTreeMap<NamespacedName, Box<[IpAddr]>>| -> Vec<String> {
            let given = given.iter();
            given
                .map(|(name, of)| format!("{} {of:?}", name.name))
                .collect()
        };
        let mut gateways = vec![
            (name("young"), gateway(2, &[], 1)),
            (name("old"), gateway(1, &[], 1)),
            (name("has"), gateway(3, &["127.9.0.1"], 0)),
        ];
        let first = given(&gateways, &BTreeMap::new());
        assert_eq!(texts(&first), ["old [127.9.0.2]", "young [127.9.1.1]"]);
        // An address is free now, and an older Gateway there; nobody moves. There is none for the fourth.
        gateways.remove(2);
        gateways.push((name("oldest"), gateway(0, &[], 1)));
        gateways.push((name("last"), gateway(9, &[], 1)));
        let second = given(&gateways, &first);
        assert_eq!(
            texts(&second),
            ["old [127.9.0.2]", "oldest [127.9.0.1]", "young [127.9.1.1]"]
        );
        // What was given has come back, and another one has it; or nobody, and yet it can't be had.
        let mut refused = gateway(1, &[], 1);
        refused.seen = Arc::new(Status {
            addresses: [("IPAddress".into(), "127.9.0.2".into())].into(),
            ..Status::default()
        });
        for others in [vec![], vec![(name("other"), gateway(7, &["127.9.0.2"], 0))]] {
            let mut gateways = vec![(name("old"), refused.clone())];
            gateways.extend(others);
            let third = given(&gateways, &first);
            assert_eq!(texts(&third), ["old [127.9.0.1]"]);
            assert_eq!(given(&gateways, &third), third);
        }
    }
}
