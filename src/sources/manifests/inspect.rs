//! One look at all manifests, for whoever wants to know everything that is wrong with them.
//!
//! What [`super::Manifests`] ends a start for is one finding of many here, nothing is watched, and paths stay as they were
//! given: a reader of the report stands where the command was run.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::content::{self, Extent, Notices};
use super::fields;
use super::file::{self, Unread};
use super::merge::Merge;
use super::parse::Anchor;
use super::problem::{ManifestError, Origin, Problem};
use super::spans::Spans;
use super::tree::Tree;
use super::{STANDARD_INPUT, foreign};
use crate::objects::{self, Event, Field};

/// All that was found.
#[derive(Default)]
pub struct Inspection {
    merge: Merge,
    texts: BTreeMap<PathBuf, Text>,
    notices: Notices,
    unreadable: Vec<Problem>,
    passed_over: Vec<Problem>,
    others: BTreeMap<(String, String), usize>,
}

/// A file's text, and where its objects begin in it.
struct Text {
    text: Zeroizing<String>,
    anchors: BTreeMap<objects::ObjectRef, Anchor>,
    spans: OnceCell<Spans>,
}

impl Inspection {
    /// Reads a directory, a file, or with [`STANDARD_INPUT`] that.
    ///
    /// # Errors
    ///
    /// The root can't be read.
    pub fn of(root: &Path) -> Result<Self, ManifestError> {
        let mut inspection = Self::default();
        if root == Path::new(STANDARD_INPUT) {
            let name = Path::new("standard input");
            inspection.take_once(name, file::read_once(io::stdin().lock()))?;
            return Ok(inspection);
        }
        let unreadable = |cause| ManifestError::Unreadable {
            path: root.to_owned(),
            cause,
        };
        let metadata = fs::metadata(root).map_err(unreadable)?;
        if !metadata.is_dir() && !metadata.is_file() {
            let input = fs::File::open(root).map_err(unreadable)?;
            inspection.take_once(root, file::read_once(input))?;
            return Ok(inspection);
        }
        let found = Tree::new(root.to_owned(), None).walk()?;
        inspection.unreadable = found.unreadable;
        for path in found.files.keys() {
            match file::load(path) {
                // As a reader of `isobath check .` names it.
                Ok((_, text)) => inspection.take(path.strip_prefix(".").unwrap_or(path), text),
                // It went meanwhile.
                Err(Unread::Missing) => {}
                Err(Unread::Broken(_, reason)) => {
                    inspection.unreadable.push(Problem::of_file(path, reason));
                }
            }
        }
        Ok(inspection)
    }

    fn take_once(
        &mut self,
        name: &Path,
        text: Result<Zeroizing<String>, String>,
    ) -> Result<(), ManifestError> {
        let text = text.map_err(|why| ManifestError::Broken(Problem::of_file(name, why)))?;
        self.take(name, text);
        Ok(())
    }

    fn take(&mut self, path: &Path, text: Zeroizing<String>) {
        let mut anchors = BTreeMap::new();
        match content::of(path, &text, Extent::All, &mut self.notices) {
            Ok(read) => {
                for (kind, count) in read.others {
                    *self.others.entry(kind).or_default() += count;
                }
                self.passed_over
                    .extend(read.skipped.map(|skipped| with_advice(path, skipped)));
                anchors = read.anchors;
                self.merge.put(path, read.content);
            }
            Err(error) => {
                self.merge.break_file(path, Problem::at(path, error));
            }
        }
        let text = Text {
            text,
            anchors,
            spans: OnceCell::new(),
        };
        self.texts.insert(path.to_owned(), text);
    }

    /// The objects, each kind in full.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.merge.replaces()
    }

    /// How many objects of kinds that are read there are.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.merge.objects().count()
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.texts.len()
    }

    /// How many objects of other kinds there are, by `apiVersion` and `kind`.
    #[must_use]
    pub const fn others(&self) -> &BTreeMap<(String, String), usize> {
        &self.others
    }

    /// What is no object of Kubernetes, one for each file.
    #[must_use]
    pub fn passed_over(&self) -> &[Problem] {
        &self.passed_over
    }

    /// What is wrong with the files themselves, sorted by path. What is wrong with objects is not among it.
    pub fn problems(&mut self) -> Vec<Problem> {
        let mut problems = self.merge.problems();
        problems.extend(self.unreadable.iter().cloned());
        problems.extend(self.notices.take());
        problems.sort();
        problems
    }

    /// Where the field of a problem stands, or the nearest thing above it; of an object that is in no file, nowhere.
    #[must_use]
    pub fn locate(&self, problem: &objects::Problem) -> Option<Origin> {
        let object = &problem.source.object;
        let origin = self.merge.origins().get(object)?;
        let path = match &problem.source.field {
            Field::At(path) => fields::Path::of_field(path),
            Field::Whole => match fields::Path::of_sentence(&problem.message) {
                Some(path) => path,
                None => return Some(origin.clone()),
            },
            // Whoever publishes problems has found the paths of these.
            _ => return Some(origin.clone()),
        };
        let text = self.texts.get(&*origin.path)?;
        let (line, steps) = text.anchors.get(object)?;
        let spans = text.spans.get_or_init(|| Spans::new(&text.text));
        let place = spans.place(*line, steps.iter().chain(&path.0));
        Some(Origin::new(&origin.path, place.unwrap_or(origin.place)))
    }
}

fn with_advice(path: &Path, skipped: Problem) -> Problem {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match foreign::of_file(&name) {
        None => skipped,
        Some(advice) => Problem {
            reason: format!("{}: {advice}", skipped.reason),
            ..skipped
        },
    }
}
