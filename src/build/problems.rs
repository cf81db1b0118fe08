//! Problems by unit and by object.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;

use imbl::OrdMap;

use crate::facts::Store;
use crate::model::verdict::ObjectProblems;
use crate::objects::{Condition, Field, FieldRef, ObjectRef, Problem};

use super::unit::Unit;

/// All problems, kept so that one unit's can be replaced.
#[derive(Debug, Default)]
pub struct Problems {
    by_object: BTreeMap<ObjectRef, BTreeMap<Unit, Vec<Problem>>>,
    objects_of: BTreeMap<Unit, BTreeSet<ObjectRef>>,
    touched: BTreeSet<ObjectRef>,
}

impl Problems {
    /// The unit's problems are now these.
    pub fn set(&mut self, unit: Unit, problems: Vec<Problem>) {
        for object in self.objects_of.remove(&unit).unwrap_or_default() {
            if let Some(units) = self.by_object.get_mut(&object) {
                units.remove(&unit);
                if units.is_empty() {
                    self.by_object.remove(&object);
                }
            }
            self.touched.insert(object);
        }
        for problem in problems {
            let object = problem.source.object.clone();
            let units = self.by_object.entry(object.clone()).or_default();
            units.entry(unit.clone()).or_default().push(problem);
            self.objects_of
                .entry(unit.clone())
                .or_default()
                .insert(object.clone());
            self.touched.insert(object);
        }
    }

    /// Brings the published map up to date: for objects whose problems changed, and for those of `objects`,
    /// whose identity may have. Returns the former.
    pub fn publish(
        &mut self,
        store: &Store,
        objects: &[ObjectRef],
        published: &mut OrdMap<ObjectRef, ObjectProblems>,
    ) -> BTreeSet<ObjectRef> {
        let changed = std::mem::take(&mut self.touched);
        let mut touched = changed.clone();
        touched.extend(
            objects
                .iter()
                .filter(|object| published.contains_key(*object))
                .cloned(),
        );
        for object in touched {
            let Some(units) = self.by_object.get(&object) else {
                published.remove(&object);
                continue;
            };
            let problems = ObjectProblems {
                uid: uid(store, &object),
                problems: first_of_each_reason(store, &object, units.values().flatten().collect()),
            };
            if published.get(&object) != Some(&problems) {
                published.insert(object, problems);
            }
        }
        changed
    }

    /// The problems of an object, as each unit has found them, in the order of the units.
    pub fn of(&self, object: &ObjectRef) -> Vec<&[Problem]> {
        let units = self.by_object.get(object).into_iter().flatten();
        units.map(|(_, problems)| &**problems).collect()
    }
}

/// How many problems of one object are told for each reason. Ten thousand wrong back ends are one mistake, and the Events
/// of everybody would wait for theirs.
const TOLD: usize = 8;

/// The first ones by message, each at the place where its field is now, and for each reason that has more of them one that
/// says how many. What is said of several fields in the same words is told of the first.
fn first_of_each_reason(
    store: &Store,
    object: &ObjectRef,
    problems: BTreeSet<&Problem>,
) -> Arc<[Problem]> {
    let mut counts: BTreeMap<(&'static str, Option<Condition>), usize> = BTreeMap::new();
    let mut told: Vec<Problem> = Vec::new();
    let mut last = None;
    for problem in problems {
        let said = Some((problem.reason, problem.condition, &problem.message));
        if said == std::mem::replace(&mut last, said) {
            continue;
        }
        let kind = (problem.reason, problem.condition);
        let count = counts.entry(kind).or_default();
        *count += 1;
        if *count <= TOLD {
            let path = store.path(&problem.source);
            let field = path.map_or(Field::Whole, |path| Field::At(path.into()));
            let source = FieldRef::new(object.clone(), field);
            told.push(Problem {
                source,
                ..problem.clone()
            });
        }
    }
    for ((reason, condition), count) in counts.into_iter().filter(|(_, count)| *count > TOLD) {
        let more = format!("and {} more of this kind", count - TOLD);
        told.push(Problem {
            condition,
            ..Problem::new(object.clone(), reason, more)
        });
    }
    told.sort();
    told.into()
}

/// `metadata.uid` of an object, empty where it is not known.
pub fn uid(store: &Store, object: &ObjectRef) -> Arc<str> {
    let metadata = store.metadata(object);
    metadata
        .map(|metadata| metadata.uid.clone())
        .unwrap_or_default()
}
