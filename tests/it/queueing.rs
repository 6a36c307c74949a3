//! Which task comes when: priority, delays, pauses, keys, windows.

use std::{sync::Arc, time::Duration};

use absurd_sdk::{
    Client, TaskFilter, TaskState,
    prelude::{Context, State, TaskResult, task},
};
use absurd_test::Database;
use serde_json::json;
use tokio::sync::Mutex;

use crate::support::{TestResult, attempts, end_leases, quick_worker};

/// The order in which tasks ran.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<String>>>);

#[task(name = "note")]
async fn note(ctx: &mut Context, name: String, order: State<Order>) -> TaskResult<()> {
    let _ = ctx;
    order.0.lock().await.push(name);
    Ok(())
}

/// Runs all that is due, one by one, and returns the order.
async fn order_of(client: &Client) -> TestResult<Vec<String>> {
    let order = Order::default();
    let worker = quick_worker(client).task(note).concurrency(1);
    worker.state(order.clone()).run_until_idle().await?;
    let order = order.0.lock().await;
    Ok(order.clone())
}

#[tokio::test]
async fn larger_priorities_go_first_then_age() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    for (name, priority) in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 9)] {
        client.spawn(note, name.into()).priority(priority).await?;
    }
    let late = client.spawn(note, "f".into()).await?;
    client.set_priority(late.task_id(), 7).await?;
    assert_eq!(order_of(client).await?, ["e", "f", "b", "d", "a", "c"]);
    Ok(())
}

#[tokio::test]
async fn a_sleeping_task_of_high_priority_does_not_hide_others() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client
        .spawn(note, "later".into())
        .priority(9)
        .delay("1h")
        .await?;
    client.spawn(note, "now".into()).await?;
    assert_eq!(order_of(client).await?, ["now"]);
    Ok(())
}

#[tokio::test]
async fn a_task_begins_when_its_time_has_come() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let at = "2026-05-01T02:00:00Z".parse()?;
    client.spawn(note, "two".into()).start_at(at).await?;
    let hour = client.spawn(note, "one".into()).delay("1h").await?;
    client
        .spawn_many(note, ["half".to_owned()])
        .delay("30m")
        .await?;
    assert!(order_of(client).await?.is_empty());
    let waiting = client.get_task(hour.task_id()).await?.ok_or("no task")?;
    assert_eq!(waiting.summary.state, TaskState::Pending);
    clock.advance(Duration::from_hours(1)).await?;
    assert_eq!(order_of(client).await?, ["half", "one"]);
    clock.advance(Duration::from_hours(1)).await?;
    assert_eq!(order_of(client).await?, ["two"]);
    Ok(())
}

#[tokio::test]
async fn a_paused_queue_hands_out_nothing_to_anybody() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.pause_queue().await?;
    client.spawn(note, "a".into()).await?;
    assert!(order_of(client).await?.is_empty());
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    assert!(stats.paused_at.is_some());
    // What other clients call gives them nothing either.
    let claimed: i64 =
        sqlx::query_scalar("select count(*) from absurd.claim_task('default', 'other', 30, 9)")
            .fetch_one(client.pool())
            .await?;
    assert_eq!(claimed, 0);
    client.resume_queue().await?;
    assert_eq!(order_of(client).await?, ["a"]);
    Ok(())
}

/// A mark that claims have come to the first run.
const PAST_THE_FIRST: &str = "select jsonb_build_object('queue', 'default', 'priority', 0,
        'until', clock_timestamp() + interval '1 hour', 'seen', clock_timestamp(),
        'at', clock_timestamp(), 'available_at', created_at,
        'run_id', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    from absurd.r_default order by created_at limit 1";

#[tokio::test]
async fn a_session_that_claims_from_where_it_has_come_to_leaves_nothing_behind() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    for name in ["first", "second", "third"] {
        client.spawn(note, name.to_owned()).await?;
    }
    let mut session = client.pool().acquire().await?;
    let mark = format!("select set_config('absurd.claim_mark', ({PAST_THE_FIRST})::text, false)");
    sqlx::query(sqlx::AssertSqlSafe(mark))
        .execute(&mut *session)
        .await?;
    let claim = "select params #>> '{}' from absurd.claim_task('default', 'w', 30, 1)";
    client.pause_queue().await?;
    assert!(
        sqlx::query(claim)
            .fetch_optional(&mut *session)
            .await?
            .is_none()
    );
    client.resume_queue().await?;
    let mut claimed: Vec<String> = Vec::new();
    while let Some(name) = sqlx::query_scalar(claim)
        .fetch_optional(&mut *session)
        .await?
    {
        claimed.push(name);
    }
    assert_eq!(claimed, ["second", "third", "first"]);
    Ok(())
}

/// Says for the queue that claims have come to its first run.
async fn mark_the_first(client: &Client) -> TestResult {
    let mark = format!("update absurd.queues set claim_mark = ({PAST_THE_FIRST})");
    sqlx::query(sqlx::AssertSqlSafe(mark))
        .execute(client.pool())
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_mark_is_every_sessions_and_hides_nothing_urgent() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    for name in ["first", "second", "third"] {
        client.spawn(note, name.to_owned()).await?;
    }
    mark_the_first(client).await?;
    for (name, priority) in [("later", -1), ("urgent", 5), ("more urgent", 9)] {
        client
            .spawn(note, name.to_owned())
            .priority(priority)
            .await?;
    }
    // Two by two, each in a session of its own; what the mark passed over comes at the end.
    let claim = "select params #>> '{}' from absurd.claim_task('default', 'w', 30, 2)";
    let mut claimed: Vec<Vec<String>> = Vec::new();
    for _ in 0..4 {
        let mut session = client.pool().acquire().await?.detach();
        let claim = sqlx::query_scalar(claim).fetch_all(&mut session);
        claimed.push(claim.await?);
    }
    assert_eq!(
        claimed,
        [
            vec!["more urgent", "urgent"],
            vec!["second", "third"],
            vec!["later"],
            vec!["first"],
        ]
    );
    Ok(())
}

#[tokio::test]
async fn leases_that_expire_after_a_mark_are_found() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let lost = client.spawn(note, "lost".to_owned()).await?;
    client.spawn(note, "next".to_owned()).await?;
    let claim = "select params #>> '{}' from absurd.claim_task('default', 'w', 30, 1)";
    let first: String = sqlx::query_scalar(claim).fetch_one(client.pool()).await?;
    assert_eq!(first, "lost");
    mark_the_first(client).await?;
    end_leases(client).await?;
    let next: String = sqlx::query_scalar(claim).fetch_one(client.pool()).await?;
    assert_eq!(next, "next");
    assert_eq!(attempts(client, lost.task_id()).await?[0].1, "failed");
    Ok(())
}

#[tokio::test]
async fn a_paused_task_waits_and_so_do_its_retries() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let held = client.spawn(note, "held".into()).key("k").await?;
    client.spawn(note, "free".into()).key("k").await?;
    client.pause_task(held.task_id()).await?;
    client.pause_task(held.task_id()).await?;
    assert_eq!(order_of(client).await?, ["free"]);
    let seen = client.get_task(held.task_id()).await?.ok_or("no task")?;
    assert!(seen.summary.is_paused);
    assert_eq!(seen.summary.key.as_deref(), Some("k"));
    client.resume_task(held.task_id()).await?;
    assert_eq!(order_of(client).await?, ["held"]);
    let refused = client.pause_task(held.task_id()).await;
    assert!(refused.is_err(), "it has ended");
    Ok(())
}

#[tokio::test]
async fn keys_take_turns() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    for n in 0..4 {
        client.spawn(note, format!("big{n}")).key("big").await?;
    }
    for n in 0..2 {
        client.spawn(note, format!("small{n}")).key("small").await?;
    }
    client.spawn(note, "free".into()).await?;
    // A claim for each task: what was served before is remembered.
    let order = order_of(client).await?;
    assert_eq!(
        order,
        ["big0", "small0", "free", "big1", "small1", "big2", "big3"]
    );
    // Who was away makes up for nothing.
    for n in 0..4 {
        client.spawn(note, format!("big{n}")).key("big").await?;
    }
    for n in 0..2 {
        client.spawn(note, format!("small{n}")).key("small").await?;
    }
    let claimed: Vec<String> =
        sqlx::query_scalar("select params #>> '{}' from absurd.claim_task('default', 'w', 30, 4)")
            .fetch_all(client.pool())
            .await?;
    assert_eq!(claimed, ["small0", "big0", "small1", "big1"]);
    Ok(())
}

#[tokio::test]
async fn more_keys_than_a_claim_looks_at_all_get_their_turn() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let spawn = "select count(*) from generate_series(1, 450) n, absurd.spawn_task(
        'default', 'note', to_jsonb(n::text), jsonb_build_object('key', 'k' || n))";
    sqlx::query(spawn).execute(client.pool()).await?;
    assert_eq!(order_of(client).await?.len(), 450);
    Ok(())
}

#[tokio::test]
async fn within_a_window_one_task_stands_for_all() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let spawn = async |name: &str| {
        let spawn = client.spawn(note, name.into()).unique_within("group", "1m");
        spawn.await.map(|handle| handle.spawned())
    };
    let first = spawn("a").await?;
    let second = spawn("b").await?;
    assert_eq!(first.task_id, second.task_id);
    assert!(first.created && !second.created);
    assert_eq!(order_of(client).await?, ["a"]);
    assert!(!spawn("c").await?.created, "also when the first has ended");
    clock.advance(Duration::from_mins(1)).await?;
    assert!(spawn("d").await?.created);
    assert_eq!(order_of(client).await?, ["d"]);
    Ok(())
}

#[tokio::test]
async fn a_debounced_task_begins_after_a_quiet_time_with_the_last_params() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let spawn = async |name: &str| client.spawn(note, name.into()).debounce("g", "10s").await;
    let first = spawn("a").await?;
    for name in ["b", "c"] {
        clock.advance(Duration::from_secs(8)).await?;
        assert_eq!(spawn(name).await?.task_id(), first.task_id());
        assert!(order_of(client).await?.is_empty());
    }
    clock.advance(Duration::from_secs(10)).await?;
    assert_eq!(order_of(client).await?, ["c"]);
    let next = spawn("d").await?;
    assert_ne!(next.task_id(), first.task_id(), "the first one has begun");
    Ok(())
}

#[tokio::test]
async fn two_spawns_at_once_make_one_task_of_a_window() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let spawns = (0..20).map(|n| {
        let spawn = client.spawn(note, n.to_string()).unique_within("g", "1h");
        async move { spawn.await.map(|handle| handle.spawned()) }
    });
    let spawned = futures::future::try_join_all(spawns).await?;
    let created = spawned.iter().filter(|spawned| spawned.created).count();
    assert_eq!(created, 1);
    assert_eq!(order_of(client).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn tasks_are_found_by_their_attributes() -> TestResult {
    #[task(name = "tagged")]
    async fn tagged(ctx: &mut Context, field: String) -> TaskResult<()> {
        ctx.set_attribute("stage", "imaged").await?;
        ctx.set_attribute("field", field).await
    }
    let database = Database::start().await?;
    let client = database.client();
    let one = client
        .spawn(tagged, "3C48".into())
        .attribute("night", 61)
        .await?;
    client
        .spawn(tagged, "3C286".into())
        .attribute("night", 61)
        .await?;
    quick_worker(client).task(tagged).run_until_idle().await?;
    let find = async |attributes: serde_json::Value| -> TestResult<Vec<_>> {
        let filter = TaskFilter {
            attributes: attributes.as_object().cloned().ok_or("no object")?,
            ..TaskFilter::default()
        };
        let found = client.list_tasks(&filter, None, 10).await?;
        Ok(found.into_iter().map(|task| task.task_id).collect())
    };
    assert_eq!(
        find(json!({ "field": "3C48", "night": 61 })).await?,
        [one.task_id()]
    );
    assert_eq!(find(json!({ "stage": "imaged" })).await?.len(), 2);
    assert!(find(json!({ "night": 62 })).await?.is_empty());
    Ok(())
}
