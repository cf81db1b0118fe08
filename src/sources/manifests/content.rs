//! From a file's text to its objects, and to all that is to be said of it.

use std::cell::OnceCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fields;
use super::foreign::{self, Advice};
use super::merge::Content;
use super::parse::{Anchor, Document, Documents, ParseError, parse_documents};
use super::problem::{Problem, rule};
use super::spans::Spans;
use crate::objects::{Object, ObjectRef, Rules, decode_versioned};

/// What is wrong with one file is told so often at most: a chart can have a typo in a thousand places.
const MOST: usize = 20;

/// A file that could be read.
pub(super) struct Read {
    /// Its objects.
    pub(super) content: Content,
    /// What in it is no object of Kubernetes.
    pub(super) skipped: Option<Problem>,
    /// Whether there is nothing of Kubernetes in it at all, though it is not empty.
    pub(super) is_foreign: bool,
    /// Where each object begins; empty for [`Extent::First`].
    pub(super) anchors: BTreeMap<ObjectRef, Anchor>,
    /// How many objects of each other `apiVersion` and `kind` are in it.
    pub(super) others: BTreeMap<(String, String), usize>,
}

/// Log lines that are written once, whichever file asks for them first.
#[derive(Debug, Default)]
pub(super) struct Notices {
    all: BTreeSet<String>,
    new: Vec<Problem>,
}

impl Notices {
    /// Those that came since the last call.
    pub(super) fn take(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.new)
    }

    fn once(&mut self, problem: Problem) {
        if self.all.insert(problem.reason.clone()) {
            self.new.push(problem);
        }
    }
}

/// How much is told of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The first things: whoever runs a control plane has other things to read.
    First,
    /// Everything, and an object that can't be used is no reason not to read the next one.
    All,
}

/// Reads a file's text.
///
/// # Errors
///
/// The first place that can't be read, in a file that was meant for us.
pub(super) fn of(
    path: &Path,
    text: &str,
    extent: Extent,
    notices: &mut Notices,
) -> Result<Read, ParseError> {
    let documents = parse_documents(path, text)?;
    // A second reading, which most files never need.
    let spans = OnceCell::new();
    let spans = || spans.get_or_init(|| Spans::new(text));
    let mut content = Content::default();
    let mut anchors = BTreeMap::new();
    for document in &documents.objects {
        let object = match object(document) {
            Ok(object) => object,
            Err(error) if extent == Extent::All => {
                let place = document.place(spans(), &[]);
                let problem = Problem::in_file(path, place, rule::MANIFEST_NOT_VALID, error.reason);
                content.problems.push(problem);
                continue;
            }
            Err(error) => return Err(error),
        };
        let reference = object.reference();
        let place = match object.wrong() {
            Some(why) => {
                let field = fields::Path::of_sentence(why).unwrap_or_default();
                document.place(spans(), &field.0)
            }
            _ if document.is_item() => document.place(spans(), &[]),
            _ => (document.line, 1),
        };
        for field in &document.unknown {
            let place = document.place(spans(), &field.path.0);
            let reason = format!("{reference}: {field}");
            let problem = Problem::in_file(path, place, rule::FIELD_UNKNOWN, reason);
            content.problems.push(problem);
        }
        match content.objects.entry(reference) {
            Entry::Vacant(vacant) => {
                if extent == Extent::All {
                    anchors.insert(vacant.key().clone(), document.anchor());
                }
                vacant.insert((object, place));
            }
            Entry::Occupied(occupied) => {
                let (reference, (_, (line, _))) = (occupied.key(), occupied.get());
                let reason = format!(
                    "{reference} is in this file before, in line {line}, and the first one counts"
                );
                let problem = Problem::in_file(path, place, rule::OBJECT_REPEATED, reason);
                content.problems.push(problem);
            }
        }
    }
    advise(path, &documents, extent, &mut content.problems, notices);
    if extent == Extent::First {
        content.problems.truncate(MOST);
    }
    let is_foreign = documents.objects.is_empty() && documents.others.is_empty();
    let skipped = documents
        .skipped
        .map(|(line, reason)| Problem::in_file(path, (line, 1), rule::PASSED_OVER, reason));
    let others = documents.others.into_iter();
    Ok(Read {
        content,
        is_foreign: is_foreign && skipped.is_some(),
        skipped,
        anchors,
        others: others.map(|(kind, lines)| (kind, lines.len())).collect(),
    })
}

/// What is to be said of objects that are not read.
fn advise(
    path: &Path,
    documents: &Documents,
    extent: Extent,
    problems: &mut Vec<Problem>,
    notices: &mut Notices,
) {
    for ((api_version, kind), lines) in &documents.others {
        let said = match extent {
            Extent::First => 1,
            Extent::All => lines.len(),
        };
        let told = |line: u64, rule, reason| Problem::in_file(path, (line, 1), rule, reason);
        for line in lines.iter().take(said) {
            match foreign::advice(api_version, kind) {
                Advice::Problem(reason) => {
                    problems.push(told(*line, rule::API_VERSION_NOT_READ, reason));
                }
                Advice::Once(reason) => notices.once(told(*line, rule::KIND_NOT_READ, reason)),
                Advice::None => {}
            }
        }
    }
}

fn object(document: &Document) -> Result<Object, ParseError> {
    decode_versioned(document.kind, &document.json, Rules::Create)
        .map(|decoded| decoded.object)
        .map_err(|error| ParseError {
            line: document.line,
            column: 1,
            reason: format!("{} can't be used: {error}", document.kind),
        })
}
