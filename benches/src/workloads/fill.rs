//! Tasks put into the queue before anything is measured.

use std::sync::Arc;

use crate::{
    error::Result,
    meter::Sent,
    server::{self, Arena},
    tasks::{self, GO},
};

/// An event that never comes.
const NEVER: &str = "never";

/// Spawns tasks that do nothing.
pub(super) async fn nothing(arena: &Arena, count: usize) -> Result {
    let client = arena.client(1, Arc::new(Sent::default())).await?;
    client.spawn_many(tasks::nothing, 0..count).await?;
    server::close(client).await;
    analyzed(arena).await
}

/// Spawns tasks of so many steps.
pub(super) async fn steps(arena: &Arena, count: usize, steps: usize) -> Result {
    let client = arena.client(1, Arc::new(Sent::default())).await?;
    client.spawn_many(tasks::steps, vec![steps; count]).await?;
    server::close(client).await;
    analyzed(arena).await
}

/// Puts a history of finished tasks into the queue, and a backlog behind it.
pub(super) async fn history(arena: &Arena, finished_count: usize, backlog: usize) -> Result {
    finished(arena, finished_count).await?;
    pending(arena, backlog).await?;
    analyzed(arena).await
}

/// Finished tasks, as if the last one ended hours ago.
async fn finished(arena: &Arena, count: usize) -> Result {
    let ids = ids(count, "interval '6 hours'");
    let sql = format!(
        "with given as materialized ({ids}), runs as (
            insert into absurd.r_default (run_id, task_id, attempt, state, available_at,
                created_at, started_at, completed_at, claimed_by, claim_expires_at, result)
            select run_id, task_id, 1, 'completed', at, at, at, at, 'earlier', at, 'null'
            from given
        )
        insert into absurd.t_default (task_id, task_name, params, max_attempts, enqueue_at,
            first_started_at, state, attempts, last_attempt_run, completed_payload)
        select task_id, 'nothing', to_jsonb(n), 5, at, at, 'completed', 1, run_id, 'null'
        from given"
    );
    arena.execute(sql).await
}

/// Puts tasks that do nothing into the queue, all of them due.
pub(super) async fn pending(arena: &Arena, count: usize) -> Result {
    let ids = ids(count, "interval '10 minutes'");
    let sql = format!(
        "with given as materialized ({ids}), runs as (
            insert into absurd.r_default (run_id, task_id, attempt, state, available_at,
                created_at)
            select run_id, task_id, 1, 'pending', at, at from given
        )
        insert into absurd.t_default (task_id, task_name, params, max_attempts, enqueue_at,
            state, attempts, last_attempt_run)
        select task_id, 'nothing', to_jsonb(n), 5, at, 'pending', 1, run_id from given"
    );
    arena.execute(sql).await
}

/// Puts tasks into the queue as `await_event` leaves them; the first `woken` of them wait for
/// the event [`GO`], the others for one that never comes.
pub(super) async fn parked(arena: &Arena, count: usize, woken: usize) -> Result {
    let ids = ids(count, "interval '6 hours'");
    let sql = format!(
        "insert into absurd.e_default (event_name, payload, emitted_at)
        values ('{GO}', null, 'epoch'), ('{NEVER}', null, 'epoch');
        with given as materialized (
            select *, case when n <= {woken} then '{GO}' else '{NEVER}' end as event
            from ({ids}) ids
        ), runs as (
            insert into absurd.r_default (run_id, task_id, attempt, state, available_at,
                created_at, started_at, wake_event)
            select run_id, task_id, 1, 'sleeping', 'infinity', at, at, event from given
        ), waits as (
            insert into absurd.w_default (task_id, run_id, step_name, event_name, created_at)
            select task_id, run_id, '$awaitEvent:' || event, event, at from given
        )
        insert into absurd.t_default (task_id, task_name, params, max_attempts, enqueue_at,
            first_started_at, state, attempts, last_attempt_run)
        select task_id, 'parked', to_jsonb(n), 5, at, at, 'sleeping', 1, run_id from given"
    );
    arena.execute(sql).await?;
    analyzed(arena).await
}

/// Brings the planner's statistics up to date, as autovacuum has on a queue that is in use. Each
/// queue gets this after it was filled, so that a short one differs from a long one in length only.
async fn analyzed(arena: &Arena) -> Result {
    let tables = [
        "t_default",
        "r_default",
        "c_default",
        "w_default",
        "e_default",
    ];
    let tables = tables.map(|table| format!("absurd.{table}")).join(", ");
    arena.execute(format!("vacuum (analyze) {tables}")).await
}

/// A query for ids as the engine makes them, a millisecond apart, with the time in them.
fn ids(count: usize, ago: &str) -> String {
    let id = "(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid";
    format!(
        "select n, at, {id} as task_id, {id} as run_id
        from generate_series(1, {count}) n
            cross join lateral (
                select clock_timestamp() - {ago} + n * interval '1 millisecond' as at) moment"
    )
}
