//! Read models, each row as one JSON object: what reads them decides on its types.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Row as _, postgres::PgArguments};

use super::{Db, DbError, Repeat, Statement, Timestamptz, args, calls::all, statements as sql};
use crate::ids::{QueueName, TaskId};

/// A question about the state of queues.
#[derive(Debug)]
pub(crate) enum ReadModel<'a> {
    Tasks(&'a QueueName, &'a Value, Option<TaskId>, i32),
    Task(&'a QueueName, TaskId),
    Runs(&'a QueueName, TaskId),
    Checkpoints(&'a QueueName, TaskId, Option<&'a str>, i32),
    Waits(&'a QueueName, Option<TaskId>, Option<&'a str>),
    Events(&'a QueueName, &'a Value, Option<(Timestamp, &'a str)>, i32),
    Stats(Option<&'a QueueName>),
    Find(TaskId),
}

impl ReadModel<'_> {
    fn statement(&self) -> &'static Statement {
        match self {
            Self::Tasks(..) => &sql::LIST_TASKS,
            Self::Task(..) => &sql::GET_TASK,
            Self::Runs(..) => &sql::LIST_RUNS,
            Self::Checkpoints(..) => &sql::LIST_CHECKPOINTS,
            Self::Waits(..) => &sql::LIST_WAITS,
            Self::Events(..) => &sql::LIST_EVENTS,
            Self::Stats(_) => &sql::QUEUE_STATS,
            Self::Find(_) => &sql::FIND_TASK,
        }
    }

    fn arguments(&self) -> Result<PgArguments, sqlx::error::BoxDynError> {
        match self {
            Self::Tasks(queue, filter, before, limit) => {
                args![queue.as_str(), *filter, before.map(|task| task.0), *limit]()
            }
            Self::Task(queue, task) | Self::Runs(queue, task) => args![queue.as_str(), task.0](),
            Self::Checkpoints(queue, task, after, limit) => {
                args![queue.as_str(), task.0, *after, *limit]()
            }
            Self::Waits(queue, task, event) => {
                args![queue.as_str(), task.map(|task| task.0), *event]()
            }
            Self::Events(queue, filter, before, limit) => {
                let time = before.map(|(time, _)| Timestamptz::At(time));
                let name = before.map(|(_, name)| name);
                args![queue.as_str(), *filter, time, name, *limit]()
            }
            Self::Stats(queue) => args![queue.map(QueueName::as_str)](),
            Self::Find(id) => args![id.0](),
        }
    }
}

impl Db {
    pub(crate) async fn read_model(&self, model: &ReadModel<'_>) -> Result<Vec<Value>, DbError> {
        let statement = model.statement();
        let rows = self
            .call(None, statement, Repeat::Safe, || model.arguments())
            .await?;
        all(statement, &rows, |row| row.try_get("row"))
    }
}
