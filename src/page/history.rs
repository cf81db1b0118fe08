//! What changed last: when, of which objects, and what of Envoy's configuration.
//!
//! Nobody is woken by an event for it. Now and then, and whenever somebody asks or follows, the newest snapshot is compared with the one
//! that was looked at last: persistent maps differ at the cost of what differs. Snapshots in between are told together, at the time of
//! the last of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::model::verdict::{ObjectProblems, Statuses};
use crate::objects::Problem;
use crate::xds::{Change, Difference, Published, Snapshot};

use super::written;

/// How many entries are kept.
const ENTRIES: usize = 50;

/// How many differences each of them has at most, and how many problems.
const LINES: usize = 50;

/// The last entries, and what was looked at last.
#[derive(Debug, Default)]
pub struct History {
    seen: Option<(Arc<Snapshot>, Arc<Statuses>)>,
    entries: VecDeque<Entry>,
    /// How many comparisons were made: what it costs.
    compared: u64,
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    /// The newest snapshot that is in it, and how many.
    snapshot: u64,
    snapshots: u64,
    differences: Vec<Difference>,
    more: usize,
    told: Vec<Problem>,
    settled: Vec<Problem>,
}

impl History {
    /// Compares what is newest with what was seen last.
    pub fn look(&mut self, published: &Published, statuses: Arc<Statuses>) {
        let snapshot = &published.snapshot;
        let Some((seen, told)) = self.seen.as_ref() else {
            // All there is at a start is no change.
            self.seen = Some((snapshot.clone(), statuses));
            return;
        };
        if seen.number() == snapshot.number() && Arc::ptr_eq(told, &statuses) {
            return;
        }
        self.compared += 1;
        let (seen, old) = (seen.clone(), told.clone());
        let mut differences = seen.changes_to(snapshot);
        let first: Vec<Difference> = differences.by_ref().take(LINES).collect();
        let (told, settled) = problems(&old, &statuses);
        let entry = Entry {
            at: time_of(published, seen.number() != snapshot.number()),
            snapshot: snapshot.number(),
            snapshots: snapshot.number().saturating_sub(seen.number()),
            differences: first,
            more: differences.count(),
            told,
            settled,
        };
        self.seen = Some((snapshot.clone(), statuses));
        let is_empty = entry.differences.is_empty();
        if is_empty && entry.told.is_empty() && entry.settled.is_empty() {
            return;
        }
        self.entries.push_front(entry);
        self.entries.truncate(ENTRIES);
    }

    /// How often something was compared.
    #[cfg(test)]
    pub const fn compared(&self) -> u64 {
        self.compared
    }

    /// The entries, the newest first.
    pub fn to_json(&self) -> Value {
        let entries = self.entries.iter().map(|entry| {
            json!({
                "at": entry.at.to_string(),
                "snapshot": entry.snapshot,
                "snapshots": entry.snapshots,
                "envoy": entry.differences.iter().map(difference).collect::<Value>(),
                "more": entry.more,
                "told": entry.told.iter().map(written::problem).collect::<Value>(),
                "settled": entry.settled.iter().map(written::problem).collect::<Value>(),
            })
        });
        let snapshot = self.seen.as_ref().map_or(0, |(seen, _)| seen.number());
        json!({"snapshot": snapshot, "changes": entries.collect::<Value>()})
    }
}

/// When the newest snapshot was published. A verdict that changes alone has no time of its own: it is now, about.
fn time_of(published: &Published, is_new: bool) -> Timestamp {
    let age = Instant::now().saturating_duration_since(published.at);
    let now = Timestamp::now();
    match is_new {
        true => now.checked_sub(age).unwrap_or(now),
        false => now,
    }
}

fn difference(difference: &Difference) -> Value {
    json!({
        "change": match difference.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        },
        "type": difference.resource_type.service(),
        "resource": &*difference.resource,
        "part": difference.part.as_deref(),
        "owners": difference.owners.iter().map(|owner| &**owner).collect::<Vec<_>>(),
    })
}

/// What is wrong only now, and what only before.
fn problems(old: &Statuses, new: &Statuses) -> (Vec<Problem>, Vec<Problem>) {
    let (mut told, mut settled) = (Vec::new(), Vec::new());
    for item in old.problems.diff(&new.problems) {
        let (was, is): (Option<&ObjectProblems>, Option<&ObjectProblems>) = match item {
            DiffItem::Add(_, is) => (None, Some(is)),
            DiffItem::Remove(_, was) => (Some(was), None),
            DiffItem::Update {
                old: (_, was),
                new: (_, is),
            } => (Some(was), Some(is)),
        };
        let all = |of: Option<&ObjectProblems>| -> BTreeSet<Problem> {
            of.iter()
                .flat_map(|it| it.problems.iter().cloned())
                .collect()
        };
        let (was, is) = (all(was), all(is));
        told.extend(is.difference(&was).cloned());
        settled.extend(was.difference(&is).cloned());
        if told.len() >= LINES && settled.len() >= LINES {
            break;
        }
    }
    told.truncate(LINES);
    settled.truncate(LINES);
    (told, settled)
}
