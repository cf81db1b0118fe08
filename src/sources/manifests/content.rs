//! From a file's text to its objects, and to all that is to be said of it.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::fields;
use super::foreign::{self, Advice};
use super::merge::Content;
use super::parse::{Document, ParseError, parse_documents};
use super::problem::Problem;
use super::spans::Spans;
use crate::objects::{Object, Rules, decode_versioned};

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

/// Reads a file's text.
///
/// # Errors
///
/// The first place that can't be read, in a file that was meant for us.
pub(super) fn of(path: &Path, text: &str, notices: &mut Notices) -> Result<Read, ParseError> {
    let documents = parse_documents(path, text)?;
    // A second reading, which most files never need.
    let spans = OnceCell::new();
    let spans = || spans.get_or_init(|| Spans::new(text));
    let mut content = Content::default();
    for document in &documents.objects {
        let object = object(document)?;
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
            content.problems.push(Problem::in_file(path, place, reason));
        }
        match content.objects.entry(reference) {
            Entry::Vacant(vacant) => {
                vacant.insert((object, place));
            }
            Entry::Occupied(occupied) => {
                let (reference, (_, (line, _))) = (occupied.key(), occupied.get());
                let reason = format!(
                    "{reference} is in this file before, in line {line}, and the first one counts"
                );
                content.problems.push(Problem::in_file(path, place, reason));
            }
        }
    }
    for ((api_version, kind), line) in &documents.others {
        match foreign::advice(api_version, kind) {
            Advice::Problem(reason) => {
                content
                    .problems
                    .push(Problem::in_file(path, (*line, 1), reason));
            }
            Advice::Once(reason) => notices.once(Problem::in_file(path, (*line, 1), reason)),
            Advice::None => {}
        }
    }
    content.problems.truncate(MOST);
    let is_foreign = documents.objects.is_empty() && documents.others.is_empty();
    let skipped = documents
        .skipped
        .map(|(line, reason)| Problem::in_file(path, (line, 1), reason));
    Ok(Read {
        content,
        is_foreign: is_foreign && skipped.is_some(),
        skipped,
    })
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
