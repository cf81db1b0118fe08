//! Whether a status is to be written now: of what is there, what is wanted and what was written. No IO, no clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::objects::NamespacedName;

/// When a written status is looked at again: it should have come back by the watch long before.
pub(super) const SETTLED: Duration = Duration::from_secs(30);

/// For how long a quarrel over one object is remembered.
pub(super) const QUARREL: Duration = Duration::from_secs(600);

/// When an object is tried again whose status the API server did not take. Only a change of it can help, which gives it another
/// turn at once; but not all of it is seen here (others' annotations and managed fields count as well).
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(1800);

/// What was written to one object.
#[derive(Debug)]
pub(super) struct Written<S> {
    pub(super) uid: Arc<str>,
    /// What was there before, which we go on to see until the watch brings what we wrote.
    pub(super) before: S,
    pub(super) wrote: S,
    pub(super) at: Instant,
    /// How often another has written something else since.
    pub(super) overwritten: u32,
}

/// What has to be done to one object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<S> {
    Nothing,
    /// Look again at this time.
    Later(Instant),
    Write(S),
}

/// What one term as leader remembers of its own writes.
#[derive(Debug)]
pub(super) struct Memory<S>(pub(super) HashMap<NamespacedName, Written<S>>);

impl<S> Default for Memory<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: Clone + PartialEq> Memory<S> {
    /// What is to be done to an object that has this status and is to have that one.
    pub(super) fn decide(
        &mut self,
        name: &NamespacedName,
        uid: &Arc<str>,
        seen: &S,
        wanted: S,
        now: Instant,
    ) -> Action<S> {
        let written = self.0.get(name).filter(|it| it.uid == *uid);
        let action = decide(seen, wanted, written, now);
        if matches!(action, Action::Nothing) {
            self.0.remove(name);
        }
        action
    }

    /// This was written where that was seen; returns how often another has overwritten it before.
    pub(super) fn wrote(
        &mut self,
        name: &NamespacedName,
        uid: &Arc<str>,
        seen: S,
        wrote: S,
        at: Instant,
    ) -> u32 {
        let known = self.0.get(name);
        let known = known.filter(|it| it.uid == *uid && it.wrote == wrote);
        let overwritten = known.map_or(0, |known| known.overwritten + 1);
        let written = Written {
            uid: uid.clone(),
            before: seen,
            wrote,
            at,
            overwritten,
        };
        self.0.insert(name.clone(), written);
        overwritten
    }

    /// The object is gone, or none of ours any more.
    pub(super) fn forget(&mut self, name: &NamespacedName) {
        self.0.remove(name);
    }
}

fn decide<S: PartialEq>(
    seen: &S,
    wanted: S,
    written: Option<&Written<S>>,
    now: Instant,
) -> Action<S> {
    let is_there = *seen == wanted;
    let Some(written) = written else {
        return match is_there {
            true => Action::Nothing,
            false => Action::Write(wanted),
        };
    };
    if is_there {
        let forget = match written.overwritten {
            0 => written.at + SETTLED,
            _ => written.at + QUARREL,
        };
        return match now < forget {
            true => Action::Later(forget),
            false => Action::Nothing,
        };
    }
    if written.wrote != wanted {
        return Action::Write(wanted);
    }
    if written.before == *seen && now < written.at + SETTLED {
        return Action::Later(written.at + SETTLED);
    }
    // Somebody else writes, too: double the pause each time, up to 256 s.
    let again = written.at + Duration::from_secs(1 << written.overwritten.min(8));
    match now < again {
        true => Action::Later(again),
        false => Action::Write(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written_and_a_quarrel_is_slow() {
        let now = Instant::now();
        let name = NamespacedName::new("shop", "web");
        let uid: Arc<str> = "1".into();
        let (none, wanted, other) = ("none", "wanted", "other");
        let after = |overwritten, seconds| {
            let written = Written {
                uid: uid.clone(),
                before: none,
                wrote: wanted,
                at: now,
                overwritten,
            };
            (Some(written), now + Duration::from_secs(seconds))
        };
        let later = |seconds| Action::Later(now + Duration::from_secs(seconds));
        for (there, (written, now), expected) in [
            (none, (None, now), Action::Write(wanted)),
            (wanted, (None, now), Action::Nothing),
            // The watch has not brought it back yet.
            (none, after(0, 1), later(30)),
            (none, after(0, 30), Action::Write(wanted)),
            (wanted, after(0, 1), later(30)),
            (wanted, after(0, 30), Action::Nothing),
            (wanted, after(1, 30), later(600)),
            // Another wrote.
            (other, after(0, 0), later(1)),
            (other, after(3, 7), later(8)),
            (other, after(3, 8), Action::Write(wanted)),
            (other, after(30, 255), later(256)),
        ] {
            let mut memory = Memory::default();
            memory
                .0
                .extend(written.map(|written| (name.clone(), written)));
            let found = memory.decide(&name, &uid, &there, wanted, now);
            assert_eq!(found, expected, "{there}");
            // What nothing is left to be done of is remembered no longer.
            assert!(expected != Action::Nothing || memory.0.is_empty());
        }
        // One that was created anew was never written to.
        let mut memory = Memory::default();
        memory.wrote(&name, &uid, none, wanted, now);
        let again = memory.decide(&name, &"2".into(), &none, wanted, now);
        assert_eq!(again, Action::Write(wanted));
    }
}
