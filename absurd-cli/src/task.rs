//! `absurd task`

use absurd_sdk::{Client, Error, TaskFilter, TaskId};
use serde_json::{Value, json};

use super::{
    CliError,
    args::{SpawnTask, TaskCommand},
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
        TaskCommand::Spawn(task) => spawn(client, task, output).await,
        TaskCommand::List(list) => {
            let filter = TaskFilter {
                state: list.state,
                task_name: list.name,
                ..TaskFilter::default()
            };
            let client = client.on_queue(list.queue.queue)?;
            let tasks = client.list_tasks(&filter, list.before, list.limit).await?;
            let fields = [
                "task_id",
                "task_name",
                "state",
                "attempts",
                "enqueue_at",
                "ended_at",
            ];
            output.list(&fields, &tasks)
        }
        TaskCommand::Show { task } => show(client, task, output).await,
        TaskCommand::Wait {
            task,
            queue,
            timeout,
        } => {
            let client = client.on_queue(queue.queue)?;
            let mut result = client.result_of::<Value>(task);
            if let Some(timeout) = timeout {
                result = result.timeout(timeout.as_str());
            }
            let result = result.await?;
            output.say(&result.to_string(), &result)
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
            output.say(
                &format!("Task {task} has attempt {attempt} ahead."),
                &retried,
            )
        }
    }
}

async fn spawn(client: &Client, task: SpawnTask, output: Output) -> Result<(), CliError> {
    let client = client.on_queue(task.queue.queue)?;
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
    let spawned = spawn.await?.spawned();
    let task = spawned.task_id;
    let sentence = if spawned.created {
        format!("Task {task} is spawned.")
    } else {
        format!("Task {task} had this idempotency key already.")
    };
    output.say(&sentence, &spawned)
}

async fn show(client: &Client, task: TaskId, output: Output) -> Result<(), CliError> {
    let place = client.find_task(task).await?;
    let place = place.ok_or_else(|| Error::TaskMissing {
        task,
        queue: "any queue".to_owned(),
    })?;
    let client = client.on_queue(&place.queue_name)?;
    let task = place.task_id;
    let details = client.get_task(task).await?;
    let runs = client.list_runs(task).await?;
    let checkpoints = client
        .list_checkpoints(task, None, CHECKPOINTS_SHOWN)
        .await?;
    if output.json {
        let all = json!({
            "queue": place.queue_name,
            "task": details,
            "runs": runs,
            "checkpoints": checkpoints,
        });
        return output.say("", &all);
    }
    output.show(
        &format!("Task {task} in queue `{}`", place.queue_name),
        &details,
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
