//! Room that many share: of what is left over each may take a part, so that one who needs it all leaves room for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many places, by name.
#[derive(Clone)]
pub struct Share {
    most: usize,
    /// What each may have in any case, while there is room.
    least: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_name: HashMap<Arc<str>, usize>,
}

/// A place, until it is dropped.
pub struct Place {
    of: Share,
    name: Arc<str>,
}

impl Share {
    /// So many places, and what each may have in any case while there is room.
    pub fn new(most: usize, least: usize) -> Self {
        Self {
            most,
            least,
            taken: Arc::default(),
        }
    }

    /// A place, at once or not at all: each has a quarter of what the others leave.
    pub fn take(&self, name: &Arc<str>) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_name.get(name).copied().unwrap_or_default();
        let left = self.most - taken.all;
        let may = left > 0 && (own < self.least || own < left / 3);
        if !may {
            return None;
        }
        taken.all += 1;
        taken.by_name.insert(name.clone(), own + 1);
        Some(Place {
            of: self.clone(),
            name: name.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let own = taken.by_name.get(&self.name).copied().unwrap_or_default();
        match own {
            0 | 1 => drop(taken.by_name.remove(&self.name)),
            _ => drop(taken.by_name.insert(self.name.clone(), own - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leaves_room_for_others() {
        let share = Share::new(512, 16);
        let all_of = |name: &str| {
            let name: Arc<str> = name.into();
            std::iter::from_fn(|| share.take(&name)).collect::<Vec<_>>()
        };
        let first = all_of("slow");
        // x of 512 is a third of what is left: 128.
        assert_eq!(first.len(), 128);
        let second = all_of("slower");
        assert_eq!(second.len(), 96);
        let others: Vec<_> = (0..20).map(|it| all_of(&it.to_string())).collect();
        assert!(others[..9].iter().all(|it| it.len() >= 16));
        let held: usize = others.iter().map(Vec::len).sum();
        assert!(first.len() + second.len() + held <= 512);
        drop(first);
        assert!(all_of("another").len() >= 16);
        drop((second, others));
        assert!(
            share
                .taken
                .lock()
                .is_ok_and(|it| it.all == 0 && it.by_name.is_empty())
        );
    }
}
