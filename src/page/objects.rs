//! Every object by name, with its problems, and what Envoy is sent of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::process::admin::{Parameters, Unasked};
use crate::xds::{ResourceType, Snapshot};

use super::query::{self, pairs, part, value, wrong};
use super::state::Page;
use super::written;

/// Most parts of what Envoy is sent of one object that are told.
const PARTS: usize = 100;

/// `/debug/objects`.
pub async fn objects(page: Page, query: Parameters) -> Result<String, Unasked> {
    let part = part(pairs(&query)).map_err(wrong)?;
    let of = |name| value(pairs(&query), name);
    let search = of("search").to_owned();
    let kind = match of("kind") {
        "" => None,
        name => Some(query::kind(name).map_err(wrong)?),
    };
    let mut found: Vec<ObjectRef> = match (of("problems"), kind) {
        ("only", kind) => {
            let statuses = page.outputs.statuses.borrow().clone();
            let objects = statuses.problems.keys();
            let objects = objects.filter(|it| kind.is_none_or(|kind| it.kind == kind));
            objects
                .filter(|it| is_like(&it.name, &search))
                .cloned()
                .collect()
        }
        ("", Some(kind)) => {
            let asked = page.questions().ask(move |state| {
                let names = state.builder.store().names(kind).into_iter();
                let names = names.filter(|name| is_like(name, &search));
                names.map(|name| ObjectRef { kind, name }).collect()
            });
            asked.await.map_err(|_| Unasked::Gone)?
        }
        ("", None) => {
            return Err(wrong(
                "name a kind (?kind=Ingress), or ask for ?problems=only".to_owned(),
            ));
        }
        (other, _) => return Err(wrong(format!("problems: {other:?} is not \"only\""))),
    };
    // Here, and not where events wait.
    found.sort();
    let statuses = page.outputs.statuses.borrow().clone();
    let rows = found.iter().skip(part.offset).take(part.limit);
    let rows = rows.map(|object| {
        let known = statuses.problems.get(object);
        let mut row = written::object(object);
        row["problems"] = known.map_or(0, |known| known.problems.len()).into();
        row
    });
    Ok(json!({
        "found": found.len(),
        "offset": part.offset,
        "objects": rows.collect::<Value>(),
    })
    .to_string())
}

fn is_like(name: &NamespacedName, search: &str) -> bool {
    match search.split_once('/') {
        Some((namespace, name_like)) => {
            name.namespace.ends_with(namespace) && name.name.contains(name_like)
        }
        None => name.namespace.contains(search) || name.name.contains(search),
    }
}

impl Page {
    /// `/debug/parts`.
    pub(super) fn parts(&self, query: &BTreeMap<String, String>) -> String {
        let query = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let object = match query::object(query) {
            Ok(object) => object,
            Err(says) => return json!({"error": says}).to_string(),
        };
        let published = self.outputs.snapshots.borrow().clone();
        let snapshot = published.map(|it| it.snapshot).unwrap_or_default();
        let statuses = self.outputs.statuses.borrow().clone();
        let problems = statuses.problems.get(&object);
        let problems = problems.iter().flat_map(|it| it.problems.iter());
        let parts = made_of(&snapshot, &object);
        json!({
            "object": written::object(&object),
            "problems": problems.map(written::problem).collect::<Value>(),
            "found": parts.len(),
            "parts": parts.iter().take(PARTS).map(part_of).collect::<Value>(),
        })
        .to_string()
    }
}

type Made<'a> = (ResourceType, &'a str, Option<&'a str>);

/// What is made of an object: a walk over all that is published.
fn made_of<'a>(snapshot: &'a Snapshot, object: &ObjectRef) -> Vec<Made<'a>> {
    let name = object.to_string();
    let is_of = |owners: &[std::sync::Arc<str>]| owners.iter().any(|owner| **owner == *name);
    let mut made = Vec::new();
    for of in ResourceType::ALL {
        for (resource_name, resource) in snapshot.resources(of) {
            if is_of(&resource.head().owners) {
                made.push((of, &**resource_name, None));
            }
            let parts = resource.parts().iter();
            let parts = parts.filter(|(_, part)| is_of(&part.owners));
            made.extend(parts.map(|(key, _)| (of, &**resource_name, Some(&**key))));
        }
    }
    made
}

fn part_of((of, resource, part): &Made<'_>) -> Value {
    json!({"type": of.service(), "resource": resource, "part": part})
}

/// The objects that a sentence names, as `Kind namespace/name`.
pub fn named_in(message: &str) -> Vec<ObjectRef> {
    let words: Vec<&str> = message
        .split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ';' | '(' | ')'))
        .collect();
    let mut named: Vec<ObjectRef> = Vec::new();
    for pair in words.windows(2) {
        let [word, name] = pair else { continue };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == *word) else {
            continue;
        };
        let name = name.trim_end_matches(['.', ':']);
        if let Some((namespace, name)) = name.split_once('/') {
            named.push(ObjectRef::new(kind, namespace, name));
        }
    }
    named.sort();
    named.dedup();
    named
}
