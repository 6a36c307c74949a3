//! Suspension: sleeps, events, children. None of them holds a worker.

use std::time::Duration;

use absurd_sdk::{
    Error, EventFilter, TaskFilter, TaskState,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::Database;
use serde_json::json;

use crate::support::{Counter, TestResult, attempts, quick_worker, work_while};

/// Sleeps a month.
#[task(name = "sleeper")]
async fn sleeper(ctx: &mut Context, counter: State<Counter>) -> TaskResult<u32> {
    counter.up();
    let month = Duration::from_hours(30 * 24);
    ctx.sleep_for("month", month).await?;
    Ok(counter.get())
}

#[tokio::test]
async fn a_task_sleeps_by_the_database_clock() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-01-31T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(sleeper, ()).await?;
    let counter = Counter::default();
    let worker = || quick_worker(client).task(sleeper).state(counter.clone());
    assert_eq!(worker().run_until_idle().await?, 1);
    let task = client.get_task(handle.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.summary.state, TaskState::Sleeping);
    assert_eq!(task.available_at, Some("2026-03-02T00:00:00Z".parse()?));
    clock
        .advance(Duration::from_secs(30 * 24 * 3600 - 1))
        .await?;
    assert_eq!(worker().run_until_idle().await?, 0);
    clock.advance(Duration::from_secs(1)).await?;
    assert_eq!(worker().run_until_idle().await?, 1);
    assert_eq!(handle.result().await?, 2);
    assert_eq!(
        attempts(client, handle.task_id()).await?,
        [(1, "completed".into())]
    );
    Ok(())
}

/// Waits for an event, then says how it came.
#[task(name = "waiter")]
async fn waiter(ctx: &mut Context, timeout: Option<u64>) -> TaskResult<String> {
    let mut wait = ctx.await_event::<String>("door");
    if let Some(seconds) = timeout {
        wait = wait.timeout(Duration::from_secs(seconds));
    }
    match wait.await {
        Ok(payload) => Ok(payload),
        Err(error) if error.is_timeout() => {
            // A later suspension replays the wait: the timeout has to be remembered.
            ctx.sleep_for("after", "1m").await?;
            Ok("timed out".into())
        }
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn an_event_wakes_all_who_wait_and_all_who_come_later() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let early = client.spawn_many(waiter, [None, None]).await?;
    let worker = || quick_worker(client).task(waiter);
    assert_eq!(worker().run_until_idle().await?, 2);
    assert_eq!(client.list_waits(None, Some("door")).await?.len(), 2);
    client.emit_event("door", "open").await?;
    client.emit_event("door", "shut").await?;
    let late = client.spawn(waiter, None).await?;
    assert_eq!(worker().run_until_idle().await?, 3);
    assert_eq!(late.result().await?, "open");
    for spawned in early {
        let result: String = client.result_of(spawned.task_id).await?;
        assert_eq!(result, "open", "the first emit counts");
    }
    Ok(())
}

#[tokio::test]
async fn a_timeout_is_remembered_even_if_the_event_comes_after_it() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-01-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(waiter, Some(10)).await?;
    let worker = || quick_worker(client).task(waiter);
    worker().run_until_idle().await?;
    clock.advance(Duration::from_secs(10)).await?;
    worker().run_until_idle().await?;
    client.emit_event("door", "too late").await?;
    clock.advance(Duration::from_mins(1)).await?;
    worker().run_until_idle().await?;
    assert_eq!(handle.result().await?, "timed out");
    Ok(())
}

/// A child.
#[task(name = "child", max_attempts = 1)]
async fn child(_ctx: &mut Context, value: i32) -> TaskResult<i32> {
    if value < 0 {
        return Err(TaskError::msg("negative"));
    }
    Ok(value * 2)
}

/// Spawns children and waits for them all.
#[task(name = "parent", max_attempts = 1)]
async fn parent(ctx: &mut Context, values: Vec<i32>) -> TaskResult<Vec<i32>> {
    let mut children = Vec::new();
    for value in values {
        children.push(ctx.spawn(child, value).await?);
    }
    let mut results = Vec::new();
    for child in &children {
        results.push(ctx.await_task(child).await?);
    }
    Ok(results)
}

#[tokio::test]
async fn a_parent_waits_in_its_own_queue_without_holding_the_only_slot() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(parent, vec![1, 2, 3]).await?;
    let worker = quick_worker(client).task(parent).task(child).concurrency(1);
    let result = handle.result();
    assert_eq!(
        work_while(worker, async { result.await }).await??,
        [2, 4, 6]
    );
    let spawned = client.list_tasks(&TaskFilter::default(), None, 10).await?;
    assert_eq!(spawned.len(), 4, "each child once");
    Ok(())
}

#[tokio::test]
async fn a_childs_failure_reaches_its_parent() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(parent, vec![1, -1]).await?;
    let worker = quick_worker(client).task(parent).task(child);
    let result = handle.result();
    let ended = work_while(worker, async { result.await }).await?;
    let Err(Error::TaskFailed { failure, .. }) = ended else {
        return Err(format!("not a failure: {ended:?}").into());
    };
    assert_eq!(failure.name, "ChildFailed");
    assert!(failure.message.contains("negative"), "{failure}");
    Ok(())
}

#[tokio::test]
async fn a_cancelled_child_ends_its_parents_wait() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(parent, vec![1]).await?;
    let worker = || quick_worker(client).task(parent);
    worker().run_until_idle().await?;
    let tasks = client.list_tasks(&TaskFilter::default(), None, 10).await?;
    let child = tasks.iter().find(|task| task.task_name == "child");
    client.cancel(child.ok_or("no child")?.task_id).await?;
    worker().run_until_idle().await?;
    let ended = handle.result().await;
    assert!(matches!(ended, Err(Error::TaskFailed { .. })), "{ended:?}");
    Ok(())
}

/// Emits, and fails afterwards, until its second attempt.
#[task(name = "emitter", max_attempts = 2)]
async fn emitter(ctx: &mut Context, _unused: ()) -> TaskResult<()> {
    ctx.emit_event("done", &json!({ "attempt": ctx.attempt() }))
        .await?;
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("after the emit"));
    }
    Ok(())
}

#[tokio::test]
async fn a_task_emits_once() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(emitter, ()).await?;
    quick_worker(client).task(emitter).run_until_idle().await?;
    handle.result().await?;
    let events = client
        .list_events(&EventFilter::default(), None, 10)
        .await?;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].payload, json!({ "attempt": 1 }));
    Ok(())
}

#[tokio::test]
async fn families_under_cancellation_neither_deadlock_nor_get_stuck() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let families = client
        .spawn_many(parent, (0..60).map(|n| vec![n, n + 1, n + 2]))
        .await?;
    let worker = || {
        let worker = quick_worker(client).task(parent).task(child);
        worker.concurrency(16).start()
    };
    let workers = [worker()?, worker()?];
    for family in families.iter().step_by(5) {
        client.cancel(family.task_id).await?;
        let newest = client.list_tasks(&TaskFilter::default(), None, 3).await?;
        for task in newest.iter().filter(|task| task.task_name == "child") {
            client.cancel(task.task_id).await?;
        }
    }
    for family in &families {
        let ended = client.result_of::<Vec<i32>>(family.task_id).timeout("60s");
        let ended = ended.snapshot().await?;
        assert!(ended.state.is_terminal());
    }
    for worker in workers {
        worker.stop().await?;
    }
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    assert_eq!((stats.running, stats.sleeping), (0, 0), "{stats:?}");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    let deadlocks: i64 = sqlx::query_scalar(deadlocks)
        .fetch_one(client.pool())
        .await?;
    assert_eq!(deadlocks, 0);
    Ok(())
}
