//! Branches: several parts of a task at once, parked once, replayed under the same names.

use std::{sync::Arc, time::Duration};

use absurd_sdk::{
    Client, TaskState,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, Recorder, eventually};
use serde_json::json;

use crate::support::{Counter, TestResult, quick_worker, work_while};

async fn counted(ctx: &mut Context, name: &str, counter: &Counter) -> TaskResult<u32> {
    let counter = counter.clone();
    ctx.step(name, || async move { Ok::<_, TaskError>(counter.up()) })
        .await
}

/// Two branches that wait and one that sleeps.
#[task(name = "joined")]
async fn joined(ctx: &mut Context, counter: State<Counter>) -> TaskResult<String> {
    let counter = &*counter;
    let (a, b, ()) = ctx
        .join((
            |mut ctx: Context| async move {
                counted(&mut ctx, "before", counter).await?;
                let a: String = ctx.await_event("a").await?;
                counted(&mut ctx, "after", counter).await?;
                Ok(a)
            },
            |mut ctx: Context| async move {
                counted(&mut ctx, "before", counter).await?;
                ctx.await_event::<String>("b").await
            },
            |mut ctx: Context| async move { ctx.sleep_for("nap", "1h").await },
        ))
        .await?;
    counted(ctx, "last", counter).await?;
    Ok(format!("{a}{b}"))
}

#[tokio::test]
async fn a_task_waits_once_for_all_of_its_branches() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(joined, ()).await?;
    let counter = Counter::default();
    let recorder = Arc::new(Recorder::default());
    let watched = Client::builder()
        .url(database.url())
        .observer(recorder.clone())
        .connect()
        .await?;
    let worker = || quick_worker(&watched).task(joined).state(counter.clone());
    worker().run_until_idle().await?;
    let parks = recorder
        .take()
        .iter()
        .filter(|sent| **sent == "wait_for_any")
        .count();
    assert!(parks <= 4, "{parks} trips for three waits");
    assert_eq!(client.list_waits(None, None).await?.len(), 2);
    let task = client.get_task(handle.task_id()).await?.ok_or("no task")?;
    assert_eq!(task.summary.state, TaskState::Sleeping);
    assert_eq!(task.available_at, Some("2026-05-01T01:00:00Z".parse()?));

    client.emit_event("b", "B").await?;
    worker().run_until_idle().await?;
    assert_eq!(client.list_waits(None, None).await?.len(), 1);
    clock.advance(Duration::from_hours(1)).await?;
    worker().run_until_idle().await?;
    client.emit_event("a", "A").await?;
    worker().run_until_idle().await?;
    assert_eq!(handle.result().await?, "AB");
    assert_eq!(counter.get(), 4, "each step ran once");
    let names = client.list_checkpoints(handle.task_id(), None, 20).await?;
    let names: Vec<_> = names.iter().map(|kept| &*kept.checkpoint_name).collect();
    assert_eq!(
        names,
        [
            "$join/0/$awaitEvent:a",
            "$join/0/after",
            "$join/0/before",
            "$join/1/$awaitEvent:b",
            "$join/1/before",
            "$join/2/nap",
            "last"
        ]
    );
    assert!(client.list_waits(None, None).await?.is_empty());
    Ok(())
}

/// Squares numbers in children, some at a time.
#[task(name = "fan out")]
async fn fan_out(ctx: &mut Context, numbers: Vec<u64>) -> TaskResult<Vec<u64>> {
    ctx.map(numbers, |mut branch, n| async move {
        let child = branch.spawn(square, n).await?;
        branch.await_task(&child).await
    })
    .concurrency(3)
    .await
}

#[task(name = "square")]
async fn square(ctx: &mut Context, n: u64) -> TaskResult<u64> {
    ctx.step("square", || async move { Ok::<_, TaskError>(n * n) })
        .await
}

#[tokio::test]
async fn children_of_branches_come_back_in_the_order_of_the_items() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(fan_out, (1..=8).collect()).await?;
    let worker = quick_worker(client).task(fan_out).task(square);
    let squares = work_while(worker, async { handle.result().await }).await??;
    assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64]);
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum First {
    Event(String),
    Timer,
    Child(u64),
    Step,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Race {
    timer: String,
    child: bool,
    step: bool,
}

#[task(name = "race")]
async fn race(ctx: &mut Context, race: Race) -> TaskResult<First> {
    let Race { timer, child, step } = race;
    let winner = ctx
        .race(
            "first",
            (
                |mut ctx: Context| async move { Ok(First::Event(ctx.await_event("bell").await?)) },
                |mut ctx: Context| async move {
                    ctx.sleep_for("timer", timer).await?;
                    Ok(First::Timer)
                },
                |mut ctx: Context| async move {
                    if !child {
                        return ctx.await_event("never").await;
                    }
                    let child = ctx.spawn(square, 7).await?;
                    Ok(First::Child(ctx.await_task(&child).await?))
                },
                |mut ctx: Context| async move {
                    if !step {
                        return ctx.await_event("never").await;
                    }
                    ctx.step("work", std::future::pending::<Result<(), TaskError>>)
                        .await?;
                    Ok(First::Step)
                },
            ),
        )
        .await?;
    // A replay knows no other winner.
    ctx.sleep_for("pause", "1ms").await?;
    Ok(winner)
}

#[tokio::test]
async fn the_first_of_event_timer_child_and_step_wins() -> TestResult {
    let slow = || "1h".to_owned();
    let cases = [
        (
            Race {
                timer: "10ms".into(),
                child: false,
                step: false,
            },
            First::Timer,
        ),
        (
            Race {
                timer: slow(),
                child: true,
                step: false,
            },
            First::Child(49),
        ),
        (
            Race {
                timer: slow(),
                child: false,
                step: false,
            },
            First::Event("ding".into()),
        ),
        // The step works on and on: the event is seen meanwhile.
        (
            Race {
                timer: slow(),
                child: false,
                step: true,
            },
            First::Event("ding".into()),
        ),
    ];
    for (params, winner) in cases {
        let database = Database::start().await?;
        let client = database.client();
        let handle = client.spawn(race, params).await?;
        let worker = quick_worker(client).task(race).task(square).start()?;
        if matches!(winner, First::Event(_)) {
            eventually("it waits", async || {
                let waits = client.list_waits(None, Some("bell")).await;
                waits.is_ok_and(|waits| !waits.is_empty())
            })
            .await?;
            client.emit_event("bell", "ding").await?;
        }
        assert_eq!(handle.result().await?, winner);
        worker.stop().await?;
        let recorded = client
            .list_checkpoints(handle.task_id(), Some("fir"), 9)
            .await?;
        let recorded = recorded.iter().find(|kept| kept.checkpoint_name == "first");
        assert!(recorded.is_some(), "the winner is recorded");
    }
    Ok(())
}

#[tokio::test]
async fn any_and_all_of_several_events() -> TestResult {
    #[task(name = "events")]
    async fn events(ctx: &mut Context) -> TaskResult<(String, Vec<u32>)> {
        let (name, _): (String, u32) = ctx.await_any_event("any", ["x", "y", "z"]).await?;
        let all = ctx.await_all_events(["x", "y", "z"]).await?;
        Ok((name, all))
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(events, ()).await?;
    let worker = || quick_worker(client).task(events).run_until_idle();
    worker().await?;
    client.emit_event("y", &2).await?;
    worker().await?;
    client.emit_event("z", &3).await?;
    worker().await?;
    client.emit_event("x", &1).await?;
    worker().await?;
    assert_eq!(handle.result().await?, ("y".into(), vec![1, 2, 3]));
    Ok(())
}

#[tokio::test]
async fn timeouts_of_branches_are_remembered_and_counted_from_the_first_wait() -> TestResult {
    #[task(name = "patience")]
    async fn patience(ctx: &mut Context) -> TaskResult<(bool, String)> {
        ctx.join((
            |mut ctx: Context| async move {
                let late = ctx.await_event::<String>("late").timeout("1h").await;
                Ok(late.is_err_and(|error| error.is_timeout()))
            },
            |mut ctx: Context| async move {
                ctx.await_event::<String>("tick").await?;
                ctx.await_event("tock").await
            },
        ))
        .await
    }
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(patience, ()).await?;
    let worker = || quick_worker(client).task(patience).run_until_idle();
    worker().await?;
    clock.advance(Duration::from_mins(40)).await?;
    client.emit_event("tick", "x").await?;
    // Waits again, with 20 minutes left.
    worker().await?;
    clock.advance(Duration::from_mins(20)).await?;
    assert_eq!(worker().await?, 1, "the time is over");
    client.emit_event("late", "too late").await?;
    client.emit_event("tock", "done").await?;
    worker().await?;
    assert_eq!(handle.result().await?, (true, "done".into()));
    Ok(())
}

#[tokio::test]
async fn an_error_in_a_branch_is_one_of_the_attempt_and_ends_the_others() -> TestResult {
    #[task(name = "half", max_attempts = 2)]
    async fn half(ctx: &mut Context, counter: State<Counter>) -> TaskResult<u32> {
        let attempt = ctx.attempt();
        let counter = &*counter;
        let (good, ()) = ctx
            .join((
                |mut ctx: Context| async move { counted(&mut ctx, "good", counter).await },
                |mut ctx: Context| async move {
                    ctx.step("bad", || async move {
                        if attempt == 1 {
                            return Err(TaskError::msg("not yet"));
                        }
                        Ok(())
                    })
                    .await
                },
            ))
            .await?;
        Ok(good)
    }
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(half, ()).await?;
    let worker = quick_worker(client).task(half).state(Counter::default());
    assert_eq!(worker.run_until_idle().await?, 2);
    handle.result().await?;
    let runs = client.list_runs(handle.task_id()).await?;
    let failure = runs[0].failure_reason.clone().ok_or("no failure")?;
    assert_eq!(failure["message"], "not yet");
    assert_eq!(failure["step"], json!("$join/1/bad"));
    Ok(())
}
