//! The engine's clock, stopped and moved by a test.

use std::time::Duration;

use absurd_sdk::{Client, TaskState, WorkerBuilder};
use jiff::Timestamp;

use crate::error::TestError;

/// The engine's clock of one test database. It stands still until it is moved, for every
/// connection of every process.
#[derive(Debug, Clone)]
pub struct Clock {
    client: Client,
}

impl Clock {
    /// Replaces the database's clock by a row of a table: a setting of the session would have
    /// to reach every connection of every pool.
    pub(crate) async fn stop_at(client: Client, at: Timestamp) -> Result<Self, TestError> {
        let stop = "
            create table public.absurd_clock (now timestamptz not null);
            insert into public.absurd_clock values ('epoch');
            create or replace function absurd.current_time() returns timestamptz
            language sql volatile as $$ select now from public.absurd_clock $$";
        sqlx::raw_sql(stop).execute(client.pool()).await?;
        let clock = Self { client };
        clock.set(at).await?;
        Ok(clock)
    }

    /// Sets the clock.
    pub async fn set(&self, at: Timestamp) -> Result<(), TestError> {
        sqlx::query("update public.absurd_clock set now = $1::text::timestamptz")
            .bind(at.to_string())
            .execute(self.client.pool())
            .await?;
        Ok(())
    }

    /// Moves the clock on.
    pub async fn advance(&self, by: Duration) -> Result<(), TestError> {
        sqlx::query("update public.absurd_clock set now = now + make_interval(secs => $1)")
            .bind(by.as_secs_f64())
            .execute(self.client.pool())
            .await?;
        Ok(())
    }

    /// Runs workers until no run is due any more, moving the clock to the next due time again
    /// and again: a task that sleeps a month ends in milliseconds. Returns how many runs were
    /// executed. What waits for an event without a timeout is left waiting.
    pub async fn run_to_end(&self, worker: impl Fn() -> WorkerBuilder) -> Result<usize, TestError> {
        let mut executed = 0;
        loop {
            executed += worker().run_until_idle().await?;
            let moved = "
                update public.absurd_clock set now = next.due from (
                    select min(available_at) as due from absurd.r_default
                    where state in ($1, $2) and available_at < 'infinity') next
                where next.due > now";
            let moved = sqlx::query(moved)
                .bind(TaskState::Pending.as_str())
                .bind(TaskState::Sleeping.as_str())
                .execute(self.client.pool())
                .await?;
            if moved.rows_affected() == 0 {
                return Ok(executed);
            }
        }
    }
}
