//! Whether a status is to be written now: of what is there, what is wanted and what was written. No IO, no clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// When a written status is looked at again: it should have come back by the watch long before.
pub(super) const SETTLED: Duration = Duration::from_secs(30);

/// For how long a quarrel over one object is remembered.
pub(super) const QUARREL: Duration = Duration::from_secs(600);

/// When an object is tried again whose status the API server did not take, though it has not changed.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(1800);

/// What was written to one object.
pub(super) struct Written<S> {
    pub(super) uid: Arc<str>,
    /// What was there before, which we go on to see until the watch brings what we wrote.
    pub(super) before: Arc<S>,
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

/// What is to be done.
pub(super) fn decide<S: PartialEq>(
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
    if *written.before == *seen && now < written.at + SETTLED {
        return Action::Later(written.at + SETTLED);
    }
    // Somebody else writes, too: double the pause each time, up to 256 s.
    let again = written.at + Duration::from_secs(1 << written.overwritten.min(8));
    match now < again {
        true => Action::Later(again),
        false => Action::Write(wanted),
    }
}
