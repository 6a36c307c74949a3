//! The published Python and TypeScript clients on our schema, as workers and as producers, and
//! every command of the published `absurdctl`. They are started as anybody would start them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use absurd_sdk::{
    Error, TaskState,
    prelude::{Context, Deserialize, JsonSchema, Serialize, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use serde_json::{Map, Value, json};
use tokio::process::{Child, Command};

use crate::support::{TestResult, quick_worker};

/// The two clients: name, worker, producer.
const CLIENTS: [&str; 2] = ["python", "typescript"];

/// The command that starts a client's script; `None`, and said so, where it is not installed.
fn script(client: &str, role: &str) -> TestResult<Option<Command>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/interop");
    let (variable, extension) = match client {
        "python" => ("ABSURD_INTEROP_VENV", "py"),
        _ => ("ABSURD_INTEROP_NODE", "mjs"),
    };
    let Some(home) = std::env::var_os(variable).map(PathBuf::from) else {
        println!("skipped: {variable} is not set; `cargo xtask test` sets it");
        return Ok(None);
    };
    let source = folder.join(format!("{role}.{extension}"));
    if client == "python" {
        let mut command = Command::new(home.join("bin/python"));
        command.arg(source);
        return Ok(Some(command));
    }
    // Node looks for packages beside the script.
    let beside = home.join(format!("{role}-{}.mjs", std::process::id()));
    std::fs::copy(source, &beside)?;
    let mut command = Command::new("node");
    command.arg(beside);
    Ok(Some(command))
}

fn start_worker(client: &str, database: &Database) -> TestResult<Option<Child>> {
    let Some(mut command) = script(client, "worker")? else {
        return Ok(None);
    };
    let child = command
        .arg(database.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(Some(child))
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Start {
    start: i64,
    key: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Bonus {
    value: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Tour {
    sum: i64,
    by: String,
    headers: Map<String, Value>,
}

/// The same task as the scripts', step by step.
#[task(name = "tour")]
async fn tour(ctx: &mut Context, params: Start) -> TaskResult<Tour> {
    let start = params.start;
    let first = ctx.step("count", || async move { Ok::<_, TaskError>(start + 1) });
    let first = first.await?;
    let again = ctx.step("count", || async move { Ok::<_, TaskError>(first + 1) });
    let again = again.await?;
    ctx.sleep_for("nap", "10ms").await?;
    let bonus: Bonus = ctx
        .await_event(format!("bonus:{}", params.key))
        .timeout("60s")
        .await?;
    ctx.step("last", || async { Ok::<_, TaskError>(()) })
        .await?;
    Ok(Tour {
        sum: first + again + bonus.value,
        by: "rust".into(),
        headers: ctx.headers().clone(),
    })
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Fail {
    fail: bool,
}

/// Fails when it is asked to, after a step.
#[task(name = "fragile")]
async fn fragile(ctx: &mut Context, params: Fail) -> TaskResult<String> {
    let done = ctx.step("done before", || async {
        Ok::<_, TaskError>("kept".to_owned())
    });
    let done = done.await?;
    if params.fail {
        return Err(TaskError::msg("as it was asked for"));
    }
    Ok(done)
}

/// Waits for what never comes.
#[task(name = "patient")]
async fn patient(ctx: &mut Context, _unused: Value) -> TaskResult<Value> {
    ctx.await_event("never").await
}

#[tokio::test]
async fn their_workers_execute_what_we_spawn() -> TestResult {
    for name in CLIENTS {
        let database = Database::start().await?;
        let client = database.client();
        let Some(_worker) = start_worker(name, &database)? else {
            continue;
        };
        let params = json!({ "start": 1, "key": "k" });
        let handle = client
            .spawn_by_name("tour", params)
            .header("from", "us")
            .await?;
        eventually("it waits for its event", async || {
            let waits = client.list_waits(None, Some("bonus:k")).await;
            waits.is_ok_and(|waits| waits.len() == 1)
        })
        .await?;
        client
            .emit_event("bonus:k", &json!({ "value": 10 }))
            .await?;
        let result = handle.result().timeout("60s").await?;
        let expected = json!({ "sum": 15, "by": name, "headers": { "from": "us" } });
        assert_eq!(result, expected);
        let kept = client.list_checkpoints(handle.task_id(), None, 10).await?;
        let kept: Vec<_> = kept
            .iter()
            .map(|kept| kept.checkpoint_name.as_str())
            .collect();
        assert_eq!(
            kept,
            ["$awaitEvent:bonus:k", "count", "count#2", "last", "nap"]
        );

        let failing = client.spawn_by_name("fragile", json!({ "fail": true }));
        let failing = failing.max_attempts(1).await?;
        let failure = failing.result().timeout("60s").snapshot().await?.failure;
        assert_eq!(failure.ok_or("no failure")?.message, "as it was asked for");
        assert_eq!(client.retry(failing.task_id()).await?.attempt, 2);

        let patient = client.spawn_by_name("patient", json!({})).await?;
        client.cancel(patient.task_id()).await?;
        let ended = patient.result().timeout("60s").await;
        assert!(matches!(ended, Err(Error::TaskCancelled(_))), "{ended:?}");
    }
    Ok(())
}

#[tokio::test]
async fn our_worker_executes_what_they_spawn() -> TestResult {
    for name in CLIENTS {
        let database = Database::start().await?;
        let Some(mut producer) = script(name, "producer")? else {
            continue;
        };
        let worker = quick_worker(database.client())
            .task(tour)
            .task(fragile)
            .task(patient);
        let worker = worker.start()?;
        let output = producer.arg(database.url()).output().await?;
        worker.stop().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        let seen: Value = serde_json::from_slice(&output.stdout)?;
        let expected = json!({
            "same": true,
            "result": { "sum": 15, "by": "rust", "headers": { "from": "client" } },
            "failure": "as it was asked for",
            "retried_attempt": 2,
            "cancelled": TaskState::Cancelled,
            "queues": ["default"],
        });
        assert_eq!(seen, expected, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_task_goes_on_in_another_language_after_its_last_step() -> TestResult {
    for name in CLIENTS {
        let database = Database::start().await?;
        let client = database.client();
        let handle = client
            .spawn(
                tour,
                Start {
                    start: 1,
                    key: "k".into(),
                },
            )
            .await?;
        // Our worker takes it up to the event, and is gone when that comes.
        let ours = quick_worker(client).task(tour).start()?;
        eventually("it waits for its event", async || {
            let waits = client.list_waits(None, Some("bonus:k")).await;
            waits.is_ok_and(|waits| waits.len() == 1)
        })
        .await?;
        ours.stop().await?;
        let Some(_worker) = start_worker(name, &database)? else {
            continue;
        };
        client.emit_event("bonus:k", &Bonus { value: 10 }).await?;
        let result = handle.result().timeout("60s").await?;
        assert_eq!((result.sum, result.by.as_str()), (15, name));
    }
    Ok(())
}

#[tokio::test]
async fn all_workers_share_one_queue() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let workers = CLIENTS.map(|name| start_worker(name, &database));
    for worker in &workers {
        if !matches!(worker, Ok(Some(_))) {
            return Ok(());
        }
    }
    client.emit_event("bonus:k", &Bonus { value: 10 }).await?;
    let starts = (0..30).map(|start| Start {
        start,
        key: "k".into(),
    });
    let spawned = client.spawn_many(tour, starts).await?;
    let ours = quick_worker(client).task(tour).concurrency(1).start()?;
    for (start, spawned) in (0..).zip(&spawned) {
        let result: Tour = client.result_of(spawned.task_id).timeout("60s").await?;
        assert_eq!(result.sum, (start + 1) + (start + 2) + 10);
    }
    ours.stop().await?;
    Ok(())
}
