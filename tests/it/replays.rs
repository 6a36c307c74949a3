//! The test kit for users: replays of recorded histories, and the crash matrix.

use absurd_sdk::{
    Client, History, Worker, WorkerBuilder,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, Replay, ReplayError, crash_matrix};

use crate::support::{Counter, TestResult, quick_worker};

async fn one(ctx: &mut Context, name: &str) -> TaskResult<u32> {
    ctx.step(name, || async { Ok::<_, TaskError>(1) }).await
}

/// Steps, branches, a race, a wait that times out, time and chance.
#[task(name = "recorded")]
async fn recorded(ctx: &mut Context, runs: State<Counter>) -> TaskResult<u32> {
    runs.up();
    let a = one(ctx, "a").await?;
    let time = ctx.now().await?;
    let (b, c) = ctx
        .join((
            |mut ctx: Context| async move { one(&mut ctx, "b").await },
            |mut ctx: Context| async move { one(&mut ctx, "c").await },
        ))
        .await?;
    let first: u32 = ctx
        .race(
            "first",
            (
                |mut ctx: Context| async move { one(&mut ctx, "quick").await },
                |mut ctx: Context| async move { ctx.await_event("never").await },
            ),
        )
        .await?;
    let late = ctx.await_event::<u32>("late").timeout("1s").await;
    let late = u32::from(late.is_err_and(|error| error.is_timeout()));
    ctx.sleep_for("nap", "1h").await?;
    let year = u32::try_from(time.as_second() / 31_557_600).unwrap_or_default();
    Ok(a + b + c + first + late + year)
}

/// The same, with another step at the end.
mod longer {
    use super::{Context, Counter, State, TaskResult, one, task};

    #[task(name = "recorded")]
    pub(super) async fn recorded(ctx: &mut Context, runs: State<Counter>) -> TaskResult<u32> {
        super::recorded(ctx, runs).await?;
        one(ctx, "more").await
    }
}

/// Another first step, and less of the rest.
mod other {
    use super::{Context, TaskResult, one, task};

    #[task(name = "recorded")]
    pub(super) async fn recorded(ctx: &mut Context) -> TaskResult<u32> {
        one(ctx, "z").await
    }
}

/// Only the beginning.
mod shorter {
    use super::{Context, TaskResult, one, task};

    #[task(name = "recorded")]
    pub(super) async fn recorded(ctx: &mut Context) -> TaskResult<u32> {
        one(ctx, "a").await
    }
}

async fn history(complete: bool) -> TestResult<History> {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(recorded, ()).await?;
    let worker = || {
        quick_worker(client)
            .task(recorded)
            .state(Counter::default())
    };
    if complete {
        clock.run_to_end(worker).await?;
    } else {
        worker().run_until_idle().await?;
    }
    Ok(client.history(handle.task_id()).await?)
}

#[tokio::test]
async fn a_history_is_replayed_without_a_database_and_without_running_a_step() -> TestResult {
    let json = serde_json::to_string(&history(true).await?)?;
    let replay = Replay::of(serde_json::from_str(&json)?).state(Counter::default());
    let replayed = replay.run(recorded).await?;
    let steps = "a\n$now\n$join/0/b\n$join/1/c\nfirst\n$awaitEvent:late\nnap\n";
    assert_eq!(replayed.steps(), steps);
    assert_eq!(replayed.goes_on_with(), None);
    Ok(())
}

#[tokio::test]
async fn a_history_that_has_not_ended_is_replayed_up_to_its_end() -> TestResult {
    let replay = Replay::of(history(false).await?).state(Counter::default());
    let replayed = replay.run(recorded).await?;
    assert_eq!(replayed.goes_on_with(), Some("$awaitEvent:late"));
    Ok(())
}

#[tokio::test]
async fn a_changed_function_fails_with_the_difference() -> TestResult {
    let history = history(true).await?;
    let replay = || Replay::of(history.clone()).state(Counter::default());
    let message = |result: Result<_, ReplayError>| match result {
        Ok(_) => "it was replayed".to_owned(),
        Err(error) => error.to_string(),
    };
    let more = message(replay().run(longer::recorded).await);
    assert!(more.ends_with("    nap\n  + more"), "{more}");
    let less = message(replay().run(shorter::recorded).await);
    assert!(less.contains("    a\n  - $now"), "{less}");
    let else_where = message(replay().run(other::recorded).await);
    assert!(
        else_where.contains("+ z") && else_where.contains("- a"),
        "{else_where}"
    );
    Ok(())
}

/// Steps with a sleep, an event of its own and a failed attempt between them.
#[task(name = "sturdy", max_attempts = 20)]
async fn sturdy(ctx: &mut Context, start: u32) -> TaskResult<u32> {
    let a = one(ctx, "a").await?;
    ctx.sleep_for("nap", "5ms").await?;
    ctx.emit_event(format!("own:{}", ctx.task_id()), &a).await?;
    let own: u32 = ctx.await_event(format!("own:{}", ctx.task_id())).await?;
    Ok(start + own + one(ctx, "b").await?)
}

#[tokio::test]
async fn a_crash_matrix_kills_at_each_statement() -> TestResult {
    let worker = |client: &Client| -> WorkerBuilder {
        Worker::builder(client)
            .task(sturdy)
            .poll_interval("10ms")
            .lease("2s")
    };
    let kills = crash_matrix(worker, sturdy, &40).await?;
    assert!(kills > 12, "only {kills} kills");
    Ok(())
}

/// Forgets that it has come past its step.
#[task(name = "forgetful", max_attempts = 20)]
async fn forgetful(ctx: &mut Context, runs: State<Counter>) -> TaskResult<u32> {
    runs.up();
    one(ctx, "a").await?;
    // A new process counts from one again, and a killed one leaves it so.
    let name = format!("step of run {}", ctx.run_id());
    one(ctx, &name).await?;
    Ok(std::process::id() % 1_000_000)
}

#[tokio::test]
async fn a_crash_matrix_finds_a_result_that_depends_on_the_process() -> TestResult {
    let worker = |client: &Client| -> WorkerBuilder {
        let worker = Worker::builder(client)
            .task(forgetful)
            .state(Counter::default());
        worker.poll_interval("10ms").lease("2s")
    };
    let found = crash_matrix(worker, forgetful, &()).await;
    let message = found
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(message.contains("the result is"), "{message}");
    Ok(())
}
