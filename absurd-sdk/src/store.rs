//! What a running task asks of the world outside: to keep a checkpoint, to park.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{
    db::{
        DbError, PgConnection, PgTransaction, SqlState, Waited,
        writes::{Wait, Write},
    },
    ids::{RunId, TaskId},
    payload::PayloadError,
};

/// Behind a context stands the database of a worker, or the memory of a unit test.
pub(crate) trait RunStore: Send + Sync {
    /// Keeps what was written; the answer depends on the kind of write.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Value, Refusal>>;

    /// Parks the run unless what it waits for is there already.
    fn wait(&self, wait: Wait) -> BoxFuture<'_, Result<Waited, Refusal>>;

    /// Parks the run on several waits unless some are over, which are the answer; without
    /// `park` it only looks.
    fn wait_for_any(
        &self,
        waits: Vec<Wait>,
        park: bool,
    ) -> BoxFuture<'_, Result<Vec<(usize, Waited)>, Refusal>>;

    /// All checkpoints of a run that has too many to come along with its claim.
    fn checkpoints(
        &self,
        task: TaskId,
        run: RunId,
    ) -> BoxFuture<'_, Result<Vec<Checkpoint>, Refusal>>;

    /// A transaction for the user's own statements and a checkpoint.
    fn begin(&self) -> BoxFuture<'_, Result<PgTransaction, Refusal>>;

    /// Keeps a checkpoint inside a transaction.
    fn write_on<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        write: Write,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// The payload that was stored.
    fn open<'a>(&'a self, what: &'a str, stored: Value) -> BoxFuture<'a, Result<Value, Refusal>>;

    /// Writes what nobody waits for, and what may be lost.
    fn tell(&self, write: Write);
}

/// A checkpoint's name, state, and place.
pub(crate) type Checkpoint = (String, Value, Option<i32>);

/// Why a write was not kept.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The task has been cancelled.
    Cancelled,
    /// The run is no longer this worker's.
    LeaseLost,
    /// A payload can't be stored as the client was told, or what is stored can't be read.
    Payload(Arc<PayloadError>),
    /// Anything else.
    Database(Arc<DbError>),
}

impl From<PayloadError> for Refusal {
    fn from(error: PayloadError) -> Self {
        Self::Payload(Arc::new(error))
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        let not_running = matches!(&error, DbError::Refused { message, .. }
            if message.contains("not currently running"));
        match error.state() {
            Some(SqlState::Cancelled) => Self::Cancelled,
            Some(SqlState::RunFailed | SqlState::LeaseLost) => Self::LeaseLost,
            _ if not_running => Self::LeaseLost,
            _ => Self::Database(Arc::new(error)),
        }
    }
}
