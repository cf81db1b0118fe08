//! Which addresses Gateways are given that have none yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use imbl::OrdMap;

use crate::model::Cidr;
use crate::model::verdict::GatewayApiFacts;
use crate::objects::{Kind, NamespacedName, ObjectRef};

/// The Gateways among all objects, of which most are routes.
pub(super) fn gateways(
    all: &OrdMap<ObjectRef, GatewayApiFacts>,
) -> impl Iterator<Item = (&ObjectRef, &GatewayApiFacts)> {
    let first = ObjectRef::new(Kind::Gateway, "", "");
    let from_there = all.range(first..);
    from_there.take_while(|(object, _)| object.kind == Kind::Gateway)
}

/// The addresses of Gateways that are still to be given some: the oldest Gateway has the lowest that nobody has, and keeps what it
/// was given before. One that its status shows though it is still to be given one can't be its own, and is not given again.
pub(super) fn give<'a>(
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
    let mut addresses = ranges.iter().flat_map(|range| range.hosts());
    // What is too little for one is kept for the next, so that each address is looked at once.
    let mut free: VecDeque<IpAddr> = VecDeque::new();
    for ((_, _, name), count) in waiting {
        if given.contains_key(name) {
            continue;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        while free.len() < count
            && let Some(address) = addresses.find(|it| used.insert(*it))
        {
            free.push_back(address);
        }
        if free.len() >= count {
            given.insert(name.clone(), free.drain(..count).collect());
        }
    }
    given
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::model::verdict::WantedStatus;
    use crate::objects::gateway_api::Status;

    /// Of all objects only Gateways are looked at.
    #[test]
    fn gateways_are_a_range() {
        let objects = [
            ObjectRef::new(Kind::GatewayClass, "", "isobath"),
            ObjectRef::new(Kind::Gateway, "a", "one"),
            ObjectRef::new(Kind::Gateway, "b", "two"),
            ObjectRef::new(Kind::HttpRoute, "a", "one"),
        ];
        let all: OrdMap<ObjectRef, GatewayApiFacts> = objects
            .into_iter()
            .map(|object| (object, gateway(0, &[], 0)))
            .collect();
        let names: Vec<String> = gateways(&all).map(|(it, _)| it.to_string()).collect();
        assert_eq!(names, ["Gateway a/one", "Gateway b/two"]);
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
                ..WantedStatus::default()
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
