//! The calls of operators: queues, limits, dead letters, schedules. Answers come as JSON, as
//! those of read models do.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Row as _, postgres::PgArguments};
use uuid::Uuid;

use super::{Db, DbError, Repeat, Statement, Timestamptz, args, calls::all, statements as sql};
use crate::ids::{QueueName, TaskId};

/// Something to be done, or looked at, that only our schema can do.
#[derive(Debug)]
pub(crate) enum Command<'a> {
    PauseQueue(&'a QueueName),
    ResumeQueue(&'a QueueName),
    PauseTask(&'a QueueName, TaskId),
    ResumeTask(&'a QueueName, TaskId),
    SetPriority(&'a QueueName, TaskId, i32),
    /// Scope, subject, concurrency, rate, and its period in seconds.
    SetLimit(
        &'a QueueName,
        (&'static str, &'a str),
        Option<i32>,
        Option<(i32, f64)>,
    ),
    ListLimits(&'a QueueName),
    Fork(&'a QueueName, TaskId, Option<&'a str>, &'a Value),
    DeadLetters(&'a Value, Option<Uuid>, i32),
    RetryDeadLetter(Uuid, &'a Value),
    RetryDeadLetters(&'a Value, &'a Value),
    ResolveDeadLetter(Uuid, &'a str, Option<&'a str>),
    DeleteDeadLetter(Uuid, &'a str, Option<&'a str>),
    DeadLetterAudit(Uuid),
    SetSchedule(&'a str, &'a Value, Option<Timestamp>),
    DeleteSchedule(&'a str),
    PauseSchedule(&'a str, Option<Timestamp>),
    Schedules {
        due: bool,
    },
    FireSchedule(&'a str, Timestamp, &'a Value, Option<Timestamp>),
    BackfillSchedule(&'a str, &'a Value),
    LogLines(&'a QueueName, TaskId, Option<&'a str>),
}

impl Command<'_> {
    fn statement(&self) -> &'static Statement {
        match self {
            Self::PauseQueue(_) => &sql::PAUSE_QUEUE,
            Self::ResumeQueue(_) => &sql::RESUME_QUEUE,
            Self::PauseTask(..) => &sql::PAUSE_TASK,
            Self::ResumeTask(..) => &sql::RESUME_TASK,
            Self::SetPriority(..) => &sql::SET_PRIORITY,
            Self::SetLimit(..) => &sql::SET_LIMIT,
            Self::ListLimits(_) => &sql::LIST_LIMITS,
            Self::Fork(..) => &sql::FORK_TASK,
            Self::DeadLetters(..) => &sql::LIST_DEAD_LETTERS,
            Self::RetryDeadLetter(..) => &sql::RETRY_DEAD_LETTER,
            Self::RetryDeadLetters(..) => &sql::RETRY_DEAD_LETTERS,
            Self::ResolveDeadLetter(..) => &sql::RESOLVE_DEAD_LETTER,
            Self::DeleteDeadLetter(..) => &sql::DELETE_DEAD_LETTER,
            Self::DeadLetterAudit(_) => &sql::DEAD_LETTER_AUDIT,
            Self::SetSchedule(..) => &sql::SET_SCHEDULE,
            Self::DeleteSchedule(_) => &sql::DELETE_SCHEDULE,
            Self::PauseSchedule(..) => &sql::PAUSE_SCHEDULE,
            Self::Schedules { .. } => &sql::LIST_SCHEDULES,
            Self::FireSchedule(..) => &sql::FIRE_SCHEDULE,
            Self::BackfillSchedule(..) => &sql::BACKFILL_SCHEDULE,
            Self::LogLines(..) => &sql::LIST_LOG_LINES,
        }
    }

    /// Whether it may be sent again when nobody knows if it arrived.
    fn repeat(&self) -> Repeat {
        match self {
            Self::Fork(..) | Self::RetryDeadLetter(..) | Self::RetryDeadLetters(..) => {
                Repeat::Unsafe
            }
            _ => Repeat::Safe,
        }
    }

    fn arguments(&self) -> Result<PgArguments, sqlx::error::BoxDynError> {
        let at = |time: &Option<Timestamp>| time.map(Timestamptz::At);
        match self {
            Self::PauseQueue(queue) | Self::ResumeQueue(queue) | Self::ListLimits(queue) => {
                args![queue.as_str()]()
            }
            Self::PauseTask(queue, task) | Self::ResumeTask(queue, task) => {
                args![queue.as_str(), task.0]()
            }
            Self::SetPriority(queue, task, priority) => args![queue.as_str(), task.0, *priority](),
            Self::SetLimit(queue, (scope, subject), concurrency, rate) => args![
                queue.as_str(),
                *scope,
                *subject,
                *concurrency,
                rate.map(|(rate, _)| rate),
                rate.map(|(_, period)| period)
            ](),
            Self::Fork(queue, task, step, options) => {
                args![queue.as_str(), task.0, *step, *options]()
            }
            Self::DeadLetters(filter, before, limit) => args![*filter, *before, *limit](),
            Self::RetryDeadLetter(letter, options) => args![*letter, *options](),
            Self::RetryDeadLetters(filter, options) => args![*filter, *options](),
            Self::ResolveDeadLetter(letter, actor, note)
            | Self::DeleteDeadLetter(letter, actor, note) => args![*letter, *actor, *note](),
            Self::DeadLetterAudit(letter) => args![*letter](),
            Self::SetSchedule(name, definition, next) => args![*name, *definition, at(next)](),
            Self::DeleteSchedule(name) => args![*name](),
            Self::PauseSchedule(name, next) => args![*name, at(next)](),
            Self::Schedules { due } => args![*due](),
            Self::FireSchedule(name, expected, ticks, next) => {
                args![*name, Timestamptz::At(*expected), *ticks, at(next)]()
            }
            Self::BackfillSchedule(name, ticks) => args![*name, *ticks](),
            Self::LogLines(queue, task, step) => args![queue.as_str(), task.0, *step](),
        }
    }
}

impl Db {
    /// Does what the command says; the rows of its answer, if it has any, as JSON.
    pub(crate) async fn command(&self, command: &Command<'_>) -> Result<Vec<Value>, DbError> {
        let statement = command.statement();
        let rows = self
            .call(None, statement, command.repeat(), || command.arguments())
            .await?;
        let rows = all(statement, &rows, |row| {
            row.try_get::<Option<Value>, _>("row").or_else(|error| {
                // A function without an answer has a column of its own name.
                matches!(error, sqlx::Error::ColumnNotFound(_))
                    .then_some(None)
                    .ok_or(error)
            })
        })?;
        Ok(rows.into_iter().flatten().collect())
    }
}
