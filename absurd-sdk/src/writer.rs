//! One writer per worker process. While one batch is on its way the next one gathers:
//! a task alone pays one trip a step, a thousand tasks share commits, and nobody waits
//! for a timer. Only where a batch is held up, by somebody's lock on one of its rows, does
//! another one go beside it.

use std::{collections::HashSet, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    batching::{PATIENCE, let_others_join, let_ready_ones_join},
    db::{
        Db, DbError, SqlState, WriteRow,
        writes::{PlainWrites, SingleCheckpoint, Write},
    },
    ids::{QueueName, RunId},
    lease::Lease,
    slots::Slots,
    store::Refusal,
};

/// Most writes of one batch: bounds the statement's size and how long it holds its locks.
const BATCH_MAX: usize = 500;
/// Batches on their way at once. Usually it is one; more only while one is held up.
const FLIGHTS_MAX: usize = 4;
/// Connections that all batches on their way may need: each goes by up to two calls.
pub(crate) const CONNECTIONS_MAX: u32 = 8;
/// How long a batch waits for functions that were claimed and not called yet: mostly it is a small
/// part of that.
const BEGIN_PATIENCE: Duration = Duration::from_millis(1);
/// Writes that may wait for the writer before senders wait themselves.
const BACKLOG_MAX: usize = 4096;

/// The cheap handle of the writer.
#[derive(Debug, Clone)]
pub(crate) struct WriterHandle {
    orders: mpsc::Sender<Order>,
}

/// A write, until when it makes sense, and who wants to know.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) write: Write,
    pub(crate) give_up: Instant,
    pub(crate) reply: oneshot::Sender<Result<Value, Refusal>>,
}

impl WriterHandle {
    /// Sends a write and waits for its fate. While the database is away it is tried again
    /// until the lease is over: after that the run may be somebody else's.
    pub(crate) async fn write(&self, write: Write, lease: &Lease) -> Result<Value, Refusal> {
        let (reply, answer) = oneshot::channel();
        let order = Order {
            write,
            give_up: lease.ends(),
            reply,
        };
        if self.orders.send(order).await.is_err() {
            return Err(Refusal::LeaseLost);
        }
        answer.await.unwrap_or(Err(Refusal::LeaseLost))
    }

    /// Sends a write whose fate nobody wants to know. It is left out when the writer can't keep
    /// up.
    pub(crate) fn tell(&self, write: Write, lease: &Lease) {
        let (reply, _) = oneshot::channel();
        let give_up = lease.ends();
        if self
            .orders
            .try_send(Order {
                write,
                give_up,
                reply,
            })
            .is_err()
        {
            tracing::debug!("progress or log lines left out, the writer is busy");
        }
    }
}

/// The loop that owns the orders. It ends when the last handle is gone.
pub(crate) struct Writer {
    db: Db,
    queue: QueueName,
    worker: String,
    slots: Slots,
    orders: mpsc::Receiver<Order>,
}

impl Writer {
    pub(crate) fn new(
        db: Db,
        queue: QueueName,
        worker: String,
        slots: Slots,
    ) -> (WriterHandle, Self) {
        let (sender, orders) = mpsc::channel(BACKLOG_MAX);
        (
            WriterHandle { orders: sender },
            Self {
                db,
                queue,
                worker,
                slots,
                orders,
            },
        )
    }

    pub(crate) async fn run(mut self) {
        let mut gathered = Vec::new();
        let mut flights = FuturesUnordered::new();
        let mut in_flight = HashSet::new();
        let mut next_at = Instant::now();
        let mut pauses = None;
        let orders = &mut self.orders;
        let sender = Sender {
            db: &self.db,
            queue: &self.queue,
            worker: &self.worker,
        };
        let mut is_open = true;
        loop {
            let is_held_up = flights.len() < FLIGHTS_MAX && next_at <= Instant::now();
            if !gathered.is_empty() && (flights.is_empty() || is_held_up) {
                // Those that a claim has just brought may end together.
                let _ = tokio::time::timeout(BEGIN_PATIENCE, self.slots.begun()).await;
                if self.slots.taken() > gathered.len() {
                    let_others_join().await;
                } else {
                    // No function runs that has not sent something; one that has branches may
                    // have more to send.
                    let_ready_ones_join().await;
                }
                take_what_waits(orders, &mut gathered);
                let batch = next_batch(&mut gathered, &in_flight);
                next_at = Instant::now() + PATIENCE;
                if !batch.is_empty() {
                    let runs: HashSet<RunId> = batch.iter().map(|o| o.write.run()).collect();
                    in_flight.extend(&runs);
                    flights.push(async move { (runs, sender.flush(batch).await) });
                }
            }
            if !is_open && flights.is_empty() && gathered.is_empty() {
                return;
            }
            let may_add = !gathered.is_empty() && flights.len() < FLIGHTS_MAX;
            tokio::select! {
                Some((runs, again)) = flights.next() => {
                    in_flight.retain(|run| !runs.contains(run));
                    if again.is_empty() {
                        pauses = None;
                        take_what_waits(orders, &mut gathered);
                        continue;
                    }
                    // The database was away, or asked for it.
                    let pauses = pauses.get_or_insert_with(crate::db::pauses);
                    tokio::time::sleep(pauses.next().unwrap_or_default()).await;
                    gathered.splice(0..0, again);
                    gathered = give_up_late(gathered);
                }
                count = orders.recv_many(&mut gathered, BATCH_MAX),
                    if is_open && gathered.len() < BACKLOG_MAX => is_open = count > 0,
                () = tokio::time::sleep_until(next_at), if may_add => {}
            }
        }
    }
}

fn take_what_waits(orders: &mut mpsc::Receiver<Order>, gathered: &mut Vec<Order>) {
    while gathered.len() < BACKLOG_MAX
        && let Ok(order) = orders.try_recv()
    {
        gathered.push(order);
    }
}

/// What may go now: of runs with nothing on its way, in the order of the orders.
fn next_batch(gathered: &mut Vec<Order>, in_flight: &HashSet<RunId>) -> Vec<Order> {
    let mut batch = Vec::new();
    let mut rest = Vec::new();
    for order in gathered.drain(..) {
        if batch.len() < BATCH_MAX && !in_flight.contains(&order.write.run()) {
            batch.push(order);
        } else {
            rest.push(order);
        }
    }
    *gathered = rest;
    batch
}

/// Sends batches of one worker.
#[derive(Clone, Copy)]
struct Sender<'a> {
    db: &'a Db,
    queue: &'a QueueName,
    worker: &'a str,
}

impl Sender<'_> {
    /// Sends a batch and returns what has to be sent again.
    async fn flush(&self, batch: Vec<Order>) -> Vec<Order> {
        let batched = match self.db.features().await {
            Ok(features) => features.is_some_and(|features| features.write_runs),
            Err(error) => return settle_all(batch, error),
        };
        if !batched {
            return self.flush_one_by_one(batch).await;
        }
        // A run's writes keep their order: all of them go the one way or the other.
        let others: HashSet<RunId> = batch
            .iter()
            .filter(|order| !order.write.is_plain())
            .map(|order| order.write.run())
            .collect();
        if others.is_empty() {
            return self.flush_plain(batch).await;
        }
        let (others, plain): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|order| others.contains(&order.write.run()));
        let (mut again, of_plain) = tokio::join!(self.flush_mixed(others), self.flush_plain(plain));
        again.extend(of_plain);
        again
    }

    /// Checkpoints, ends and renewals, which nearly all writes are. Where one of them is refused,
    /// they go the way on which each gets its own answer.
    async fn flush_plain(&self, batch: Vec<Order>) -> Vec<Order> {
        if batch.is_empty() {
            return batch;
        }
        match self.send_plain(&batch).await {
            Ok(()) => {
                answer_all(batch);
                Vec::new()
            }
            Err(error) if is_worth_another_try(&error) => settle_all(batch, error),
            Err(_) => self.flush_mixed(batch).await,
        }
    }

    async fn send_plain(&self, batch: &[Order]) -> Result<(), DbError> {
        let Self { db, queue, worker } = self;
        if let [order] = batch
            && let Some(checkpoint) = SingleCheckpoint::of(&order.write)
        {
            return db.write_checkpoint(queue, worker, &checkpoint).await;
        }
        let mut writes = PlainWrites::default();
        for order in batch {
            writes.add(&order.write);
        }
        db.write_plain(queue, worker, &writes).await
    }

    async fn flush_mixed(&self, batch: Vec<Order>) -> Vec<Order> {
        let writes: Vec<&Write> = batch.iter().map(|order| &order.write).collect();
        match self
            .db
            .write_runs(None, self.queue, self.worker, &writes)
            .await
        {
            Ok(rows) => settle(batch, rows),
            // Something in it can't even be read: only that is to be refused.
            Err(error) if !is_worth_another_try(&error) && batch.len() > 1 => {
                tracing::warn!(%error, "a batch was refused, sending it in halves");
                self.flush_halves(batch).await
            }
            Err(error) => settle_all(batch, error),
        }
    }

    async fn flush_halves(&self, mut batch: Vec<Order>) -> Vec<Order> {
        let second = batch.split_off(batch.len() / 2);
        let mut again = Box::pin(self.flush_mixed(batch)).await;
        again.extend(Box::pin(self.flush_mixed(second)).await);
        again
    }

    async fn flush_one_by_one(&self, batch: Vec<Order>) -> Vec<Order> {
        let sent = batch.into_iter().map(|order| async {
            let answer = self.db.write_by_contract(self.queue, &order.write).await;
            (order, answer)
        });
        let answered = futures::future::join_all(sent).await;
        answered
            .into_iter()
            .filter_map(|(order, answer)| order.settle(answer))
            .collect()
    }
}

impl Order {
    /// Answers the sender, or gives the order back because it is worth another try.
    fn settle(self, answer: Result<Value, DbError>) -> Option<Self> {
        match answer {
            Err(error) if is_worth_another_try(&error) => {
                tracing::warn!(%error, run = %self.write.run(), "write not kept, trying again");
                Some(self)
            }
            answer => {
                // The sender may have been dropped meanwhile: then nobody wants to know.
                let _ = self.reply.send(answer.map_err(Refusal::from));
                None
            }
        }
    }
}

pub(crate) fn is_worth_another_try(error: &DbError) -> bool {
    error.is_outage() || error.state() == Some(SqlState::TryAgain)
}

/// All orders of a batch were carried out.
pub(crate) fn answer_all(batch: Vec<Order>) {
    for order in batch {
        // The sender may have been dropped meanwhile: then nobody wants to know.
        let _ = order.reply.send(Ok(Value::Null));
    }
}

/// Answers each order of a batch by its row.
fn settle(batch: Vec<Order>, rows: Vec<WriteRow>) -> Vec<Order> {
    let mut answers: Vec<Option<Result<Value, DbError>>> = batch.iter().map(|_| None).collect();
    for row in rows {
        let answer = match row.code {
            None => Ok(row.detail.unwrap_or(Value::Null)),
            Some(code) => Err(DbError::Refused {
                statement: "write_runs",
                code,
                message: row.message.unwrap_or_default(),
            }),
        };
        let slot = usize::try_from(row.item)
            .ok()
            .and_then(|item| answers.get_mut(item));
        if let Some(slot) = slot {
            *slot = Some(answer);
        }
    }
    let unanswered = || Err(DbError::row_missing("write_runs"));
    let answered = batch.into_iter().zip(answers);
    answered
        .filter_map(|(order, answer)| order.settle(answer.unwrap_or_else(unanswered)))
        .collect()
}

/// The batch failed as a whole.
fn settle_all(batch: Vec<Order>, error: DbError) -> Vec<Order> {
    if is_worth_another_try(&error) {
        tracing::warn!(%error, writes = batch.len(), "writes not kept, trying again");
        return batch;
    }
    let refusal = Refusal::from(error);
    for order in batch {
        let _ = order.reply.send(Err(refusal.clone()));
    }
    Vec::new()
}

/// Orders whose lease is over are answered so; the others stay.
fn give_up_late(batch: Vec<Order>) -> Vec<Order> {
    let now = Instant::now();
    let (late, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|o| o.give_up <= now);
    for order in late {
        let _ = order.reply.send(Err(Refusal::LeaseLost));
    }
    rest
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn renewal(run: u128, seconds: i32) -> Order {
        let (reply, _) = oneshot::channel();
        Order {
            write: Write::Extend {
                run: RunId(Uuid::from_u128(run)),
                seconds,
            },
            give_up: Instant::now(),
            reply,
        }
    }

    fn seconds(orders: &[Order]) -> Vec<i32> {
        let seconds = orders.iter().map(|order| match order.write {
            Write::Extend { seconds, .. } => seconds,
            _ => 0,
        });
        seconds.collect()
    }

    #[test]
    fn a_run_has_no_writes_in_two_batches_at_once() {
        let mut gathered = vec![renewal(1, 1), renewal(2, 2), renewal(1, 3)];
        let on_its_way = HashSet::from([RunId(Uuid::from_u128(1))]);
        assert_eq!(seconds(&next_batch(&mut gathered, &on_its_way)), [2]);
        assert_eq!(seconds(&gathered), [1, 3], "in their order");
        assert_eq!(seconds(&next_batch(&mut gathered, &HashSet::new())), [1, 3]);
    }

    #[test]
    fn a_batch_is_bounded_and_nothing_is_lost() {
        let mut gathered: Vec<Order> = (0..).take(BATCH_MAX + 1).map(|n| renewal(n, 1)).collect();
        assert_eq!(next_batch(&mut gathered, &HashSet::new()).len(), BATCH_MAX);
        assert_eq!(gathered.len(), 1);
    }
}
