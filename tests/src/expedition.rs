//! A task that uses what is more than steps and waits: branches, a transaction, compensations,
//! attributes, a chain, a terminal failure.

use absurd_sdk::prelude::{
    Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task,
};

use crate::{Journal, add_one};

/// What the expedition is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Expedition {
    /// Whether it fails for good at its end.
    pub fails: bool,
}

/// Builds a camp, keeps its ledger, explores in two branches; returns 7, or fails for good.
#[task(name = "expedition", max_attempts = 30)]
pub async fn expedition(
    ctx: &mut Context,
    expedition: Expedition,
    log: State<Journal>,
) -> TaskResult<i64> {
    ctx.on_rollback(undo, "camp".to_owned()).await?;
    let camp = add_one(ctx, &log, "camp", 0).await?;
    let task = ctx.task_id();
    ctx.transaction("ledger", async |tx| {
        sqlx::query("insert into public.ledger (task_id) values ($1)")
            .bind(task.0)
            .execute(&mut *tx)
            .await
            .map(drop)
    })
    .await?;
    ctx.set_attribute("stage", "exploring").await?;
    ctx.on_rollback(undo, "tent".to_owned()).await?;
    let log = &*log;
    let (east, west) = ctx
        .join((
            |mut ctx: Context| async move {
                let scout = ctx.spawn(scout, 2).await?;
                let seen = ctx.await_task(&scout).await?;
                add_one(&mut ctx, log, "east", seen).await
            },
            |mut ctx: Context| async move {
                let start = add_one(&mut ctx, log, "west", 0).await?;
                ctx.sleep_for("rest", "5ms").await?;
                add_one(&mut ctx, log, "far west", start).await
            },
        ))
        .await?;
    let first: i64 = ctx
        .race(
            "first",
            (
                |mut ctx: Context| async move { ctx.await_event("never").await },
                |mut ctx: Context| async move {
                    ctx.sleep_for("patience", "5ms").await?;
                    Ok(1)
                },
            ),
        )
        .await?;
    if expedition.fails {
        return Err(TaskError::terminal(TaskError::msg("snow")));
    }
    Ok(camp + east + west + first)
}

/// The expedition's child.
#[task(name = "scout", max_attempts = 30)]
pub async fn scout(ctx: &mut Context, sees: i64) -> TaskResult<i64> {
    let _ = ctx;
    Ok(sees)
}

/// Undoes one thing, and notes that.
#[task(name = "undo", max_attempts = 30)]
pub async fn undo(ctx: &mut Context, what: String, log: State<Journal>) -> TaskResult<()> {
    let step = format!("undo {what}");
    add_one(ctx, &log, &step, 0).await.map(drop)
}

/// What follows in the chain.
#[task(name = "publish", max_attempts = 30)]
pub async fn publish(ctx: &mut Context, result: i64, log: State<Journal>) -> TaskResult<i64> {
    add_one(ctx, &log, "publish", result).await
}
