//! One set of objects out of many files, and what changes in it when a file does.
//!
//! Each object belongs to the first path that has it. Files that have just gone count behind all that are there,
//! the last to go first: so an object stays what it was until it is known that it is gone. Work follows the files
//! that changed: only the objects that they have or had are looked at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use imbl::OrdMap;

use super::problem::{MEANWHILE, Origin, Problem, rule};
use super::spans::Place;
use crate::objects::{Event, Kind, Object, ObjectRef};

/// The objects of one file, as it was last read.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The objects, and where each stands; of two with one name the first.
    pub(super) objects: BTreeMap<ObjectRef, (Object, Place)>,
    /// What is wrong with the file though it can be read.
    pub(super) problems: Vec<Problem>,
}

/// The files and the objects that come out of them.
#[derive(Debug, Default)]
pub(super) struct Merge {
    files: BTreeMap<PathBuf, File>,
    /// The files that have an object.
    claims: BTreeMap<ObjectRef, BTreeSet<PathBuf>>,
    /// What each object is.
    winners: BTreeMap<ObjectRef, Object>,
    /// Where each stands.
    origins: OrdMap<ObjectRef, Origin>,
    /// Objects that more than one file has.
    conflicts: BTreeMap<ObjectRef, Vec<Problem>>,
    /// How many files have gone so far.
    departures: u64,
}

#[derive(Debug, Default)]
struct File {
    content: Content,
    /// Why the last reading of it failed.
    broken: Option<Problem>,
    /// Where the file is not there any more: its number among those that went.
    gone: Option<u64>,
}

impl Merge {
    /// All objects, sorted by kind and name.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.winners.values()
    }

    /// Where each object stands.
    pub(super) fn origins(&self) -> &OrdMap<ObjectRef, Origin> {
        &self.origins
    }

    /// The complete list of each kind.
    pub(super) fn replaces(&self) -> Vec<Event> {
        Kind::ALL
            .into_iter()
            .map(|kind| Event::Replace {
                kind,
                namespace: None,
                objects: self
                    .winners
                    .iter()
                    .filter(|(reference, _)| reference.kind == kind)
                    .map(|(_, object)| object.clone())
                    .collect(),
            })
            .collect()
    }

    /// What is wrong with files, sorted by path.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for file in self.files.values() {
            problems.extend(file.broken.iter().cloned());
            problems.extend(file.content.problems.iter().cloned());
        }
        problems.extend(self.conflicts.values().flatten().cloned());
        problems.sort();
        problems
    }

    /// Whether the file has any object, good ones of former times included.
    pub(super) fn has_objects(&self, path: &Path) -> bool {
        self.files
            .get(path)
            .is_some_and(|file| !file.content.objects.is_empty())
    }

    /// The file was read. Returns what has changed.
    pub(super) fn put(&mut self, path: &Path, content: Content) -> Vec<Event> {
        let touched: BTreeSet<_> = content.objects.keys().cloned().collect();
        for reference in &touched {
            let claims = self.claims.entry(reference.clone()).or_default();
            claims.insert(path.to_owned());
        }
        let file = File {
            content,
            ..File::default()
        };
        let former = self.files.insert(path.to_owned(), file);
        self.drop_claims(path, former, touched)
    }

    /// The file can't be read or parsed: it keeps what it had.
    pub(super) fn break_file(&mut self, path: &Path, mut problem: Problem) -> Vec<Event> {
        let file = self.files.entry(path.to_owned()).or_default();
        if !file.content.objects.is_empty() {
            problem.reason.push_str(MEANWHILE);
        }
        file.broken = Some(problem);
        self.set_gone(path, false)
    }

    /// The file is not there, perhaps for a moment only: it keeps what it had, behind all other files.
    pub(super) fn set_gone(&mut self, path: &Path, gone: bool) -> Vec<Event> {
        let Some(file) = self.files.get_mut(path) else {
            return Vec::new();
        };
        if file.gone.is_some() == gone {
            return Vec::new();
        }
        self.departures += u64::from(gone);
        file.gone = gone.then_some(self.departures);
        let touched = file.content.objects.keys().cloned().collect();
        self.settle(&touched)
    }

    /// The file is gone for good. What files that went before it had is older still, and does not come back.
    pub(super) fn remove(&mut self, path: &Path) -> Vec<Event> {
        let former = self.files.remove(path);
        if let Some(file) = &former {
            for reference in file.content.objects.keys() {
                self.drop_older(reference, file.gone);
            }
        }
        self.drop_claims(path, former, BTreeSet::new())
    }

    fn drop_older(&mut self, reference: &ObjectRef, than: Option<u64>) {
        let Some(claims) = self.claims.get_mut(reference) else {
            return;
        };
        claims.retain(|path| {
            let file = self.files.get_mut(path);
            match file.filter(|file| file.gone.is_some() && file.gone < than) {
                None => true,
                Some(file) => {
                    file.content.objects.remove(reference);
                    false
                }
            }
        });
    }

    fn drop_claims(
        &mut self,
        path: &Path,
        former: Option<File>,
        mut touched: BTreeSet<ObjectRef>,
    ) -> Vec<Event> {
        let former = former.map(|file| file.content.objects).unwrap_or_default();
        for reference in former.into_keys() {
            if !touched.contains(&reference)
                && let Some(claims) = self.claims.get_mut(&reference)
            {
                claims.remove(path);
                touched.insert(reference);
            }
        }
        self.settle(&touched)
    }

    /// Decides anew what the touched objects are. Deletions come last.
    fn settle(&mut self, touched: &BTreeSet<ObjectRef>) -> Vec<Event> {
        let mut applied = Vec::new();
        let mut deleted = Vec::new();
        for reference in touched {
            self.conflicts.remove(reference);
            let Some((winner, object, place)) = self.winner(reference) else {
                self.claims.remove(reference);
                self.origins.remove(reference);
                if self.winners.remove(reference).is_some() {
                    deleted.push(Event::Delete(reference.clone()));
                }
                continue;
            };
            let problems = self.losers(reference, &winner);
            if !problems.is_empty() {
                self.conflicts.insert(reference.clone(), problems);
            }
            let origin = Origin::new(&winner, place);
            if self.origins.get(reference) != Some(&origin) {
                self.origins.insert(reference.clone(), origin);
            }
            if self.winners.get(reference) != Some(&object) {
                self.winners.insert(reference.clone(), object.clone());
                applied.push(Event::Apply(object));
            }
        }
        applied.append(&mut deleted);
        applied
    }

    fn winner(&self, reference: &ObjectRef) -> Option<(PathBuf, Object, Place)> {
        let claims = self.claims.get(reference)?.iter();
        let (path, file) = claims
            .filter_map(|path| Some((path, self.files.get(path)?)))
            .min_by_key(|(path, file)| (file.gone.map(Reverse), *path))?;
        let (object, place) = file.content.objects.get(reference)?;
        Some((path.clone(), object.clone(), *place))
    }

    fn losers(&self, reference: &ObjectRef, winner: &Path) -> Vec<Problem> {
        let claims = self.claims.get(reference).into_iter().flatten();
        claims
            .filter(|path| *path != winner)
            .filter(|path| {
                self.files
                    .get(*path)
                    .is_some_and(|file| file.gone.is_none())
            })
            .filter_map(|path| {
                let (_, place) = self.files.get(path)?.content.objects.get(reference)?;
                let reason = format!("{reference} is also in {}, which wins", winner.display());
                Some(Problem::in_file(
                    path,
                    *place,
                    rule::OBJECT_REPEATED,
                    reason,
                ))
            })
            .collect()
    }
}
