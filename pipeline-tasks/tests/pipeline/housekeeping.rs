//! Housekeeping in a real database, on a real folder.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use absurd_sdk::{QueuePolicy, RetryPolicy, TaskId, Worker, WorkerBuilder, prelude::*};
use absurd_test::{Database, eventually};
use pipeline_tasks::{
    registry,
    tasks::{HousekeepingInputs, HousekeepingParams, Housekept, Toolbox, housekeeping},
};
use serde_json::{Value, json};

use crate::{TestResult, config};

#[task(name = "observe")]
async fn observe(_ctx: &mut Context, number: u32) -> TaskResult<u32> {
    if number == 404 {
        return Err(TaskError::terminal(TaskError::msg("nothing there")));
    }
    Ok(number)
}

fn worker(database: &Database, output: &Path) -> WorkerBuilder {
    let config = config(output, output);
    Worker::builder(database.client())
        .task(housekeeping)
        .task(observe)
        .state(database.client().clone())
        .state(Toolbox::of(&config))
}

async fn keep_house(
    database: &Database,
    output: &Path,
    inputs: HousekeepingInputs,
) -> TestResult<Housekept> {
    let params = HousekeepingParams { inputs };
    let handle = database.client().spawn(housekeeping, params).await?;
    worker(database, output).run_until_idle().await?;
    Ok(handle.result().await?)
}

#[tokio::test]
async fn scratch_of_dead_workers_goes_and_is_counted_by_both_names() -> TestResult {
    let database = Database::start().await?;
    let folder = tempfile::tempdir()?;
    let work = folder.path().join("work/2026-01-26T08:05:18");
    fs::create_dir_all(&work)?;
    let dead = work.join(".a.fits.019c0000000070008000000000000000.part");
    fs::write(&dead, [0; 2_000])?;
    let file = File::options().write(true).open(&dead)?;
    let hours = |hours| Duration::from_hours(hours);
    file.set_modified(file.metadata()?.modified()? - hours(5))?;
    let inputs = HousekeepingInputs::default;
    let done = keep_house(&database, folder.path(), inputs()).await?;
    assert!(!dead.exists());
    let expected = Housekept {
        cleaned_scratch: 1,
        scratch_dirs_cleaned: 1,
        scratch_bytes_freed: 2_000,
        ..Housekept::default()
    };
    assert_eq!(done, expected);
    let rest: Vec<_> = fs::read_dir(folder.path())?.flatten().collect();
    assert_eq!(rest.len(), 1, "the probe is gone: {rest:?}");

    let hasty = HousekeepingParams {
        inputs: HousekeepingInputs {
            max_stale_hours: 0.05,
            ..inputs()
        },
    };
    let handle = database.client().spawn(housekeeping, hasty).await?;
    assert_eq!(worker(&database, folder.path()).run_until_idle().await?, 1);
    let failure = handle
        .result()
        .snapshot()
        .await?
        .failure
        .ok_or("it did not fail")?;
    assert!(
        failure.message.contains("ABSURD_TASK_TIMEOUT_SEC"),
        "{failure}"
    );
    Ok(())
}

#[tokio::test]
async fn what_the_engine_took_back_is_counted() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let folder = tempfile::tempdir()?;
    let clock = database.clock("2026-01-26T08:00:00Z".parse()?).await?;
    let lost = client.spawn(observe, 1).await?;
    // A worker that claims and never reports again.
    let claimed: i64 =
        sqlx::query_scalar("select count(*) from absurd.claim_task('default', 'silent', 30, 1)")
            .fetch_one(client.pool())
            .await?;
    assert_eq!(claimed, 1);
    let nothing = keep_house(&database, folder.path(), HousekeepingInputs::default()).await?;
    assert_eq!(nothing.recovered_groups, 0, "its lease holds");
    // The next claim takes it back; its task is then paused, so that it is still under way.
    clock.advance(Duration::from_mins(1)).await?;
    client.pause_task(lost.task_id()).await?;
    let done = keep_house(&database, folder.path(), HousekeepingInputs::default()).await?;
    assert_eq!((done.recovered_groups, done.stuck_groups_recovered), (1, 1));
    Ok(())
}

fn prune() -> HousekeepingInputs {
    HousekeepingInputs {
        prune_completed: true,
        ..HousekeepingInputs::default()
    }
}

/// The tasks of the archive, oldest first.
async fn archived(database: &Database) -> TestResult<Vec<TaskId>> {
    let names: Vec<String> =
        sqlx::query_scalar("select task_id::text from pipeline.tasks_archive order by task_id")
            .fetch_all(database.client().pool())
            .await?;
    Ok(names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn only_old_tasks_are_archived_and_only_when_asked() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    registry::install(client.pool()).await?;
    let folder = tempfile::tempdir()?;
    let clock = database.clock("2026-01-26T08:00:00Z".parse()?).await?;
    let usual = QueuePolicy {
        cleanup_ttl: Some("90 days".into()),
        // More than one batch.
        cleanup_limit: Some(2),
        ..QueuePolicy::default()
    };
    client.set_queue_policy(&usual).await?;
    let mut tasks = Vec::new();
    for number in 0..6 {
        if number == 5 {
            clock.advance(Duration::from_hours(24 * 35)).await?;
        }
        let handle = client.spawn(observe, number).await?;
        tasks.push(handle.task_id());
        worker(&database, folder.path()).run_until_idle().await?;
    }
    let inputs = HousekeepingInputs::default();
    let kept = keep_house(&database, folder.path(), inputs.clone()).await?;
    assert_eq!(kept.pruned_tasks, 0);
    assert!(archived(&database).await?.is_empty());
    let done = keep_house(&database, folder.path(), prune()).await?;
    assert_eq!((done.pruned_tasks, done.completed_tasks_pruned), (5, 5));
    // With a clock that stands still, ids have no order.
    let mut expected = tasks[..5].to_vec();
    expected.sort_unstable();
    assert_eq!(archived(&database).await?, expected);
    let kept: (String, String, Value, Value, bool) = sqlx::query_as(
        "select task_name, state, params, result, ended_at = '2026-01-26T08:00:00Z'
         from pipeline.tasks_archive where task_id = $1::uuid",
    )
    .bind(tasks[3].to_string())
    .fetch_one(client.pool())
    .await?;
    let expected = (
        "observe".into(),
        "completed".into(),
        json!(3),
        json!(3),
        true,
    );
    assert_eq!(kept, expected);
    let (old, young) = (tasks[0], tasks[5]);
    assert_eq!(client.get_task(old).await?, None);
    assert!(client.get_task(young).await?.is_some());
    let (_, policy) = client.queue_policy().await?.ok_or("no policy")?;
    assert_eq!(
        policy.cleanup_ttl.as_deref(),
        Some("90 days"),
        "it is as it was"
    );
    Ok(())
}

#[tokio::test]
async fn failures_and_cancelled_tasks_are_archived_with_their_reasons() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    registry::install(client.pool()).await?;
    let folder = tempfile::tempdir()?;
    let clock = database.clock("2026-01-26T08:00:00Z".parse()?).await?;
    let cancelled = client.spawn(observe, 1).await?.task_id();
    client.cancel(cancelled).await?;
    let failed = client.spawn(observe, 404).idempotency_key("lost").await?;
    worker(&database, folder.path()).run_until_idle().await?;
    // What goes on is no matter of the archive, however old it is.
    let waits = client.spawn(observe, 2).delay("1500h").await?.task_id();
    clock.advance(Duration::from_hours(24 * 31)).await?;
    let done = keep_house(&database, folder.path(), prune()).await?;
    assert_eq!(done.pruned_tasks, 2);
    assert!(client.get_task(waits).await?.is_some());
    let kept: Vec<(String, Option<String>, Option<Value>)> = sqlx::query_as(
        "select state, idempotency_key, failure_reason from pipeline.tasks_archive order by state",
    )
    .fetch_all(client.pool())
    .await?;
    assert_eq!(kept[0], ("cancelled".to_owned(), None, None));
    assert_eq!(
        (kept[1].0.as_str(), kept[1].1.as_deref()),
        ("failed", Some("lost"))
    );
    let reason = kept[1].2.as_ref().ok_or("no reason")?;
    assert!(reason.to_string().contains("nothing there"), "{reason}");
    assert_eq!(client.get_task(failed.task_id()).await?, None);
    Ok(())
}

/// A worker begins to archive, and is killed while it copies.
async fn die_while_it_archives(database: &Database, output: &Path) -> TestResult {
    let pool = database.client().pool();
    // The copy waits for this lock when the worker dies.
    let mut held = pool.begin().await?;
    sqlx::query("lock table pipeline.tasks_archive in share mode")
        .execute(&mut *held)
        .await?;
    let mut doomed = tokio::process::Command::new(env!("CARGO_BIN_EXE_pipeline-worker"))
        .args(["worker", "--lease", "2s"])
        .env("ABSURD_DATABASE_URL", database.url())
        .env("ABSURD_QUEUE_NAME", "default")
        .env("PIPELINE_OUTPUT_DIR", output)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let waiting = async || -> TestResult<i64> {
        let statement = "
            select count(*) from pg_locks where not granted
                and relation = 'pipeline.tasks_archive'::regclass
                and database = (select oid from pg_database where datname = current_database())";
        Ok(sqlx::query_scalar(statement).fetch_one(pool).await?)
    };
    eventually("the copy waits", async || {
        waiting().await.is_ok_and(|n| n == 1)
    })
    .await?;
    doomed.kill().await?;
    held.rollback().await?;
    // The server finds out that nobody listens any more, and rolls back.
    let others = "
        select count(*) from pg_stat_activity where datname = current_database()
            and xact_start is not null and pid <> pg_backend_pid()";
    eventually("the server gives up", async || {
        let others = sqlx::query_scalar::<_, i64>(others).fetch_one(pool);
        others.await.is_ok_and(|others| others == 0)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_while_it_archives_loses_and_doubles_nothing() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    registry::install(client.pool()).await?;
    let folder = tempfile::tempdir()?;
    let mut tasks = Vec::new();
    for number in 0..3 {
        tasks.push(client.spawn(observe, number).await?.task_id());
    }
    // Those of one millisecond have no order.
    tasks.sort_unstable();
    worker(&database, folder.path()).run_until_idle().await?;
    let params = HousekeepingParams {
        inputs: HousekeepingInputs {
            completed_retention_days: 0,
            ..prune()
        },
    };
    let soon = RetryPolicy::fixed(Duration::from_millis(100));
    let handle = client.spawn(housekeeping, params).retry(soon).await?;

    die_while_it_archives(&database, folder.path()).await?;
    assert!(archived(&database).await?.is_empty());
    for task in &tasks {
        assert!(
            client.get_task(*task).await?.is_some(),
            "it is in its queue still"
        );
    }
    let successor = worker(&database, folder.path());
    let successor = successor.poll_interval("100ms").start()?;
    assert_eq!(handle.result().timeout("1m").await?.pruned_tasks, 3);
    successor.stop().await?;
    assert_eq!(archived(&database).await?, tasks);
    for task in tasks {
        assert_eq!(client.get_task(task).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn the_worker_program_keeps_house_as_its_file_says() -> TestResult {
    let database = Database::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pipeline.toml");
    let output = folder.path().join("output");
    let settings = format!(
        "[absurd]\ndatabase_url = '{}'\nqueue_name = 'default'\nworker_concurrency = 1\n\
         [pipeline]\noutput_dir = '{}'\n",
        database.url(),
        output.display()
    );
    fs::write(&file, &settings)?;
    let program = || {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_pipeline-worker"));
        program
            .arg("worker")
            .env("PIPELINE_CONFIG", &file)
            .env_remove("ABSURD_DATABASE_URL")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        program
    };
    let mut worker = program().spawn()?;
    let params = HousekeepingParams::default();
    let handle = database.client().spawn(housekeeping, params).await?;
    assert_eq!(handle.result().timeout("1m").await?, Housekept::default());
    let views: i64 = sqlx::query_scalar(
        "select count(*) from information_schema.views where table_schema = 'pipeline'",
    )
    .fetch_one(database.client().pool())
    .await?;
    assert_eq!(views, 7, "the worker has brought the registry");
    worker.kill().await?;

    fs::write(&file, settings.replace("queue_name", "queue_nam"))?;
    let refused = program().stderr(Stdio::piped()).output().await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("is `absurd.queue_name` meant?"), "{said}");
    Ok(())
}
