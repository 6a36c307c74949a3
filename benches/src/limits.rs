//! What the same database can do: the rows that the engine writes, with plain SQL through the
//! same driver, in tables that have nothing but their primary key.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, try_join_all};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, types::Json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{error::Result, measure::Latencies, server::Arena, tasks};

/// Sessions that write at once.
pub(crate) const CONNECTIONS: usize = 16;
/// Rows of one statement where tasks are spawned in bulk.
const SPAWN_ROWS: usize = 1000;
/// Tasks of one commit where they are claimed and finished.
const DRAIN_ROWS: usize = 100;
/// Checkpoints of one commit.
const CHECKPOINT_ROWS: usize = 16;

/// The queue's columns and its room for updates in place, without its other indexes.
const TABLES: &str = "
    create schema limits;
    create table limits.t (like absurd.t_default, primary key (task_id)) with (fillfactor = 70);
    create table limits.r (like absurd.r_default, primary key (run_id)) with (fillfactor = 70);
    create table limits.c (like absurd.c_default, primary key (task_id, checkpoint_name))
        with (fillfactor = 70)";
const INSERT_TASK: &str = "
    insert into limits.t (task_id, task_name, params, max_attempts, enqueue_at, state, attempts,
        last_attempt_run)
    values ($1, 'nothing', $2, 5, clock_timestamp(), 'pending', 1, $3)";
const INSERT_TASKS: &str = "
    with given as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::jsonb[]) as rows (task_id, run_id, params)
    ), runs as (
        insert into limits.r (run_id, task_id, attempt, state, available_at, created_at, priority)
        select run_id, task_id, 1, 'pending', clock_timestamp(), clock_timestamp(), 0 from given
    )
    insert into limits.t (task_id, task_name, params, max_attempts, enqueue_at, state, attempts,
        last_attempt_run)
    select task_id, 'nothing', params, 5, clock_timestamp(), 'pending', 1, run_id from given";
const CLAIM: &str = "
    with runs as (
        update limits.r set state = 'running', claimed_by = 'limit', started_at = now(),
            claim_expires_at = now() + interval '30 seconds'
        where run_id = any ($2)
    )
    update limits.t set state = 'running', first_started_at = now() where task_id = any ($1)";
const FINISH: &str = "
    with runs as (
        update limits.r set state = 'completed', completed_at = now(), result = 'null'
        where run_id = any ($2)
    )
    update limits.t set state = 'completed', completed_payload = 'null' where task_id = any ($1)";
const INSERT_CHECKPOINT: &str = "
    insert into limits.c (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
    values ($1, $2, $3, 'committed', $4, clock_timestamp(), 1)";
const INSERT_CHECKPOINTS: &str = "
    insert into limits.c (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
    select task_id, name, state, 'committed', task_id, clock_timestamp(), 1
    from unnest($1::uuid[], $2::text[], $3::jsonb[]) as rows (task_id, name, state)";

/// Ids of tasks and of their runs.
#[derive(Debug, Clone, Default)]
struct Ids {
    tasks: Vec<Uuid>,
    runs: Vec<Uuid>,
}

impl Ids {
    fn new(count: usize) -> Self {
        Self {
            tasks: (0..count).map(|_| Uuid::now_v7()).collect(),
            runs: (0..count).map(|_| Uuid::now_v7()).collect(),
        }
    }

    fn batches(&self, size: usize) -> VecDeque<Self> {
        let tasks = self.tasks.chunks(size);
        let batch = |(tasks, runs): (&[Uuid], &[Uuid])| Self {
            tasks: tasks.to_vec(),
            runs: runs.to_vec(),
        };
        tasks.zip(self.runs.chunks(size)).map(batch).collect()
    }
}

/// W1: one row and one commit at a time, many sessions.
pub(crate) async fn single_inserts(arena: &Arena, count: usize) -> Result<Duration> {
    prepare(arena).await?;
    let numbers = (0..count).collect();
    shared_out(arena, numbers, |connection, number: usize| {
        Box::pin(async move {
            sqlx::query(INSERT_TASK)
                .bind(Uuid::now_v7())
                .bind(Json(number))
                .bind(Uuid::now_v7())
                .execute(connection)
                .await?;
            Ok(())
        })
    })
    .await
}

/// W2: a thousand tasks a statement, one session.
pub(crate) async fn bulk_inserts(arena: &Arena, count: usize) -> Result<Duration> {
    prepare(arena).await?;
    let mut connection = arena.connect().await?;
    let begun = Instant::now();
    insert_all(&mut connection, &Ids::new(count)).await?;
    let elapsed = begun.elapsed();
    connection.close().await?;
    Ok(elapsed)
}

/// W3: tasks that are there already, claimed and finished a hundred at a time.
pub(crate) async fn claims_and_ends(arena: &Arena, count: usize) -> Result<Duration> {
    prepare(arena).await?;
    let ids = Ids::new(count);
    let mut connection = arena.connect().await?;
    insert_all(&mut connection, &ids).await?;
    connection.close().await?;
    shared_out(arena, ids.batches(DRAIN_ROWS), |connection, batch: Ids| {
        Box::pin(async move {
            for statement in [CLAIM, FINISH] {
                let done = sqlx::query(statement)
                    .bind(&batch.tasks)
                    .bind(&batch.runs)
                    .execute(&mut *connection)
                    .await?;
                if done.rows_affected() != u64::try_from(batch.tasks.len())? {
                    return Err("the limit's rows are not all there".into());
                }
            }
            Ok(())
        })
    })
    .await
}

/// W4: checkpoints of a hundred bytes, sixteen a commit.
pub(crate) async fn checkpoints(arena: &Arena, tasks: usize, steps: usize) -> Result<Duration> {
    prepare(arena).await?;
    let step = |task: Uuid| (0..steps).map(move |step| (task, format!("step {step}")));
    let rows: Vec<(Uuid, String)> = (0..tasks).flat_map(|_| step(Uuid::now_v7())).collect();
    let batches = rows.chunks(CHECKPOINT_ROWS).map(<[_]>::to_vec).collect();
    shared_out(arena, batches, |connection, batch: Vec<(Uuid, String)>| {
        Box::pin(async move {
            let states = vec![Json(Value::String(tasks::payload())); batch.len()];
            let (tasks, names): (Vec<Uuid>, Vec<String>) = batch.into_iter().unzip();
            sqlx::query(INSERT_CHECKPOINTS)
                .bind(tasks)
                .bind(names)
                .bind(states)
                .execute(connection)
                .await?;
            Ok(())
        })
    })
    .await
}

/// W5: one checkpoint and one commit at a time, one session.
pub(crate) async fn single_checkpoints(arena: &Arena, count: usize) -> Result<Latencies> {
    prepare(arena).await?;
    let mut latencies = Latencies::new()?;
    let mut connection = arena.connect().await?;
    let (task, run) = (Uuid::now_v7(), Uuid::now_v7());
    for number in 0..count {
        let begun = Instant::now();
        sqlx::query(INSERT_CHECKPOINT)
            .bind(task)
            .bind(format!("step {number}"))
            .bind(Json(tasks::payload()))
            .bind(run)
            .execute(&mut connection)
            .await?;
        latencies.add(begun.elapsed())?;
    }
    connection.close().await?;
    Ok(latencies)
}

/// W6: trips to the database that do nothing there.
pub(crate) async fn round_trips(arena: &Arena, count: usize) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut connection = arena.connect().await?;
    for _ in 0..count {
        let begun = Instant::now();
        sqlx::query("select 1").execute(&mut connection).await?;
        latencies.add(begun.elapsed())?;
    }
    connection.close().await?;
    Ok(latencies)
}

async fn prepare(arena: &Arena) -> Result {
    arena.execute(TABLES.to_owned()).await
}

async fn insert_all(connection: &mut PgConnection, ids: &Ids) -> Result {
    let mut first = 0;
    for batch in ids.batches(SPAWN_ROWS) {
        let params: Vec<Json<usize>> = (first..).take(batch.tasks.len()).map(Json).collect();
        first += batch.tasks.len();
        sqlx::query(INSERT_TASKS)
            .bind(batch.tasks)
            .bind(batch.runs)
            .bind(params)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Has many sessions take pieces of work until none is left, and says how long that took. Each
/// session is a task of its own, so that they share all processors.
async fn shared_out<T: Send + 'static>(
    arena: &Arena,
    work: VecDeque<T>,
    act: impl for<'a> Fn(&'a mut PgConnection, T) -> BoxFuture<'a, Result> + Send + Sync + 'static,
) -> Result<Duration> {
    let connections = try_join_all((0..CONNECTIONS).map(|_| arena.connect())).await?;
    let work = Arc::new((Mutex::new(work), act));
    let begun = Instant::now();
    let sessions = connections.into_iter().map(|mut connection| {
        let work = Arc::clone(&work);
        tokio::spawn(async move {
            let (pieces, act) = &*work;
            let next = || {
                pieces
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
            };
            while let Some(piece) = next() {
                act(&mut connection, piece).await?;
            }
            Result::Ok(connection)
        })
    });
    let ended = try_join_all(sessions.collect::<Vec<_>>()).await?;
    let elapsed = begun.elapsed();
    for connection in ended {
        connection?.close().await?;
    }
    Ok(elapsed)
}
