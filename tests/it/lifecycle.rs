//! A task from spawn to end: steps, retries, failures.

use absurd_sdk::{
    Error, RetryPolicy, TaskState,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};
use absurd_test::Database;
use serde_json::json;

use crate::support::{Counter, TestResult, attempts, quick_worker, work_while};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {
    id: String,
    pieces: u32,
}

/// Doubles an order.
#[task(name = "double")]
async fn double(ctx: &mut Context, order: Order) -> TaskResult<Order> {
    let pieces = order.pieces;
    let pieces = ctx
        .step("count", || async move { Ok::<_, TaskError>(pieces * 2) })
        .await?;
    Ok(Order { pieces, ..order })
}

#[tokio::test]
async fn a_result_comes_back_as_it_was_returned() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let order = Order {
        id: "ä\"1".into(),
        pieces: 21,
    };
    let handle = client.spawn(double, order.clone()).await?;
    let done = handle.result();
    let result = work_while(quick_worker(client).task(double), async { done.await }).await??;
    assert_eq!(
        result,
        Order {
            pieces: 42,
            ..order
        }
    );
    Ok(())
}

/// Fails until its third attempt, after a step that counts.
#[task(name = "third-time", max_attempts = 3)]
async fn third_time(ctx: &mut Context, _unused: (), counter: State<Counter>) -> TaskResult<u32> {
    let ran = counter.clone();
    let first = ctx
        .step("count", || async move { Ok::<_, TaskError>(ran.up()) })
        .await?;
    if ctx.attempt() < 3 {
        return Err(TaskError::msg("not yet"));
    }
    Ok(first)
}

#[tokio::test]
async fn a_completed_step_never_runs_again() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(third_time, ()).await?;
    let counter = Counter::default();
    let worker = quick_worker(client).task(third_time).state(counter.clone());
    let result = handle.result();
    let result = work_while(worker, async { result.await }).await??;
    assert_eq!((result, counter.get()), (1, 1));
    let expected = [(1, "failed"), (2, "failed"), (3, "completed")];
    let expected = expected.map(|(attempt, state)| (attempt, state.to_owned()));
    assert_eq!(attempts(client, handle.task_id()).await?, expected);
    Ok(())
}

/// Always fails.
#[task(name = "never", max_attempts = 2)]
async fn never(_ctx: &mut Context, terminal: bool) -> TaskResult<()> {
    let error = std::io::Error::other("the disk is full");
    if terminal {
        return Err(TaskError::terminal(error));
    }
    Err(error.into())
}

#[tokio::test]
async fn a_failure_is_stored_and_returned() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(never, false).await?;
    let result = handle.result();
    let ended = work_while(quick_worker(client).task(never), async { result.await }).await?;
    let Err(Error::TaskFailed { failure, .. }) = ended else {
        return Err(format!("not a failure: {ended:?}").into());
    };
    assert_eq!(failure.message, "the disk is full");
    assert_eq!(failure.name, "std::io::error::Error");
    assert_eq!(attempts(client, handle.task_id()).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_terminal_failure_spends_no_further_attempt() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(never, true).await?;
    let result = handle.result();
    let ended = work_while(quick_worker(client).task(never), async { result.await }).await?;
    assert!(matches!(ended, Err(Error::TaskFailed { .. })), "{ended:?}");
    assert_eq!(attempts(client, handle.task_id()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_delay_between_attempts_is_kept() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let delayed = RetryPolicy::Fixed {
        base: std::time::Duration::from_hours(1),
    };
    let handle = client.spawn(never, false).retry(delayed).await?;
    assert_eq!(quick_worker(client).task(never).run_until_idle().await?, 1);
    let task = client.get_task(handle.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.summary.state, TaskState::Sleeping);
    let due = task.available_at.ok_or("no time")?;
    let waits = due.duration_since(task.summary.enqueue_at).as_secs();
    assert!((3600..3660).contains(&waits), "{waits} s");
    Ok(())
}

#[tokio::test]
async fn a_failed_task_is_retried_from_its_last_checkpoint_or_anew() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(third_time, ()).max_attempts(1).await?;
    let counter = Counter::default();
    let worker = || quick_worker(client).task(third_time).state(counter.clone());
    worker().run_until_idle().await?;
    let anew = client.retry_as_new(handle.task_id()).await?;
    assert_ne!(anew.task_id, handle.task_id());
    let again = client.retry_up_to(handle.task_id(), 3).await?;
    assert_eq!((again.task_id, again.attempt), (handle.task_id(), 2));
    let result = handle.result();
    assert_eq!(work_while(worker(), async { result.await }).await??, 1);
    Ok(())
}

/// Panics.
#[task(name = "panics", max_attempts = 1)]
async fn panics(_ctx: &mut Context, at: usize) -> TaskResult<u8> {
    let bytes = [1_u8];
    Ok(bytes[at])
}

#[tokio::test]
async fn a_panic_is_a_failure_with_message_and_place() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let panicking = client.spawn(panics, 3).await?;
    let fine = client.spawn(panics, 0).await?;
    quick_worker(client).task(panics).run_until_idle().await?;
    let snapshot = panicking.result().snapshot().await?;
    let failure = snapshot.failure.ok_or("no failure")?;
    assert_eq!(failure.name, "Panic");
    assert!(failure.message.contains("index out of bounds"), "{failure}");
    let place = failure.stack.unwrap_or_default();
    assert!(place.contains("lifecycle.rs"), "{place}");
    assert_eq!(fine.result().await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_unknown_task_is_left_to_others_without_spending_an_attempt() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let spawned = client.spawn_by_name("elsewhere", json!({})).await?;
    quick_worker(client).task(double).run_until_idle().await?;
    let expected = [(1, "sleeping".to_owned())];
    assert_eq!(attempts(client, spawned.task_id()).await?, expected);
    Ok(())
}

/// Uses one step name again and again, and all that is deterministic.
#[task(name = "stable", max_attempts = 2)]
async fn stable(ctx: &mut Context, _unused: ()) -> TaskResult<Vec<String>> {
    use rand::Rng as _;
    let mut seen = vec![
        ctx.now().await?.to_string(),
        ctx.uuid().to_string(),
        ctx.rng().random::<u64>().to_string(),
    ];
    for round in 0..3 {
        let step = ctx.step("again", || async move { Ok::<_, TaskError>(round) });
        seen.push(step.await?.to_string());
    }
    let kept = seen.clone();
    let first = ctx
        .step("kept", || async { Ok::<_, TaskError>(kept) })
        .await?;
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("once more"));
    }
    assert_eq!(first, seen, "a replay sees what the first attempt saw");
    Ok(seen)
}

#[tokio::test]
async fn time_chance_ids_and_names_are_the_same_on_replay() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(stable, ()).await?;
    quick_worker(client).task(stable).run_until_idle().await?;
    let seen = handle.result().await?;
    assert_eq!(seen[3..], ["0", "1", "2"]);
    let stored = client.list_checkpoints(handle.task_id(), None, 100).await?;
    let names: Vec<_> = stored.iter().map(|c| c.checkpoint_name.as_str()).collect();
    assert_eq!(names, ["$now", "again", "again#2", "again#3", "kept"]);
    Ok(())
}

/// Has more steps than ride on one claim.
#[task(name = "long", max_attempts = 2)]
async fn long(ctx: &mut Context, steps: u32, counter: State<Counter>) -> TaskResult<u32> {
    for step in 0..steps {
        let counter = counter.clone();
        ctx.step(format!("step {step}"), || async move {
            Ok::<_, TaskError>(counter.up())
        })
        .await?;
    }
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("once more"));
    }
    Ok(counter.get())
}

#[tokio::test]
async fn a_long_history_is_replayed_in_full() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(long, 300).await?;
    let counter = Counter::default();
    let worker = quick_worker(client).task(long).state(counter);
    worker.run_until_idle().await?;
    assert_eq!(handle.result().await?, 300);
    Ok(())
}
