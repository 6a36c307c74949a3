//! A run's lease: until when it is ours, and why it no longer is. A value that context
//! and worker both hold; it calls nobody.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Why a run's execution ends before its function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The task has been cancelled.
    Cancelled,
    /// The lease is over, or somebody else holds the run.
    Expired,
    /// This worker stops and hands the run back.
    Stopping,
}

/// A cheap clone for everybody who works on the run.
#[derive(Debug, Clone)]
pub(crate) struct Lease(Arc<State>);

#[derive(Debug)]
struct State {
    length: Duration,
    ends: Mutex<Instant>,
    /// Renewed until then, for ever where it is absent.
    renewed_until: OnceLock<Instant>,
    /// Its run's end is being written.
    is_ending: AtomicBool,
    lost: OnceLock<Loss>,
    /// Of the loss.
    told: Notify,
}

impl Lease {
    /// A lease asked for at `asked`: the database counts from a moment that is later.
    pub(crate) fn new(asked: Instant, length: Duration) -> Self {
        Self(Arc::new(State {
            length,
            ends: Mutex::new(asked + length),
            renewed_until: OnceLock::new(),
            is_ending: AtomicBool::new(false),
            lost: OnceLock::new(),
            told: Notify::new(),
        }))
    }

    pub(crate) fn length(&self) -> Duration {
        self.0.length
    }

    pub(crate) fn ends(&self) -> Instant {
        *self.0.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run may not be held longer than that from now on.
    pub(crate) fn renewable_for(&self, time: Duration) {
        if let Some(until) = Instant::now().checked_add(time) {
            // Said once in the life of a lease.
            let _ = self.0.renewed_until.set(until);
        }
    }

    /// The end of the run goes to the database next. A run's writes keep their order, so a renewal
    /// would come after it, and with it spoil the batch in which it goes.
    pub(crate) fn end_is_on_its_way(&self) {
        self.0.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether a renewal can still be of use.
    pub(crate) fn is_renewable(&self) -> bool {
        !self.0.is_ending.load(Ordering::Relaxed)
    }

    /// Less than two thirds of the lease are left: time to renew it.
    pub(crate) fn is_stale(&self) -> bool {
        let renewable = |until: &Instant| *until > Instant::now();
        if !self.0.renewed_until.get().is_none_or(renewable) {
            return false;
        }
        self.ends().saturating_duration_since(Instant::now()) < self.0.length * 2 / 3
    }

    /// The database has moved the lease on, by a write sent at `asked`.
    pub(crate) fn renewed(&self, asked: Instant, length: Duration) {
        let mut ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends = (*ends).max(asked + length);
    }

    /// Ends the execution. The first reason stays.
    pub(crate) fn lose(&self, loss: Loss) {
        if self.0.lost.set(loss).is_ok() {
            self.0.told.notify_waiters();
        }
    }

    /// Runs the work while the lease is ours; drops it, wherever it is, when it no longer is.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, Loss> {
        tokio::pin!(work);
        loop {
            let ends = self.ends();
            // Hears of a loss from here on.
            let told = self.0.told.notified();
            let lost = async {
                if self.0.lost.get().is_none() {
                    told.await;
                }
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = lost => return Err(self.0.lost.get().copied().unwrap_or(Loss::Expired)),
                () = tokio::time::sleep_until(ends) => {
                    if self.ends() <= Instant::now() {
                        self.lose(Loss::Expired);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_dropped_when_the_lease_is_over() {
        let lease = Lease::new(Instant::now(), Duration::from_secs(3));
        assert_eq!(
            lease.guard(std::future::pending::<()>()).await,
            Err(Loss::Expired)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_lease_goes_on() {
        let lease = Lease::new(Instant::now(), Duration::from_secs(3));
        let renewing = lease.clone();
        let work = async move {
            tokio::time::advance(Duration::from_secs(2)).await;
            renewing.renewed(Instant::now(), Duration::from_secs(3));
            tokio::time::advance(Duration::from_secs(2)).await;
            7
        };
        assert_eq!(lease.guard(work).await, Ok(7));
    }

    #[tokio::test]
    async fn the_first_reason_stays() {
        let lease = Lease::new(Instant::now(), Duration::from_secs(3));
        lease.lose(Loss::Cancelled);
        lease.lose(Loss::Stopping);
        assert_eq!(
            lease.guard(std::future::pending::<()>()).await,
            Err(Loss::Cancelled)
        );
    }
}
