//! Eager starts: a call takes along the claim of a worker of the same client that waits for work.

use std::sync::Arc;

use absurd_sdk::{
    Client, TaskState, WorkerBuilder,
    prelude::{Context, State, TaskResult, task},
};
use absurd_test::{Database, Recorder, eventually};
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{TestResult, attempts, quick_worker, recorded};

#[task(name = "double")]
async fn double(_ctx: &mut Context, number: u32) -> TaskResult<u32> {
    Ok(2 * number)
}

#[task(name = "hear")]
async fn hear(ctx: &mut Context, event: String) -> TaskResult<u32> {
    ctx.await_event(event).await
}

/// Says when it begins, and ends when it may.
#[task(name = "hold")]
async fn hold(_ctx: &mut Context, doors: State<Arc<(Notify, Notify)>>) -> TaskResult<()> {
    doors.0.notify_one();
    doors.1.notified().await;
    Ok(())
}

/// Claims with a call or, after its first claim, not at all.
fn deaf_worker(client: &Client) -> WorkerBuilder {
    quick_worker(client).listen(false).poll_interval("1h")
}

/// Spawns until a spawn has found the worker waiting, whose claim brings all that is due.
async fn until_eager(client: &Client, recorder: &Recorder) -> TestResult {
    eventually("a spawn finds the worker waiting", async || {
        recorder.take();
        let Ok(handle) = client.spawn(double, 21).await else {
            return false;
        };
        let is_eager = recorder.take().contains(&"spawn_and_claim");
        is_eager && handle.result().await.is_ok_and(|doubled| doubled == 42)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_spawn_beside_a_waiting_worker_is_its_claim_as_well() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let worker = deaf_worker(&client).task(double).start()?;
    until_eager(&client, &recorder).await?;
    let keyed = async || client.spawn(double, 4).idempotency_key("once").await;
    let (first, again) = (keyed().await?, keyed().await?);
    until_eager(&client, &recorder).await?;
    assert_eq!((first.result().await?, again.result().await?), (8, 8));
    assert_eq!(again.task_id(), first.task_id());
    assert!(first.spawned().created && !again.spawned().created);
    assert_eq!(attempts(&client, first.task_id()).await?.len(), 1);
    worker.stop().await?;
    recorder.take();
    client.spawn(double, 1).await?;
    assert_eq!(recorder.take(), ["spawn_task"], "nobody waits any more");
    Ok(())
}

#[tokio::test]
async fn an_emit_beside_a_waiting_worker_resumes_its_waiter() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let worker = deaf_worker(&client).task(hear).task(double).start()?;
    let mut number = 0;
    eventually("an emit finds the worker waiting", async || {
        number += 1;
        let heard = heard_eagerly(&client, &recorder, number).await;
        heard.is_ok_and(|is_eager| is_eager)
    })
    .await?;
    worker.stop().await?;
    Ok(())
}

/// Whether an event that a task waits for went together with a claim.
async fn heard_eagerly(client: &Client, recorder: &Recorder, number: u32) -> TestResult<bool> {
    let event = format!("number:{number}");
    let handle = client.spawn(hear, event.clone()).await?;
    until_eager(client, recorder).await?;
    eventually("the task is parked", async || {
        let task = client.get_task(handle.task_id()).await;
        task.is_ok_and(|task| task.is_some_and(|task| task.summary.state == TaskState::Sleeping))
    })
    .await?;
    recorder.take();
    client.emit_event(&event, &number).await?;
    let is_eager = recorder.take().contains(&"emit_and_claim");
    if is_eager {
        assert_eq!(handle.result().await?, number);
    }
    Ok(is_eager)
}

#[tokio::test]
async fn a_spawn_goes_alone_where_the_worker_could_not_begin_it() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let doors = Arc::new((Notify::new(), Notify::new()));
    let worker = quick_worker(&client).task(double).task(hold);
    let worker = worker.state(doors.clone()).concurrency(1).start()?;
    let is_alone = || {
        let sent = recorder.take();
        sent.contains(&"spawn_task") && !sent.contains(&"spawn_and_claim")
    };
    until_eager(&client, &recorder).await?;
    client.spawn_by_name("elsewhere", json!(1)).await?;
    assert!(is_alone(), "a task that it does not know");
    until_eager(&client, &recorder).await?;
    client.spawn(double, 1).delay("1h").await?;
    assert!(is_alone(), "a task that is not due");
    until_eager(&client, &recorder).await?;
    database.client().spawn(double, 2).await?.result().await?;
    let held = client.spawn(hold, ()).await?;
    doors.0.notified().await;
    recorder.take();
    let waiting = client.spawn(double, 3).await?;
    assert!(is_alone(), "a task without a place");
    doors.1.notify_one();
    held.result().await?;
    assert_eq!(waiting.result().await?, 6);
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_that_fails_leaves_the_spawn_to_itself() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let worker = quick_worker(&client).task(double).start()?;
    until_eager(&client, &recorder).await?;
    let no_claims = "
        create function no_claims() returns trigger language plpgsql as $$
        begin raise exception 'no claims today'; end; $$;
        create trigger no_claims before update on absurd.r_default
        for each row when (new.state = 'running') execute function no_claims()";
    sqlx::raw_sql(no_claims).execute(client.pool()).await?;
    let mut handle = None;
    eventually("a spawn took a claim along that failed", async || {
        recorder.take();
        handle = client.spawn(double, 5).await.ok();
        let sent = recorder.take();
        sent.contains(&"spawn_and_claim") && sent.contains(&"spawn_task")
    })
    .await?;
    sqlx::raw_sql("drop trigger no_claims on absurd.r_default")
        .execute(client.pool())
        .await?;
    let handle = handle.ok_or("nothing was spawned")?;
    assert_eq!(handle.result().await?, 10);
    worker.stop().await?;
    Ok(())
}
