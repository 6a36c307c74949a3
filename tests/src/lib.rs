//! Tasks that the integration tests run, in the test process and in workers of their own
//! that can be killed.

mod expedition;
mod visit;

use absurd_sdk::{
    Client, TaskId, Worker, WorkerBuilder,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskResult, task},
};
use sqlx::PgPool;

pub use self::{
    expedition::{Expedition, expedition, publish, scout, undo},
    visit::{Visits, visitor},
};

/// What tasks write down when a step really runs. The table is made by the test.
#[derive(Debug, Clone)]
pub struct Journal(PgPool);

impl Journal {
    /// A journal in a client's database.
    pub fn of(client: &Client) -> Self {
        Self(client.pool().clone())
    }

    /// Makes the table.
    pub async fn create(&self) -> Result<(), sqlx::Error> {
        let table = "create table public.journal (
            id bigint generated always as identity,
            task_id uuid not null,
            step text not null,
            was_complete boolean not null
        )";
        sqlx::query(table).execute(&self.0).await.map(drop)
    }

    /// Steps that ran although their checkpoint existed: there must be none.
    pub async fn repeated(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("select step from public.journal where was_complete order by id")
            .fetch_all(&self.0)
            .await
    }

    /// All steps that ran, in their order.
    pub async fn steps(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("select step from public.journal order by id")
            .fetch_all(&self.0)
            .await
    }

    async fn note(&self, task: TaskId, step: &str) -> Result<(), sqlx::Error> {
        let note = "insert into public.journal (task_id, step, was_complete)
            select $1, $2, exists (
                select from absurd.c_default where task_id = $1 and checkpoint_name = $2)";
        sqlx::query(note)
            .bind(task.0)
            .bind(step)
            .execute(&self.0)
            .await
            .map(drop)
    }
}

/// What the journey is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Journey {
    /// The first step's value.
    pub start: i64,
}

/// Ten steps with sleeps, events and a child between them; returns `start + 10 + child`.
#[task(name = "journey", max_attempts = 20)]
pub async fn journey(ctx: &mut Context, journey: Journey, log: State<Journal>) -> TaskResult<i64> {
    let mut value = journey.start;
    for step in ["one", "two", "three"] {
        value = add_one(ctx, &log, step, value).await?;
    }
    ctx.sleep_for("nap", "10ms").await?;
    value = add_one(ctx, &log, "four", value).await?;
    let child = ctx.spawn(companion, journey).await?;
    value = add_one(ctx, &log, "five", value).await?;
    let ready: i64 = ctx
        .await_event(format!("ready:{}", child.task_id()))
        .await?;
    for step in ["six", "seven"] {
        value = add_one(ctx, &log, step, value).await?;
    }
    let from_child: i64 = ctx.await_task(&child).await?;
    value = add_one(ctx, &log, "eight", value).await?;
    ctx.emit_event(format!("passed:{}", ctx.task_id()), &value)
        .await?;
    ctx.sleep_for("nap", "10ms").await?;
    for step in ["nine", "ten"] {
        value = add_one(ctx, &log, step, value).await?;
    }
    Ok(value + from_child + ready - ready)
}

async fn add_one(ctx: &mut Context, log: &Journal, step: &str, value: i64) -> TaskResult<i64> {
    let task = ctx.task_id();
    ctx.step(step, || async move {
        log.note(task, step).await?;
        Ok::<_, sqlx::Error>(value + 1)
    })
    .await
}

/// The journey's child: two steps around a sleep and an event. Returns 100.
#[task(name = "companion", max_attempts = 20)]
pub async fn companion(ctx: &mut Context, _of: Journey, log: State<Journal>) -> TaskResult<i64> {
    let value = add_one(ctx, &log, "child one", 98).await?;
    ctx.sleep_for("nap", "10ms").await?;
    ctx.emit_event(format!("ready:{}", ctx.task_id()), &value)
        .await?;
    add_one(ctx, &log, "child two", value).await
}

/// A worker for the tasks above.
pub fn worker(client: &Client) -> WorkerBuilder {
    Worker::builder(client)
        .task(journey)
        .task(companion)
        .task(expedition)
        .task(scout)
        .task(undo)
        .task(publish)
        .task(visitor)
        .state(Visits::of(client))
        .state(Journal::of(client))
        .poll_interval("20ms")
        // A statement that was under way when the worker was killed may still claim: then the
        // next worker has to wait for this.
        .lease("3s")
        .concurrency(4)
}
