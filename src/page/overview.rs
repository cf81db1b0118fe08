//! How much there is of everything, and what wants a look.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::verdict::Statuses;
use crate::objects::Kind;
use crate::process::admin::{Parameters, Unasked};
use crate::xds::{ResourceType, Snapshot, StreamReport};

use super::state::Page;

/// Certificates that are told: those that end first.
const CERTIFICATES: usize = 20;

/// Streams that are told.
const STREAMS: usize = 50;

/// Refused units that are told of each.
const REFUSED: usize = 20;

/// `/debug/overview`.
pub async fn overview(page: Page, _: Parameters) -> Result<String, Unasked> {
    let asked = page.questions().ask(|state| {
        let store = state.builder.store();
        let kinds = Kind::ALL.map(|kind| (kind, store.count(kind)));
        (kinds, state.builder.counts(), state.snapshot)
    });
    let (kinds, counts, number) = asked.await.map_err(|_| Unasked::Gone)?;
    let statuses = page.outputs.statuses.borrow().clone();
    let published = page.outputs.snapshots.borrow().clone();
    let snapshot = published.map(|it| it.snapshot).unwrap_or_default();
    let mut with_problems: BTreeMap<Kind, usize> = BTreeMap::new();
    for object in statuses.problems.keys() {
        *with_problems.entry(object.kind).or_default() += 1;
    }
    let objects = kinds.into_iter().filter(|(_, count)| *count > 0);
    let objects = objects.map(|(kind, count)| {
        let problems = with_problems.get(&kind).copied().unwrap_or_default();
        json!({"kind": kind.name(), "count": count, "problems": problems})
    });
    let reports = page.reports.streams();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "snapshot": number,
        "hosts": counts.hosts,
        "clusters": counts.clusters,
        "objects": objects.collect::<Value>(),
        "problems": problems(&statuses),
        "certificates": certificates(&statuses),
        "resources": resources(&snapshot),
        "streams": {
            "count": reports.len(),
            "first": reports.iter().take(STREAMS).map(stream).collect::<Value>(),
        },
    })
    .to_string())
}

/// How many of each reason, the most first.
fn problems(statuses: &Statuses) -> Value {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let all = statuses.problems.values();
    for problem in all.flat_map(|object| object.problems.iter()) {
        *reasons.entry(problem.reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    let count: usize = reasons.iter().map(|(_, count)| count).sum();
    let reasons = reasons.iter();
    json!({
        "objects": statuses.problems.len(),
        "count": count,
        "reasons": reasons
            .map(|(reason, count)| json!({"reason": reason, "count": count}))
            .collect::<Value>(),
    })
}

fn certificates(statuses: &Statuses) -> Value {
    let mut all: Vec<_> = statuses.certificates.iter().collect();
    all.sort_by_key(|(secret, validity)| (validity.not_after, *secret));
    let first = all.iter().take(CERTIFICATES).map(|(secret, validity)| {
        json!({
            "namespace": &*secret.namespace,
            "name": &*secret.name,
            "not_before": validity.not_before.to_string(),
            "not_after": validity.not_after.to_string(),
        })
    });
    json!({"count": all.len(), "first": first.collect::<Value>()})
}

/// What Envoy is sent, by type. Tables and listeners are told by their parts as well.
fn resources(snapshot: &Snapshot) -> Value {
    let of_type = |of: ResourceType| {
        let resources = snapshot.resources(of);
        let parts: usize = resources.values().map(|it| it.parts().len()).sum();
        json!({"type": of.service(), "count": resources.len(), "parts": parts})
    };
    ResourceType::ALL.into_iter().map(of_type).collect()
}

fn stream((number, report): (&u64, &StreamReport)) -> Value {
    let refused = report.refused.iter().take(REFUSED);
    let refused = refused.map(|unit| {
        json!({
            "type": unit.resource_type.service(),
            "resource": &*unit.resource,
            "part": unit.part.as_deref(),
            "owners": unit.owners.iter().map(|owner| &**owner).collect::<Vec<_>>(),
            "reason": &*unit.reason,
        })
    });
    let waiting: usize = report.types.iter().map(|it| it.waiting).sum();
    json!({
        "stream": number,
        "node": report.node.as_deref(),
        "envoy": report.envoy,
        "busy": report.is_busy,
        "acknowledged": report.acknowledged,
        "waiting": waiting,
        "refused": {"count": report.refused.len(), "first": refused.collect::<Value>()},
    })
}
