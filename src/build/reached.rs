//! Which objects the routes of hosts come through, besides those that claim them: counted by hosts.

use std::collections::{BTreeMap, BTreeSet};

use crate::objects::ObjectRef;

use super::parts::toggle;

/// How many hosts come through each.
#[derive(Debug, Default)]
pub struct Reached {
    hosts: BTreeMap<ObjectRef, usize>,
    touched: BTreeSet<ObjectRef>,
}

impl Reached {
    /// A host whose routes came through `old` comes through `new` now.
    pub fn replace(&mut self, old: &[ObjectRef], new: &BTreeSet<ObjectRef>) {
        for object in new {
            let count = self.hosts.entry(object.clone()).or_default();
            *count += 1;
            if *count == 1 {
                toggle(&mut self.touched, object);
            }
        }
        for object in old {
            if let Some(count) = self.hosts.get_mut(object) {
                *count -= 1;
                if *count == 0 {
                    self.hosts.remove(object);
                    toggle(&mut self.touched, object);
                }
            }
        }
    }

    /// Whether the routes of a host come through it.
    pub fn contains(&self, object: &ObjectRef) -> bool {
        self.hosts.contains_key(object)
    }

    /// Those that are reached now and were not, or the other way round, since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut self.touched)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::objects::Kind;

    #[test]
    fn the_last_host_takes_it_away() {
        let [a, b] = ["a", "b"].map(|name| ObjectRef::new(Kind::HttpProxy, "n", name));
        let set = |of: &[&ObjectRef]| of.iter().map(|it| (*it).clone()).collect::<BTreeSet<_>>();
        let mut reached = Reached::default();
        reached.replace(&[], &set(&[&a]));
        reached.replace(&[], &set(&[&a, &b]));
        assert_eq!(reached.take_touched(), set(&[&a, &b]));
        reached.replace(from_ref(&a), &set(&[]));
        assert!(reached.contains(&a) && reached.take_touched().is_empty());
        reached.replace(&[a.clone(), b.clone()], &set(&[&b]));
        assert!(!reached.contains(&a) && reached.contains(&b));
        assert_eq!(reached.take_touched(), set(&[&a]));
        // Away and back again before anybody looked.
        reached.replace(from_ref(&b), &set(&[]));
        reached.replace(&[], &set(&[&b]));
        assert!(reached.contains(&b) && reached.take_touched().is_empty());
    }
}
