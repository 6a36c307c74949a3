//! The places of functions that run at once. A place is free again when its function has
//! returned, while the end is still on its way to the database: so the next claim goes beside it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The places of one worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Arc<State>);

#[derive(Debug, Default)]
struct State {
    taken: AtomicUsize,
    freed: Notify,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<State>);

impl Slots {
    pub(super) fn take(&self) -> Slot {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        Slot(Arc::clone(&self.0))
    }

    pub(super) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Ready when a place has become free since the last call.
    pub(super) async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}
