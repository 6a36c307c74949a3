//! What must wait for what (contract section 7.3), held with real sessions.

use std::future::Future;

use absurd_test::{Database, eventually};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::TestResult;

/// A task that worker `w` has claimed.
struct Held {
    task: Uuid,
    run: Uuid,
}

async fn claimed(pool: &PgPool) -> TestResult<Held> {
    sqlx::query("select absurd.spawn_task('default', 'a', '1')")
        .execute(pool)
        .await?;
    let row = sqlx::query("select task_id, run_id from absurd.claim_task('default', 'w', 60, 1)")
        .fetch_one(pool)
        .await?;
    Ok(Held {
        task: row.get("task_id"),
        run: row.get("run_id"),
    })
}

/// Runs a statement in a session of its own, and returns when it waits for a lock.
async fn waiting<F>(pool: &PgPool, statement: F) -> TestResult<JoinHandle<F::Output>>
where
    F: Future<Output = Result<(), sqlx::Error>> + Send + 'static,
{
    let session = tokio::spawn(statement);
    eventually("a session waits for a lock", async || {
        let waits: Result<i64, _> = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
              where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(pool)
        .await;
        waits.is_ok_and(|waits| waits == 1) || session.is_finished()
    })
    .await?;
    assert!(!session.is_finished(), "it did not wait");
    Ok(session)
}

async fn run(connection: &mut PgConnection, sql: &'static str, held: &Held) -> TestResult {
    sqlx::query(sql)
        .bind(held.task)
        .bind(held.run)
        .execute(connection)
        .await?;
    Ok(())
}

async fn lock_run<'t>(pool: &PgPool, held: &Held) -> TestResult<Transaction<'t, Postgres>> {
    let mut tx = pool.begin().await?;
    sqlx::query("select 1 from absurd.r_default where run_id = $1 for update")
        .bind(held.run)
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

async fn state(pool: &PgPool, held: &Held) -> TestResult<String> {
    Ok(
        sqlx::query_scalar("select state from absurd.t_default where task_id = $1")
            .bind(held.task)
            .fetch_one(pool)
            .await?,
    )
}

#[tokio::test]
async fn a_cancel_waits_for_the_run_without_holding_the_task() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let held = claimed(pool).await?;
    let mut holder = lock_run(pool, &held).await?;
    let (other, task) = (pool.clone(), held.task);
    let cancel = waiting(pool, async move {
        sqlx::query("select absurd.cancel_task('default', $1)")
            .bind(task)
            .execute(&other)
            .await
            .map(drop)
    })
    .await?;
    let complete = "select absurd.complete_run('default', $2, '7'), $1::uuid";
    run(&mut holder, complete, &held).await?;
    holder.commit().await?;
    cancel.await??;
    assert_eq!(
        state(pool, &held).await?,
        "completed",
        "the cancel came too late"
    );
    Ok(())
}

#[tokio::test]
async fn an_emit_waits_for_a_wait_that_is_being_registered() -> TestResult {
    for wait in [
        "select absurd.await_event('default', $1, $2, 's', 'e')",
        "select absurd.wait_for_event('default', 'w', $1, $2, 's', 'e')",
    ] {
        let database = Database::start().await?;
        let pool = database.client().pool();
        let held = claimed(pool).await?;
        let mut waiter = pool.begin().await?;
        run(&mut waiter, wait, &held).await?;
        let other = pool.clone();
        let emit = waiting(pool, async move {
            sqlx::query("select absurd.emit_event('default', 'e', '\"now\"')")
                .execute(&other)
                .await
                .map(drop)
        })
        .await?;
        waiter.commit().await?;
        emit.await??;
        assert_eq!(state(pool, &held).await?, "pending", "woken: {wait}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wait_waits_for_an_emit_that_is_not_committed() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let held = claimed(pool).await?;
    let mut emitter = pool.begin().await?;
    sqlx::query("select absurd.emit_event('default', 'e', '\"now\"')")
        .execute(&mut *emitter)
        .await?;
    let (other, task, run) = (pool.clone(), held.task, held.run);
    let wait = waiting(pool, async move {
        let payload: Option<Value> = sqlx::query_scalar(
            "select payload from absurd.await_event('default', $1, $2, 's', 'e')",
        )
        .bind(task)
        .bind(run)
        .fetch_one(&other)
        .await?;
        assert_eq!(payload, Some(json!("now")));
        Ok(())
    })
    .await?;
    emitter.commit().await?;
    wait.await??;
    assert_eq!(state(pool, &held).await?, "running");
    Ok(())
}

#[tokio::test]
async fn waiters_of_one_event_do_not_wait_for_each_other() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    // The placeholder stands already, so that only the shared locks are left.
    let first = claimed(pool).await?;
    let park = "select absurd.await_event('default', $1, $2, 's', 'e')";
    run(&mut *pool.acquire().await?, park, &first).await?;
    let (second, third) = (claimed(pool).await?, claimed(pool).await?);
    let mut one = pool.begin().await?;
    run(&mut one, park, &second).await?;
    let mut other = pool.begin().await?;
    sqlx::query("set local lock_timeout = '1s'")
        .execute(&mut *other)
        .await?;
    run(&mut other, park, &third).await?;
    other.commit().await?;
    one.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_skips_what_others_hold() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let spawn = "select task_id from absurd.spawn_task('default', 'a', '1')";
    let first: Uuid = sqlx::query_scalar(spawn).fetch_one(pool).await?;
    let second: Uuid = sqlx::query_scalar(spawn).fetch_one(pool).await?;
    let mut holder = pool.begin().await?;
    // Only the task's row is held: its run is skipped all the same.
    sqlx::query("select 1 from absurd.t_default where task_id = $1 for update")
        .bind(first)
        .execute(&mut *holder)
        .await?;
    let claim = "select task_id from absurd.claim_task('default', 'w', 60, 5)";
    let claimed: Vec<Uuid> = sqlx::query_scalar(claim).fetch_all(pool).await?;
    assert_eq!(claimed, [second]);
    holder.rollback().await?;
    let claimed: Vec<Uuid> = sqlx::query_scalar(claim).fetch_all(pool).await?;
    assert_eq!(claimed, [first]);
    Ok(())
}

#[tokio::test]
async fn a_child_that_ends_waits_for_the_parent_that_registers() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let (parent, child) = (claimed(pool).await?, claimed(pool).await?);
    let mut waiter = pool.begin().await?;
    sqlx::query("select absurd.wait_for_task('default', 'w', $1, $2, 's', 'default', $3)")
        .bind(parent.task)
        .bind(parent.run)
        .bind(child.task)
        .execute(&mut *waiter)
        .await?;
    let (other, run) = (pool.clone(), child.run);
    let complete = waiting(pool, async move {
        sqlx::query("select absurd.complete_run('default', $1, '7')")
            .bind(run)
            .execute(&other)
            .await
            .map(drop)
    })
    .await?;
    waiter.commit().await?;
    complete.await??;
    assert_eq!(
        state(pool, &parent).await?,
        "pending",
        "woken by its child's end"
    );
    Ok(())
}
