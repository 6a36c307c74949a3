//! One function a statement: bind, send, read. No decisions.

use serde_json::Value;
use sqlx::{
    Arguments as _, PgConnection, Row as _,
    postgres::{PgArguments, PgRow},
};

use super::{
    Db, DbError, Repeat, ResultRow, SpawnRow, Statement, Timestamptz, WriteRow, args,
    contract::needs_ours,
    statements as sql,
    writes::{PlainWrites, SingleCheckpoint, Wait, WaitOn, Write},
};
use crate::ids::{QueueName, RunId, TaskId};

/// What became of a wait.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Waited {
    /// The run sleeps now; its slot is free.
    Parked,
    /// It had come already.
    Delivered(Value),
    /// The time was over.
    TimedOut,
}

impl Waited {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(match row.try_get::<&str, _>("outcome")? {
            "parked" => Self::Parked,
            "timed_out" => Self::TimedOut,
            // A time that has come has no payload.
            _ => {
                let payload: Option<Value> = row.try_get("payload")?;
                Self::Delivered(payload.unwrap_or(Value::Null))
            }
        })
    }
}

/// The first refusal among the answers to a batch, if there is one.
pub(super) fn refusals(rows: Vec<WriteRow>) -> Result<(), DbError> {
    let refused = rows.into_iter().find_map(|row| {
        Some(DbError::Refused {
            statement: sql::WRITE_RUNS.name,
            code: row.code?,
            message: row.message.unwrap_or_default(),
        })
    });
    refused.map_or(Ok(()), Err)
}

/// Reads the one row of an answer.
pub(super) fn one<T>(
    statement: &'static Statement,
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<T, DbError> {
    rows.first()
        .ok_or(sqlx::Error::RowNotFound)
        .and_then(read)
        .map_err(|source| DbError::Answer {
            statement: statement.name,
            source,
        })
}

/// Reads all rows of an answer.
pub(super) fn all<T>(
    statement: &'static Statement,
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, DbError> {
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|source| DbError::Answer {
            statement: statement.name,
            source,
        })
}

impl Db {
    pub(crate) async fn current_time(&self) -> Result<Timestamptz, DbError> {
        let rows = self
            .call(None, &sql::CURRENT_TIME, Repeat::Safe, args![])
            .await?;
        one(&sql::CURRENT_TIME, &rows, |row| row.try_get("now"))
    }

    pub(crate) async fn cancel_task(
        &self,
        on: Option<&mut PgConnection>,
        queue: &QueueName,
        task: TaskId,
    ) -> Result<(), DbError> {
        let bind = args![queue.as_str(), task.0];
        self.call(on, &sql::CANCEL_TASK, Repeat::Safe, bind)
            .await
            .map(drop)
    }

    pub(crate) async fn retry_task(
        &self,
        queue: &QueueName,
        task: TaskId,
        options: &Value,
    ) -> Result<SpawnRow, DbError> {
        let bind = args![queue.as_str(), task.0, options];
        let rows = self
            .call(None, &sql::RETRY_TASK, Repeat::Unsafe, bind)
            .await?;
        one(&sql::RETRY_TASK, &rows, SpawnRow::read)
    }

    /// `watch`: ask for a notification of the end as well.
    pub(crate) async fn task_result(
        &self,
        queue: &QueueName,
        task: TaskId,
        watch: bool,
    ) -> Result<Option<ResultRow>, DbError> {
        let statement = if watch {
            &sql::WATCH_TASK_RESULT
        } else {
            &sql::GET_TASK_RESULT
        };
        let bind = args![queue.as_str(), task.0];
        let rows = self.call(None, statement, Repeat::Safe, bind).await?;
        Ok(all(statement, &rows, ResultRow::read)?.into_iter().next())
    }

    /// A run's checkpoints, with their places where the schema knows them.
    pub(crate) async fn checkpoints(
        &self,
        queue: &QueueName,
        task: TaskId,
        run: RunId,
        with_places: bool,
    ) -> Result<Vec<(String, Value, Option<i32>)>, DbError> {
        let statement = if with_places {
            &sql::RUN_CHECKPOINTS
        } else {
            &sql::GET_CHECKPOINTS
        };
        let bind = args![queue.as_str(), task.0, run.0];
        let rows = self.call(None, statement, Repeat::Safe, bind).await?;
        all(statement, &rows, |row| {
            let state: Option<Value> = row.try_get("state")?;
            let place = if with_places {
                row.try_get("place")?
            } else {
                None
            };
            let name = row.try_get("checkpoint_name")?;
            Ok((name, state.unwrap_or(Value::Null), place))
        })
    }

    /// Checkpoints, good ends and renewals, all or none: where one is refused the rest is not
    /// kept either, and [`Self::write_runs`] tells which it was.
    pub(crate) async fn write_plain(
        &self,
        queue: &QueueName,
        worker: &str,
        writes: &PlainWrites<'_>,
    ) -> Result<(), DbError> {
        let bind = || writes.bind(worker);
        self.call_own(queue, &sql::WRITE_PLAIN, bind)
            .await
            .map(drop)
    }

    /// One checkpoint, without a renewal, or a refusal that [`Self::write_runs`] explains.
    pub(crate) async fn write_checkpoint(
        &self,
        queue: &QueueName,
        worker: &str,
        write: &SingleCheckpoint<'_>,
    ) -> Result<(), DbError> {
        let SingleCheckpoint { task, run, .. } = write;
        let bind = args![worker, task.0, run.0, write.step, write.state, write.place];
        self.call_own(queue, &sql::WRITE_CHECKPOINT, bind)
            .await
            .map(drop)
    }

    /// Repeats are safe: each write either finds its own trace or is refused as stale.
    pub(crate) async fn write_runs(
        &self,
        on: Option<&mut PgConnection>,
        queue: &QueueName,
        worker: &str,
        writes: &[&Write],
    ) -> Result<Vec<WriteRow>, DbError> {
        let writes = serde_json::to_value(writes).map_err(|source| DbError::Answer {
            statement: sql::WRITE_RUNS.name,
            source: sqlx::Error::Encode(Box::new(source)),
        })?;
        let bind = args![queue.as_str(), worker, &writes];
        let rows = self
            .call(on, &sql::WRITE_RUNS, Repeat::Unsafe, bind)
            .await?;
        all(&sql::WRITE_RUNS, &rows, WriteRow::read)
    }

    pub(crate) async fn wait(
        &self,
        queue: &QueueName,
        worker: &str,
        wait: &Wait,
    ) -> Result<Waited, DbError> {
        let statement = match wait.on {
            WaitOn::Event(_) => &sql::WAIT_FOR_EVENT,
            WaitOn::Task { .. } => &sql::WAIT_FOR_TASK,
            WaitOn::Time { .. } => return Err(needs_ours("a time among other waits")),
        };
        let bind = || {
            let mut arguments = PgArguments::default();
            arguments.add(queue.as_str())?;
            arguments.add(worker)?;
            arguments.add(wait.task.0)?;
            arguments.add(wait.run.0)?;
            arguments.add(&wait.step)?;
            match &wait.on {
                WaitOn::Event(event) => arguments.add(event)?,
                WaitOn::Task { queue, task } => {
                    arguments.add(queue)?;
                    arguments.add(task.0)?;
                }
                WaitOn::Time { .. } => {}
            }
            arguments.add(wait.timeout)?;
            Ok(arguments)
        };
        let rows = self.call(None, statement, Repeat::Unsafe, bind).await?;
        one(statement, &rows, Waited::read)
    }

    /// Parks a run on several waits, unless some are over, which are the answer. Without
    /// `park` it only looks, and sees to it that the waits stand.
    pub(crate) async fn wait_for_any(
        &self,
        queue: &QueueName,
        worker: &str,
        waits: &[Wait],
        park: bool,
    ) -> Result<Vec<(usize, Waited)>, DbError> {
        let Some(Wait { run, task, .. }) = waits.first() else {
            return Ok(Vec::new());
        };
        let json = waits.iter().enumerate();
        let json: Value = json.map(|(place, wait)| wait.to_json(place)).collect();
        let bind = args![queue.as_str(), worker, task.0, run.0, &json, park];
        let statement = &sql::WAIT_FOR_ANY;
        let rows = self.call(None, statement, Repeat::Unsafe, bind).await?;
        all(statement, &rows, |row| {
            let place: i32 = row.try_get("place")?;
            Ok((usize::try_from(place).unwrap_or(0), Waited::read(row)?))
        })
    }
}
