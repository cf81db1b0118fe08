//! `status`. The API server checks it on its own path, so nothing is checked here; what is not ours of it is not kept.

use std::sync::Arc;

use super::super::super::gateway_api::{
    CONTROLLER, ConditionStatus, ListenerStatus, ParentStatus, Status, StatusCondition,
};
use super::super::json::{Kept, List, Struct, Whole};
use super::super::schema::{At, text};
use super::super::wires::wires;
use super::reference::{ParentWire, parent};

wires! {
    struct StatusWire {
        conditions: List<Struct<ConditionWire>>,
        addresses: List<Struct<AddressWire>>,
        listeners: List<Struct<ListenerWire>>,
        attached_listener_sets: Whole,
        supported_features: List<Struct<NamedWire>>,
        parents: List<Struct<ParentStatusWire>>,
        ancestors: List<Struct<AncestorWire>>,
    }

    struct ConditionWire {
        #[serde(rename = "type")]
        kind: Kept,
        status: Kept,
        reason: Kept,
        message: Kept,
        observed_generation: Whole,
    }

    struct AddressWire {
        #[serde(rename = "type")]
        kind: Kept,
        value: Kept,
    }

    struct ListenerWire {
        name: Kept,
        supported_kinds: List<Struct<KindWire>>,
        attached_routes: Whole,
        conditions: List<Struct<ConditionWire>>,
    }

    struct KindWire {
        group: Kept,
        kind: Kept,
    }

    struct NamedWire {
        name: Kept,
    }

    struct ParentStatusWire {
        parent_ref: Struct<ParentWire>,
        controller_name: Kept,
        conditions: List<Struct<ConditionWire>>,
    }

    struct AncestorWire {
        ancestor_ref: Struct<ParentWire>,
        controller_name: Kept,
        conditions: List<Struct<ConditionWire>>,
    }
}

/// How many entries about ancestors are others'.
pub(super) fn others(wire: Option<&Struct<StatusWire>>) -> usize {
    let ancestors = wire.and_then(|Struct(wire)| wire.ancestors.as_ref());
    let ancestors = ancestors.into_iter().flat_map(|List(ancestors)| ancestors);
    let is_ours = |it: &AncestorWire| {
        let controller = it.controller_name.as_ref();
        controller.is_some_and(|Kept(name)| **name == *CONTROLLER)
    };
    ancestors.filter(|Struct(it)| !is_ours(it)).count()
}

/// What is ours of a status.
pub(super) fn status(wire: Option<Struct<StatusWire>>) -> Arc<Status> {
    let Some(Struct(wire)) = wire else {
        return Arc::default();
    };
    let addresses = items(wire.addresses);
    let ancestors = items(wire.ancestors).map(|it| ParentStatusWire {
        parent_ref: it.ancestor_ref,
        controller_name: it.controller_name,
        conditions: it.conditions,
    });
    let parents = items(wire.parents).chain(ancestors);
    let parents = parents.filter_map(parent_status);
    let mut parents: Vec<_> = parents.collect();
    parents.sort();
    Arc::new(Status {
        conditions: conditions(wire.conditions),
        addresses: addresses
            .map(|it| (text(it.kind), text(it.value)))
            .collect(),
        listeners: items(wire.listeners).map(listener).collect(),
        attached_listener_sets: {
            let Whole(count) = wire.attached_listener_sets.unwrap_or_default();
            u32::try_from(count).unwrap_or_default()
        },
        features: items(wire.supported_features)
            .map(|it| text(it.name))
            .collect(),
        parents: parents.into(),
    })
}

fn items<T>(list: Option<List<Struct<T>>>) -> impl Iterator<Item = T> {
    let items = list.into_iter().flat_map(|List(items)| items);
    items.map(|Struct(item)| item)
}

fn listener(wire: ListenerWire) -> ListenerStatus {
    let Whole(attached) = wire.attached_routes.unwrap_or_default();
    let kinds = items(wire.supported_kinds);
    ListenerStatus {
        name: text(wire.name),
        kinds: kinds.map(|it| (text(it.group), text(it.kind))).collect(),
        attached_routes: u32::try_from(attached).unwrap_or_default(),
        conditions: conditions(wire.conditions),
    }
}

fn parent_status(wire: ParentStatusWire) -> Option<ParentStatus> {
    let Kept(controller) = wire.controller_name?;
    let Struct(named) = wire.parent_ref?;
    let named = parent(At::Top("parentRef"), named).ok()?;
    (*controller == *CONTROLLER).then(|| ParentStatus {
        parent: named,
        conditions: conditions(wire.conditions),
    })
}

/// Those of the types that we write, sorted by type.
fn conditions(list: Option<List<Struct<ConditionWire>>>) -> Box<[StatusCondition]> {
    let mut conditions: Vec<_> = items(list)
        .map(condition)
        .filter(|it| Status::CONDITIONS.contains(&&*it.kind))
        .collect();
    conditions.sort();
    conditions.into()
}

fn condition(wire: ConditionWire) -> StatusCondition {
    let Whole(generation) = wire.observed_generation.unwrap_or_default();
    StatusCondition {
        kind: text(wire.kind),
        status: match &*text(wire.status) {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: text(wire.reason),
        message: text(wire.message),
        observed_generation: i64::try_from(generation).unwrap_or_default(),
    }
}
