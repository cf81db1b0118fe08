//! What differs, and what of it is explained.

use std::collections::{BTreeMap, BTreeSet};

use crate::answers::{Seen, Told};
use crate::side::Outcome;

/// What no two answers have alike, whoever gives them: times, numbers of requests, ports, and what is in other keys as well.
const VOLATILE: [&str; 8] = [
    "secs",
    "why",
    "port",
    "r:date",
    "q:x-request-id",
    "q:host",
    "padding",
    "backend",
];

/// Headers that differ whatever the row: the key in the table of deploy/contour.md.
const EVERYWHERE: [(&str, &str); 10] = [
    ("q:x-request-start", "headers that nobody asked for"),
    (
        "q:x-envoy-expected-rq-timeout-ms",
        "headers that nobody asked for",
    ),
    ("q:x-envoy-original-path", "headers that nobody asked for"),
    ("q:x-envoy-original-host", "headers that nobody asked for"),
    ("r:server", "headers that nobody asked for"),
    (
        "r:x-envoy-upstream-service-time",
        "headers that nobody asked for",
    ),
    ("r:x-envoy-ratelimited", "headers that nobody asked for"),
    ("q:x-forwarded-host", "where a request came to"),
    ("q:x-forwarded-port", "where a request came to"),
    // Contour's filter says so of whatever may be compressed.
    ("r:vary", "compression"),
];

/// Keys that hold only what Envoy or a filter says about it.
const WORDS: [&str; 2] = ["body", "r:content-length"];

/// One difference.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) row: String,
    /// What was asked.
    pub(crate) asked: String,
    /// Whether it is only in what messages say.
    pub(crate) is_words: bool,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// All that differs between two outcomes of one ask, and the keys of what differs everywhere.
pub(crate) fn between(
    row: &str,
    asked: &str,
    ours: &Outcome,
    theirs: &Outcome,
    everywhere: &mut BTreeSet<&'static str>,
) -> Vec<Difference> {
    let difference = |is_words, ours: String, theirs: String| Difference {
        row: row.to_owned(),
        asked: asked.to_owned(),
        is_words,
        ours,
        theirs,
    };
    match (ours, theirs) {
        (Outcome::Told(ours), Outcome::Told(theirs)) => {
            let mut all = Vec::new();
            let [one, other] = [ours, theirs].map(said);
            if one != other {
                all.push(difference(false, one, other));
            }
            let [one, other] = [ours, theirs].map(messages);
            if one != other && all.is_empty() {
                all.push(difference(true, one, other));
            }
            all
        }
        (Outcome::Seen(ours), Outcome::Seen(theirs)) => {
            let pairs = ours.iter().zip(theirs);
            // Of many answers each may come from anybody: only what came is compared.
            if ours.len() > 1 {
                let [one, other] = [ours, theirs].map(|all| {
                    let words: BTreeSet<&str> = all.iter().map(|it| &*it.word).collect();
                    format!("{words:?}")
                });
                return (one != other)
                    .then(|| difference(false, one, other))
                    .into_iter()
                    .collect();
            }
            let mut all = Vec::new();
            for (ours, theirs) in pairs {
                let (one, other) = (values(ours), values(theirs));
                let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
                let mut keys: Vec<&String> = keys
                    .into_iter()
                    .filter(|key| one.get(*key) != other.get(*key))
                    .collect();
                keys.retain(|key| {
                    let told = EVERYWHERE.iter().find(|(header, _)| header == key);
                    everywhere.extend(told.map(|(_, why)| *why));
                    told.is_none()
                });
                if keys.is_empty() {
                    continue;
                }
                let is_words = keys.iter().all(|key| WORDS.contains(&&***key));
                all.push(difference(is_words, show(&one, &keys), show(&other, &keys)));
            }
            all
        }
        _ => unreachable!("one ask"),
    }
}

/// The values of these keys in a line; `KEY!` where there is none.
fn show(values: &BTreeMap<String, String>, keys: &[&String]) -> String {
    let shown = keys.iter().map(|key| match values.get(*key) {
        Some(value) => format!("{key}={value}"),
        None => format!("{key}!"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn said(told: &Told) -> String {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list.join(",")
    };
    format!(
        "{} er={} wa={}",
        told.word,
        sorted(&told.errors),
        sorted(&told.warnings)
    )
}

fn messages(told: &Told) -> String {
    let mut messages = told.messages.clone();
    messages.sort();
    messages.join(" | ")
}

/// What counts of an answer.
fn values(seen: &Seen) -> BTreeMap<String, String> {
    let mut values = seen.values.clone();
    values.insert("status".to_owned(), seen.word.clone());
    values.insert("by".to_owned(), seen.backend.clone());
    for key in VOLATILE {
        values.remove(key);
    }
    settle(&mut values);
    // An echo is in the other keys; how long it is follows from them.
    if !seen.backend.is_empty() {
        values.remove("body");
        values.remove("r:content-length");
    }
    values
}

/// Makes alike what is of a side's own keys, and what nobody orders.
fn settle(values: &mut BTreeMap<String, String>) {
    let part = |text: &str, mark: &str| text.split(mark).next().unwrap_or_default().to_owned();
    for (key, value) in values.iter_mut() {
        match &**key {
            // A signature.
            "q:authorization" => *value = value.rsplit_once('.').map_or("", |it| it.0).to_owned(),
            // Each side has certificates of its own: of one, of its chain and of its digest it counts that they are there.
            "q:x-forwarded-client-cert" => {
                let parts = value.split(';').map(|it| match it.split_once('=') {
                    Some((name @ ("Hash" | "Cert" | "Chain"), _)) => name,
                    _ => it,
                });
                *value = parts.collect::<Vec<_>>().join(";");
            }
            // An address of a back end, as a number; attributes come in any order.
            "r:set-cookie" => {
                let mut parts: Vec<String> = value.split("; ").map(str::to_owned).collect();
                for it in &mut parts {
                    if it.starts_with("X-Contour-Session-Affinity=") {
                        *it = part(it, "=");
                    }
                }
                parts[1..].sort();
                *value = parts.join("; ");
            }
            // The echo of a back end that speaks no gRPC.
            "r:grpc-message" => *value = part(value, ":{"),
            // One of three of one Service.
            "by" | "r:x-backend" if matches!(&**value, "m1" | "m2" | "m3") => "m".clone_into(value),
            _ => {}
        }
    }
}
