//! Spawns that happen at the same time share their commits, without any delay: while some are on
//! their way the next ones gather. A spawn that is alone goes at once and by itself.
//!
//! One call is under way at a time. A second one beside it would make both smaller, and most of
//! what a call costs does not depend on how much it takes along.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::join_all;
use serde_json::Value;
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    batching::let_others_join,
    db::{Db, DbError, NewTask, PgConnection, SpawnRow, needs_ours},
    ids::QueueName,
};

/// A task on its way to the database.
#[derive(Debug)]
pub(super) struct NewSpawn {
    pub(super) queue: QueueName,
    pub(super) name: String,
    pub(super) params: Value,
    pub(super) options: Value,
}

/// Gathers the spawns of a client and of its clones.
#[derive(Debug, Clone)]
pub(super) struct Spawner {
    db: Db,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    orders: Vec<Order>,
    in_flight: bool,
}

#[derive(Debug)]
struct Order {
    spawn: NewSpawn,
    reply: oneshot::Sender<Result<SpawnRow, DbError>>,
}

/// The call under way. At its end, whatever that is, what has gathered goes next.
#[derive(Debug)]
struct Flight(Spawner);

impl Spawner {
    pub(super) fn new(db: Db) -> Self {
        Self {
            db,
            waiting: Arc::default(),
        }
    }

    /// Spawns a task, together with others if there are any. One that may have been spawned
    /// before goes by itself, for it can be sent again when its answer is lost; and so do all
    /// where the schema is known to have no call for many.
    pub(super) async fn spawn(&self, spawn: NewSpawn) -> Result<SpawnRow, DbError> {
        let known = self.db.known_features();
        if spawn.may_exist() || known.is_some_and(|features| !features.spawn_tasks) {
            return spawn.send(&self.db, None).await;
        }
        let answer = match self.board(spawn) {
            Ok((flight, spawn)) => {
                let row = spawn.send(&self.db, None).await;
                drop(flight);
                return row;
            }
            Err(answer) => answer,
        };
        // No answer: the runtime that the call was on has ended.
        answer
            .await
            .unwrap_or_else(|_| Err(DbError::given_up("spawn_tasks")))
    }

    /// A flight of its own, or a place on the next one.
    fn board(
        &self,
        spawn: NewSpawn,
    ) -> Result<(Flight, NewSpawn), oneshot::Receiver<Result<SpawnRow, DbError>>> {
        let mut waiting = self.waiting();
        if !mem::replace(&mut waiting.in_flight, true) {
            return Ok((Flight(self.clone()), spawn));
        }
        let (reply, answer) = oneshot::channel();
        waiting.orders.push(Order { spawn, reply });
        Err(answer)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Takes orders along, then what has gathered meanwhile, until nothing has.
    async fn carry_on(self, mut orders: Vec<Order>) {
        loop {
            let_others_join().await;
            orders.append(&mut self.0.waiting().orders);
            if orders.is_empty() {
                return;
            }
            self.together(mem::take(&mut orders)).await;
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
        let orders = {
            let mut waiting = self.0.waiting();
            waiting.in_flight = !waiting.orders.is_empty();
            mem::take(&mut waiting.orders)
        };
        if orders.is_empty() {
            return;
        }
        let next = Self(self.0.clone());
        // Without a runtime nothing runs any more. Who waits learns it when the orders are dropped.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(next.carry_on(orders));
        }
    }
}

impl NewSpawn {
    /// Sends it by itself.
    pub(super) async fn send(
        &self,
        db: &Db,
        on: Option<&mut PgConnection>,
    ) -> Result<SpawnRow, DbError> {
        db.spawn_task(on, &self.queue, &self.name, &self.params, &self.options)
            .await
    }

    fn may_exist(&self) -> bool {
        let has = |option| self.options.get(option).is_some();
        has("idempotency_key") || has("unique")
    }

    fn task(&self) -> NewTask<'_> {
        NewTask {
            name: &self.name,
            params: &self.params,
            options: &self.options,
        }
    }
}

impl Order {
    fn answer(self, row: Result<SpawnRow, DbError>) {
        // The caller may have given up: the task exists all the same.
        let _ = self.reply.send(row);
    }
}
