//! The database dies under load and comes back: workers and clients go on by themselves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use absurd_sdk::{
    Client, TaskId,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, Postgres, eventually};

use crate::support::{Counter, TestResult, quick_worker};

const OUTAGES: usize = 3;
const TASKS_PER_PHASE: usize = 40;

/// Three steps and a short sleep.
#[task(name = "steady", max_attempts = 50)]
async fn steady(ctx: &mut Context, number: usize, counter: State<Counter>) -> TaskResult<usize> {
    let mut value = number;
    for step in ["a", "b", "c"] {
        let counter = counter.clone();
        value = ctx
            .step(step, || async move {
                counter.up();
                Ok::<_, TaskError>(value + 1)
            })
            .await?;
        ctx.sleep_for("nap", "5ms").await?;
    }
    Ok(value)
}

/// Spawns with a key until the key's task is there: what a careful producer does.
async fn spawn_surely(client: &Client, number: usize) -> TaskId {
    loop {
        let spawn = client.spawn(steady, number);
        match spawn.idempotency_key(format!("task {number}")).await {
            Ok(handle) => return handle.task_id(),
            Err(error) => tracing::info!(%error, "spawn again"),
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_or_stuck_when_postgres_is_killed_under_load() -> TestResult {
    let server = Postgres::private().await?;
    let database = Database::on(&server).await?;
    let client = database.client();
    let counter = Counter::default();
    let worker = || {
        let worker = quick_worker(client).task(steady).state(counter.clone());
        worker.concurrency(16).lease("2s").start()
    };
    let workers = [worker()?, worker()?];
    let mut tasks = Vec::new();
    for outage in 0..OUTAGES {
        let first = outage * TASKS_PER_PHASE;
        for number in first..first + TASKS_PER_PHASE {
            tasks.push(spawn_surely(client, number).await);
        }
        let before = counter.get();
        eventually("work is under way", async || counter.get() > before).await?;
        server.stop_immediately().await?;
        server.start().await?;
    }
    for (number, task) in tasks.iter().enumerate() {
        let result: usize = client.result_of(*task).timeout("120s").await?;
        assert_eq!(result, number + 3);
    }
    for worker in workers {
        worker.stop().await?;
    }
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    let expected = i64::try_from(OUTAGES * TASKS_PER_PHASE)?;
    assert_eq!(
        (stats.completed, stats.running, stats.due),
        (expected, 0, 0)
    );
    Ok(())
}

#[tokio::test]
async fn a_waiting_client_survives_an_outage() -> TestResult {
    let server = Postgres::private().await?;
    let database = Database::on(&server).await?;
    let client = database.client().clone();
    let handle = client.spawn(steady, 1).await?;
    let (waiting, ended) = (handle.clone(), Arc::new(AtomicBool::new(false)));
    let flag = Arc::clone(&ended);
    let waiter = tokio::spawn(async move {
        let result = waiting.result().await;
        flag.store(true, Ordering::SeqCst);
        result
    });
    server.stop_immediately().await?;
    server.start().await?;
    assert!(
        !ended.load(Ordering::SeqCst),
        "the wait did not end with the outage"
    );
    let worker = quick_worker(&client).task(steady).state(Counter::default());
    let worker = worker.start()?;
    assert_eq!(waiter.await??, 4);
    worker.stop().await?;
    Ok(())
}
