//! Steps beyond the plain one: timeouts, retries, transactions; and the timeout of a run.

use std::{sync::Arc, time::Duration};

use absurd_sdk::{
    Client, TaskState,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, Postgres, eventually};

use crate::support::{Counter, TestResult, attempts, quick_worker, work_while};

#[derive(Debug, thiserror::Error)]
#[error("busy")]
struct Busy;

#[tokio::test]
async fn a_step_is_tried_again_within_its_attempt() -> TestResult {
    #[task(name = "flaky", max_attempts = 1)]
    async fn flaky(ctx: &mut Context, counter: State<Counter>) -> TaskResult<u32> {
        let counter = &*counter;
        ctx.step("flaky", || async {
            match counter.up() {
                tries @ 3.. => Ok(tries),
                _ => Err(TaskError::retry_after(Busy, Duration::from_millis(1))),
            }
        })
        .retry(5)
        .await
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(flaky, ()).await?;
    let worker = quick_worker(client).task(flaky).state(Counter::default());
    assert_eq!(worker.run_until_idle().await?, 1);
    assert_eq!(handle.result().await?, 3);
    Ok(())
}

#[tokio::test]
async fn an_error_says_when_to_try_again_and_the_worker_which_are_final() -> TestResult {
    #[task(name = "told", max_attempts = 3)]
    async fn told(ctx: &mut Context, wait: bool) -> TaskResult<()> {
        let _ = ctx;
        if wait {
            return Err(TaskError::retry_after(Busy, Duration::from_hours(1)));
        }
        Err(Busy)?
    }
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let waits = client.spawn(told, true).await?;
    let worker = || quick_worker(client).task(told);
    worker().run_until_idle().await?;
    let task = client.get_task(waits.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.available_at, Some("2026-05-01T01:00:00Z".parse()?));
    clock.advance(Duration::from_hours(1)).await?;
    assert_eq!(worker().run_until_idle().await?, 1);

    let finals = client.spawn(told, false).await?;
    let strict = worker().terminal_when(|error| error.downcast_ref::<Busy>().is_some());
    assert_eq!(strict.run_until_idle().await?, 1);
    let task = client.get_task(finals.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.summary.state, TaskState::Failed);
    assert_eq!(attempts(client, finals.task_id()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_execution_that_takes_too_long_is_a_failed_attempt_and_its_processes_are_gone()
-> TestResult {
    /// Runs a program for ever on the first attempt.
    #[task(name = "hangs", max_attempts = 2, timeout = "300ms")]
    async fn hangs(ctx: &mut Context, pid: State<Arc<std::sync::Mutex<u32>>>) -> TaskResult<()> {
        if ctx.attempt() > 1 {
            return Ok(());
        }
        let pid = Arc::clone(&pid);
        ctx.step("program", || async move {
            let mut program = tokio::process::Command::new("sleep");
            let mut child = program.arg("600").kill_on_drop(true).spawn()?;
            *pid.lock().expect("no panic") = child.id().unwrap_or_default();
            child.wait().await.map(drop)
        })
        .await
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(hangs, ()).await?;
    let pid = Arc::new(std::sync::Mutex::new(0_u32));
    let worker = quick_worker(client).task(hangs).state(Arc::clone(&pid));
    work_while(worker, async { handle.result().await }).await??;
    let runs = client.list_runs(handle.task_id()).await?;
    let failure = runs[0].failure_reason.clone().ok_or("no failure")?;
    assert_eq!(failure["name"], "$Timeout");
    assert_eq!(failure["step"], "program");
    let pid = *pid.lock().expect("no panic");
    assert_ne!(pid, 0);
    eventually("the program has ended", async || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn work_that_never_lets_go_loses_its_lease() -> TestResult {
    #[task(name = "blocks", max_attempts = 2)]
    async fn blocks(ctx: &mut Context, hold: State<std::sync::mpsc::Sender<()>>) -> TaskResult<()> {
        if ctx.attempt() > 1 {
            return Ok(());
        }
        // A worker of its own thread pool goes on meanwhile; this never yields.
        let began = std::time::Duration::from_secs(8);
        let _ = hold.send(());
        tokio::task::block_in_place(|| std::thread::park_timeout(began));
        Ok(())
    }
    let database = Database::start().await?;
    let client = database.client().clone();
    let handle = client.spawn(blocks, ()).timeout("500ms").await?;
    let (sender, started) = std::sync::mpsc::channel::<()>();
    let worker = quick_worker(&client).task(blocks).state(sender).lease("1s");
    // A process of its own, nearly: its runtime is never dropped.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.map(|runtime| runtime.block_on(worker.run_until(std::future::pending())))
    });
    tokio::task::spawn_blocking(move || started.recv()).await??;
    let other = {
        let (sender, _receiver) = std::sync::mpsc::channel::<()>();
        quick_worker(&client).task(blocks).state(sender)
    };
    work_while(other, async { handle.result().await }).await??;
    let runs = client.list_runs(handle.task_id()).await?;
    let failure = runs[0].failure_reason.clone().ok_or("no failure")?;
    assert_eq!(failure["name"], "$ClaimTimeout");
    Ok(())
}

#[tokio::test]
async fn a_step_gives_up_by_its_own_timeout() -> TestResult {
    #[task(name = "slow step", max_attempts = 1)]
    async fn slow_step(ctx: &mut Context) -> TaskResult<bool> {
        let slow = || std::future::pending::<Result<(), TaskError>>();
        let gave_up = ctx.step("slow", slow).timeout("20ms").await;
        Ok(gave_up.is_err_and(|error| error.is_timeout()))
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(slow_step, ()).await?;
    quick_worker(client)
        .task(slow_step)
        .run_until_idle()
        .await?;
    assert!(handle.result().await?);
    Ok(())
}

async fn with_images(client: &Client) -> TestResult {
    let table = "create table public.images (id bigint generated always as identity, name text)";
    sqlx::query(table).execute(client.pool()).await?;
    Ok(())
}

async fn images(client: &Client) -> TestResult<i64> {
    let count = "select count(*) from public.images";
    Ok(sqlx::query_scalar(count).fetch_one(client.pool()).await?)
}

/// Registers an image, then fails for as long as it is told to.
#[task(name = "register", max_attempts = 5)]
async fn register(ctx: &mut Context, fail_inside: i32) -> TaskResult<i64> {
    let attempt = ctx.attempt();
    let id = ctx
        .transaction("register", async |tx| {
            let insert = "insert into public.images (name) values ('a') returning id";
            let id: i64 = sqlx::query_scalar(insert).fetch_one(&mut *tx).await?;
            if attempt <= fail_inside {
                return Err(TaskError::msg("after the insert"));
            }
            Ok::<_, TaskError>(id)
        })
        .await?;
    if attempt < 4 {
        return Err(TaskError::msg("after the commit"));
    }
    Ok(id)
}

#[tokio::test]
async fn an_effect_in_the_database_happens_with_its_checkpoint_or_not_at_all() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    with_images(client).await?;
    let handle = client.spawn(register, 2).await?;
    quick_worker(client).task(register).run_until_idle().await?;
    let id = handle.result().await?;
    assert_eq!(
        images(client).await?,
        1,
        "once, after two that were rolled back"
    );
    assert_eq!(id, 3, "the sequence has seen all three");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_commits_nothing() -> TestResult {
    #[task(name = "late")]
    async fn late(ctx: &mut Context, other: State<Client>) -> TaskResult<()> {
        let task = ctx.task_id();
        let other = &*other;
        ctx.transaction("late", async |tx| {
            sqlx::query("insert into public.images (name) values ('late')")
                .execute(&mut *tx)
                .await?;
            other.cancel(task).await?;
            Ok::<_, TaskError>(())
        })
        .await
    }
    let database = Database::start().await?;
    let client = database.client();
    with_images(client).await?;
    client.spawn(late, ()).await?;
    let worker = quick_worker(client).task(late).state(client.clone());
    worker.run_until_idle().await?;
    assert_eq!(images(client).await?, 0);
    Ok(())
}

#[tokio::test]
async fn transactions_survive_a_kill_of_the_database_without_a_double_effect() -> TestResult {
    #[task(name = "many", max_attempts = 50)]
    async fn many(ctx: &mut Context) -> TaskResult<()> {
        for n in 0..200 {
            ctx.transaction(format!("insert {n}"), async |tx| {
                sqlx::query("insert into public.images (name) values ('x')")
                    .execute(&mut *tx)
                    .await
                    .map(drop)
            })
            .await?;
        }
        Ok(())
    }
    let server = Postgres::private().await?;
    let database = Database::on(&server).await?;
    let client = database.client();
    with_images(client).await?;
    let handle = client.spawn(many, ()).await?;
    let worker = quick_worker(client).task(many).lease("2s").start()?;
    for goal in [20, 90] {
        eventually("some are there", async || {
            images(client).await.is_ok_and(|count| count >= goal)
        })
        .await?;
        server.stop_immediately().await?;
        server.start().await?;
    }
    handle.result().await?;
    worker.stop().await?;
    assert_eq!(images(client).await?, 200);
    Ok(())
}
