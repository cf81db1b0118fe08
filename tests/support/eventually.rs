//! Waiting by condition.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a condition may take to come true: far beyond what anything takes on a busy machine, short enough
/// for a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The same for the long forms of `tests/soak`: thousands of objects, and a binary that is not optimised.
const SOAK: Duration = Duration::from_secs(180);

/// Asks again until the answer is `Ok`, and panics with the last reason when [`PATIENCE`] ends.
pub(crate) async fn eventually<T, E: Display>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    let patience = match std::env::var_os("ISOBATH_SOAK") {
        Some(_) => SOAK,
        None => PATIENCE,
    };
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > patience => {
                panic!("not within {patience:?}: {what}; last: {reason}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
