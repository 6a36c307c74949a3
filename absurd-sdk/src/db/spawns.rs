//! What makes work for a queue: spawns and events.

use serde_json::Value;
use sqlx::{
    Arguments as _, PgConnection, Row as _,
    error::BoxDynError,
    postgres::{PgArguments, PgRow},
    types::Json,
};

use super::{
    Db, DbError, Repeat, args,
    calls::{all, one},
    statements as sql,
};
use crate::ids::{QueueName, RunId, TaskId};

/// A task to be spawned with others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTask<'a> {
    pub(crate) name: &'a str,
    pub(crate) params: &'a Value,
    pub(crate) options: &'a Value,
}

/// A task on its way to the database.
#[derive(Debug)]
pub(crate) struct NewSpawn {
    pub(crate) queue: QueueName,
    pub(crate) name: String,
    pub(crate) params: Value,
    pub(crate) options: Value,
}

/// The row of `spawn_task` and `retry_task`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpawnRow {
    pub(crate) task_id: TaskId,
    pub(crate) run_id: RunId,
    pub(crate) attempt: i32,
    pub(crate) created: bool,
}

impl NewSpawn {
    /// Whether it may have been spawned before.
    pub(crate) fn may_exist(&self) -> bool {
        self.may_repeat() || self.has("unique")
    }

    /// Whether a second sending does nothing.
    pub(crate) fn may_repeat(&self) -> bool {
        has_key(&self.options)
    }

    /// Whether it is not due at once.
    pub(crate) fn is_delayed(&self) -> bool {
        self.has("start_at") || self.has("delay_seconds")
    }

    pub(crate) fn task(&self) -> NewTask<'_> {
        NewTask {
            name: &self.name,
            params: &self.params,
            options: &self.options,
        }
    }

    /// Sends it by itself.
    pub(crate) async fn send(
        &self,
        db: &Db,
        on: Option<&mut PgConnection>,
    ) -> Result<SpawnRow, DbError> {
        db.spawn_task(on, &self.queue, &self.name, &self.params, &self.options)
            .await
    }

    fn has(&self, option: &str) -> bool {
        self.options.get(option).is_some()
    }
}

impl SpawnRow {
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            task_id: TaskId(row.try_get("task_id")?),
            run_id: RunId(row.try_get("run_id")?),
            attempt: row.try_get("attempt")?,
            created: row.try_get("created")?,
        })
    }
}

/// Only a key makes a second sending harmless.
fn has_key(options: &Value) -> bool {
    options.get("idempotency_key").is_some()
}

/// A list for `spawn_tasks`, which takes one for many that are alike.
fn one_for_all<T: PartialEq>(list: impl Iterator<Item = T> + Clone) -> Vec<T> {
    let mut others = list.clone();
    let first = others.next();
    if others.all(|other| Some(&other) == first.as_ref()) {
        return first.into_iter().collect();
    }
    list.collect()
}

impl Db {
    pub(crate) async fn spawn_task(
        &self,
        on: Option<&mut PgConnection>,
        queue: &QueueName,
        name: &str,
        params: &Value,
        options: &Value,
    ) -> Result<SpawnRow, DbError> {
        let repeat = if has_key(options) {
            Repeat::Safe
        } else {
            Repeat::Unsafe
        };
        let statement = &sql::SPAWN_TASK;
        let bind = args![queue.as_str(), name, params, options];
        let rows = self.call(on, statement, repeat, bind).await?;
        one(statement, &rows, SpawnRow::read)
    }

    /// Spawns many tasks that have no key; the answer is in their order. In a transaction of the
    /// caller it takes the way that never fails for a queue that lacks its own functions.
    pub(crate) async fn spawn_tasks(
        &self,
        on: Option<&mut PgConnection>,
        queue: &QueueName,
        tasks: &[NewTask<'_>],
    ) -> Result<Vec<SpawnRow>, DbError> {
        let lists = || -> Result<PgArguments, BoxDynError> {
            let names = tasks.iter().map(|task| task.name);
            let params: Vec<_> = tasks.iter().map(|task| Json(task.params)).collect();
            let options = tasks.iter().map(|task| Json(task.options));
            args![one_for_all(names), params, one_for_all(options)]()
        };
        let (statement, rows) = if on.is_some() {
            let bind = || {
                let mut arguments = lists()?;
                arguments.add(queue.as_str())?;
                Ok(arguments)
            };
            let statement = &sql::SPAWN_TASKS;
            let rows = self.call(on, statement, Repeat::Unsafe, bind).await?;
            (statement, rows)
        } else {
            let statement = &sql::SPAWN_NEW_TASKS;
            (statement, self.call_own(queue, statement, lists).await?)
        };
        let rows = all(statement, &rows, SpawnRow::read)?;
        if rows.len() != tasks.len() {
            return Err(DbError::row_missing(statement.name));
        }
        Ok(rows)
    }

    pub(crate) async fn emit_event(
        &self,
        on: Option<&mut PgConnection>,
        queue: &str,
        event: &str,
        payload: &Value,
    ) -> Result<(), DbError> {
        let bind = args![queue, event, payload];
        self.call(on, &sql::EMIT_EVENT, Repeat::Safe, bind)
            .await
            .map(drop)
    }
}
