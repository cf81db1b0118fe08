//! Writes the status of the kinds of the Gateway API, and gives Gateways their addresses.
//!
//! Other controllers have conditions, and entries for their own parents, in the same lists. So each write reads the object first,
//! puts what is ours in the place of what was ours, leaves the rest as it is and where it is, and is taken by the API server only if
//! nobody has written meanwhile. All that is ours of an object is one write: nobody sees conditions of two generations.
//!
//! An address that is given to a Gateway stands in its status before anybody binds it. What it is then is told by the watch, and
//! so all replicas agree; which one it is, whoever holds the lease decides: the lowest that no other Gateway has.

mod merge;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::metrics::Metrics;
use super::queue::Pace;
use super::settle::{Action, REFUSED_PAUSE, SETTLED, Written, decide};
use super::writes::{CALL_LIMIT, Fate, Turn, Writes, sleep_until};
use crate::model::Cidr;
use crate::model::verdict::{GatewayApiFacts, Statuses};
use crate::objects::gateway_api::Status;
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::status::api_call::{Failure, within};

/// Writes per second for each kind. A write is two calls at least: it reads what is there first.
const WRITES_PER_SECOND: u32 = 50;

/// How often a write is tried again at once that another came before.
const TRIES: usize = 4;

/// The kinds whose status is written here.
pub(super) const KINDS: [Kind; 8] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::BackendTlsPolicy,
];

type Seen = OrdMap<ObjectRef, GatewayApiFacts>;

/// The writer of one kind, of one term as leader.
pub(super) struct Writer {
    kind: Kind,
    client: Client,
    ranges: Box<[Cidr]>,
    /// What this term has given, until the watch brings it.
    given: BTreeMap<NamespacedName, Box<[IpAddr]>>,
    writes: Writes,
    written: HashMap<NamespacedName, Written<Status>>,
}

/// How one call ended.
struct Ended {
    name: NamespacedName,
    facts: GatewayApiFacts,
    wrote: Status,
    result: Result<&'static str, Failure>,
}

impl Writer {
    /// `ranges` has the addresses that Gateways are given.
    pub(super) fn new(kind: Kind, client: Client, ranges: Box<[Cidr]>, metrics: &Metrics) -> Self {
        let pace = Pace::new(WRITES_PER_SECOND, 2 * WRITES_PER_SECOND);
        let activity = match kind {
            Kind::GatewayClass => "writing the status of GatewayClasses",
            Kind::Gateway => "writing the status of Gateways",
            Kind::HttpRoute => "writing the status of HTTPRoutes",
            Kind::GrpcRoute => "writing the status of GRPCRoutes",
            Kind::TlsRoute => "writing the status of TLSRoutes",
            Kind::TcpRoute => "writing the status of TCPRoutes",
            Kind::UdpRoute => "writing the status of UDPRoutes",
            _ => "writing the status of BackendTLSPolicies",
        };
        Self {
            kind,
            client,
            ranges,
            given: BTreeMap::new(),
            writes: Writes::new(activity, pace, metrics.status_writes.clone()),
            written: HashMap::new(),
        }
    }

    /// Writes until `statuses` is closed.
    pub(super) async fn run(&mut self, mut statuses: watch::Receiver<Arc<Statuses>>) {
        let mut seen = Seen::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            let current = statuses.borrow_and_update().gateway_api.clone();
            self.take_in(&seen, &current);
            seen = current;
            match self.writes.turn(Instant::now()) {
                Turn::Of(name) => {
                    let object = self.object(&name);
                    if let Some(facts) = seen.get(&object)
                        && let Some(wanted) = self.decide(&name, facts)
                    {
                        let call =
                            write(self.client.clone(), self.kind, name, facts.clone(), wanted);
                        under_way.push(call);
                    }
                }
                Turn::Wait(until) => tokio::select! {
                    news = statuses.changed() => if news.is_err() { return },
                    Some(ended) = under_way.next() => self.take_out(ended, &seen),
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    fn object(&self, name: &NamespacedName) -> ObjectRef {
        ObjectRef {
            kind: self.kind,
            name: name.clone(),
        }
    }

    /// Puts what changed on the list.
    fn take_in(&mut self, before: &Seen, now: &Seen) {
        let at = Instant::now();
        let mut has_changed = false;
        for item in before.diff(now) {
            let (object, is_gone) = match item {
                DiffItem::Add(object, _) => (object, false),
                DiffItem::Update {
                    new: (object, _), ..
                } => (object, false),
                DiffItem::Remove(object, _) => (object, true),
            };
            if object.kind != self.kind {
                continue;
            }
            has_changed = true;
            match is_gone {
                false => self.writes.add(&object.name, at),
                true => {
                    self.writes.remove(&object.name);
                    self.written.remove(&object.name);
                }
            }
        }
        if has_changed && self.kind == Kind::Gateway {
            let given = give(&self.ranges, gateways(now), &self.given);
            for name in given.keys().filter(|name| !self.given.contains_key(*name)) {
                self.writes.add(name, at);
            }
            self.given = given;
        }
    }

    /// What is to be written now, if anything.
    fn decide(&mut self, name: &NamespacedName, facts: &GatewayApiFacts) -> Option<Status> {
        let now = Instant::now();
        let Some(wanted) = &facts.wanted else {
            self.written.remove(name);
            return None;
        };
        let mut wanted = fitting(&wanted.status, facts.room);
        if let Some(given) = self.given.get(name) {
            let given = given
                .iter()
                .map(|it| ("IPAddress".into(), it.to_string().into()));
            wanted.addresses = wanted.addresses.iter().cloned().chain(given).collect();
        }
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
    fn take_out(&mut self, ended: Ended, seen: &Seen) {
        let Ended {
            name,
            facts,
            wrote,
            result,
        } = ended;
        let now = Instant::now();
        let known = seen.get(&self.object(&name));
        let is_there = known.is_some_and(|known| known.uid == facts.uid);
        match result {
            Ok(label) => {
                self.writes.went_well(&name, label, now);
                if is_there {
                    self.wrote(&name, facts, wrote, now);
                    self.writes.add(&name, now + SETTLED);
                }
            }
            Err(failure) => {
                let fate = self.writes.failed(&name, &failure, now);
                if fate == Fate::Final && is_there {
                    let kind = self.kind;
                    warn!(object = %format_args!("{kind} {name}"), error = %failure, "the API server does not take the status");
                    self.writes.add(&name, now + REFUSED_PAUSE);
                }
            }
        }
    }

    fn wrote(&mut self, name: &NamespacedName, facts: GatewayApiFacts, wrote: Status, at: Instant) {
        let known = self.written.get(name);
        let known = known.filter(|it| it.uid == facts.uid && it.wrote == wrote);
        let overwritten = known.map_or(0, |known| known.overwritten + 1);
        if overwritten == 3 {
            let kind = self.kind;
            warn!(object = %format_args!("{kind} {name}"), "another controller keeps writing its status: does it have the same controllerName?");
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

async fn write(
    client: Client,
    kind: Kind,
    name: NamespacedName,
    facts: GatewayApiFacts,
    wanted: Status,
) -> Ended {
    let result = apply(client, kind, &name, &facts.uid, &wanted).await;
    Ended {
        name,
        facts,
        wrote: wanted,
        result,
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
        let settled = decide(&*policy.status, fitting, None, Instant::now());
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
