//! A user's transaction that a checkpoint joins.

use sqlx::{PgConnection, Postgres, Transaction};

use super::{
    Db, DbError, Repeat, args, calls, contract::needs_ours, statements as sql, writes::Write,
};
use crate::ids::QueueName;

/// A transaction; rolled back when it is dropped.
#[derive(Debug)]
pub(crate) struct PgTransaction(Transaction<'static, Postgres>);

impl PgTransaction {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    pub(crate) async fn commit(self) -> Result<(), DbError> {
        let committed = self.0.commit().await;
        committed.map_err(|error| DbError::new("commit", error))
    }
}

impl Db {
    pub(crate) async fn begin(&self) -> Result<PgTransaction, DbError> {
        let begun = self.pool().begin().await;
        begun
            .map(PgTransaction)
            .map_err(|error| DbError::new("begin", error))
    }

    /// Keeps a checkpoint in the caller's transaction.
    pub(crate) async fn write_on(
        &self,
        connection: &mut PgConnection,
        queue: &QueueName,
        worker: &str,
        write: &Write,
    ) -> Result<(), DbError> {
        let features = self.features().await?;
        if features.is_some_and(|features| features.write_runs) {
            let rows = self
                .write_runs(Some(connection), queue, worker, &[write])
                .await?;
            return calls::refusals(rows);
        }
        let Write::Checkpoint {
            run,
            task,
            step,
            state,
            extend,
            ..
        } = write
        else {
            return Err(needs_ours("this write in a transaction"));
        };
        let bind = args![queue.as_str(), task.0, step, state, run.0, *extend];
        self.call(Some(connection), &sql::SET_CHECKPOINT, Repeat::Unsafe, bind)
            .await
            .map(drop)
    }
}
