//! Objects that contradict others, beside those that they contradict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::objects::{ObjectRef, Problem};
use crate::translate::reason;

use super::objects::named_in;
use super::query::part;
use super::state::Page;
use super::written;

impl Page {
    /// `/debug/conflicts`.
    pub(super) fn conflicts(&self, query: &BTreeMap<String, String>) -> String {
        let pairs = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let part = match part(pairs) {
            Ok(part) => part,
            Err(says) => return json!({"error": says}).to_string(),
        };
        let search = query.get("search").map(String::as_str).unwrap_or_default();
        let statuses = self.outputs.statuses.borrow().clone();
        let problems = statuses.problems.values();
        let problems = problems.flat_map(|object| object.problems.iter());
        let conflicts: Vec<&Problem> = problems
            .filter(|problem| reason::is_conflict(problem.reason))
            .filter(|problem| {
                let name = &problem.source.object.name;
                problem.message.contains(search) || name.to_string().contains(search)
            })
            .collect();
        let rows = conflicts.iter().skip(part.offset).take(part.limit);
        let rows = rows.map(|problem| {
            let mut row = written::problem(problem);
            let others = named_in(&problem.message).into_iter();
            let others: Vec<ObjectRef> = others.filter(|it| *it != problem.source.object).collect();
            row["others"] = others.iter().map(written::object).collect();
            row
        });
        json!({
            "found": conflicts.len(),
            "offset": part.offset,
            "conflicts": rows.collect::<Value>(),
        })
        .to_string()
    }
}
