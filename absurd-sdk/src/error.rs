//! Errors, by who meets them: [`Error`] is for callers of the client, [`TaskError`] for
//! those who write tasks.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cron::BadCron,
    db::{ConnectError, DbError, SqlState},
    ids::{InvalidName, TaskId},
    payload::PayloadError,
    period::BadPeriod,
    retry::InvalidRetryPolicy,
    state::TaskState,
};

/// What a call of the client can end in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection to the database.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database holds no Absurd schema.
    #[error(
        "the database has no schema `absurd`; create it with `absurd migrate` or `Client::migrate`"
    )]
    SchemaMissing,
    /// The database holds upstream's schema, which can't do this.
    #[error("{feature} needs our schema; `absurd migrate` brings it, and keeps queues and tasks")]
    FeatureMissing {
        /// What was asked for.
        feature: &'static str,
    },
    /// There is no queue of this name.
    #[error("there is no queue `{queue}`; create it with `absurd queue create {queue}`")]
    QueueMissing {
        /// Its name.
        queue: String,
    },
    /// A name that can't be used.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A retry policy that the engine refuses.
    #[error(transparent)]
    RetryPolicy(#[from] InvalidRetryPolicy),
    /// Text that is no length of time.
    #[error(transparent)]
    Period(#[from] BadPeriod),
    /// A cron pattern or a time zone that can't be read.
    #[error(transparent)]
    Cron(#[from] BadCron),
    /// An option that can't be used.
    #[error("the option `{option}` can't be used: {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong, and what to do.
        problem: Cow<'static, str>,
    },
    /// A value that JSON can't carry, or JSON of another type.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// There is no such task; it may have been cleaned up.
    #[error("there is no task {task} in queue `{queue}`; finished tasks are cleaned up in time")]
    TaskMissing {
        /// Its id.
        task: TaskId,
        /// Where it was looked for.
        queue: String,
    },
    /// The task has failed for good.
    #[error("task {task} has failed: {failure}")]
    TaskFailed {
        /// Its id.
        task: TaskId,
        /// What the last attempt failed with.
        failure: Failure,
    },
    /// The task has been cancelled.
    #[error("task {0} has been cancelled")]
    TaskCancelled(TaskId),
    /// It took longer than the caller was willing to wait.
    #[error("task {task} has not ended within {waited:?}")]
    TimedOut {
        /// Its id.
        task: TaskId,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The worker can't be built.
    #[error("the worker can't start: {0}")]
    Worker(String),
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] crate::migrate::MigrateError),
    /// Any other trouble with the database.
    #[error(transparent)]
    Database(DbError),
}

impl Error {
    /// What the database's refusal means to a caller who works on `queue`.
    pub(crate) fn from_db(error: DbError, queue: &str) -> Self {
        match error.state() {
            Some(SqlState::QueueMissing) => Self::QueueMissing {
                queue: queue.to_owned(),
            },
            Some(SqlState::SchemaMissing) => Self::SchemaMissing,
            Some(SqlState::Refused) => match error.missing_queue() {
                Some(queue) => Self::QueueMissing { queue },
                None => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }

    /// Whether the database was away: the same call may succeed later.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Connect(ConnectError::Refused { .. }) => true,
            Self::Database(error) => error.is_outage(),
            _ => false,
        }
    }
}

/// An error with all its causes, on one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Why a run failed, as it is stored and as every client reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Kind of the error: a type name, `Panic`, `$ClaimTimeout`.
    #[serde(default)]
    pub name: String,
    /// What happened.
    #[serde(default)]
    pub message: String,
    /// Where, if known.
    #[serde(default)]
    pub stack: Option<String>,
    /// Anything else that was stored with it.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

impl Failure {
    pub(crate) fn read(stored: Option<Value>) -> Self {
        let stored = stored.unwrap_or(Value::Null);
        serde_json::from_value(stored.clone()).unwrap_or_else(|_| Self {
            name: String::new(),
            message: stored.to_string(),
            stack: None,
            more: serde_json::Map::new(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// What a task function returns.
pub type TaskResult<T> = Result<T, TaskError>;

/// Why a task function stops.
///
/// Any error becomes one by `?` and is then tried again as the task's retry policy says;
/// [`TaskError::terminal`] makes it final. A suspended task also stops with one, which only
/// the SDK can make: pass it on with `?`.
pub struct TaskError(Box<Kind>);

#[derive(Debug)]
pub(crate) enum Kind {
    /// Control flow, not a failure.
    Interrupt(Interrupt),
    /// A failure.
    Failed {
        terminal: bool,
        /// When to try again, before what the policy says.
        retry_after: Option<Duration>,
        name: Cow<'static, str>,
        error: Box<dyn StdError + Send + Sync>,
    },
    /// An event or a task was not there in time.
    TimedOut { step: String },
    /// A child has failed or been cancelled.
    Child {
        task: TaskId,
        failure: Option<Failure>,
    },
}

/// Why the SDK itself ends a run's execution here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The run sleeps or waits; it is stored as such already.
    Parked,
    /// The task has been cancelled.
    Cancelled,
    /// Another worker may hold the run by now.
    LeaseLost,
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parked => "suspended",
            Self::Cancelled => TaskState::Cancelled.as_str(),
            Self::LeaseLost => "claimed by another worker",
        })
    }
}

impl TaskError {
    /// An error that no further attempt can mend: the task fails at once.
    pub fn terminal(error: impl Into<Self>) -> Self {
        let mut error = error.into();
        if let Kind::Failed { terminal, .. } = &mut *error.0 {
            *terminal = true;
        }
        error
    }

    /// An error that says itself when to try again: a service that is busy until then. It goes
    /// before the retry policy of step and task.
    pub fn retry_after(error: impl Into<Self>, delay: Duration) -> Self {
        let mut error = error.into();
        if let Kind::Failed { retry_after, .. } = &mut *error.0 {
            *retry_after = Some(delay);
        }
        error
    }

    /// Kind of the error: the type's name, as dead letters and filters show it.
    pub fn name(&self) -> &str {
        match &*self.0 {
            Kind::Failed { name, .. } => name,
            Kind::TimedOut { .. } => "TimeoutError",
            Kind::Child { .. } => "ChildFailed",
            Kind::Interrupt(_) => "Interrupt",
        }
    }

    /// A failure made of words only.
    pub fn msg(message: impl Into<String>) -> Self {
        Self::named("Error", Message(message.into()))
    }

    /// Whether an event or a task was not there in time.
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, Kind::TimedOut { .. })
    }

    /// Whether this error is final.
    pub fn is_terminal(&self) -> bool {
        matches!(*self.0, Kind::Failed { terminal: true, .. })
    }

    /// What the awaited child failed with, if that is what happened.
    pub fn child_failure(&self) -> Option<&Failure> {
        match &*self.0 {
            Kind::Child { failure, .. } => failure.as_ref(),
            _ => None,
        }
    }

    /// The cause as `E`, if it is one.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &*self.0 {
            Kind::Failed { error, .. } => error.downcast_ref(),
            _ => None,
        }
    }

    pub(crate) fn named(
        name: impl Into<Cow<'static, str>>,
        error: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(Kind::Failed {
            terminal: false,
            retry_after: None,
            name: name.into(),
            error: Box::new(error),
        }))
    }

    pub(crate) fn interrupt(interrupt: Interrupt) -> Self {
        Self(Box::new(Kind::Interrupt(interrupt)))
    }

    pub(crate) fn timed_out(step: String) -> Self {
        Self(Box::new(Kind::TimedOut { step }))
    }

    pub(crate) fn child(task: TaskId, failure: Option<Failure>) -> Self {
        Self(Box::new(Kind::Child { task, failure }))
    }

    pub(crate) fn retry_after_of(&self) -> Option<Duration> {
        match &*self.0 {
            Kind::Failed { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The stored form.
    pub(crate) fn failure(&self) -> Failure {
        let message = match &*self.0 {
            Kind::Failed { error, .. } => chain(error.as_ref()),
            _ => self.to_string(),
        };
        Failure {
            name: self.name().to_owned(),
            // A message must be kept whatever it quotes; PostgreSQL can't keep this character.
            message: message.replace('\0', "\u{fffd}"),
            stack: None,
            more: serde_json::Map::new(),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Interrupt(interrupt) => {
                write!(f, "the task is {interrupt}; pass this on with `?`")
            }
            Kind::Failed { error, .. } => error.fmt(f),
            Kind::TimedOut { step } => write!(f, "`{step}` has timed out"),
            Kind::Child {
                task,
                failure: Some(failure),
            } => {
                write!(f, "child task {task} has failed: {failure}")
            }
            Kind::Child {
                task,
                failure: None,
            } => {
                write!(f, "child task {task} has been cancelled")
            }
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `TaskError` is no `std::error::Error` itself, or this conversion could not exist.
impl<E: StdError + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        let permanent = (&error as &(dyn StdError + 'static))
            .downcast_ref::<PayloadError>()
            .is_some_and(PayloadError::is_permanent);
        let mut converted = Self::named(std::any::type_name::<E>(), error);
        if permanent {
            // Stored JSON doesn't change between attempts.
            converted = Self::terminal(converted);
        }
        converted
    }
}

/// Words as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);
