//! A stage that workers of another queue run, in this language or another one.

use std::time::Duration;

use absurd_sdk::{
    Context, Failure, OnParentEnd, QueueName, RetryPolicy, TaskError, TaskId, TaskResult,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    params::{Outputs, StageParams, StageResult},
    stage::Stage,
    toolbox::Toolbox,
};

/// Attempts of a stage's task, and the delays between them: other clients have other defaults.
const ATTEMPTS: u32 = 3;
const RETRY: RetryPolicy = RetryPolicy::Exponential {
    base: Duration::from_secs(5),
    factor: 2.0,
    max: Some(Duration::from_mins(5)),
};

/// Why a stage elsewhere has made nothing.
#[derive(Debug, Error)]
enum ElsewhereError {
    /// Its task has failed for good.
    #[error("stage `{stage}`, task {task} of queue `{queue}`, has failed: {failure}")]
    Failed {
        stage: &'static str,
        task: TaskId,
        queue: QueueName,
        failure: Failure,
    },
    /// Somebody did not want it.
    #[error("stage `{stage}`, task {task} of queue `{queue}`, has been cancelled")]
    Cancelled {
        stage: &'static str,
        task: TaskId,
        queue: QueueName,
    },
}

/// A bad end, as the attempt remembers that learnt of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct BadEnd {
    attempt: i32,
    is_permanent: bool,
}

/// Spawns a stage's task on another queue, once, and waits for its end without holding a worker.
///
/// What the task failed with fails this attempt of the workflow, for good where another try must
/// fail as well. A later attempt, which the workflow's policy or an operator asks for, finds the
/// bad end among its checkpoints and spawns the stage anew.
pub(super) async fn run_elsewhere(
    ctx: &mut Context,
    tools: &Toolbox,
    params: &StageParams,
    stage: Stage,
    queue: &QueueName,
) -> TaskResult<Outputs> {
    let attempt = ctx.attempt();
    let params = serde_json::to_value(params)?;
    let configured = queue;
    loop {
        // Kept, because the configuration may say another one when the wait goes on.
        let queue: String = ctx
            .step(format!("{}.queue", stage.step()), || async {
                Ok::<_, TaskError>(configured.to_string())
            })
            .await?;
        let queue = QueueName::new(queue)?;
        let child = ctx
            .spawn_by_name(stage.name(), params.clone())
            .queue(queue.as_str())
            .max_attempts(ATTEMPTS)
            .retry(RETRY)
            .on_parent_end(OnParentEnd::Cancel)
            .await?;
        let task = child.task_id();
        let ended = ctx.await_task_in::<StageResult>(queue.clone(), task).await;
        let error = match ended {
            Ok(result) => return Ok(result.outputs),
            Err(error) if error.name() == "ChildFailed" => error,
            Err(error) => return Err(error),
        };
        let failure = error.child_failure().cloned();
        let was_cancelled = failure.is_none();
        let asked = &queue;
        let seen: BadEnd = ctx
            .step(format!("{}.failed", stage.step()), || async move {
                let is_permanent = was_cancelled || gave_up(tools, asked, task).await?;
                Ok::<_, TaskError>(BadEnd {
                    attempt,
                    is_permanent,
                })
            })
            .await?;
        if seen.attempt != attempt {
            continue;
        }
        let stage = stage.name();
        let error = TaskError::from(match failure {
            Some(failure) => ElsewhereError::Failed {
                stage,
                task,
                queue,
                failure,
            },
            None => ElsewhereError::Cancelled { stage, task, queue },
        });
        return Err(if seen.is_permanent {
            TaskError::terminal(error)
        } else {
            error
        });
    }
}

/// Whether a failed task has left attempts unused: then its error was one that they can't mend.
async fn gave_up(tools: &Toolbox, queue: &QueueName, task: TaskId) -> TaskResult<bool> {
    let Some(client) = tools.client() else {
        return Ok(false);
    };
    let found = client.on_queue(queue.as_str())?.get_task(task).await?;
    Ok(found.is_some_and(|task| {
        let most = task.summary.max_attempts;
        most.is_none_or(|most| task.summary.attempts < most)
    }))
}
