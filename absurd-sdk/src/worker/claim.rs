//! The loop that claims runs, exactly as many as there is room for, and owns them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    Shared,
    execute::execute,
    wakeup::{Cancels, Wakeup},
};
use crate::{
    db::{Claim, ClaimedRow, writes::Write},
    eager::{Made, Order, OwnDesk},
    error::Error,
    ids::RunId,
    lease::{Lease, Loss},
    period::ceil_seconds,
    slots::{Slot, Slots},
    store::Refusal,
};

/// How often leases are looked at: three times in each lease.
const RENEWALS_PER_LEASE: u32 = 3;

/// For how long a worker relies on being noted as idle. The database goes by a note for a minute;
/// beyond this the worker counts as unknown again.
const IDLE_NOTED_FOR: Duration = Duration::from_secs(45);

/// From when on claims ask for the note to be made anew, which the database does once it is 20
/// seconds old.
const NOTE_AGAIN_AFTER: Duration = Duration::from_secs(25);

pub(super) struct ClaimLoop {
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    /// The only list of running work; dropping it drops the work.
    running: JoinSet<RunId>,
    slots: Slots,
    leases: HashMap<RunId, Lease>,
    executed: usize,
    /// Whether it waits for notifications.
    listens: bool,
    /// When the database was last asked to note that it does, while nothing is left to claim.
    noted_idle: Option<Instant>,
}

impl ClaimLoop {
    pub(super) fn new(shared: Arc<Shared>, slots: Slots, stopping: watch::Receiver<bool>) -> Self {
        Self {
            shared,
            stopping,
            running: JoinSet::new(),
            slots,
            leases: HashMap::new(),
            executed: 0,
            listens: false,
            noted_idle: None,
        }
    }

    /// Claims and executes until the stop, then hands back what still runs.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let plan = &self.shared.plan;
        tracing::info!(
            worker = plan.worker_id, queue = %self.shared.client.queue(),
            "Starting Absurd worker"
        );
        let features = self.shared.client.features().await?;
        self.listens = plan.listen;
        let desks = self.shared.client.desks();
        let queue = self.shared.client.queue().clone();
        let desk = features
            .claim_runs
            .then(|| desks.set_up(queue, self.shared.registry.names()));
        let mut wakeup = Wakeup::of(&self.shared);
        let mut renewals = tokio::time::interval(plan.lease / RENEWALS_PER_LEASE);
        let mut hungry = true;
        let mut cancels = Cancels::of(&self.shared);
        let mut stopping = self.stopping.clone();
        while !*stopping.borrow() {
            if let Some(order) = desk.as_ref().and_then(OwnDesk::take) {
                wakeup.begin_look();
                hungry = self.claim_with(order).await;
                continue;
            }
            if hungry && self.slots.have_begun() && self.free_slots() > 0 {
                wakeup.begin_look();
                hungry = match self.claim(self.free_slots()).await {
                    Ok(claimed) => claimed.may_be_more,
                    Err(error) => {
                        tracing::error!(%error, "can't claim, trying again");
                        false
                    }
                };
                continue;
            }
            tokio::select! {
                _ = stopping.changed() => {}
                () = ordered(desk.as_ref()), if !hungry && self.free_slots() > 0 => {}
                Some(ended) = self.running.join_next() => {
                    self.forget(ended);
                    self.forget_all_ended();
                }
                // For the loop to look whether it is hungry: after a claim that took all it asked
                // for, it is; an empty queue stays empty.
                () = self.slots.changed() => {}
                () = wakeup.wait(), if !hungry => hungry = true,
                _ = renewals.tick() => self.renew(Renew::Stale).await,
                () = cancels.heard(), if !self.leases.is_empty() => {
                    self.renew(Renew::All).await;
                }
            }
        }
        drop(desk);
        self.stop().await;
        Ok(())
    }

    /// Claims and executes until a claim with nothing running comes back empty.
    pub(super) async fn run_until_idle(mut self) -> Result<usize, Error> {
        self.shared.client.features().await?;
        let lease = self.shared.plan.lease;
        let mut renewals = tokio::time::interval(lease / RENEWALS_PER_LEASE);
        loop {
            let room = self.shared.plan.concurrency - self.running.len();
            let claimed = if room > 0 {
                self.claim(room).await?.runs
            } else {
                0
            };
            if self.running.is_empty() && claimed == 0 {
                return Ok(self.executed);
            }
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    self.forget(ended);
                    self.forget_all_ended();
                }
                _ = renewals.tick() => self.renew(Renew::Stale).await,
            }
        }
    }

    /// Claims once and executes what came.
    pub(super) async fn run_batch(mut self) -> Result<usize, Error> {
        self.shared.client.features().await?;
        self.claim(self.shared.plan.concurrency).await?;
        let lease = self.shared.plan.lease;
        let mut renewals = tokio::time::interval(lease / RENEWALS_PER_LEASE);
        while !self.running.is_empty() {
            tokio::select! {
                Some(ended) = self.running.join_next() => self.forget(ended),
                _ = renewals.tick() => self.renew(Renew::Stale).await,
            }
        }
        Ok(self.executed)
    }

    /// Room for more functions. As many again may have ended without being written yet.
    fn free_slots(&self) -> usize {
        let places = self.shared.plan.concurrency;
        let free = places.saturating_sub(self.slots.taken());
        free.min((2 * places).saturating_sub(self.running.len()))
    }

    /// Whether it was noted as idle less than so long ago.
    fn is_noted_idle(&self, within: Duration) -> bool {
        self.noted_idle
            .is_some_and(|noted| noted.elapsed() < within)
    }

    async fn claim(&mut self, room: usize) -> Result<Claimed, Error> {
        let look = self.look(room);
        let claim = self.claim_of(&look);
        let db = &self.shared.db;
        let rows = if self.shared.client.features().await?.claim_runs {
            db.claim(&claim).await
        } else {
            db.claim_by_contract(&claim).await
        };
        let queue = self.shared.client.queue().as_str();
        let rows = rows.map_err(|error| Error::from_db(error, queue))?;
        Ok(self.begin(&look, rows))
    }

    /// Claims together with a call. Whether to look again at once.
    async fn claim_with(&mut self, order: Order) -> bool {
        let look = self.look(self.free_slots());
        let Made { claimed, answer } = order.make(&self.shared.db, &self.claim_of(&look)).await;
        // What was claimed goes before the answer: it may be what the caller waits for.
        let again = claimed.is_none_or(|rows| self.begin(&look, rows).may_be_more);
        answer();
        again
    }

    fn look(&self, room: usize) -> Look {
        Look {
            quantity: room.min(self.shared.plan.batch_size),
            asked: Instant::now(),
            // None: it does, as the database knows.
            listens: (!self.is_noted_idle(NOTE_AGAIN_AFTER)).then_some(self.listens),
        }
    }

    fn claim_of(&self, look: &Look) -> Claim<'_> {
        Claim {
            queue: self.shared.client.queue(),
            worker: &self.shared.plan.worker_id,
            lease_seconds: ceil_seconds(self.shared.plan.lease),
            quantity: i32::try_from(look.quantity).unwrap_or(i32::MAX),
            listens: look.listens,
        }
    }

    /// Executes what a look has brought.
    fn begin(&mut self, look: &Look, rows: Vec<ClaimedRow>) -> Claimed {
        let &Look {
            quantity,
            asked,
            listens,
        } = look;
        let was_noted = self.is_noted_idle(IDLE_NOTED_FOR);
        if rows.len() >= quantity {
            self.noted_idle = None;
        } else if listens == Some(true) {
            self.noted_idle = Some(asked);
        }
        let claimed = Claimed {
            runs: rows.len(),
            // One that has just been noted as idle looks once more: what was spawned just before
            // notified nobody.
            may_be_more: rows.len() >= quantity || (listens == Some(true) && !was_noted),
        };
        // All at once: who sees one of them begin is to know that there are more.
        let slots: Vec<Slot> = rows.iter().map(|_| self.slots.take()).collect();
        for (row, slot) in rows.into_iter().zip(slots) {
            let run_id = row.run_id;
            let lease = Lease::new(asked, self.shared.plan.lease);
            self.leases.insert(run_id, lease.clone());
            self.executed += 1;
            let execution = execute(Arc::clone(&self.shared), row, lease, asked, slot);
            self.running.spawn(execution);
        }
        claimed
    }

    fn forget(&mut self, ended: Result<RunId, tokio::task::JoinError>) {
        match ended {
            Ok(run_id) => drop(self.leases.remove(&run_id)),
            // Panics of task functions are caught inside; this would be one of ours.
            Err(error) => tracing::error!(%error, "an execution ended abnormally"),
        }
    }

    /// One batch of writes ends many runs: all their slots are filled by one claim.
    fn forget_all_ended(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            self.forget(ended);
        }
    }

    /// Moves leases on, in one batch. Fresh ones ride on checkpoints; all are moved to learn
    /// which of their tasks were cancelled.
    async fn renew(&self, which: Renew) {
        let seconds = ceil_seconds(self.shared.plan.lease);
        let leases = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.is_renewable() && (which == Renew::All || lease.is_stale()));
        let renewals = leases.map(|(run, lease)| async {
            let asked = Instant::now();
            let write = Write::Extend { run: *run, seconds };
            match self.shared.writer.write(write, lease).await {
                Ok(_) => lease.renewed(asked, self.shared.plan.lease),
                Err(Refusal::Cancelled) => lease.lose(Loss::Cancelled),
                Err(Refusal::LeaseLost) => lease.lose(Loss::Expired),
                Err(Refusal::Database(error)) => tracing::error!(%error, "lease not renewed"),
                // A renewal carries no payload.
                Err(Refusal::Payload(_)) => {}
            }
        });
        futures::future::join_all(renewals).await;
    }

    /// Lets running work go on for the grace period, then hands it back.
    async fn stop(&mut self) {
        tracing::info!(running = self.running.len(), "stopping");
        let until = Instant::now() + self.shared.plan.grace;
        let grace = tokio::time::timeout_at(until, async {
            while let Some(ended) = self.running.join_next().await {
                self.forget(ended);
            }
        });
        if grace.await.is_ok() {
            return;
        }
        for lease in self.leases.values() {
            lease.lose(Loss::Stopping);
        }
        while let Some(ended) = self.running.join_next().await {
            self.forget(ended);
        }
    }
}

/// Which leases to move on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renew {
    Stale,
    All,
}

/// A claim about to be made.
#[derive(Debug, Clone, Copy)]
struct Look {
    quantity: usize,
    asked: Instant,
    listens: Option<bool>,
}

/// What a claim brought.
#[derive(Debug, Clone, Copy)]
struct Claimed {
    runs: usize,
    /// Whether to look again at once.
    may_be_more: bool,
}

/// Ready when a worker's desk has an order.
async fn ordered(desk: Option<&OwnDesk>) {
    match desk {
        Some(desk) => desk.ordered().await,
        None => std::future::pending().await,
    }
}
