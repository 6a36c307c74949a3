//! When to close a batch that gathered while the last one was on its way.

use tokio::task::yield_now;

/// Turns that the tasks of this runtime get before a batch is closed. Measured: with fewer the
/// batches are half as large, with 50 the waiting itself shows.
const TURNS: usize = 5;

/// Lets those go on who have just been answered, for they often have something more to send:
/// without it every second batch would hold half of them. Takes microseconds; there is no timer.
pub(crate) async fn let_others_join() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}
