//! What is ours of a status, put among what others have there.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::objects::Kind;
use crate::objects::gateway_api::{
    CONTROLLER, ListenerStatus, MOST_ANCESTORS, ParentReference, Status, StatusCondition,
};

/// The status with what is wanted, in the place of what was ours. Lists of others' entries keep their order, and a condition its
/// time as long as it says the same.
pub(super) fn merged(kind: Kind, current: &Value, wanted: &Status, now: &jiff::Timestamp) -> Value {
    let mut status = match current {
        Value::Object(status) => status.clone(),
        _ => Map::new(),
    };
    match kind {
        Kind::GatewayClass => {
            put_conditions(&mut status, &wanted.conditions, now);
            let features = wanted.features.iter();
            let features: Vec<_> = features.map(|name| json!({ "name": &**name })).collect();
            status.insert("supportedFeatures".to_owned(), features.into());
        }
        Kind::Gateway => {
            put_conditions(&mut status, &wanted.conditions, now);
            let addresses = wanted.addresses.iter();
            let addresses: Vec<_> = addresses
                .map(|(kind, value)| json!({"type": &**kind, "value": &**value}))
                .collect();
            status.insert("addresses".to_owned(), addresses.into());
            let count = wanted.attached_listener_sets;
            if count > 0 || status.contains_key("attachedListenerSets") {
                status.insert("attachedListenerSets".to_owned(), count.into());
            }
            put_listeners(&mut status, wanted, now);
        }
        Kind::ListenerSet => {
            put_conditions(&mut status, &wanted.conditions, now);
            put_listeners(&mut status, wanted, now);
        }
        Kind::BackendTlsPolicy => {
            let mut ancestors = parents(&entries(&status, LISTS[1].0), LISTS[1].1, wanted, now);
            // Another controller may have taken a place since the watch told of the room. What was there stands first, so that
            // none of its is left out.
            ancestors.truncate(MOST_ANCESTORS);
            status.insert(LISTS[1].0.to_owned(), ancestors.into());
        }
        _ => {
            let parents = parents(&entries(&status, LISTS[0].0), LISTS[0].1, wanted, now);
            status.insert(LISTS[0].0.to_owned(), parents.into());
        }
    }
    Value::Object(status)
}

fn entries(object: &Map<String, Value>, field: &str) -> Vec<Value> {
    let entries = object.get(field).and_then(Value::as_array);
    entries.cloned().unwrap_or_default()
}

fn put_listeners(status: &mut Map<String, Value>, wanted: &Status, now: &jiff::Timestamp) {
    let before = entries(status, "listeners");
    let listeners = wanted.listeners.iter();
    let listeners: Vec<_> = listeners.map(|it| listener(it, &before, now)).collect();
    status.insert("listeners".to_owned(), listeners.into());
}

fn put_conditions(
    object: &mut Map<String, Value>,
    wanted: &[StatusCondition],
    now: &jiff::Timestamp,
) {
    let before = entries(object, "conditions");
    let conditions = conditions(&before, wanted, now);
    object.insert("conditions".to_owned(), conditions.into());
}

/// Ours in their old places, then the new ones; those of other types as they are.
fn conditions(before: &[Value], wanted: &[StatusCondition], now: &jiff::Timestamp) -> Vec<Value> {
    let type_of = |condition: &Value| condition["type"].as_str().unwrap_or_default().to_owned();
    let mut conditions = Vec::new();
    let mut placed = BTreeSet::new();
    for condition in before {
        let kind = type_of(condition);
        match wanted.iter().find(|it| *it.kind == *kind) {
            Some(ours) if placed.insert(ours.kind.clone()) => {
                conditions.push(self::condition(ours, Some(condition), now));
            }
            Some(_) => {}
            None if Status::CONDITIONS.contains(&&*kind) => {}
            None => conditions.push(condition.clone()),
        }
    }
    let new = wanted.iter().filter(|it| !placed.contains(&it.kind));
    conditions.extend(new.map(|it| condition(it, None, now)));
    conditions
}

fn condition(wanted: &StatusCondition, before: Option<&Value>, now: &jiff::Timestamp) -> Value {
    // To the second, as Kubernetes writes times.
    let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(*now);
    let same = before.filter(|before| before["status"] == wanted.status.as_str());
    let time = same.and_then(|same| same["lastTransitionTime"].as_str());
    json!({
        "type": &*wanted.kind,
        "status": wanted.status.as_str(),
        "reason": &*wanted.reason,
        "message": &*wanted.message,
        "observedGeneration": wanted.observed_generation,
        "lastTransitionTime": time.map_or_else(|| now.to_string(), str::to_owned),
    })
}

/// The lists of entries by the object that each is about, and the fields that name it: of routes, and of policies.
const LISTS: [(&str, &str); 2] = [("parents", "parentRef"), ("ancestors", "ancestorRef")];

fn listener(wanted: &ListenerStatus, before: &[Value], now: &jiff::Timestamp) -> Value {
    let known = before.iter().find(|it| it["name"] == *wanted.name);
    let mut listener = match known {
        Some(Value::Object(known)) => known.clone(),
        _ => Map::new(),
    };
    put_conditions(&mut listener, &wanted.conditions, now);
    let kinds = wanted.kinds.iter();
    let kinds: Vec<_> = kinds
        .map(|(group, kind)| json!({"group": &**group, "kind": &**kind}))
        .collect();
    listener.insert("name".to_owned(), json!(&*wanted.name));
    listener.insert("supportedKinds".to_owned(), kinds.into());
    listener.insert("attachedRoutes".to_owned(), json!(wanted.attached_routes));
    Value::Object(listener)
}

/// The entries of others as they are, ours in their old places, and the new ones after them.
fn parents(before: &[Value], field: &str, wanted: &Status, now: &jiff::Timestamp) -> Vec<Value> {
    let references: Vec<Value> = wanted
        .parents
        .iter()
        .map(|it| reference(&it.parent))
        .collect();
    let mut placed = BTreeSet::new();
    let mut parents = Vec::new();
    for entry in before {
        if entry["controllerName"] != CONTROLLER {
            parents.push(entry.clone());
            continue;
        }
        let mut ours = references.iter().enumerate();
        let found = ours.find(|(at, it)| entry[field] == **it && !placed.contains(at));
        if let Some((at, reference)) = found
            && let Some(parent) = wanted.parents.get(at)
        {
            placed.insert(at);
            let known = entries_of(entry);
            let known = (field, &*known);
            parents.push(entry_of(reference, known, &parent.conditions, now));
        }
    }
    for (at, (reference, parent)) in references.iter().zip(&wanted.parents).enumerate() {
        if !placed.contains(&at) {
            parents.push(entry_of(reference, (field, &[]), &parent.conditions, now));
        }
    }
    parents
}

fn entries_of(entry: &Value) -> Vec<Value> {
    entry["conditions"].as_array().cloned().unwrap_or_default()
}

fn entry_of(
    reference: &Value,
    (field, before): (&str, &[Value]),
    wanted: &[StatusCondition],
    now: &jiff::Timestamp,
) -> Value {
    json!({
        field: reference,
        "controllerName": CONTROLLER,
        "conditions": conditions(before, wanted, now),
    })
}

/// As the API server has it in the spec, with what it fills in.
fn reference(parent: &ParentReference) -> Value {
    let mut reference = json!({
        "group": &*parent.group,
        "kind": &*parent.kind,
        "name": &*parent.name,
    });
    let texts = [
        ("namespace", &parent.namespace),
        ("sectionName", &parent.section_name),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            reference[field] = json!(&**text);
        }
    }
    if let Some(port) = parent.port {
        reference["port"] = json!(port);
    }
    reference
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::objects::gateway_api::{ConditionStatus, ParentStatus};

    fn accepted(status: ConditionStatus, observed_generation: i64) -> StatusCondition {
        StatusCondition {
            kind: "Accepted".into(),
            status,
            reason: "Because".into(),
            message: "it is".into(),
            observed_generation,
        }
    }

    fn written(status: &str, generation: i64, time: &str) -> Value {
        json!({
            "type": "Accepted", "status": status, "reason": "Because", "message": "it is",
            "observedGeneration": generation, "lastTransitionTime": time,
        })
    }

    /// A condition of another type, and an entry of another controller, are as they were and where they were.
    #[test]
    fn what_is_others_stays() {
        let now = jiff::Timestamp::from_millisecond(2_500).unwrap();
        let (before, after) = ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z");
        let foreign = json!({"type": "Foreign", "status": "True", "lastTransitionTime": before});
        let stale = json!({"type": "Conflicted", "status": "True", "lastTransitionTime": before});
        for (status, time) in [
            (ConditionStatus::True, before),
            (ConditionStatus::False, after),
        ] {
            let wanted = Status {
                conditions: [accepted(status, 3)].into(),
                ..Status::default()
            };
            let current =
                json!({"conditions": [&foreign, written("True", 2, before), &stale], "more": 1});
            let expected = json!({
                "conditions": [&foreign, written(status.as_str(), 3, time)], "more": 1,
                "addresses": [], "listeners": [],
            });
            assert_eq!(merged(Kind::Gateway, &current, &wanted, &now), expected);
        }
        let parent = |name: &str| ParentReference {
            group: "g".into(),
            kind: "Gateway".into(),
            namespace: None,
            name: name.into(),
            section_name: None,
            port: Some(80),
        };
        let entry = |controller: &str, name: &str, conditions: Value| {
            json!({
                "parentRef": {"group": "g", "kind": "Gateway", "name": name, "port": 80},
                "controllerName": controller, "conditions": conditions,
            })
        };
        let conditions = || [accepted(ConditionStatus::True, 3)].into();
        let wanted = Status {
            parents: ["new", "kept"]
                .map(|name| ParentStatus {
                    parent: parent(name),
                    conditions: conditions(),
                })
                .into(),
            ..Status::default()
        };
        let theirs = entry("other.test/one", "kept", json!([&foreign]));
        let current = json!({"parents": [
            entry(CONTROLLER, "gone", json!([])), &theirs,
            entry(CONTROLLER, "kept", json!([written("True", 1, before)])),
        ]});
        let expected = json!({"parents": [
            &theirs,
            entry(CONTROLLER, "kept", json!([written("True", 3, before)])),
            entry(CONTROLLER, "new", json!([written("True", 3, after)])),
        ]});
        let made = merged(Kind::HttpRoute, &current, &wanted, &now);
        assert_eq!(made, expected);
        assert_eq!(merged(Kind::HttpRoute, &made, &wanted, &now), made);
    }
}
