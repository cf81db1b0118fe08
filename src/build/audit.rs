//! Which units were made although nothing that they read differs: work that the change did not ask for (I4).
//!
//! For tests. It keeps what every unit has read, which costs many times what a build costs.

use std::collections::{BTreeSet, HashMap};

use crate::facts::Values;
use crate::objects::ObjectRef;

use super::unit::Unit;

/// What the published units have read, as it was.
#[derive(Debug, Default)]
pub struct Audit {
    read: HashMap<Unit, Values>,
    objects: BTreeSet<ObjectRef>,
    made_for_nothing: Vec<Unit>,
}

impl Audit {
    /// These objects differ from what they were in the build before: their own units are made, whatever they read of them.
    pub fn start(&mut self, objects: &[ObjectRef]) {
        self.objects = objects.iter().cloned().collect();
    }

    /// The unit was made, of these facts.
    pub fn made(&mut self, unit: &Unit, values: Values) {
        let differs = match unit {
            Unit::Object(object) | Unit::Claims(object) => self.objects.contains(object),
            _ => false,
        };
        if !differs && self.read.get(unit) == Some(&values) {
            self.made_for_nothing.push(unit.clone());
        }
        self.read.insert(unit.clone(), values);
    }

    /// The unit is no more.
    pub fn gone(&mut self, unit: &Unit) {
        self.read.remove(unit);
    }

    /// The units that were made for nothing since this was asked last.
    pub fn take(&mut self) -> Vec<Unit> {
        std::mem::take(&mut self.made_for_nothing)
    }
}
