//! `absurd task`

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use absurd_sdk::{Client, Error, Period, Progress, Spawn, TaskFilter, TaskId};
use serde_json::{Value, json};

use super::{
    CliError,
    args::{ForkTask, ListTasks, SpawnTask, TaskCommand},
    error::advise,
    output::Output,
};

/// Checkpoints that `show` prints at most; there may be more, see `--json`'s `next`.
const CHECKPOINTS_SHOWN: u16 = 500;

pub(crate) async fn run(
    client: &Client,
    command: TaskCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        TaskCommand::Spawn(task) => spawn(client, *task, output).await,
        TaskCommand::List(tasks) => list(client, tasks, output).await,
        TaskCommand::Show { task } => show(client, task, output).await,
        TaskCommand::Wait {
            task,
            queue,
            timeout,
        } => {
            let client = client.on_queue(queue.queue)?;
            wait(&client, task, timeout, output).await
        }
        TaskCommand::Cancel { task, queue } => {
            client.on_queue(queue.queue)?.cancel(task).await?;
            output.say(
                &format!("Task {task} is cancelled, if it had not ended."),
                &task,
            )
        }
        TaskCommand::Retry {
            task,
            queue,
            max_attempts,
            as_new,
        } => {
            let client = client.on_queue(queue.queue)?;
            let retried = match (max_attempts, as_new) {
                (_, true) => client.retry_as_new(task).await?,
                (Some(attempts), _) => client.retry_up_to(task, attempts).await?,
                (None, false) => client.retry(task).await?,
            };
            let (task, attempt) = (retried.task_id, retried.attempt);
            let sentence = format!("Task {task} has attempt {attempt} ahead.");
            output.say(&sentence, &retried)
        }
        TaskCommand::Pause { task } => {
            let (client, task) = locate(client, task).await?;
            let paused = client.pause_task(task).await;
            paused.map_err(advise(|| how_it_stands(task)))?;
            output.say(&format!("Task {task} is paused."), &task)
        }
        TaskCommand::Resume { task } => {
            let (client, task) = locate(client, task).await?;
            let resumed = client.resume_task(task).await;
            resumed.map_err(advise(|| how_it_stands(task)))?;
            output.say(&format!("Task {task} goes on."), &task)
        }
        TaskCommand::Priority { task, priority } => {
            let (client, task) = locate(client, task).await?;
            let changed = client.set_priority(task, priority).await;
            changed.map_err(advise(|| how_it_stands(task)))?;
            output.say(&format!("Task {task} has priority {priority}."), &task)
        }
        TaskCommand::Fork(task) => fork(client, task, output).await,
        TaskCommand::Log { task, step } => {
            let (client, task) = locate(client, task).await?;
            let lines = client.log_lines(task, step.as_deref()).await?;
            output.list(&["logged_at", "step", "level", "message"], &lines)
        }
        TaskCommand::Export { task, output: file } => export(client, task, file, output).await,
    }
}

/// The client on the queue that holds a task, and the task: the id may be a run's.
async fn locate(client: &Client, id: TaskId) -> Result<(Client, TaskId), CliError> {
    let place = client.find_task(id).await?;
    let place = place.ok_or_else(|| Error::TaskMissing {
        task: id,
        queue: "any queue".to_owned(),
    })?;
    Ok((client.on_queue(&place.queue_name)?, place.task_id))
}

fn how_it_stands(task: TaskId) -> String {
    format!("`absurd task show {task}` tells how it stands")
}

async fn list(client: &Client, list: ListTasks, output: Output) -> Result<(), CliError> {
    let filter = TaskFilter {
        state: list.state,
        task_name: list.name,
        attributes: list.attribute.into_iter().collect(),
        parent_task_id: list.parent,
        ..TaskFilter::default()
    };
    let client = client.on_queue(list.queue.queue)?;
    let tasks = client.list_tasks(&filter, list.before, list.limit).await?;
    let mut fields = vec!["task_id", "task_name", "state", "attempts"];
    // Most queues have none, and the table is wide enough.
    if tasks.iter().any(|task| task.priority.unwrap_or(0) != 0) {
        fields.push("priority");
    }
    fields.extend(["enqueue_at", "ended_at"]);
    output.list(&fields, &tasks)
}

async fn spawn(client: &Client, task: SpawnTask, output: Output) -> Result<(), CliError> {
    let client = client.on_queue(&task.queue.queue)?;
    let is_debounced = task.debounce;
    let spawned = prepare(&client, task).await?.spawned();
    let task = spawned.task_id;
    let sentence = match (spawned.created, is_debounced) {
        (true, _) => format!("Task {task} is spawned."),
        (false, true) => format!("Task {task} waits for this key already: it starts to wait anew."),
        (false, false) => format!("Task {task} had this key already: nothing new is spawned."),
    };
    output.say(&sentence, &spawned)
}

fn prepare(client: &Client, task: SpawnTask) -> Spawn<'_, Value> {
    let mut spawn = client.spawn_by_name(task.name, task.params);
    if let Some(attempts) = task.max_attempts {
        spawn = spawn.max_attempts(attempts);
    }
    if let Some(key) = task.idempotency_key {
        spawn = spawn.idempotency_key(key);
    }
    for (name, value) in task.header {
        spawn = spawn.header(name, value);
    }
    if let Some(priority) = task.priority {
        spawn = spawn.priority(priority);
    }
    if let Some(delay) = task.delay {
        spawn = spawn.delay(delay);
    }
    if let Some(time) = task.start_at {
        spawn = spawn.start_at(time);
    }
    if let Some(key) = task.key {
        spawn = spawn.key(key);
    }
    if let Some(timeout) = task.timeout {
        spawn = spawn.timeout(timeout);
    }
    for (name, value) in task.attribute {
        spawn = spawn.attribute(name, value);
    }
    match task.unique.zip(task.within) {
        Some((key, quiet)) if task.debounce => spawn.debounce(key, quiet),
        Some((key, length)) => spawn.unique_within(key, length),
        None => spawn,
    }
}

async fn wait(
    client: &Client,
    task: TaskId,
    timeout: Option<Period>,
    output: Output,
) -> Result<(), CliError> {
    let mut result = client.result_of::<Value>(task);
    if let Some(timeout) = timeout {
        result = result.timeout(timeout);
    }
    let result = result.await?;
    output.say(&result.to_string(), &result)
}

async fn fork(client: &Client, fork: ForkTask, output: Output) -> Result<(), CliError> {
    let (client, task) = locate(client, fork.task).await?;
    let mut forked = client.fork(task);
    if let Some(step) = fork.from_step {
        forked = forked.from_step(step);
    }
    if let Some(params) = fork.params {
        forked = forked.params(params);
    }
    if let Some(delay) = fork.delay {
        forked = forked.delay(delay);
    }
    let advice = || format!("`absurd task show {task}` lists what it has done");
    let forked = forked.send().await.map_err(advise(advice))?;
    let sentence = format!("Task {} goes on from task {task}.", forked.task_id);
    output.say(&sentence, &forked)
}

async fn export(
    client: &Client,
    task: TaskId,
    file: Option<PathBuf>,
    output: Output,
) -> Result<(), CliError> {
    let (client, task) = locate(client, task).await?;
    let history = client.history(task).await?;
    let text = serde_json::to_string_pretty(&history)? + "\n";
    let Some(file) = file else {
        return Ok(io::stdout().write_all(text.as_bytes())?);
    };
    let place = file.display().to_string();
    fs::write(&file, text).map_err(|error| {
        CliError::Usage(format!(
            "can't write `{place}` ({error}); name another file with --output"
        ))
    })?;
    let sentence = format!("The history of task {task} is in `{place}`.");
    output.say(&sentence, &place)
}

async fn show(client: &Client, task: TaskId, output: Output) -> Result<(), CliError> {
    let (client, task) = locate(client, task).await?;
    let details = client.get_task(task).await?;
    let details = details.ok_or_else(|| Error::TaskMissing {
        task,
        queue: client.queue().to_string(),
    })?;
    let runs = client.list_runs(task).await?;
    let checkpoints = client
        .list_checkpoints(task, None, CHECKPOINTS_SHOWN)
        .await?;
    if output.json {
        let all = json!({
            "queue": client.queue().as_str(),
            "task": details,
            "runs": runs,
            "checkpoints": checkpoints,
        });
        return output.say("", &all);
    }
    let mut facts = serde_json::to_value(&details)?;
    if let (Value::Object(facts), Some(progress)) = (&mut facts, &details.progress) {
        facts.insert("progress".into(), json!(in_words(progress)));
    }
    output.show(
        &format!("Task {task} in queue `{}`", client.queue()),
        &facts,
    )?;
    output.list(
        &[
            "attempt",
            "state",
            "claimed_by",
            "started_at",
            "failure_reason",
        ],
        &runs,
    )?;
    output.list(&["checkpoint_name", "updated_at", "state"], &checkpoints)
}

fn in_words(progress: &Progress) -> String {
    let percent = progress.fraction * 100.0;
    let message = progress.message.as_deref().unwrap_or_default();
    format!("{percent:.0} % {message} ({})", progress.updated_at)
}
