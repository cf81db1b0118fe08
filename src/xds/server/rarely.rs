//! What is logged once in a while, however often it happens: a loop of it is one piece of news.

use std::time::Duration;

use tokio::time::Instant;

/// Least time between two lines of the log.
const PAUSE: Duration = Duration::from_secs(60);

/// When something was logged last, and how often it was not logged since.
#[derive(Debug, Default)]
pub(super) struct Rarely(Option<(Instant, u64)>);

impl Rarely {
    /// It happens again: if it is to be logged, how often it has happened without a line.
    pub(super) fn now(&mut self, now: Instant) -> Option<u64> {
        let more = match &mut self.0 {
            Some((at, more)) if now < *at + PAUSE => {
                *more += 1;
                return None;
            }
            Some((_, more)) => *more,
            None => 0,
        };
        self.0 = Some((now, 0));
        Some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_a_while() {
        let start = Instant::now();
        let mut rarely = Rarely::default();
        let seconds = [0, 1, 59, 60, 61, 200];
        let told = seconds.map(|seconds| rarely.now(start + Duration::from_secs(seconds)));
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
