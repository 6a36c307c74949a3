//! The client: spawns, transactions, queues, read models.

use std::collections::HashSet;

use absurd_sdk::{
    Cancellation, EventFilter, QueueOptions, QueuePolicy, StorageMode, TaskFilter, TaskState,
    prelude::{Context, TaskResult, task},
};
use absurd_test::Database;
use serde_json::json;

use crate::support::{TestResult, quick_worker};

/// Returns what it is given.
#[task(name = "echo")]
async fn echo(_ctx: &mut Context, number: i64) -> TaskResult<i64> {
    Ok(number)
}

#[tokio::test]
async fn a_key_makes_a_spawn_happen_once() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let first = client.spawn(echo, 1).idempotency_key("k").await?;
    let second = client.spawn(echo, 2).idempotency_key("k").await?;
    assert!(first.spawned().created && !second.spawned().created);
    assert_eq!(first.task_id(), second.task_id());
    quick_worker(client).task(echo).run_until_idle().await?;
    assert_eq!(second.result().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_spawn_joins_the_callers_transaction() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let mut tx = client.pool().begin().await?;
    let undone = client.spawn(echo, 1).on(&mut tx).await?;
    tx.rollback().await?;
    assert_eq!(client.task_snapshot(undone.task_id()).await?, None);
    let mut tx = client.pool().begin().await?;
    let done = client.spawn(echo, 2).on(&mut tx).await?;
    client.emit_event_on(&mut tx, "with it", &()).await?;
    assert_eq!(client.task_snapshot(done.task_id()).await?, None);
    tx.commit().await?;
    assert!(client.task_snapshot(done.task_id()).await?.is_some());
    assert_eq!(
        client
            .list_events(&EventFilter::default(), None, 9)
            .await?
            .len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn thousands_are_spawned_in_one_trip() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let spawned = client.spawn_many(echo, 0..2_000).await?;
    let ids: HashSet<_> = spawned.iter().map(|spawned| spawned.task_id).collect();
    assert_eq!(ids.len(), 2_000);
    let worker = quick_worker(client).task(echo).concurrency(100);
    assert_eq!(worker.run_until_idle().await?, 2_000);
    let last: i64 = client.result_of(spawned[1_999].task_id).await?;
    assert_eq!(last, 1_999, "results are in the order of the params");
    Ok(())
}

#[tokio::test]
async fn a_batch_is_one_claim() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.spawn_many(echo, 0..5).await?;
    let batch = || quick_worker(client).task(echo).batch_size(3);
    assert_eq!(batch().run_batch().await?, 3);
    assert_eq!(batch().run_batch().await?, 2);
    assert_eq!(batch().run_batch().await?, 0);
    Ok(())
}

#[tokio::test]
async fn queues_have_policies_and_stats() -> TestResult {
    let database = Database::start().await?;
    let client = database.client().on_queue("a \"queue\".ü")?;
    let options = QueueOptions {
        storage_mode: StorageMode::Partitioned,
        policy: QueuePolicy {
            cleanup_ttl: Some("45 days".into()),
            ..QueuePolicy::default()
        },
    };
    client.create_queue_with(&options).await?;
    client.create_queue_with(&options).await?;
    let (mode, policy) = client.queue_policy().await?.ok_or("no queue")?;
    assert_eq!(mode, StorageMode::Partitioned);
    assert_eq!(policy.cleanup_ttl.as_deref(), Some("45 days"));
    client.spawn(echo, 1).await?;
    client.spawn(echo, 2).idempotency_key("k").await?;
    quick_worker(&client).task(echo).run_until_idle().await?;
    let stats = client.queue_stats().await?.ok_or("no stats")?;
    assert_eq!((stats.completed, stats.pending, stats.due), (2, 0, 0));
    let names: Vec<_> = client.list_queues().await?;
    assert_eq!(names.len(), 2, "{names:?}");
    client.drop_queue().await?;
    assert_eq!(client.queue_policy().await?, None);
    Ok(())
}

#[tokio::test]
async fn lists_are_paged_by_key() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let spawned = client.spawn_many(echo, 0..25).await?;
    client.cancel(spawned[3].task_id).await?;
    let mut seen = Vec::new();
    loop {
        let last = seen
            .last()
            .map(|task: &absurd_sdk::TaskSummary| task.task_id);
        let page = client.list_tasks(&TaskFilter::default(), last, 10).await?;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen.len(), 25);
    assert!(
        seen.is_sorted_by(|a, b| a.task_id > b.task_id),
        "newest first"
    );
    let cancelled = TaskFilter {
        state: Some(TaskState::Cancelled),
        ..TaskFilter::default()
    };
    let found = client.list_tasks(&cancelled, None, 10).await?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].task_id, spawned[3].task_id);
    let place = client.find_task(spawned[0].task_id).await?.ok_or("lost")?;
    assert_eq!(place.queue_name, "default");
    Ok(())
}

#[tokio::test]
async fn a_policy_cancels_what_took_too_long() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-01-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let hour = std::time::Duration::from_hours(1);
    let policy = Cancellation {
        max_delay: Some(hour),
        ..Cancellation::default()
    };
    let handle = client.spawn(echo, 1).cancellation(policy).await?;
    clock.advance(hour).await?;
    assert_eq!(quick_worker(client).task(echo).run_until_idle().await?, 0);
    let task = client.get_task(handle.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.summary.state, TaskState::Cancelled);
    Ok(())
}

#[tokio::test]
async fn old_tasks_and_events_are_cleaned_up_in_batches() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-01-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let policy = QueuePolicy {
        cleanup_ttl: Some("1 day".into()),
        cleanup_limit: Some(3),
        ..QueuePolicy::default()
    };
    client.set_queue_policy(&policy).await?;
    client.spawn_many(echo, 0..5).await?;
    client.emit_event("old", &json!(1)).await?;
    quick_worker(client).task(echo).run_until_idle().await?;
    clock
        .advance(std::time::Duration::from_secs(86_401))
        .await?;
    let first = client.clean_up(true).await?;
    assert_eq!((first[0].tasks, first[0].events), (3, 1));
    let second = client.clean_up(false).await?;
    assert_eq!((second[0].tasks, second[0].events), (2, 0));
    Ok(())
}
