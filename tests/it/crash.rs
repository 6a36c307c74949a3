//! kill -9 of a worker at every statement boundary of a task with steps, sleeps, events and
//! a child: the result is the same, and no completed step runs again.

use std::process::{Command, ExitStatus};

use absurd_sdk::{Client, Limit, LimitOn, TaskId};
use absurd_test::{Database, Kill, eventually};
use tests::{Expedition, Journal, Journey, expedition, journey, publish};

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

/// The features beyond steps and waits, on a queue with limits: the expedition that fails leaves
/// one dead letter and undoes its work once, the one that does not is followed once.
async fn kill_expeditions(fails: bool, kill_at: fn(usize) -> Kill) -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    Journal::of(client).create().await?;
    sqlx::query("create table public.ledger (task_id uuid not null)")
        .execute(client.pool())
        .await?;
    client
        .set_limit(LimitOn::EachKey, Limit::concurrency(1))
        .await?;
    for boundary in 1..=BOUNDARIES_MAX {
        let chain = client.chain("season", expedition).then(publish);
        let handle = chain.spawn(Expedition { fails }).key("k").priority(3);
        let task = handle.await?.task_id();
        let first = run_worker(&database, task, Some(&kill_at(boundary)))?;
        if !first.success() {
            end_leases(client).await?;
            let second = run_worker(&database, task, None)?;
            assert!(second.success(), "boundary {boundary}: {second}");
        }
        // What follows the end of the task.
        let last = if fails { "undo camp" } else { "publish" };
        let worker = tests::worker(client).start()?;
        eventually("what follows has run", async || {
            let steps = Journal::of(client).steps().await;
            steps.is_ok_and(|steps| steps.iter().any(|step| step == last))
        })
        .await?;
        worker.stop().await?;
        check_expedition(client, task, fails)
            .await
            .map_err(|error| format!("boundary {boundary}: {error}"))?;
        if first.success() {
            assert!(boundary > 15, "only {boundary} boundaries were met");
            return Ok(());
        }
    }
    Err(format!("an expedition takes more than {BOUNDARIES_MAX} statements").into())
}

async fn check_expedition(client: &Client, task: TaskId, fails: bool) -> TestResult {
    let journal = Journal::of(client);
    if journal.repeated().await? != Vec::<String>::new() {
        return Err("a completed step ran again".into());
    }
    let steps = journal.steps().await?;
    let place = |name: &str| steps.iter().position(|step| step == name);
    let undone = place("undo tent") < place("undo camp") && place("undo tent").is_some();
    if undone != fails || place("publish").is_some() == fails {
        return Err(format!("{steps:?}").into());
    }
    // One row each, however often the worker was killed: ledger, letter, follower, compensations.
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from public.ledger where task_id = $1),
            (select count(*) from absurd.dead_letters),
            (select count(*) from absurd.t_default where task_name = 'publish'),
            (select count(*) from absurd.t_default where task_name = 'undo')",
    )
    .bind(task.0)
    .fetch_one(client.pool())
    .await?;
    let expected = if fails { (1, 1, 0, 2) } else { (1, 0, 1, 0) };
    if counts != expected {
        return Err(format!("{counts:?}").into());
    }
    sqlx::raw_sql(
        "truncate public.journal, absurd.dead_letters;
         delete from absurd.t_default where task_name in ('publish', 'undo')",
    )
    .execute(client.pool())
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_failure_for_good_has_one_letter_and_one_rollback_whenever_workers_die() -> TestResult {
    kill_expeditions(true, Kill::after).await
}

#[tokio::test]
async fn a_chain_and_a_transaction_happen_once_whenever_workers_die() -> TestResult {
    kill_expeditions(false, Kill::before).await
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
