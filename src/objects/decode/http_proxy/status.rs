//! `status`. The API server checks it on its own path, so nothing is checked here.

use std::sync::Arc;

use super::super::super::http_proxy::{Status, SubCondition, ValidCondition};
use super::super::json::{Kept, List, Struct, Whole};
use super::super::metadata::LoadBalancerWire;
use super::super::schema::text;
use super::super::wires::wires;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StatusWire<'a> {
    current_status: Option<Kept>,
    description: Option<Kept>,
    conditions: Option<List<Struct<ConditionWire>>>,
    #[serde(borrow)]
    load_balancer: Struct<LoadBalancerWire<'a>>,
}

wires! {
    struct ConditionWire {
        #[serde(rename = "type")]
        kind: Kept,
        status: Kept,
        observed_generation: Whole,
        reason: Kept,
        message: Kept,
        errors: List<Struct<SubConditionWire>>,
        warnings: List<Struct<SubConditionWire>>,
    }

    struct SubConditionWire {
        #[serde(rename = "type")]
        kind: Kept,
        reason: Kept,
        message: Kept,
    }
}

impl From<StatusWire<'_>> for Arc<Status> {
    fn from(wire: StatusWire<'_>) -> Self {
        Self::new(Status {
            current_status: text(wire.current_status),
            description: text(wire.description),
            valid: ConditionWire::valid(wire.conditions),
            load_balancer: wire.load_balancer.0.addresses(),
        })
    }
}

impl ConditionWire {
    /// The condition `Valid`.
    pub(in super::super) fn valid(
        conditions: Option<List<Struct<Self>>>,
    ) -> Option<ValidCondition> {
        let mut conditions = conditions
            .into_iter()
            .flat_map(|List(conditions)| conditions);
        let valid = conditions.find(|Struct(condition)| {
            let kind = condition.kind.as_ref();
            kind.is_some_and(|Kept(kind)| &**kind == "Valid")
        });
        valid.map(|Struct(condition)| condition.into())
    }
}

impl From<ConditionWire> for ValidCondition {
    fn from(wire: ConditionWire) -> Self {
        let Whole(generation) = wire.observed_generation.unwrap_or_default();
        Self {
            status: text(wire.status),
            observed_generation: i64::try_from(generation).unwrap_or_default(),
            reason: text(wire.reason),
            message: text(wire.message),
            errors: sub_conditions(wire.errors),
            warnings: sub_conditions(wire.warnings),
        }
    }
}

fn sub_conditions(wires: Option<List<Struct<SubConditionWire>>>) -> Box<[SubCondition]> {
    let wires = wires.into_iter().flat_map(|List(wires)| wires);
    let conditions = wires.map(|Struct(wire)| SubCondition {
        kind: text(wire.kind),
        reason: text(wire.reason),
        message: text(wire.message),
    });
    conditions.collect()
}
