//! A rate limit for one log line: what happens in a loop is logged once a minute, with a count.

use std::time::Duration;

use tokio::time::Instant;

/// Least time between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// When something was logged last, and how often it was not logged since.
#[derive(Debug, Default)]
pub(super) struct LogLimit(Option<(Instant, u64)>);

impl LogLimit {
    /// To be called each time it happens: `Some` if it is to be logged, with how often it was not logged since the last line.
    pub(super) fn allow(&mut self, now: Instant) -> Option<u64> {
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
        let mut limit = LogLimit::default();
        let seconds = [0, 1, 59, 60, 61, 200];
        let logged = seconds.map(|seconds| limit.allow(start + Duration::from_secs(seconds)));
        assert_eq!(logged, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
