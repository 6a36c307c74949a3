//! A task that writes down when it was under way, for tests of limits across processes.

use absurd_sdk::{
    Client,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use sqlx::PgPool;

/// When tasks were under way. The table is made by the test.
#[derive(Debug, Clone)]
pub struct Visits(PgPool);

impl Visits {
    /// The visits in a client's database.
    pub fn of(client: &Client) -> Self {
        Self(client.pool().clone())
    }

    /// Makes the table.
    pub async fn create(&self) -> Result<(), sqlx::Error> {
        let table = "create table public.visits (
            id bigint generated always as identity primary key,
            place text not null,
            began timestamptz not null default clock_timestamp(),
            ended timestamptz
        )";
        sqlx::query(table).execute(&self.0).await.map(drop)
    }

    /// How many were at one place at the same time, at most. Visits that were cut off by a crash
    /// have no end and don't count.
    pub async fn most_at_once(&self) -> Result<i64, sqlx::Error> {
        let most = "select coalesce(max(crowd), 0) from (
            select (select count(*) from public.visits other
                where other.place = v.place and other.began <= v.began
                    and other.ended > v.began) as crowd
            from public.visits v where v.ended is not null) crowds";
        sqlx::query_scalar(most).fetch_one(&self.0).await
    }

    async fn visit(&self, place: &str) -> Result<(), sqlx::Error> {
        let begin = "insert into public.visits (place) values ($1) returning id";
        let id: i64 = sqlx::query_scalar(begin)
            .bind(place)
            .fetch_one(&self.0)
            .await?;
        // As long as a step takes that does something.
        sqlx::query("select pg_sleep(0.02)")
            .execute(&self.0)
            .await?;
        sqlx::query("update public.visits set ended = clock_timestamp() where id = $1")
            .bind(id)
            .execute(&self.0)
            .await
            .map(drop)
    }
}

/// Visits a place. Every fifth visitor fails for good afterwards.
#[task(name = "visitor", max_attempts = 50)]
pub async fn visitor(
    ctx: &mut Context,
    visit: (u32, String),
    visits: State<Visits>,
) -> TaskResult<()> {
    let (number, place) = visit;
    let visits = &*visits;
    ctx.step("visit", || async { visits.visit(&place).await })
        .await?;
    if number % 5 == 0 {
        return Err(TaskError::terminal(TaskError::msg("never again")));
    }
    Ok(())
}
