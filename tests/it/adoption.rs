//! Upstream's schema: our SDK works on it, and our migration takes it over with live tasks
//! in it. The schema comes from the published `absurdctl`, which is used as anybody would.

use std::{path::PathBuf, process::Command, time::Duration};

use absurd_sdk::{
    Client, Error,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;

use crate::support::{Counter, TestResult, quick_worker, work_while};

/// Environments with one release of `absurdctl` each, set by `cargo xtask test`.
pub(crate) const RELEASES: [&str; 2] = ["ABSURD_INTEROP_VENV", "ABSURD_INTEROP_VENV_04"];

/// A database with the schema of one release of upstream; `None` where the release is not
/// installed, which is said.
pub(crate) async fn upstream(variable: &str) -> TestResult<Option<Database>> {
    let Some(venv) = std::env::var_os(variable).map(PathBuf::from) else {
        println!("skipped: {variable} is not set; `cargo xtask test` sets it");
        return Ok(None);
    };
    let database = Database::empty().await?;
    absurdctl(&venv, &database, &["init"])?;
    absurdctl(&venv, &database, &["create-queue", "default"])?;
    Ok(Some(database))
}

fn absurdctl(
    venv: &std::path::Path,
    database: &Database,
    arguments: &[&str],
) -> TestResult<String> {
    let done = Command::new(venv.join("bin/absurdctl"))
        .args(arguments)
        .args(["--database", database.url()])
        .output()?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("absurdctl {arguments:?}: {said}").into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Steps, a sleep, an event, a child and a failed first attempt.
#[task(name = "tour", max_attempts = 3)]
async fn tour(ctx: &mut Context, start: u32, counter: State<Counter>) -> TaskResult<u32> {
    let ran = counter.clone();
    let first = ctx
        .step("first", || async move { Ok::<_, TaskError>(ran.up()) })
        .await?;
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("once more"));
    }
    ctx.sleep_for("nap", "5ms").await?;
    let bonus: u32 = ctx.await_event("bonus").await?;
    ctx.emit_event("passed", &bonus).await?;
    let child = ctx.spawn(leaf, start).await?;
    let leaf: u32 = ctx.await_task(&child).await?;
    Ok(first + bonus + leaf)
}

/// A child.
#[task(name = "leaf")]
async fn leaf(_ctx: &mut Context, number: u32) -> TaskResult<u32> {
    Ok(number)
}

#[tokio::test]
async fn our_sdk_works_on_upstreams_schema() -> TestResult {
    for release in RELEASES {
        let Some(database) = upstream(release).await? else {
            continue;
        };
        let client = Client::connect(database.url()).await?;
        let handle = client.spawn(tour, 100).await?;
        client.spawn_many(leaf, [1, 2]).await?;
        client.emit_event("bonus", &10).await?;
        let counter = Counter::default();
        let worker = quick_worker(&client).task(tour).task(leaf).state(counter);
        let result = handle.result().timeout("60s");
        assert_eq!(work_while(worker, async { result.await }).await??, 111);
        let refused = client.all_queue_stats().await;
        assert!(
            matches!(refused, Err(Error::FeatureMissing { .. })),
            "{refused:?}"
        );
    }
    Ok(())
}

/// There each end is a call of its own.
#[tokio::test]
async fn many_more_tasks_end_at_once_than_a_worker_has_sessions() -> TestResult {
    for release in RELEASES {
        let Some(database) = upstream(release).await? else {
            continue;
        };
        // No call is given up and sent again: each has its turn.
        let pool = PgPoolOptions::new().acquire_timeout(Duration::from_hours(1));
        let pool = pool.connect(database.url()).await?;
        let client = Client::builder().pool(pool).connect().await?;
        client.spawn_many(leaf, 0..100).await?;
        let worker = quick_worker(&client).task(leaf).concurrency(64);
        let worker = worker.start()?;
        let all = "select count(*) = 100 from absurd.t_default where state = 'completed'";
        eventually("all have ended", async || {
            let all = sqlx::query_scalar(all).fetch_one(client.pool()).await;
            all.is_ok_and(|all| all)
        })
        .await?;
        worker.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_database_of_upstream_is_adopted_with_live_tasks_in_it() -> TestResult {
    for release in RELEASES {
        let Some(database) = upstream(release).await? else {
            continue;
        };
        let client = Client::connect(database.url()).await?;
        let counter = Counter::default();
        let worker = |client: &Client| {
            let worker = quick_worker(client).task(tour).task(leaf);
            worker.state(counter.clone())
        };
        // One task with a history that waits for its event, one that nobody has claimed.
        let waiting = client.spawn(tour, 100).await?;
        let parked = async {
            let parked = "select exists (select from absurd.w_default)";
            while !sqlx::query_scalar::<_, bool>(parked)
                .fetch_one(client.pool())
                .await?
            {
                tokio::task::yield_now().await;
            }
            Ok::<_, sqlx::Error>(())
        };
        work_while(worker(&client), parked).await??;
        let fresh = client.spawn_by_name("leaf", json!(5)).await?;
        let applied = client.migrate().await?.applied;
        assert!(!applied.is_empty());
        assert!(
            client.migrate().await?.applied.is_empty(),
            "all is there now"
        );
        // A client that connected before keeps what it saw; a new one sees our functions.
        let adopted = Client::connect(database.url()).await?;
        adopted.emit_event("bonus", &10).await?;
        let result = waiting.result().timeout("60s");
        let done = work_while(worker(&adopted), async { result.await });
        assert_eq!(done.await??, 111, "the first step was not repeated");
        assert_eq!(adopted.result_of::<u32>(fresh.task_id()).await?, 5);
        let stats = adopted.queue_stats().await?.ok_or("no queue")?;
        assert_eq!((stats.completed, stats.failed), (3, 0));
    }
    Ok(())
}

#[tokio::test]
async fn ten_processes_may_migrate_at_once() -> TestResult {
    let database = Database::empty().await?;
    let migrating = (0..10).map(|_| async {
        let client = Client::connect(database.url()).await?;
        client.migrate().await
    });
    let done = futures::future::join_all(migrating).await;
    let mut applied = 0;
    for migrated in done {
        applied += usize::from(!migrated?.applied.is_empty());
    }
    assert_eq!(applied, 1, "one of them did the work");
    Ok(())
}

#[tokio::test]
async fn script_and_migration_tool_have_the_result_of_the_migration() -> TestResult {
    let by_script = Database::empty().await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), absurd_sdk::migrate::dump())?;
    for _ in 0..2 {
        let psql = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                by_script.url(),
                "-f",
            ])
            .arg(file.path())
            .output()?;
        assert!(
            psql.status.success(),
            "{}",
            String::from_utf8_lossy(&psql.stderr)
        );
    }
    let client = Client::connect(by_script.url()).await?;
    assert!(
        client.migrate().await?.applied.is_empty(),
        "nothing is left to do"
    );
    let migrated = Database::empty().await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("1_absurd.sql"),
        absurd_sdk::migrate::dump(),
    )?;
    let by_tool = Client::connect(migrated.url()).await?;
    let tool = sqlx::migrate::Migrator::new(folder.path()).await?;
    tool.run(by_tool.pool()).await?;
    let by_migration = Database::start().await?;
    // A queue has functions of its own.
    by_migration.client().drop_queue().await?;
    let objects = "select string_agg(line, e'\n' order by line) from (
        select 'function ' || oid::regprocedure || md5(prosrc) as line from pg_proc
         where pronamespace = 'absurd'::regnamespace
        union all
        select 'column ' || table_name || '.' || column_name || coalesce(column_default, '')
          from information_schema.columns
         where table_schema = 'absurd' and table_name in ('queues', 'migrations')) objects";
    let of = async |client: &Client| -> TestResult<String> {
        Ok(sqlx::query_scalar(objects).fetch_one(client.pool()).await?)
    };
    let expected = of(by_migration.client()).await?;
    assert_eq!(of(&client).await?, expected);
    assert_eq!(of(&by_tool).await?, expected);
    Ok(())
}
