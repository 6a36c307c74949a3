//! What a task costs in trips to the database: design.md promises claim + N + 1.

use absurd_sdk::prelude::{Context, TaskError, TaskResult, task};
use absurd_test::Database;

use crate::support::{TestResult, quick_worker, recorded};

const STEPS: usize = 7;

/// Seven steps; fails its first attempt after them all.
#[task(name = "seven", max_attempts = 2)]
async fn seven(ctx: &mut Context, fail: bool) -> TaskResult<usize> {
    for step in 0..STEPS {
        ctx.step(format!("step {step}"), || async move {
            Ok::<_, TaskError>(step)
        })
        .await?;
    }
    if fail && ctx.attempt() == 1 {
        return Err(TaskError::msg("after all steps"));
    }
    Ok(STEPS)
}

/// How often a statement was sent.
fn count(names: &[&'static str], name: &str) -> usize {
    names.iter().filter(|sent| **sent == name).count()
}

#[tokio::test]
async fn a_spawn_is_one_trip_and_in_a_transaction_too() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    client.spawn(seven, false).await?;
    assert_eq!(recorder.take(), ["spawn_task"]);
    let mut tx = client.pool().begin().await?;
    client.spawn(seven, false).on(&mut tx).await?;
    tx.commit().await?;
    assert_eq!(recorder.take(), ["spawn_task"]);
    Ok(())
}

#[tokio::test]
async fn a_task_of_n_fresh_steps_costs_claim_n_and_one() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    client.spawn(seven, false).await?;
    recorder.take();
    let worker = quick_worker(&client).task(seven).concurrency(1);
    assert_eq!(worker.run_until_idle().await?, 1);
    let mut expected = vec!["features", "claim_runs"];
    expected.extend(["write_checkpoint"; STEPS]);
    expected.push("write_plain");
    // The claim that finds nothing more ends `run_until_idle`.
    expected.push("claim_runs");
    assert_eq!(recorder.take(), expected);
    Ok(())
}

#[tokio::test]
async fn a_replay_costs_nothing_beyond_its_claim() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    client.spawn(seven, true).await?;
    recorder.take();
    let worker = quick_worker(&client).task(seven).concurrency(1);
    assert_eq!(worker.run_until_idle().await?, 2);
    let sent = recorder.take();
    // Seven checkpoints and the failure, then the second attempt's one completion.
    assert_eq!(count(&sent, "write_checkpoint"), STEPS, "{sent:?}");
    assert_eq!(count(&sent, "write_plain"), 1, "{sent:?}");
    assert_eq!(count(&sent, "write_runs"), 1, "{sent:?}");
    assert_eq!(count(&sent, "claim_runs"), 3, "{sent:?}");
    assert_eq!(sent.len(), STEPS + 2 + 3 + 1, "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn a_hundred_tasks_share_their_writes() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    client.spawn_many(seven, vec![false; 100]).await?;
    recorder.take();
    let worker = quick_worker(&client).task(seven).concurrency(100);
    assert_eq!(worker.run_until_idle().await?, 100);
    let sent = recorder.take();
    let writes = count(&sent, "write_plain") + count(&sent, "write_checkpoint");
    assert!(
        writes < 100 * (STEPS + 1) / 4,
        "{writes} batches for 800 writes"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_task_does_not_use_leaves_no_row_and_no_value() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.spawn(seven, true).await?;
    client.spawn_many(seven, vec![false; 3]).await?;
    quick_worker(client).task(seven).run_until_idle().await?;
    let rows = "select (select count(*) from absurd.limits)
        + (select count(*) from absurd.rate_usage) + (select count(*) from absurd.key_turns)
        + (select count(*) from absurd.spawn_windows) + (select count(*) from absurd.schedules)
        + (select count(*) from absurd.dead_letters) + (select count(*) from absurd.progress)
        + (select count(*) from absurd.log_lines)
        + (select count(*) from absurd.t_default
            where policy is not null or attributes is not null)
        + (select count(*) from absurd.r_default
            where lane is not null or cancel_at is not null or priority <> 0)";
    let rows: i64 = sqlx::query_scalar(rows).fetch_one(client.pool()).await?;
    assert_eq!(rows, 0);
    Ok(())
}
