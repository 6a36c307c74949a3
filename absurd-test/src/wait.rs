//! Waiting for a named moment.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::TestError;

/// Far above what any moment takes; only a broken test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; after a minute the test fails with `what`.
pub async fn eventually(
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> Result<(), TestError> {
    let give_up = Instant::now() + PATIENCE;
    while !condition().await {
        if Instant::now() > give_up {
            return Err(TestError::Never(what.to_owned()));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
