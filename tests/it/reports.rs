//! What a run tells about itself while it works.

use absurd_sdk::{
    LogLevel,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use tokio::sync::Notify;

use crate::support::{TestResult, quick_worker};

/// Reports from inside a step, then waits to be let go.
#[task(name = "reporting")]
async fn reporting(ctx: &mut Context, go_on: State<std::sync::Arc<Notify>>) -> TaskResult<()> {
    let reporter = ctx.reporter();
    reporter.log(LogLevel::Info, "before any step");
    ctx.step("image", || async move {
        reporter.progress(0.25, "cleaning");
        reporter.log(LogLevel::Warn, "first\nsecond\0");
        for n in 0..300 {
            reporter.log(LogLevel::Debug, format!("line {n}"));
        }
        go_on.notified().await;
        reporter.progress(1.0, "");
        Ok::<_, TaskError>(())
    })
    .await
}

#[tokio::test]
async fn progress_and_log_lines_show_while_the_run_works_and_are_capped() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let task = client.spawn(reporting, ()).await?;
    let go_on = std::sync::Arc::new(Notify::new());
    let worker = quick_worker(client).task(reporting).state(go_on.clone());
    let worker = worker.start()?;
    eventually("progress shows", async || {
        let task = client.get_task(task.task_id()).await;
        task.is_ok_and(|task| task.is_some_and(|task| task.progress.is_some()))
    })
    .await?;
    let progress = client
        .get_task(task.task_id())
        .await?
        .and_then(|task| task.progress);
    let progress = progress.ok_or("no progress")?;
    assert_eq!(
        (progress.fraction, progress.message.as_deref()),
        (0.25, Some("cleaning"))
    );
    eventually("all lines are there", async || {
        let lines = client.log_lines(task.task_id(), Some("image")).await;
        lines.is_ok_and(|lines| lines.last().is_some_and(|line| line.message == "line 299"))
    })
    .await?;
    let lines = client.log_lines(task.task_id(), Some("image")).await?;
    assert_eq!(lines.len(), 200);
    assert_eq!(lines[0].message, "line 100");
    let before = client.log_lines(task.task_id(), Some("")).await?;
    assert_eq!((before.len(), &*before[0].message), (1, "before any step"));
    go_on.notify_one();
    task.result().await?;
    worker.stop().await?;
    let ended = client
        .get_task(task.task_id())
        .await?
        .and_then(|task| task.progress);
    let ended = ended.ok_or("no progress")?;
    assert_eq!(
        (ended.fraction, ended.message.as_deref()),
        (1.0, Some("cleaning"))
    );
    Ok(())
}

#[tokio::test]
async fn reports_go_with_their_task() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.spawn(reporting, ()).await?;
    let go_on = std::sync::Arc::new(Notify::new());
    go_on.notify_one();
    let worker = quick_worker(client).task(reporting).state(go_on);
    worker.run_until_idle().await?;
    sqlx::query("select absurd.cleanup_tasks('default', 0)")
        .execute(client.pool())
        .await?;
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from absurd.progress) + (select count(*) from absurd.log_lines)",
    )
    .fetch_one(client.pool())
    .await?;
    assert_eq!(left, 0);
    Ok(())
}
