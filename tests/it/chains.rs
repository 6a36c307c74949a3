//! Chains: the next task is there when, and only when, the one before has completed.

use absurd_sdk::{
    TaskFilter, TaskState,
    prelude::{Context, TaskError, TaskResult, task},
};
use absurd_test::Database;

use crate::support::{TestResult, quick_worker};

#[task(name = "double", max_attempts = 1)]
async fn double(ctx: &mut Context, n: i64) -> TaskResult<i64> {
    if n == 13 && ctx.attempt() == 1 {
        return Err(TaskError::msg("unlucky"));
    }
    Ok(n * 2)
}

#[task(name = "describe")]
async fn describe(ctx: &mut Context, n: i64) -> TaskResult<String> {
    let _ = ctx;
    Ok(format!("it is {n}"))
}

#[tokio::test]
async fn each_task_is_given_what_the_one_before_returned() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let night = client.chain("night", double).then(double).then(describe);
    let first = night.with(|last| last.priority = Some(4)).spawn(5).await?;
    let worker = quick_worker(client).task(double).task(describe);
    assert_eq!(worker.run_until_idle().await?, 3);
    let tasks = client.list_tasks(&TaskFilter::default(), None, 9).await?;
    assert_eq!(tasks.len(), 3);
    assert_eq!(tasks[0].priority, Some(4));
    let described: String = client.result_of(tasks[0].task_id).await?;
    assert_eq!(described, "it is 20");
    let last = client.get_task(tasks[0].task_id).await?.ok_or("no task")?;
    let root = last
        .policy
        .and_then(|policy| policy["chain"]["root"].as_str().map(str::to_owned));
    assert_eq!(root, Some(first.task_id().to_string()));
    Ok(())
}

#[tokio::test]
async fn a_failure_stops_a_chain_and_a_retry_goes_on_with_it() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let first = client.chain("c", double).then(describe).spawn(13).await?;
    let worker = || quick_worker(client).task(double).task(describe);
    assert_eq!(worker().run_until_idle().await?, 1);
    client.retry(first.task_id()).await?;
    assert_eq!(worker().run_until_idle().await?, 2);
    let filter = TaskFilter {
        state: Some(TaskState::Completed),
        ..TaskFilter::default()
    };
    assert_eq!(client.list_tasks(&filter, None, 9).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_chain_goes_on_whoever_completes_its_task() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.chain("c", double).then(describe).spawn(1).await?;
    // As a worker in another language does it.
    let complete = "select absurd.complete_run('default', run_id, '21')
        from absurd.claim_task('default', 'other', 30, 1)";
    sqlx::query(complete).execute(client.pool()).await?;
    assert_eq!(
        quick_worker(client).task(describe).run_until_idle().await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn completion_and_spawn_are_one_commit() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.chain("c", double).then(describe).spawn(1).await?;
    let claim = "select run_id from absurd.claim_task('default', 'w', 30, 1)";
    let run: uuid::Uuid = sqlx::query_scalar(claim).fetch_one(client.pool()).await?;
    let mut tx = client.pool().begin().await?;
    sqlx::query("select absurd.complete_run('default', $1, '2')")
        .bind(run)
        .execute(&mut *tx)
        .await?;
    tx.rollback().await?;
    let tasks = client.list_tasks(&TaskFilter::default(), None, 9).await?;
    assert_eq!(tasks.len(), 1, "neither is there");
    assert_eq!(tasks[0].state, TaskState::Running);
    Ok(())
}
