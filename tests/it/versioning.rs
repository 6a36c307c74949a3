//! Code that changes under tasks that have begun.

use absurd_sdk::{
    Client, TaskId,
    prelude::{Context, TaskError, TaskResult, task},
};
use absurd_test::Database;

use crate::support::{TestResult, quick_worker};

async fn done(ctx: &mut Context, name: &str) -> TaskResult<()> {
    ctx.step(name, || async { Ok::<_, TaskError>(()) }).await
}

mod old {
    use super::{Context, TaskResult, done, task};

    #[task(name = "pipeline", version = "1", max_attempts = 9)]
    pub(super) async fn pipeline(ctx: &mut Context) -> TaskResult<String> {
        done(ctx, "convert").await?;
        done(ctx, "flag").await?;
        ctx.await_event::<()>("go").await?;
        done(ctx, "image").await?;
        Ok("old".into())
    }
}

/// A step was put in without a word.
mod careless {
    use super::{Context, TaskResult, done, task};

    #[task(name = "pipeline", version = "2", max_attempts = 9)]
    pub(super) async fn pipeline(ctx: &mut Context) -> TaskResult<String> {
        done(ctx, "convert").await?;
        done(ctx, "calibrate").await?;
        done(ctx, "flag").await?;
        ctx.await_event::<()>("go").await?;
        Ok("careless".into())
    }
}

/// The same behind a patch.
mod careful {
    use super::{Context, TaskResult, done, task};

    #[task(name = "pipeline", version = "2", max_attempts = 9)]
    pub(super) async fn pipeline(ctx: &mut Context) -> TaskResult<String> {
        done(ctx, "convert").await?;
        let calibrates = ctx.patched("calibrate").await?;
        if calibrates {
            done(ctx, "calibrate").await?;
        }
        done(ctx, "flag").await?;
        ctx.await_event::<()>("go").await?;
        done(ctx, "image").await?;
        let spawned = ctx.spawned_version().unwrap_or("none").to_owned();
        Ok(format!("{spawned}, calibrates: {calibrates}"))
    }
}

/// A database with a task that the old code has begun.
async fn begun() -> TestResult<(Database, TaskId)> {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(old::pipeline, ()).await?;
    quick_worker(client)
        .task(old::pipeline)
        .run_until_idle()
        .await?;
    client.emit_event("go", &()).await?;
    let task = handle.task_id();
    Ok((database, task))
}

async fn checkpoints(client: &Client, task: TaskId) -> TestResult<Vec<(Option<i32>, String)>> {
    let kept = client.list_checkpoints(task, None, 50).await?;
    let mut kept: Vec<_> = kept
        .into_iter()
        .map(|kept| (kept.place, kept.checkpoint_name))
        .collect();
    kept.sort();
    Ok(kept)
}

#[tokio::test]
async fn a_replay_that_takes_another_path_fails_with_the_difference() -> TestResult {
    let (database, task) = begun().await?;
    let client = database.client();
    let worker = quick_worker(client).task(careless::pipeline);
    assert_eq!(worker.run_batch().await?, 1);
    let runs = client.list_runs(task).await?;
    let failure = runs[0].failure_reason.clone().ok_or("no failure")?;
    assert_eq!(failure["name"], "Nondeterminism");
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(
        message.ends_with("\n    convert\n  - flag\n  + calibrate"),
        "{message}"
    );
    // The old code goes on with it: nothing was lost.
    quick_worker(client)
        .task(old::pipeline)
        .run_until_idle()
        .await?;
    assert_eq!(client.result_of::<String>(task).await?, "old");
    Ok(())
}

#[tokio::test]
async fn a_worker_may_leave_replays_uncompared() -> TestResult {
    let (database, task) = begun().await?;
    let client = database.client();
    let worker = quick_worker(client).task(careless::pipeline);
    worker.compare_replays(false).run_until_idle().await?;
    assert_eq!(client.result_of::<String>(task).await?, "careless");
    Ok(())
}

#[tokio::test]
async fn a_patch_keeps_old_and_new_tasks_apart() -> TestResult {
    let (database, old_task) = begun().await?;
    let client = database.client();
    let new_task = client.spawn(careful::pipeline, ()).await?.task_id();
    quick_worker(client)
        .task(careful::pipeline)
        .run_until_idle()
        .await?;
    let result = async |task| client.result_of::<String>(task).await;
    assert_eq!(result(old_task).await?, "1, calibrates: false");
    assert_eq!(result(new_task).await?, "2, calibrates: true");
    let names = checkpoints(client, new_task).await?;
    let expected = [
        (1, "convert"),
        (2, "$patched:calibrate"),
        (3, "calibrate"),
        (4, "flag"),
        (6, "image"),
    ];
    let expected = expected.map(|(place, name)| (Some(place), name.to_owned()));
    assert_eq!(
        names[1..],
        expected,
        "the event's is the first, without a place"
    );
    Ok(())
}

#[tokio::test]
async fn a_patch_works_in_branches_and_where_no_places_are_recorded() -> TestResult {
    mod before {
        use super::{Context, TaskResult, done, task};

        #[task(name = "joins")]
        pub(super) async fn joins(ctx: &mut Context) -> TaskResult<(bool, bool)> {
            ctx.join((
                |mut ctx: Context| async move {
                    done(&mut ctx, "a").await?;
                    ctx.await_event::<()>("go").await?;
                    Ok(false)
                },
                |_: Context| async move { Ok(false) },
            ))
            .await
        }
    }
    #[task(name = "joins")]
    async fn joins(ctx: &mut Context) -> TaskResult<(bool, bool)> {
        ctx.join((
            |mut ctx: Context| async move {
                let patched = ctx.patched("first").await?;
                done(&mut ctx, "a").await?;
                ctx.await_event::<()>("go").await?;
                Ok(patched)
            },
            |mut ctx: Context| async move { ctx.patched("other").await },
        ))
        .await
    }
    let database = Database::start().await?;
    let client = database.client();
    let old = client.spawn(before::joins, ()).await?;
    quick_worker(client)
        .task(before::joins)
        .run_until_idle()
        .await?;
    client.emit_event("go", &()).await?;
    let new = client.spawn(joins, ()).await?;
    quick_worker(client).task(joins).run_until_idle().await?;
    assert_eq!(old.result().await?, (false, true), "one branch had begun");
    assert_eq!(new.result().await?, (true, true));

    let (database, old_task) = begun().await?;
    let client = database.client();
    sqlx::query("update absurd.c_default set place = null")
        .execute(client.pool())
        .await?;
    quick_worker(client)
        .task(careful::pipeline)
        .run_until_idle()
        .await?;
    let result: String = client.result_of(old_task).await?;
    assert_eq!(result, "1, calibrates: false");
    Ok(())
}

#[tokio::test]
async fn a_failed_step_may_lead_elsewhere_the_next_time() -> TestResult {
    #[task(name = "fallback", max_attempts = 2)]
    async fn fallback(ctx: &mut Context) -> TaskResult<String> {
        let first = ctx.attempt() == 1;
        let tried = ctx
            .step("fast", || async move {
                if first {
                    return Err(TaskError::msg("not now"));
                }
                Ok(())
            })
            .await;
        if tried.is_ok() {
            done(ctx, "after fast").await?;
            return Ok("fast".into());
        }
        done(ctx, "slow").await?;
        Err(TaskError::msg("and then it broke"))
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(fallback, ()).await?;
    quick_worker(client).task(fallback).run_until_idle().await?;
    assert_eq!(handle.result().await?, "fast");
    Ok(())
}
