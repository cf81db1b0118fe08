//! The parts of a resource, and what they need, while they change.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;

use crate::xds::Part;

/// Puts a part in the place of the one of `old_key`; returns whether anything differs.
pub fn replace(
    parts: &mut OrdMap<Arc<str>, Arc<Part>>,
    old_key: Option<&Arc<str>>,
    new: Option<(Arc<str>, Part)>,
) -> bool {
    let mut changed = false;
    if let Some(old_key) = old_key.filter(|old| new.as_ref().is_none_or(|(key, _)| key != *old)) {
        changed |= parts.remove(old_key).is_some();
    }
    if let Some((key, part)) = new
        && parts.get(&key).is_none_or(|current| **current != part)
    {
        parts.insert(key, Arc::new(part));
        changed = true;
    }
    changed
}

/// What falls out of use and comes into it again before it was looked at is as it was.
pub fn toggle<T: Ord + Clone>(touched: &mut BTreeSet<T>, secret: &T) {
    if !touched.remove(secret) {
        touched.insert(secret.clone());
    }
}
