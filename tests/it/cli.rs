//! The `absurd` command through the life of an operator: what the SDK's client can do can be
//! typed, too.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use absurd_sdk::{
    DeadLetterState, LogLevel, TaskState,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use serde_json::{Value, json};

use crate::support::{Counter, TestResult, cargo, quick_worker};

/// The command, built once by the same cargo as this test.
fn program() -> TestResult<&'static PathBuf> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| build().map_err(|error| error.to_string()));
    Ok(built.as_ref().map_err(String::as_str)?)
}

fn build() -> TestResult<PathBuf> {
    let built = cargo()
        .args(["build", "--quiet", "--package", "absurd-cli"])
        .args(["--bin", "absurd", "--message-format", "json"])
        .output()?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.ok_or_else(|| String::from_utf8_lossy(&built.stderr).into())
}

/// The command on one database. A line is what follows `absurd`; what stands in single quotes is
/// one word.
struct Absurd<'d>(&'d Database);

impl Absurd<'_> {
    fn command(&self, line: &str) -> TestResult<Command> {
        let mut command = Command::new(program()?);
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 0 {
                command.args(part.split_whitespace());
            } else {
                command.arg(part);
            }
        }
        command.args(["--database-url", self.0.url()]);
        command.env("USER", "ada");
        Ok(command)
    }

    /// What it prints for people, when it ends well.
    fn say(&self, line: &str) -> TestResult<String> {
        let output = self.command(line)?.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{line}: {said}").into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What it prints for programs.
    fn ask(&self, line: &str) -> TestResult<Value> {
        let printed = self.say(&format!("{line} --json"))?;
        Ok(serde_json::from_str(&printed)?)
    }

    /// The id of the task that a command has made.
    fn task(&self, line: &str) -> TestResult<String> {
        Ok(text(&self.ask(line)?["task_id"])?.to_owned())
    }

    /// What `task show` tells of a task.
    fn details(&self, task: &str) -> TestResult<Value> {
        Ok(self.ask(&format!("task show {task}"))?["task"].take())
    }

    /// Refuses on one line that has the advice in it.
    fn refuse(&self, line: &str, advice: &str) -> TestResult {
        let output = self.command(line)?.output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success(), "{line}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(advice), "{line}: {said}");
        Ok(())
    }
}

fn text(value: &Value) -> TestResult<&str> {
    Ok(value.as_str().ok_or_else(|| format!("no text: {value}"))?)
}

fn count(list: &Value) -> Option<usize> {
    list.as_array().map(Vec::len)
}

/// Reads, then writes as soon as the disk has room.
#[task(name = "writer", max_attempts = 1)]
async fn writer(ctx: &mut Context, file: String, room: State<Counter>) -> TaskResult<String> {
    let reporter = ctx.reporter();
    reporter.progress(0.5, "reading");
    reporter.log(LogLevel::Info, "before any step");
    ctx.step("read", || async { Ok::<_, TaskError>(1) }).await?;
    let room = room.clone();
    ctx.step("write", || async move {
        if room.get() == 0 {
            return Err(TaskError::msg("the disk is full"));
        }
        Ok(())
    })
    .await?;
    Ok(file)
}

async fn work(database: &Database, room: &Counter) -> TestResult {
    let worker = quick_worker(database.client()).task(writer);
    worker.state(room.clone()).run_until_idle().await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_queue_keeps_what_is_spawned_with_all_options() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    let said = absurd.say("queue pause default")?;
    assert!(said.contains("is paused"), "{said}");
    assert!(absurd.ask("queue list")?[0]["paused_at"].is_string());

    let task = absurd.task(
        "task spawn writer --params '\"a\"' --priority -2 --key 'antenna 3' --timeout '1h 30m' \
         --attribute night=7 --attribute array=DSA-110 --delay 1ms",
    )?;
    let shown = absurd.details(&task)?;
    assert_eq!(shown["priority"], -2);
    assert_eq!(shown["key"], "antenna 3");
    assert_eq!(shown["policy"]["timeout"], 5400.0);
    let attributes = json!({ "night": 7, "array": "DSA-110" });
    assert_eq!(shown["attributes"], attributes);
    let found = absurd.ask("task list --attribute night=7")?;
    assert_eq!(found[0]["task_id"], task);
    assert_eq!(absurd.ask("task list --attribute night=8")?, json!([]));
    let table = absurd.say("task list")?;
    assert!(
        table.contains("priority") && table.contains("-2"),
        "{table}"
    );

    work(&database, &Counter::default()).await?;
    let snapshot = database.client().task_snapshot(task.parse()?).await?;
    assert_eq!(snapshot.ok_or("no task")?.state, TaskState::Pending);
    absurd.say("queue resume default")?;
    assert!(absurd.ask("queue list")?[0]["paused_at"].is_null());
    absurd.refuse("queue pause nowhere", "absurd queue create nowhere")
}

#[tokio::test]
async fn a_window_has_one_task() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    let spawn = "task spawn writer --unique k --within 1h";
    let first = absurd.task(&format!("{spawn} --debounce"))?;
    let second = absurd.ask(&format!("{spawn} --debounce --params '\"late\"'"))?;
    assert_eq!(second["task_id"], first);
    assert_eq!(second["created"], false);
    assert_eq!(absurd.details(&first)?["params"], "late");
    assert_eq!(absurd.task(spawn)?, first);
    let later = absurd.task("task spawn writer --start-at 2199-01-01T00:00:00Z")?;
    let begins = &absurd.details(&later)?["available_at"];
    assert_eq!(begins, "2199-01-01T00:00:00Z");
    Ok(())
}

#[tokio::test]
async fn a_task_is_steered_and_looked_at() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    let room = Counter::default();
    room.up();
    let task = absurd.task("task spawn writer --params '\"a\"'")?;
    absurd.say(&format!("task pause {task}"))?;
    absurd.say(&format!("task priority {task} -4"))?;
    work(&database, &room).await?;
    let shown = absurd.details(&task)?;
    assert_eq!(shown["is_paused"], true);
    assert_eq!(shown["priority"], -4);
    absurd.say(&format!("task resume {task}"))?;
    work(&database, &room).await?;
    let said = absurd.say(&format!("task show {task}"))?;
    assert!(said.contains("50 % reading"), "{said}");
    absurd.refuse(&format!("task pause {task}"), "absurd task show")?;
    let log = absurd.ask(&format!("task log {task}"))?;
    assert_eq!(log[0]["message"], "before any step");
    let log = absurd.ask(&format!("task log {task} --step read"))?;
    assert_eq!(log, json!([]));
    let children = absurd.ask(&format!("task list --parent {task}"))?;
    assert_eq!(children, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_task_is_forked_and_exported() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    let room = Counter::default();
    room.up();
    let task = absurd.task("task spawn writer --params '\"a\"'")?;
    work(&database, &room).await?;
    let fork = format!("task fork {task} --from-step");
    let forked = absurd.task(&format!("{fork} write --params '\"b\"'"))?;
    work(&database, &room).await?;
    let result = absurd.ask(&format!("task wait {forked} --timeout 5s"))?;
    assert_eq!(result, "b");
    let advice = "no checkpoint \"fly\"; `absurd task show";
    absurd.refuse(&format!("{fork} fly"), advice)?;

    let export = format!("task export {forked}");
    let history: Value = serde_json::from_str(&absurd.say(&export)?)?;
    assert_eq!(history["params"], "b");
    assert_eq!(history["checkpoints"][0]["name"], "read");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("history.json");
    let said = absurd.say(&format!("{export} --output '{}'", file.display()))?;
    assert!(said.contains("history.json"), "{said}");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    assert_eq!(written, history);
    let nowhere = format!("{export} --output /no/such/file");
    absurd.refuse(&nowhere, "another file with --output")
}

#[tokio::test]
async fn limits_are_set_listed_and_removed() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    let scopes = [
        "--queue-wide",
        "--task writer",
        "--key 'antenna 3'",
        "--each-key",
    ];
    for scope in scopes {
        absurd.say(&format!("limit set {scope} --concurrency 2"))?;
    }
    let said = absurd.say("limit set --task writer --rate 5 --period 10s")?;
    assert!(said.contains("tasks `writer` in queue `default`"), "{said}");
    let limits = absurd.ask("limit list")?;
    assert_eq!(count(&limits), Some(4));
    let of_task = limits[3].clone();
    assert_eq!(of_task["subject"], "writer");
    assert_eq!(of_task["concurrency"], Value::Null);
    assert_eq!(of_task["rate"], 5);
    assert_eq!(of_task["period_seconds"], 10.0);
    let empty = "limit set --queue-wide --rate 1 --period 0s";
    absurd.refuse(empty, "a length above 0")?;
    let said = absurd.say("limit set --queue-wide --concurrency 0")?;
    assert!(said.contains("is a pause"), "{said}");
    for scope in scopes {
        absurd.say(&format!("limit remove {scope}"))?;
    }
    assert_eq!(absurd.ask("limit list")?, json!([]));
    Ok(())
}

/// A database with three dead letters, and no room on the disk.
async fn three_letters() -> TestResult<(Database, Counter)> {
    let database = Database::start().await?;
    let room = Counter::default();
    for file in ["a", "b", "c"] {
        database.client().spawn(writer, file.into()).await?;
    }
    work(&database, &room).await?;
    Ok((database, room))
}

#[tokio::test]
async fn a_dead_letter_from_the_list_to_resolved() -> TestResult {
    let (database, room) = three_letters().await?;
    let absurd = Absurd(&database);
    let list = "dead-letter list --task-name writer --step write";
    let letters = absurd.ask(&format!("{list} --state pending --limit 2"))?;
    let letter = text(&letters[1]["dead_letter_id"])?;
    let older = absurd.ask(&format!("dead-letter list --before {letter}"))?;
    assert_eq!(count(&older), Some(1));
    let table = absurd.say(list)?;
    assert!(table.contains("the disk is full"), "{table}");

    let retry = format!("dead-letter retry {letter}");
    absurd.say(&format!("{retry} --note again"))?;
    absurd.refuse(&retry, "absurd dead-letter show")?;
    work(&database, &room).await?;
    room.up();
    let retry = format!("{retry} --actor eve --from-step");
    absurd.refuse(&format!("{retry} fly"), "absurd task show")?;
    absurd.say(&format!("{retry} read"))?;
    work(&database, &room).await?;

    let show = format!("dead-letter show {letter}");
    let shown = absurd.ask(&show)?;
    let state = json!(DeadLetterState::Resolved);
    assert_eq!(shown["dead_letter"]["state"], state);
    assert_eq!(shown["audit"][0]["actor"], "ada");
    assert_eq!(shown["audit"][0]["note"], "again");
    assert_eq!(shown["audit"][1]["actor"], "eve");
    let said = absurd.say(&show)?;
    for part in ["retry from_step", "Error: the disk is full"] {
        assert!(said.contains(part), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn dead_letters_are_retried_together_resolved_and_deleted() -> TestResult {
    let (database, _) = three_letters().await?;
    let absurd = Absurd(&database);
    let retried = absurd.ask(
        "dead-letter retry-all --queue-name default --as-new --limit 2 --stagger 5s \
         --note 'a new disk'",
    )?;
    assert_eq!(count(&retried), Some(2));
    assert!(retried[0]["task_id"].is_string(), "{retried}");

    let left = absurd.ask("dead-letter list --state pending --error-type Error")?;
    assert_eq!(count(&left), Some(1));
    let left = text(&left[0]["dead_letter_id"])?;
    absurd.say(&format!("dead-letter resolve {left} --note 'not needed'"))?;
    let delete = format!("dead-letter delete {left}");
    absurd.refuse(&delete, "--yes")?;
    absurd.say(&format!("{delete} --yes"))?;
    let show = format!("dead-letter show {left}");
    absurd.refuse(&show, "absurd dead-letter list")
}

#[tokio::test]
async fn a_schedule_from_set_to_delete() -> TestResult {
    let database = Database::start().await?;
    database.clock("2026-05-01T00:30:00Z".parse()?).await?;
    let absurd = Absurd(&database);
    let set = "schedule set nightly --task writer --cron";
    let record = absurd.ask(&format!(
        "{set} '0 3 * * *' --params '\"a\"' --time-zone America/Los_Angeles --overlap allow \
         --catch-up all"
    ))?;
    assert_eq!(record["next_at"], "2026-05-01T10:00:00Z");
    assert_eq!(record["overlap"], "allow");
    assert_eq!(record["catch_up"], "all");
    absurd.refuse(&format!("{set} soon"), "write for example")?;
    let next = absurd.ask("schedule next nightly --count 2")?;
    assert_eq!(next[0]["tick"], "2026-05-01T10:00:00Z");
    assert_eq!(next[1]["tick"], "2026-05-02T10:00:00Z");

    absurd.say("schedule pause nightly")?;
    assert!(absurd.ask("schedule list")?[0]["paused_at"].is_string());
    let said = absurd.say("schedule resume nightly")?;
    assert!(said.contains("next at 2026-05-01T10:00:00Z"), "{said}");
    for verb in ["pause", "resume", "next", "delete"] {
        let line = format!("schedule {verb} noon");
        absurd.refuse(&line, "absurd schedule list")?;
    }
    absurd.say("schedule delete nightly")?;
    assert_eq!(absurd.ask("schedule list")?, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_backfill_fires_the_ticks_of_the_past() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    absurd.say("schedule set nightly --task writer --cron @daily")?;
    let backfill = "schedule backfill nightly --from 2026-04-01T00:00:00Z --until";
    let until = |time: &str| format!("{backfill} {time}");
    absurd.refuse(&until("2026-03-31T00:00:00Z"), "the earlier time")?;
    assert_eq!(absurd.ask(&until("2026-04-03T12:00:00Z"))?, 3);
    let tasks = absurd.ask("task list --name writer")?;
    assert_eq!(count(&tasks), Some(3));
    let tick = |task: &Value| task["headers"]["scheduled-at"] == "2026-04-03T00:00:00Z";
    assert!(tasks.as_array().is_some_and(|tasks| tasks.iter().any(tick)));
    let said = absurd.say(&until("2026-04-04T12:00:00Z"))?;
    assert!(said.contains("has fired 1 tick."), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_scheduler_fires_until_it_is_told_to_stop() -> TestResult {
    let database = Database::start().await?;
    let absurd = Absurd(&database);
    absurd.say("schedule set often --task writer --cron '* * * * * *'")?;
    let mut process = absurd
        .command("schedule run")?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let told = process.stderr.take().ok_or("no stderr")?;
    let mut first = String::new();
    BufReader::new(told).read_line(&mut first)?;
    assert!(first.contains("SIGTERM"), "{first}");
    let fires = eventually("the schedule fires", async || {
        let schedules = database.client().schedules().await;
        schedules.is_ok_and(|schedules| schedules[0].last_task_id.is_some())
    })
    .await;
    let mut kill = Command::new("kill");
    let killed = kill.arg(process.id().to_string()).status()?;
    let ended = process.wait_with_output()?;
    fires?;
    assert!(killed.success() && ended.status.success(), "{ended:?}");
    let said = String::from_utf8(ended.stdout)?;
    assert!(said.contains("has stopped"), "{said}");
    Ok(())
}
