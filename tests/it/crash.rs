//! kill -9 of a worker at every statement boundary of a task with steps, sleeps, events and
//! a child: the result is the same, and no completed step runs again.

use std::process::{Command, ExitStatus};

use absurd_sdk::{Client, TaskId};
use absurd_test::{Database, Kill};
use tests::{Journal, Journey, journey};

use crate::support::{TestResult, end_leases};

/// More statements than one journey can take.
const BOUNDARIES_MAX: usize = 200;
const STEPS: usize = 12;
const RESULT: i64 = 110;

#[tokio::test]
async fn a_worker_may_be_killed_before_any_statement() -> TestResult {
    kill_at_every_boundary(Kill::before).await
}

#[tokio::test]
async fn a_worker_may_be_killed_after_any_statement() -> TestResult {
    kill_at_every_boundary(Kill::after).await
}

async fn kill_at_every_boundary(kill_at: fn(usize) -> Kill) -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    Journal::of(client).create().await?;
    for boundary in 1..=BOUNDARIES_MAX {
        let handle = client.spawn(journey, Journey { start: 0 }).await?;
        let first = run_worker(&database, handle.task_id(), Some(&kill_at(boundary)))?;
        if first.success() {
            // The journey is over before this boundary: all of them have been tried.
            assert!(boundary > 2 * STEPS, "only {boundary} boundaries were met");
            check(client, handle.task_id()).await?;
            return Ok(());
        }
        end_leases(client).await?;
        let second = run_worker(&database, handle.task_id(), None)?;
        assert!(second.success(), "boundary {boundary}: {second}");
        let result = handle.result().await;
        assert_eq!(result?, RESULT, "boundary {boundary}");
        check(client, handle.task_id()).await?;
    }
    Err(format!("a journey takes more than {BOUNDARIES_MAX} statements").into())
}

fn run_worker(
    database: &Database,
    task: TaskId,
    kill: Option<&Kill>,
) -> std::io::Result<ExitStatus> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-worker"));
    command.arg(database.url()).arg(task.to_string());
    if let Some(kill) = kill {
        command.env(Kill::ENV, kill.to_string());
    }
    command.status()
}

/// Every step ran, none of them after its checkpoint existed.
async fn check(client: &Client, task: TaskId) -> TestResult {
    let journal = Journal::of(client);
    assert_eq!(
        journal.repeated().await?,
        Vec::<String>::new(),
        "task {task}"
    );
    let steps = journal.steps().await?;
    let distinct: std::collections::HashSet<_> = steps.iter().collect();
    assert_eq!(distinct.len(), STEPS);
    sqlx::query("truncate public.journal")
        .execute(client.pool())
        .await?;
    let waits = client.list_waits(None, None).await?;
    assert!(waits.is_empty(), "{waits:?}");
    Ok(())
}
