//! Whether the event loop turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Ticked by the one event loop, read by `/healthz`. The loop must tick at least every [`Heartbeat::INTERVAL`], idle or
/// not. It says nothing about anyone else: a liveness probe that asks the API server would restart every node's
/// ingress at once when that server is down.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    start: Instant,
    /// Milliseconds from `start` to the last tick.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// How often to tick: a sixth of [`Heartbeat::LIMIT`].
    pub const INTERVAL: Duration = Duration::from_secs(5);

    /// The silence after which the loop counts as stuck. The longest piece of work that was measured, a cold start
    /// with 10,000 Ingresses, is under a tenth of it.
    pub const LIMIT: Duration = Duration::from_secs(30);

    /// A loop that ticks now. Its start counts as a tick.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            last: Arc::default(),
        }
    }

    /// Says that the loop turns.
    pub fn tick(&self) {
        self.last.store(self.elapsed(), Ordering::Relaxed);
    }

    /// Whether the loop ticked within [`Heartbeat::LIMIT`].
    ///
    /// # Errors
    ///
    /// With the time since the last tick.
    pub fn check(&self) -> Result<(), Duration> {
        let last = self.last.load(Ordering::Relaxed);
        let silence = Duration::from_millis(self.elapsed().saturating_sub(last));
        if silence > Self::LIMIT {
            return Err(silence);
        }
        Ok(())
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_beyond_the_limit_is_told() {
        let heartbeat = Heartbeat::new();
        tokio::time::advance(Heartbeat::LIMIT).await;
        assert_eq!(heartbeat.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(heartbeat.check(), Err(Duration::from_secs(31)));
        heartbeat.clone().tick();
        assert_eq!(heartbeat.check(), Ok(()));
    }
}
