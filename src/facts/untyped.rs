//! Objects of kinds without a type in the store: each of their fields is a fact.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::objects::{ObjectRef, Untyped};

use super::Store;
use super::changes::Changes;
use super::fact::Fact;

impl Store {
    pub(super) fn field(&self, object: &ObjectRef, key: &str) -> Option<&Arc<str>> {
        self.untyped.get(object)?.fields.get(key)
    }

    /// Puts `new` in the place of what was there, and names the fields that differ.
    pub(super) fn replace_untyped(
        &mut self,
        reference: &ObjectRef,
        new: Option<Arc<Untyped>>,
        changes: &mut Changes,
    ) {
        let old = self.untyped.get(reference);
        if old == new.as_ref() {
            return;
        }
        let none = BTreeMap::new();
        let before = old.map_or(&none, |old| &old.fields);
        let now = new.as_ref().map_or(&none, |new| &new.fields);
        let keys: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        for key in keys {
            if before.get(key) != now.get(key) {
                changes.fact(Fact::Field(reference, key));
            }
        }
        changes.objects.push(reference.clone());
        match new {
            Some(new) => self.untyped.insert(reference.clone(), new),
            None => self.untyped.remove(reference),
        };
    }
}
