//! The command as people type it.

use std::{
    fs::Permissions,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
};

use absurd_sdk::migrate;
use absurd_test::Database;
use serde_json::{Value, json};

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn absurd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_absurd"));
    command
        .args(arguments)
        .env_remove("ABSURD_DATABASE_URL")
        .env_remove("PGDATABASE");
    command
}

/// What a command printed, if it ended well.
fn said(command: &mut Command) -> TestResult<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A command's answer as JSON.
fn answer(database: &Database, arguments: &[&str]) -> TestResult<Value> {
    let mut command = absurd(arguments);
    let printed = said(command.args(["--json", "--database-url", database.url()]))?;
    Ok(serde_json::from_str(&printed)?)
}

#[tokio::test]
async fn a_task_from_spawn_to_cancel() -> TestResult {
    let database = Database::start().await?;
    let spawned = answer(
        &database,
        &[
            "task",
            "spawn",
            "greet",
            "--params",
            r#"{"name": "Ada"}"#,
            "--header",
            "from=cli",
            "--idempotency-key",
            "k",
        ],
    )?;
    let id = spawned["task_id"].as_str().ok_or("no id")?;
    let again = answer(
        &database,
        &["task", "spawn", "greet", "--idempotency-key", "k"],
    )?;
    assert_eq!(
        (&again["task_id"], &again["created"]),
        (&json!(id), &json!(false))
    );
    let shown = answer(&database, &["task", "show", id])?;
    assert_eq!(shown["queue"], "default");
    assert_eq!(shown["task"]["params"], json!({ "name": "Ada" }));
    assert_eq!(shown["task"]["headers"], json!({ "from": "cli" }));
    assert_eq!(shown["runs"].as_array().map(Vec::len), Some(1));
    answer(&database, &["task", "cancel", id])?;
    let listed = answer(&database, &["task", "list", "--state", "cancelled"])?;
    assert_eq!(listed[0]["task_id"], id);
    let table = said(
        absurd(&["task", "list", "--database-url", database.url()])
            .arg("-q")
            .arg("default"),
    )?;
    assert!(
        table.contains("task name") && table.contains("greet"),
        "{table}"
    );
    Ok(())
}

#[tokio::test]
async fn queues_and_events() -> TestResult {
    let database = Database::start().await?;
    answer(&database, &["queue", "create", "weekly", "--partitioned"])?;
    let policy = answer(
        &database,
        &["queue", "policy", "weekly", "--cleanup-ttl", "45 days"],
    )?;
    assert_eq!(policy["cleanup_ttl"], "45 days");
    let queues = answer(&database, &["queue", "list"])?;
    assert_eq!(queues[1]["queue_name"], "weekly");
    answer(&database, &["event", "emit", "door", "--payload", "[1]"])?;
    let events = answer(&database, &["event", "list", "--prefix", "do"])?;
    assert_eq!(events[0]["payload"], json!([1]));
    assert_eq!(answer(&database, &["event", "waits"])?, json!([]));
    answer(&database, &["queue", "cleanup"])?;
    let kept = absurd(&["queue", "drop", "weekly", "--database-url", database.url()]).output()?;
    assert!(String::from_utf8_lossy(&kept.stderr).contains("repeat it with --yes"));
    answer(&database, &["queue", "drop", "weekly", "--yes"])?;
    assert_eq!(
        answer(&database, &["migrate"])?,
        json!([]),
        "all was applied before"
    );
    Ok(())
}

#[test]
fn the_dump_is_the_schema() -> TestResult {
    assert_eq!(said(&mut absurd(&["migrate", "--dump"]))?, migrate::dump());
    Ok(())
}

#[tokio::test]
async fn errors_say_what_to_do_on_one_line() -> TestResult {
    let database = Database::start().await?;
    let missing =
        absurd(&["task", "spawn", "a", "-q", "nowhere", "-d", database.url()]).output()?;
    let missing = String::from_utf8(missing.stderr)?;
    assert_eq!(missing.lines().count(), 1, "{missing}");
    assert!(missing.contains("absurd queue create nowhere"), "{missing}");
    Ok(())
}

#[test]
fn without_a_database_it_brings_its_own() -> TestResult {
    let cache = open_folder()?;
    let private = |arguments: &[&str]| said(absurd(arguments).env("XDG_CACHE_HOME", cache.path()));
    private(&["queue", "create", "mine"])?;
    let queues = private(&["queue", "list"])?;
    assert!(
        queues.contains("mine"),
        "the data stays from one command to the next: {queues}"
    );
    Ok(())
}

#[test]
fn a_plain_user_may_do_so_as_well() -> TestResult {
    let folder = open_folder()?;
    let program = folder.path().join("absurd");
    std::fs::copy(env!("CARGO_BIN_EXE_absurd"), &program)?;
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache)?;
    std::fs::set_permissions(&cache, Permissions::from_mode(0o777))?;
    // As root we become somebody else; a plain user is one already.
    let mut command = Command::new("setpriv");
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(&program).args(["queue", "list", "--json"]);
    command
        .env_remove("ABSURD_DATABASE_URL")
        .env_remove("PGDATABASE");
    let queues = said(command.env("XDG_CACHE_HOME", &cache).current_dir(&cache))?;
    assert_eq!(queues.trim(), "[]");
    Ok(())
}

/// A folder that other users get through: the server's, when we are root.
fn open_folder() -> TestResult<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}
