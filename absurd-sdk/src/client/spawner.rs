//! Spawns that happen at the same time share their commits, without any delay: while some are on
//! their way the next ones gather. A spawn that is alone goes at once and by itself.
//!
//! Usually one call is under way. A second one beside it would make both smaller, and most of
//! what a call costs does not depend on how much it takes along; it goes when one is held up.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::join_all;
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::{
    batching::{PATIENCE, let_others_join},
    db::{Db, DbError, NewSpawn, NewTask, SpawnRow, needs_ours},
    eager::Desks,
    ids::QueueName,
};

/// Calls under way at once, while some are held up.
const FLIGHTS_MAX: usize = 4;

/// Gathers the spawns of a client and of its clones.
#[derive(Debug, Clone)]
pub(super) struct Spawner {
    db: Db,
    desks: Desks,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    orders: Vec<Order>,
    flights: usize,
    departed: Option<Instant>,
}

#[derive(Debug)]
struct Order {
    spawn: NewSpawn,
    reply: oneshot::Sender<Result<SpawnRow, DbError>>,
}

/// A call under way. At the end of the last one, whatever that is, what has gathered goes next.
#[derive(Debug)]
struct Flight(Spawner);

impl Spawner {
    pub(super) fn new(db: Db, desks: Desks) -> Self {
        Self {
            db,
            desks,
            waiting: Arc::default(),
        }
    }

    /// Spawns a task, together with the claim of a worker that waits for it, or with others if
    /// there are any. One that may have been spawned before goes by itself, for it can be sent
    /// again when its answer is lost; and so do all where the schema is known to have no call for
    /// many.
    pub(super) async fn spawn(&self, spawn: NewSpawn) -> Result<SpawnRow, DbError> {
        if !spawn.is_delayed()
            && let Some(desk) = self.desks.open(&spawn.queue, Some(&spawn.name))
        {
            let spawn = Arc::new(spawn);
            return match desk.spawn(Arc::clone(&spawn)).await {
                Some(row) => row,
                None => spawn.send(&self.db, None).await,
            };
        }
        let known = self.db.known_features();
        if spawn.may_exist() || known.is_some_and(|features| !features.spawn_tasks) {
            return spawn.send(&self.db, None).await;
        }
        let mut answer = match self.board(spawn) {
            Ok((flight, spawn)) => {
                let row = spawn.send(&self.db, None).await;
                drop(flight);
                return row;
            }
            Err(answer) => answer,
        };
        loop {
            match timeout(PATIENCE, &mut answer).await {
                Ok(Ok(row)) => return row,
                // No answer: the runtime that the call was on has ended.
                Ok(Err(_)) => return Err(DbError::given_up("spawn_tasks")),
                Err(_) => self.go_beside_a_held_up_one(),
            }
        }
    }

    /// A flight of its own, or a place on the next one.
    fn board(
        &self,
        spawn: NewSpawn,
    ) -> Result<(Flight, NewSpawn), oneshot::Receiver<Result<SpawnRow, DbError>>> {
        let mut waiting = self.waiting();
        if waiting.flights == 0 {
            return Ok((self.depart(&mut waiting), spawn));
        }
        let (reply, answer) = oneshot::channel();
        waiting.orders.push(Order { spawn, reply });
        Err(answer)
    }

    fn depart(&self, waiting: &mut Waiting) -> Flight {
        waiting.flights += 1;
        waiting.departed = Some(Instant::now());
        Flight(self.clone())
    }

    fn go_beside_a_held_up_one(&self) {
        let (flight, orders) = {
            let mut waiting = self.waiting();
            let is_held_up = waiting
                .departed
                .is_none_or(|when| when.elapsed() >= PATIENCE);
            if waiting.orders.is_empty() || waiting.flights >= FLIGHTS_MAX || !is_held_up {
                return;
            }
            let flight = self.depart(&mut waiting);
            (flight, mem::take(&mut waiting.orders))
        };
        tokio::spawn(flight.carry_on(orders));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Takes orders along, then what has gathered meanwhile, until nothing has or another call is
    /// under way.
    async fn carry_on(self, mut orders: Vec<Order>) {
        loop {
            let_others_join().await;
            {
                let mut waiting = self.0.waiting();
                orders.append(&mut waiting.orders);
                waiting.departed = Some(Instant::now());
            }
            if orders.is_empty() {
                return;
            }
            self.together(mem::take(&mut orders)).await;
            if self.0.waiting().flights > 1 {
                return;
            }
        }
    }

    /// Takes all orders along, one call for each queue.
    async fn together(&self, orders: Vec<Order>) {
        let mut by_queue: BTreeMap<QueueName, Vec<Order>> = BTreeMap::new();
        for order in orders {
            let queue = order.spawn.queue.clone();
            by_queue.entry(queue).or_default().push(order);
        }
        for (queue, orders) in by_queue {
            self.to_queue(&queue, orders).await;
        }
    }

    async fn send(&self, queue: &QueueName, orders: &[Order]) -> Result<Vec<SpawnRow>, DbError> {
        let db = &self.0.db;
        if db
            .features()
            .await?
            .is_none_or(|features| !features.spawn_tasks)
        {
            return Err(needs_ours("tasks in one call"));
        }
        let tasks: Vec<NewTask<'_>> = orders.iter().map(|order| order.spawn.task()).collect();
        db.spawn_tasks(None, queue, &tasks).await
    }

    async fn to_queue(&self, queue: &QueueName, orders: Vec<Order>) {
        let db = &self.0.db;
        match self.send(queue, &orders).await {
            Ok(rows) => {
                for (order, row) in orders.into_iter().zip(rows) {
                    order.answer(Ok(row));
                }
            }
            // One of them can't be spawned, or this schema knows no batch.
            Err(DbError::Refused { .. }) => {
                let alone = orders.into_iter().map(|order| async {
                    let row = order.spawn.send(db, None).await;
                    order.answer(row);
                });
                join_all(alone).await;
            }
            Err(error) => {
                let error = Arc::new(error);
                for order in orders {
                    order.answer(Err(DbError::shared(&error)));
                }
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (next, orders) = {
            let mut waiting = self.0.waiting();
            waiting.flights -= 1;
            if waiting.flights > 0 || waiting.orders.is_empty() {
                return;
            }
            (self.0.depart(&mut waiting), mem::take(&mut waiting.orders))
        };
        // Without a runtime nothing runs any more. Who waits learns it when the orders are dropped.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(next.carry_on(orders));
        }
    }
}

impl Order {
    fn answer(self, row: Result<SpawnRow, DbError>) {
        // The caller may have given up: the task exists all the same.
        let _ = self.reply.send(row);
    }
}
