//! The crash matrix: a task is run once for each statement that its worker sends, and killed
//! there.

use std::{
    env,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use absurd_sdk::{Client, ParamsOf, TaskFn, TaskId, TaskState, WorkerBuilder};
use serde_json::Value;

use crate::{database::Database, error::TestError, observe::Kill};

/// More statements than a task under test should take.
const BOUNDARIES_MAX: usize = 1000;
const ENV_URL: &str = "ABSURD_TEST_CRASH_URL";
const ENV_TASK: &str = "ABSURD_TEST_CRASH_TASK";

/// Runs a task again and again, kills its worker with SIGKILL before and after each statement,
/// lets another one go on, and compares: the same result each time, and no completed step twice.
/// Returns how many kills that were.
///
/// ```no_run
/// # use absurd_sdk::prelude::*;
/// # #[task] async fn process_group(ctx: &mut Context, group: u32) -> TaskResult<u32> { Ok(1) }
/// #[tokio::test]
/// async fn a_group_survives_any_crash() -> Result<(), absurd_test::TestError> {
///     let worker = |client: &Client| Worker::builder(client).task(process_group);
///     absurd_test::crash_matrix(worker, process_group, &7).await?;
///     Ok(())
/// }
/// ```
///
/// The worker that is killed is another process: this test again, started by its name. So it
/// has to be called first in a test, by tests of `cargo test` or nextest, from the test's own
/// thread. Steps must end without help from outside.
pub async fn crash_matrix<F, M>(
    worker: impl Fn(&Client) -> WorkerBuilder,
    task: F,
    params: &ParamsOf<F, M>,
) -> Result<usize, TestError>
where
    F: TaskFn<M>,
{
    let _ = task;
    if let Some((url, task)) = from_env() {
        work(&url, task?, &worker).await?;
        leave();
    }
    let name = <F::Task as absurd_sdk::TaskDef>::NAME;
    let params = serde_json::to_value(params).map_err(|error| failed(error.to_string()))?;
    let database = Database::start().await?;
    let client = database.client();
    count_writes(client).await?;
    let expected = run(&database, name, &params, None).await?.1;
    let mut kills = 0;
    for kill in [Kill::before as fn(usize) -> Kill, Kill::after] {
        for boundary in 1..=BOUNDARIES_MAX {
            let kill = kill(boundary);
            let shown = kill.to_string();
            let (was_killed, result) = run(&database, name, &params, Some(&kill)).await?;
            if result != expected {
                let message = format!("killed {shown}: the result is {result}, not {expected}");
                return Err(failed(message));
            }
            if !was_killed {
                break;
            }
            kills += 1;
        }
    }
    Ok(kills)
}

/// Ends the process that was started to be killed and was not: the rest of its test is the
/// parent's business.
#[expect(
    clippy::disallowed_methods,
    reason = "the test harness owns main, so there is no other way out"
)]
fn leave() -> ! {
    std::process::exit(0)
}

fn failed(message: String) -> TestError {
    TestError::Crash { message }
}

/// What the parent process says, in the one that is to be killed.
#[expect(
    clippy::disallowed_methods,
    reason = "the test tells its child process what to run"
)]
fn from_env() -> Option<(String, Result<TaskId, TestError>)> {
    let url = env::var(ENV_URL).ok()?;
    let task = env::var(ENV_TASK).unwrap_or_default();
    let parsed = task.parse().map_err(|_| TestError::Variable {
        variable: ENV_TASK,
        value: task,
    });
    Some((url, parsed))
}

/// Works until the task has ended, or until it is killed.
async fn work(
    url: &str,
    task: TaskId,
    worker: &impl Fn(&Client) -> WorkerBuilder,
) -> Result<(), TestError> {
    let mut builder = Client::builder().url(url);
    if let Some(kill) = Kill::from_env()? {
        builder = builder.observer(Arc::new(kill));
    }
    let client = builder.connect().await?;
    // Not observed: where this process is killed is a matter of the worker's statements.
    let watcher = Client::connect(url).await?;
    let done = async {
        // Trouble with the database is the worker's to report.
        let _ = watcher.result_of::<Value>(task).snapshot().await;
    };
    Ok(Box::pin(worker(&client).run_until(done)).await?)
}

/// One run of the task: whether its first worker was killed, and the result.
async fn run(
    database: &Database,
    name: &str,
    params: &Value,
    kill: Option<&Kill>,
) -> Result<(bool, Value), TestError> {
    let client = database.client();
    let handle = client.spawn_by_name(name, params.clone()).await?;
    let task = handle.task_id();
    let first = start_again(database, task, kill).await?;
    if !first {
        let end = "update absurd.r_default set claim_expires_at = absurd.current_time()
            where state = $1";
        sqlx::query(end)
            .bind(TaskState::Running.as_str())
            .execute(client.pool())
            .await?;
        if !start_again(database, task, None).await? {
            return Err(failed("the worker failed that was not killed".to_owned()));
        }
    }
    let ended = handle.result().timeout(Duration::from_mins(1));
    let snapshot = ended.snapshot().await?;
    let result = match (snapshot.state, snapshot.failure) {
        (TaskState::Completed, _) => snapshot.result.unwrap_or(Value::Null),
        (state, failure) => {
            let failure = failure.map(|failure| failure.to_string());
            Value::from(format!("{state}: {}", failure.unwrap_or_default()))
        }
    };
    let twice = "select checkpoint_name from public.absurd_checkpoint_writes
        where task_id = $1 group by 1 having count(*) > 1 limit 1";
    let twice: Option<String> = sqlx::query_scalar(twice)
        .bind(task.0)
        .fetch_optional(client.pool())
        .await?;
    if let Some(step) = twice {
        let at = kill.map(ToString::to_string).unwrap_or_default();
        return Err(failed(format!(
            "killed {at}: `{step}` ran again after its end"
        )));
    }
    Ok((!first, result))
}

/// Starts this test in another process and says whether it came to its end.
async fn start_again(
    database: &Database,
    task: TaskId,
    kill: Option<&Kill>,
) -> Result<bool, TestError> {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let test = test.ok_or_else(|| {
        failed("a crash matrix belongs into a test, and on the test's own thread".to_owned())
    })?;
    let program = env::current_exe().map_err(TestError::file("this program"))?;
    let mut command = Command::new(program);
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ENV_URL, database.url())
        .env(ENV_TASK, task.to_string())
        .stdout(Stdio::null());
    if let Some(kill) = kill {
        command.env(Kill::ENV, kill.to_string());
    }
    let status = tokio::task::spawn_blocking(move || command.status()).await;
    let status = status.map_err(|error| failed(error.to_string()))?;
    Ok(status.map_err(TestError::file("this program"))?.success())
}

/// Notes every write of a checkpoint: a step that runs after its end writes a second time.
async fn count_writes(client: &Client) -> Result<(), TestError> {
    let trigger = "
        create table public.absurd_checkpoint_writes (task_id uuid, checkpoint_name text);
        create function public.absurd_note_write() returns trigger language plpgsql as $$
        begin
            insert into public.absurd_checkpoint_writes values (new.task_id, new.checkpoint_name);
            return new;
        end $$;
        create trigger absurd_note_write after insert or update on absurd.c_default
            for each row execute function public.absurd_note_write();";
    sqlx::raw_sql(trigger).execute(client.pool()).await?;
    Ok(())
}
