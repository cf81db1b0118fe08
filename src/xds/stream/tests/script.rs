//! Transcripts as text. Types are `c`, `e`, `x` (ECDS), `l`, `r`, `k` (SRDS, by a key), `s`.
//!
//! ```text
//! ! c:a=1(e:a) e:a=1 -s:old        publish a snapshot with these resources set and removed
//! ! r:r=0[h=1(c:a);i=2]            a resource with parts
//! @ 500                            500 ms pass
//! > c * +a -b had:x,y=1            a delta request; of what it had the version may be told
//! > c =a,b had:1                   a state-of-the-world request, of a client that took a version before
//! > c ok                           ... that acknowledges the last response of the type
//! > c ok:1  > c no:the text        ... an earlier one; refuses the last one
//! < c 1 a=1 b=2 -x                 a response: nonce, resources with their bytes, removals
//! ```
//!
//! After each input all responses must be listed, and no others come. `∅` is a resource that is empty but for its
//! name, `→t` a scope that the stream has made itself, to table `t`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbl::OrdMap;
use prost::Message as _;

use super::super::{Event, Stream, Timing, Violation};
use crate::xds::message::{Ask, RefusalText, Request, Response, Variant};
use crate::xds::wire::ScopedTable;
use crate::xds::{Part, Reference, Resource, ResourceType, Snapshot};

pub(super) fn type_of(letter: &str) -> ResourceType {
    ResourceType::ALL
        .into_iter()
        .find(|of| letter_of(*of) == letter)
        .unwrap_or_else(|| panic!("no type {letter:?}"))
}

const fn letter_of(of: ResourceType) -> &'static str {
    match of {
        ResourceType::Cluster => "c",
        ResourceType::Endpoint => "e",
        ResourceType::Extension => "x",
        ResourceType::Listener => "l",
        ResourceType::Route => "r",
        ResourceType::Scope => "k",
        ResourceType::Secret => "s",
    }
}

/// `label` or `label(type:name,...)`.
fn part(text: &str) -> Part {
    let (label, references) = text
        .strip_suffix(')')
        .and_then(|text| text.split_once('('))
        .unwrap_or((text, ""));
    let references: Vec<Reference> = references
        .split(',')
        .filter_map(|reference| reference.split_once(':'))
        .map(|(of, name)| Reference {
            resource_type: type_of(of),
            name: name.into(),
        })
        .collect();
    Part {
        bytes: label.as_bytes().into(),
        references: references.into(),
        owners: Arc::new([]),
    }
}

/// `name=part` or `name=part[key=part;...]`.
pub(super) fn resource(text: &str) -> Resource {
    let (text, parts) = text
        .strip_suffix(']')
        .and_then(|text| text.split_once('['))
        .unwrap_or((text, ""));
    let (name, head) = text.split_once('=').expect("name=label");
    let parts: OrdMap<Arc<str>, Arc<Part>> = parts
        .split(';')
        .filter_map(|text| text.split_once('='))
        .map(|(key, text)| {
            let mut part = part(text);
            part.bytes = [b" ", key.as_bytes(), b":", &part.bytes.to_bytes()]
                .concat()
                .into();
            part.owners = Arc::new([format!("owner-of-{key}").into()]);
            (Arc::from(key), Arc::new(part))
        })
        .collect();
    let mut head = part(head);
    head.owners = Arc::new([format!("owner-of-{name}").into()]);
    Resource::composite(name.into(), head, parts)
}

pub(super) fn apply(snapshot: &mut Snapshot, text: &str) {
    for word in text.split_whitespace() {
        if let Some(word) = word.strip_prefix('-') {
            let (of, name) = word.split_once(':').unwrap();
            assert!(snapshot.remove(type_of(of), name), "{word} was not there");
        } else {
            let (of, text) = word.split_once(':').unwrap();
            let resource = resource(text);
            let table = resource.references().next();
            let table = table.map(|table| table.name.clone());
            let resource = match table.filter(|_| of == "k") {
                Some(table) => resource.with_version(table),
                None => resource,
            };
            snapshot.insert(type_of(of), Arc::new(resource));
        }
    }
}

pub(super) fn contents(resource: &Resource) -> String {
    if resource.bytes().first() == Some(&0x0a) {
        let scope = ScopedTable::decode(&*resource.bytes().to_vec()).unwrap();
        return match scope.table.is_empty() {
            true => "∅".into(),
            false => format!("→{}", scope.table),
        };
    }
    String::from_utf8(resource.bytes().to_vec())
        .unwrap()
        .replace(' ', "+")
}

/// `name=version` or `name`.
fn of_version(text: String) -> (String, String) {
    match text.split_once('=') {
        Some((name, version)) => (name.into(), version.into()),
        None => (text, "unknown".into()),
    }
}

pub(super) fn line(response: &Response) -> String {
    let mut line = format!("{} {}", letter_of(response.resource_type), response.nonce);
    for resource in &response.resources {
        write!(line, " {}={}", resource.name(), contents(resource)).unwrap();
    }
    for name in &response.removed {
        write!(line, " -{name}").unwrap();
    }
    line
}

pub(super) struct Script {
    pub(super) stream: Stream,
    pub(super) snapshot: Snapshot,
    pub(super) now: Instant,
    pub(super) events: Vec<Event>,
    variant: Variant,
    names: BTreeMap<ResourceType, Vec<String>>,
    last: BTreeMap<ResourceType, u64>,
}

impl Script {
    pub(super) fn new(variant: Variant, first: &str) -> Self {
        let mut snapshot = Snapshot::default();
        apply(&mut snapshot, first);
        let now = Instant::now();
        Self {
            stream: Stream::new(variant, Timing::default(), Arc::new(snapshot.clone()), now),
            snapshot,
            now,
            events: Vec::new(),
            variant,
            names: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Plays one input and returns what comes out.
    pub(super) fn input(&mut self, input: &str) -> Result<Vec<String>, Violation> {
        let (verb, rest) = input.split_once(' ').unwrap_or((input, ""));
        match verb {
            "!" => {
                apply(&mut self.snapshot, rest);
                self.stream
                    .publish(Arc::new(self.snapshot.clone()), self.now);
            }
            "@" => self.now += Duration::from_millis(rest.parse().unwrap()),
            ">" => {
                let request = self.request(rest);
                let foreseen = self.stream.nonexistent_with(&request);
                // What was removed comes back with the refusal of the response that removed it.
                let is_refusal = request.refusal.is_some();
                self.stream.request(request, self.now)?;
                let (names, bytes) = self.stream.nonexistent();
                let is_foreseen = names <= foreseen.0 && bytes <= foreseen.1;
                assert!(is_foreseen || is_refusal, "{input:?}");
            }
            _ => panic!("{input:?}"),
        }
        let mut out = Vec::new();
        while let Some(response) = self.stream.poll(self.now) {
            assert!(out.len() < 1000, "it never ends");
            self.last.insert(response.resource_type, response.nonce);
            out.push(line(&response));
        }
        self.events.extend(self.stream.take_events());
        Ok(out)
    }

    pub(super) fn request(&mut self, text: &str) -> Request {
        let mut words = text.splitn(2, ' ');
        let of = type_of(words.next().unwrap());
        let mut request = Request {
            type_url: of.type_url().into(),
            ..Request::default()
        };
        let (mut subscribe, mut unsubscribe, mut claimed) = (vec![], vec![], vec![]);
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .filter(|name| !name.is_empty())
                .map(String::from)
                .collect()
        };
        let mut rest = words.next().unwrap_or("");
        while !rest.is_empty() {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if let Some(text) = rest.strip_prefix("no:") {
                request.nonce = self.last.get(&of).copied().unwrap_or(0).to_string();
                request.refusal = Some(RefusalText::new(text));
                break;
            }
            rest = after;
            if word == "ok" {
                request.nonce = self.last[&of].to_string();
            } else if let Some(nonce) = word.strip_prefix("ok:") {
                request.nonce = nonce.into();
            } else if let Some(names) = word.strip_prefix('=') {
                self.names.insert(of, list(names));
            } else if let Some(names) = word.strip_prefix("had:") {
                claimed = list(names);
            } else if let Some(name) = word.strip_prefix('-') {
                unsubscribe.push(name.to_owned());
            } else {
                subscribe.push(word.trim_start_matches('+').to_owned());
            }
        }
        request.ask = match self.variant {
            Variant::Delta => Ask::Delta {
                subscribe,
                unsubscribe,
                claimed: claimed.into_iter().map(of_version).collect(),
            },
            Variant::Sotw => Ask::Sotw {
                names: self.names.get(&of).cloned().unwrap_or_default(),
                resumes: !claimed.is_empty(),
            },
        };
        request
    }
}

/// Plays a transcript that starts with a snapshot.
pub(super) fn check(variant: Variant, transcript: &str) -> Script {
    let mut lines = transcript
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    let first = lines.next().unwrap().strip_prefix('!').unwrap();
    let mut script = Script::new(variant, first);
    let mut played = format!("!{first}\n");
    while let Some(input) = lines.next() {
        writeln!(played, "{input}").unwrap();
        let out = script.input(input).unwrap();
        let mut expected = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('<')) {
            expected.push(line.strip_prefix("< ").unwrap().to_owned());
        }
        for line in &out {
            writeln!(played, "< {line}").unwrap();
        }
        assert_eq!(out, expected, "as played:\n{played}");
    }
    script
}
