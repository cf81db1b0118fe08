//! How long things may take that an API server is asked for.

use std::time::Duration;

/// A connection takes milliseconds in a cluster and is given up here, so that a lost one is an exit within
/// 60 s of its loss.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The times of a list-watch. With the defaults a half-open connection is noticed and the
/// process ended within 60 s, at `watch + watch_spread + margin`, and then 5 s for the attempt to go on.
#[derive(Clone, Debug)]
pub struct WatchTiming {
    /// The server is asked to end each watch after this time at least, in whole seconds.
    pub watch: Duration,
    /// A random part of this is added to it, so that the watches of a fleet do not end together.
    pub watch_spread: Duration,
    /// A watch that the server did not end this long after its time is dead.
    pub margin: Duration,
    /// How long an answer, or the next part of a list, may take. The API server itself gives up a list after
    /// 60 s (`--request-timeout`), and may queue a request for 15 s of them.
    pub answer: Duration,
    /// How often the server is asked which custom kinds it has. Up to a quarter is added to it.
    pub discovery: Duration,
}

impl Default for WatchTiming {
    fn default() -> Self {
        Self {
            watch: Duration::from_secs(40),
            watch_spread: Duration::from_secs(10),
            margin: Duration::from_secs(5),
            answer: Duration::from_secs(55),
            discovery: Duration::from_secs(10),
        }
    }
}
