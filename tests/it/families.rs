//! What the end of a task means for its children, and for what it has done.

use absurd_sdk::{
    OnParentEnd, TaskFilter, TaskState,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use serde_json::json;
use tokio::sync::Mutex;

use crate::support::{TestResult, quick_worker};

/// Waits for ever; has a child that does the same.
#[task(name = "child")]
async fn child(ctx: &mut Context, depth: u32) -> TaskResult<()> {
    if depth > 0 {
        let cancel = OnParentEnd::Cancel;
        ctx.spawn(child, depth - 1).on_parent_end(cancel).await?;
    }
    ctx.await_event::<()>("never").await
}

/// Spawns children that go with it and one that stays; then waits, or fails.
#[task(name = "parent", max_attempts = 1)]
async fn parent(ctx: &mut Context, fail: bool) -> TaskResult<()> {
    let cancel = OnParentEnd::Cancel;
    ctx.spawn(child, 2).on_parent_end(cancel).await?;
    ctx.spawn(child, 0)
        .on_parent_end(cancel)
        .queue("other")
        .await?;
    ctx.spawn(child, 0).await?;
    if fail {
        ctx.await_event::<()>("now").await?;
        return Err(TaskError::msg("as told"));
    }
    ctx.await_event("never").await
}

async fn family(fail: bool) -> TestResult<(Database, absurd_sdk::TaskId)> {
    let database = Database::start().await?;
    let client = database.client();
    client.on_queue("other")?.create_queue().await?;
    let handle = client.spawn(parent, fail).await?;
    let worker = quick_worker(client).task(parent).task(child);
    worker.run_until_idle().await?;
    let other = client.on_queue("other")?;
    quick_worker(&other).task(child).run_until_idle().await?;
    let id = handle.task_id();
    Ok((database, id))
}

#[tokio::test]
async fn children_end_with_their_parent_or_go_on_as_was_said() -> TestResult {
    for fail in [false, true] {
        let (database, parent_id) = family(fail).await?;
        let client = database.client();
        let of_parent = TaskFilter {
            parent_task_id: Some(parent_id),
            ..TaskFilter::default()
        };
        assert_eq!(client.list_tasks(&of_parent, None, 9).await?.len(), 2);
        if fail {
            client.emit_event("now", &()).await?;
            quick_worker(client)
                .task(parent)
                .task(child)
                .run_until_idle()
                .await?;
        } else {
            client.cancel(parent_id).await?;
        }
        let stats = client.queue_stats().await?.ok_or("no queue")?;
        let ends = (stats.cancelled, stats.failed, stats.sleeping);
        // Three generations of children go, the child without a word stays.
        assert_eq!(ends, if fail { (3, 1, 1) } else { (4, 0, 1) });
        let other = client.on_queue("other")?;
        let stats = other.queue_stats().await?.ok_or("no queue")?;
        assert_eq!(stats.cancelled, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_completed_parent_leaves_its_children_alone() -> TestResult {
    #[task(name = "brief")]
    async fn brief(ctx: &mut Context) -> TaskResult<()> {
        let cancel = OnParentEnd::Cancel;
        ctx.spawn(child, 0).on_parent_end(cancel).await.map(drop)
    }
    let database = Database::start().await?;
    let client = database.client();
    client.spawn(brief, ()).await?;
    quick_worker(client)
        .task(brief)
        .task(child)
        .run_until_idle()
        .await?;
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    assert_eq!(
        (stats.completed, stats.sleeping, stats.cancelled),
        (1, 1, 0)
    );
    Ok(())
}

#[tokio::test]
async fn a_cancel_reaches_a_running_step_at_once() -> TestResult {
    #[task(name = "stuck")]
    async fn stuck(ctx: &mut Context, held: State<Held>) -> TaskResult<()> {
        let holds = Held::clone(&held);
        ctx.step("hang", || async move {
            std::future::pending::<()>().await;
            drop(holds);
            Ok::<_, TaskError>(())
        })
        .await
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(stuck, ()).await?;
    let held = Held::default();
    // Leases so long that no renewal tells it.
    let worker = quick_worker(client)
        .task(stuck)
        .state(held.clone())
        .lease("10m");
    let worker = worker.start()?;
    eventually("the step begins", async || held.count() == 1).await?;
    client.cancel(handle.task_id()).await?;
    eventually("the step is dropped", async || held.count() == 0).await?;
    worker.stop().await?;
    Ok(())
}

/// How many steps hold on to something.
#[derive(Clone, Default)]
struct Held(std::sync::Arc<()>);

impl Held {
    fn count(&self) -> usize {
        // Besides the test's own, and the worker's.
        std::sync::Arc::strong_count(&self.0) - 2
    }
}

/// What was undone, in its order.
#[derive(Clone, Default)]
struct Undone(std::sync::Arc<Mutex<Vec<String>>>);

#[task(name = "undo", max_attempts = 1)]
async fn undo(ctx: &mut Context, what: String, undone: State<Undone>) -> TaskResult<()> {
    let _ = ctx;
    undone.0.lock().await.push(what.clone());
    if what == "two" {
        return Err(TaskError::msg("can't be undone"));
    }
    Ok(())
}

#[task(name = "booking", max_attempts = 2)]
async fn booking(ctx: &mut Context, end: String) -> TaskResult<()> {
    for what in ["one", "two", "three"] {
        ctx.on_rollback(undo, what.to_owned()).await?;
        ctx.step(what, || async { Ok::<_, TaskError>(()) }).await?;
    }
    match &*end {
        "well" => Ok(()),
        "terminal" => Err(TaskError::terminal(TaskError::msg("sold out"))),
        "wait" => ctx.await_event("never").await,
        _ => Err(TaskError::msg("try again")),
    }
}

#[tokio::test]
async fn what_was_done_is_undone_last_first_however_the_task_failed() -> TestResult {
    for end in ["well", "terminal", "exhausted", "wait"] {
        let database = Database::start().await?;
        let client = database.client();
        let undone = Undone::default();
        let handle = client.spawn(booking, end.to_owned()).await?;
        let worker = || {
            quick_worker(client)
                .task(booking)
                .task(undo)
                .state(undone.clone())
        };
        worker().run_until_idle().await?;
        if end == "wait" {
            client.cancel(handle.task_id()).await?;
            worker().run_until_idle().await?;
        }
        let undone = undone.0.lock().await.clone();
        if end == "well" {
            assert!(undone.is_empty());
        } else {
            // One that can't be undone doesn't keep the rest from it.
            assert_eq!(undone, ["three", "two", "one"], "{end}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_done_is_undone_though_no_worker_lives_to_say_so() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(booking, "wait".into()).max_attempts(1).await?;
    let undone = Undone::default();
    let worker = || {
        quick_worker(client)
            .task(booking)
            .task(undo)
            .state(undone.clone())
    };
    worker().run_until_idle().await?;
    client.emit_event("never", &json!(null)).await?;
    // A worker claims the only attempt and dies.
    sqlx::query("select absurd.claim_task('default', 'dead', 30, 1)")
        .execute(client.pool())
        .await?;
    crate::support::end_leases(client).await?;
    // The claim that ends the attempt has looked for due runs before.
    worker().run_until_idle().await?;
    worker().run_until_idle().await?;
    let task = client.get_task(handle.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.summary.state, TaskState::Failed);
    assert_eq!(*undone.0.lock().await, ["three", "two", "one"]);
    Ok(())
}

#[tokio::test]
async fn a_fork_keeps_what_came_before_its_step() -> TestResult {
    let database = Database::start().await?;
    // All checkpoints are of one moment: their order is that of the code.
    database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(booking, "well".into()).await?;
    let undone = Undone::default();
    let worker = || {
        quick_worker(client)
            .task(booking)
            .task(undo)
            .state(undone.clone())
    };
    worker().run_until_idle().await?;
    let fork = client
        .fork(handle.task_id())
        .from_step("two")
        .send()
        .await?;
    let kept = client.list_checkpoints(fork.task_id, None, 20).await?;
    let names: Vec<_> = kept.iter().map(|kept| &*kept.checkpoint_name).collect();
    assert_eq!(names, ["$rollback:undo", "$rollback:undo#2", "one"]);
    assert_eq!(worker().run_until_idle().await?, 1);
    assert!(undone.0.lock().await.is_empty());
    let unknown = client.fork(handle.task_id()).from_step("nine").send().await;
    assert!(unknown.is_err());
    let whole = client
        .fork(handle.task_id())
        .params(json!("well"))
        .send()
        .await?;
    assert_eq!(
        client
            .list_checkpoints(whole.task_id, None, 20)
            .await?
            .len(),
        6
    );
    Ok(())
}

#[tokio::test]
async fn a_fork_has_the_key_and_priority_and_undoes_what_it_took_over() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let booked = client.spawn(booking, "wait".into());
    let handle = booked.key("k").priority(4).await?;
    let undone = Undone::default();
    let worker = || {
        let worker = quick_worker(client).task(booking).task(undo);
        worker.state(undone.clone())
    };
    worker().run_until_idle().await?;
    let fork = client
        .fork(handle.task_id())
        .from_step("two")
        .send()
        .await?;
    let task = client.get_task(fork.task_id).await?.ok_or("no task")?;
    assert_eq!(
        (task.summary.key.as_deref(), task.summary.priority),
        (Some("k"), Some(4))
    );
    client.cancel(fork.task_id).await?;
    worker().run_until_idle().await?;
    assert_eq!(*undone.0.lock().await, ["two", "one"]);
    Ok(())
}
