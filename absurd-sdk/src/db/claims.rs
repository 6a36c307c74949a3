//! Claims, by themselves or together with a call that makes something to claim.

use serde_json::Value;
use sqlx::{
    Arguments as _, Row as _,
    error::BoxDynError,
    postgres::{PgArguments, PgRow},
};

use super::{
    ClaimedRow, Db, DbError, Repeat, SpawnRow, args,
    calls::{all, one},
    spawns::NewSpawn,
    statements as sql,
};
use crate::ids::{QueueName, RunId, TaskId};

/// Who claims how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) queue: &'a QueueName,
    pub(crate) worker: &'a str,
    pub(crate) lease_seconds: i32,
    pub(crate) quantity: i32,
    /// Whether the worker listens: none says that it does, and was noted less than half a minute
    /// ago.
    pub(crate) listens: Option<bool>,
}

impl Claim<'_> {
    /// The first four parameters of each of our claims.
    fn arguments(&self) -> Result<PgArguments, BoxDynError> {
        args![self.worker, self.lease_seconds, self.quantity, self.listens]()
    }
}

/// An event on its way to the database.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) name: String,
    pub(crate) payload: Value,
}

impl Db {
    /// Not repeated when the answer is lost: those runs come back when their leases end.
    pub(crate) async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<ClaimedRow>, DbError> {
        let statement = &sql::CLAIM_RUNS;
        let bind = || claim.arguments();
        let rows = self.call_own(claim.queue, statement, bind).await?;
        all(statement, &rows, |row| ClaimedRow::read(row, true))
    }

    /// The same by the contract, without checkpoints.
    pub(crate) async fn claim_by_contract(
        &self,
        claim: &Claim<'_>,
    ) -> Result<Vec<ClaimedRow>, DbError> {
        let statement = &sql::CLAIM_TASK;
        let bind = args![
            claim.queue.as_str(),
            claim.worker,
            claim.lease_seconds,
            claim.quantity
        ];
        let rows = self.call(None, statement, Repeat::Unsafe, bind).await?;
        all(statement, &rows, |row| ClaimedRow::read(row, false))
    }

    /// Spawns a task of the claim's queue and claims, in one transaction: all or nothing.
    pub(crate) async fn spawn_and_claim(
        &self,
        spawn: &NewSpawn,
        claim: &Claim<'_>,
    ) -> Result<(SpawnRow, Vec<ClaimedRow>), DbError> {
        let statement = &sql::SPAWN_AND_CLAIM;
        let bind = || {
            let mut arguments = claim.arguments()?;
            arguments.add(&spawn.name)?;
            arguments.add(&spawn.params)?;
            arguments.add(&spawn.options)?;
            Ok(arguments)
        };
        let rows = self.call_own(claim.queue, statement, bind).await?;
        let spawned = one(statement, &rows, |row| {
            Ok(SpawnRow {
                task_id: TaskId(row.try_get("spawned_task")?),
                run_id: RunId(row.try_get("spawned_run")?),
                attempt: row.try_get("spawned_attempt")?,
                created: row.try_get("created")?,
            })
        })?;
        Ok((spawned, claimed(statement, &rows)?))
    }

    /// Emits an event of the claim's queue and claims, in one transaction: all or nothing.
    pub(crate) async fn emit_and_claim(
        &self,
        event: &NewEvent,
        claim: &Claim<'_>,
    ) -> Result<Vec<ClaimedRow>, DbError> {
        let statement = &sql::EMIT_AND_CLAIM;
        let bind = || {
            let mut arguments = claim.arguments()?;
            arguments.add(claim.queue.as_str())?;
            arguments.add(&event.name)?;
            arguments.add(&event.payload)?;
            Ok(arguments)
        };
        let rows = self.call_own(claim.queue, statement, bind).await?;
        claimed(statement, &rows)
    }
}

/// The runs among rows of which one stands for the other call where nothing was claimed.
fn claimed(statement: &'static sql::Statement, rows: &[PgRow]) -> Result<Vec<ClaimedRow>, DbError> {
    let rows = all(statement, rows, |row| {
        let run: Option<sqlx::types::Uuid> = row.try_get("run_id")?;
        run.map(|_| ClaimedRow::read(row, true)).transpose()
    })?;
    Ok(rows.into_iter().flatten().collect())
}
