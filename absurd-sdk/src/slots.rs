//! The places of functions that run at once. A place is free again when its function has
//! returned, while the end is still on its way to the database: so the next claim goes beside it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The places of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<State>);

#[derive(Debug, Default)]
struct State {
    taken: AtomicUsize,
    /// Of those, the ones whose function has not been called yet.
    waiting: AtomicUsize,
    /// For the one who claims: a place is free, or nothing waits any more.
    changed: Notify,
    /// For all: nothing waits any more.
    all_begun: Notify,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Arc<State>,
    waits: bool,
}

impl Slots {
    pub(crate) fn take(&self) -> Slot {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        Slot {
            state: Arc::clone(&self.0),
            waits: true,
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Whether all that was claimed has begun. Until then the runtime has enough to do, and many
    /// functions may be about to end together.
    pub(crate) fn have_begun(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) == 0
    }

    /// Ready when all that was claimed has begun.
    pub(crate) async fn begun(&self) {
        loop {
            let begun = self.0.all_begun.notified();
            if self.have_begun() {
                return;
            }
            begun.await;
        }
    }

    /// Ready when a place has become free, or the last one has begun, since the last call.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Slot {
    /// The function is called now.
    pub(crate) fn begin(&mut self) {
        if self.waits {
            self.waits = false;
            if self.state.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.state.all_begun.notify_waiters();
                self.state.changed.notify_one();
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.begin();
        self.state.taken.fetch_sub(1, Ordering::Relaxed);
        self.state.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn what_was_claimed_has_begun_when_each_was_called_or_dropped() {
        let slots = Slots::default();
        let (mut called, dropped) = (slots.take(), slots.take());
        let mut begun = pin!(slots.begun());
        assert!(poll!(&mut begun).is_pending());
        called.begin();
        assert!(poll!(&mut begun).is_pending(), "one more waits");
        drop(dropped);
        assert!(poll!(&mut begun).is_ready());
        assert_eq!(slots.taken(), 1);
        drop(called);
        assert_eq!((slots.taken(), slots.have_begun()), (0, true));
    }
}
