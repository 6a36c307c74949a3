//! When to close a batch that gathered while the last one was on its way, and when to send it.

use std::time::Duration;

use tokio::task::yield_now;

/// After this time a batch on its way counts as held up, and the next one goes beside it. Long
/// against a commit, short against a lease.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// Turns that the tasks of this runtime get before a batch is closed. Measured: with fewer the
/// batches are half as large, with 50 the waiting itself shows.
const TURNS: usize = 5;

/// Lets those go on who have just been answered, for they often have something more to send:
/// without it every second batch would hold half of them. Takes microseconds; there is no timer.
pub(crate) async fn let_others_join() {
    for _ in 0..TURNS {
        let_ready_ones_join().await;
    }
}

/// Lets those go on who need not wait for anything: enough where nobody else can join.
pub(crate) async fn let_ready_ones_join() {
    yield_now().await;
}
