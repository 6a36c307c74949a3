//! Every command of the published `absurdctl` against our schema.

use std::{path::PathBuf, process::Command};

use absurd_sdk::{
    EventFilter, StorageMode, TaskFilter, TaskState,
    prelude::{Context, Deserialize, JsonSchema, Serialize, TaskError, TaskResult, task},
};
use absurd_test::Database;

use crate::support::{TestResult, quick_worker};

/// The installed command on one database; `None`, and said so, where it is not installed.
struct Absurdctl<'d> {
    program: PathBuf,
    database: &'d Database,
}

impl<'d> Absurdctl<'d> {
    fn on(database: &'d Database) -> Option<Self> {
        let Some(venv) = std::env::var_os("ABSURD_INTEROP_VENV") else {
            println!("skipped: ABSURD_INTEROP_VENV is not set; `cargo xtask test` sets it");
            return None;
        };
        let program = PathBuf::from(venv).join("bin/absurdctl");
        Some(Self { program, database })
    }

    /// Runs a command to its good end and returns what it printed.
    fn run(&self, arguments: &[&str]) -> TestResult<String> {
        let (ended_well, said) = self.try_run(arguments)?;
        if !ended_well {
            return Err(format!("absurdctl {arguments:?}: {said}").into());
        }
        Ok(said)
    }

    fn try_run(&self, arguments: &[&str]) -> TestResult<(bool, String)> {
        let output = Command::new(&self.program)
            .args(arguments)
            .args(["--database", self.database.url()])
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }
}

/// What follows a label in a command's output.
fn value<'a>(said: &'a str, label: &str) -> TestResult<&'a str> {
    let mut lines = said.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(label));
    Ok(found
        .ok_or_else(|| format!("no `{label}` in: {said}"))?
        .trim())
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Params {
    name: String,
    times: u32,
}

/// Fails when it is asked for no greeting at all.
#[task(name = "greet")]
async fn greet(ctx: &mut Context, params: Params) -> TaskResult<String> {
    let times = params.times;
    ctx.step("count", || async move {
        if times == 0 {
            return Err(TaskError::msg("nothing to do"));
        }
        Ok(times)
    })
    .await?;
    Ok(params.name.repeat(2))
}

#[tokio::test]
async fn versions_and_queues() -> TestResult {
    let database = Database::start().await?;
    let Some(ctl) = Absurdctl::on(&database) else {
        return Ok(());
    };
    assert_eq!(ctl.run(&["schema-version"])?.trim(), "0.5.1");
    let migrated = ctl.run(&["migrate"])?;
    assert!(migrated.contains("0.5.1"), "{migrated}");
    let (created_again, said) = ctl.try_run(&["init"])?;
    assert!(
        !created_again,
        "upstream's schema does not fit over ours: {said}"
    );
    assert_eq!(
        database.client().list_queues().await?.len(),
        1,
        "and changed nothing"
    );

    ctl.run(&["create-queue", "plain"])?;
    ctl.run(&["create-queue", "weekly", "--storage-mode", "partitioned"])?;
    assert_eq!(ctl.run(&["list-queues"])?, "default\nplain\nweekly\n");
    let policy = ctl.run(&[
        "queue-policy",
        "weekly",
        "--cleanup-ttl",
        "45 days",
        "--partition-lookahead",
        "2 weeks",
        "--detach-mode",
        "empty",
        "--cleanup-limit",
        "7",
        "--default-partition",
        "disabled",
        "--detach-min-age",
        "1 day",
        "--partition-lookback",
        "3 days",
    ])?;
    for line in [
        "cleanup_ttl: 45 days",
        "partition_lookahead: 14 days",
        "detach_mode: empty",
        "cleanup_limit: 7",
        "default_partition: disabled",
        "storage_mode: partitioned",
    ] {
        assert!(policy.contains(line), "{policy}");
    }
    let weekly = database.client().on_queue("weekly")?;
    let (mode, _) = weekly.queue_policy().await?.ok_or("no queue")?;
    assert_eq!(mode, StorageMode::Partitioned);
    ctl.run(&["drop-queue", "plain", "--yes"])?;
    assert_eq!(ctl.run(&["list-queues"])?, "default\nweekly\n");
    let (cron, said) = ctl.try_run(&["cron", "--enable"])?;
    assert!(!cron && said.contains("pg_cron"), "{said}");
    Ok(())
}

#[tokio::test]
async fn tasks_and_events() -> TestResult {
    let database = Database::start().await?;
    let Some(ctl) = Absurdctl::on(&database) else {
        return Ok(());
    };
    let client = database.client();
    let fine = ctl.run(&[
        "spawn-task",
        "greet",
        "-P",
        "name=Ada",
        "-P",
        "times:=2",
        "-H",
        "from=ctl",
        "--max-attempts",
        "1",
    ])?;
    let failing = ctl.run(&[
        "spawn-task",
        "greet",
        "--params",
        r#"{"name": "x", "times": 0}"#,
        "--max-attempts",
        "1",
        "--retry-kind",
        "fixed",
        "--retry-base",
        "5",
    ])?;
    quick_worker(client).task(greet).run_until_idle().await?;
    let task = value(&fine, "Task ID:")?.parse()?;
    let result: String = client.result_of(task).await?;
    assert_eq!(result, "AdaAda");

    steer(&ctl, value(&failing, "Task ID:")?).await?;
    look(&ctl, &fine, &failing)
}

/// Retries and cancels a failed task, and emits an event.
async fn steer(ctl: &Absurdctl<'_>, failed: &str) -> TestResult {
    let client = ctl.database.client();
    let retried = ctl.run(&["retry-task", failed, "--max-attempts", "2"])?;
    assert_eq!(value(&retried, "Task ID:")?, failed);
    ctl.run(&["cancel-task", failed])?;
    let snapshot = client
        .task_snapshot(failed.parse()?)
        .await?
        .ok_or("no task")?;
    assert_eq!(snapshot.state, TaskState::Cancelled);

    ctl.run(&["emit-event", "door", "--payload", r#"{"open": true}"#])?;
    let events = client.list_events(&EventFilter::default(), None, 5).await?;
    assert_eq!(events[0].payload["open"], true);

    Ok(())
}

/// What the lists and dumps show of a task that completed and of one that failed.
fn look(ctl: &Absurdctl<'_>, fine: &str, failing: &str) -> TestResult {
    let task = value(fine, "Task ID:")?;
    let list = ctl.run(&[
        "list-tasks",
        "-q",
        "default",
        "-n",
        "greet",
        "-s",
        "completed",
    ])?;
    assert!(
        list.contains(&format!("task_id={task}")) && list.contains("Total: 1"),
        "{list}"
    );
    let dump = ctl.run(&["dump-task", "--task-id", task])?;
    for part in [
        "BASIC INFORMATION",
        "PARAMETERS",
        "HEADERS",
        "CHECKPOINTS",
        "AdaAda",
    ] {
        assert!(dump.contains(part), "{dump}");
    }
    let dump = ctl.run(&["dump-task", "--run-id", value(failing, "Run ID:")?])?;
    assert!(dump.contains("nothing to do"), "{dump}");
    Ok(())
}

#[tokio::test]
async fn clean_up_and_partitions() -> TestResult {
    let database = Database::start().await?;
    let Some(ctl) = Absurdctl::on(&database) else {
        return Ok(());
    };
    let client = database.client();
    client
        .spawn(
            greet,
            Params {
                name: "x".into(),
                times: 1,
            },
        )
        .await?;
    quick_worker(client).task(greet).run_until_idle().await?;
    client.emit_event("old", &()).await?;
    let counted = ctl.run(&["cleanup", "default", "0", "--dry-run"])?;
    assert!(counted.contains('1'), "{counted}");
    ctl.run(&["cleanup", "default", "0"])?;
    assert!(
        client
            .list_tasks(&TaskFilter::default(), None, 5)
            .await?
            .is_empty()
    );

    // Two empty weeks of the past: candidates as soon as the policy says so.
    ctl.run(&["create-queue", "weekly", "--storage-mode", "partitioned"])?;
    ctl.run(&[
        "queue-policy",
        "weekly",
        "--partition-lookback",
        "21 days",
        "--detach-mode",
        "empty",
        "--detach-min-age",
        "1 day",
    ])?;
    sqlx::query("select absurd.ensure_partitions('weekly')")
        .execute(client.pool())
        .await?;
    let candidates = ctl.run(&["list-detach-candidates", "-q", "weekly"])?;
    let table = candidates
        .split_whitespace()
        .find(|word| word.starts_with("t_weekly_"));
    let table = table.ok_or_else(|| format!("no candidate in: {candidates}"))?;
    ctl.run(&["detach-candidate", table, "-q", "weekly", "--drop"])?;
    let gone = format!("select to_regclass('absurd.{table}') is null");
    let gone: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(gone))
        .fetch_one(client.pool())
        .await?;
    assert!(gone, "{table} is dropped");

    let folder = tempfile::tempdir()?;
    let place = folder.path().to_string_lossy().into_owned();
    let skill = Command::new(&ctl.program)
        .args(["install-skill", &place])
        .output()?;
    assert!(skill.status.success() && folder.path().join("absurd/SKILL.md").is_file());
    assert!(
        Command::new(&ctl.program)
            .arg("help")
            .output()?
            .status
            .success()
    );
    Ok(())
}
