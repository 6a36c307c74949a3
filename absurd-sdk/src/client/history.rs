//! A task's history in one value, to be kept in a file and replayed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, TaskDetails};
use crate::{
    error::{Error, Failure},
    ids::{RunId, TaskId},
    state::TaskState,
};

/// Checkpoints that one call reads.
const PAGE: u16 = 1000;

/// What a task was given, what it remembers, and how it ended: all that a replay needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct History {
    /// The task's id: ids and random numbers follow from it.
    pub task_id: TaskId,
    /// Its last run.
    pub run_id: Option<RunId>,
    /// The task's name.
    pub task_name: String,
    /// Its queue.
    pub queue: String,
    /// The number of its last attempt.
    pub attempt: i32,
    /// How many attempts it has; `None` when there is no limit.
    pub max_attempts: Option<i32>,
    /// The headers it was spawned with.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// What it was given.
    pub params: Value,
    /// How it stands.
    pub state: TaskState,
    /// Its result, once completed.
    #[serde(default)]
    pub result: Option<Value>,
    /// Its last failure, once failed.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// What it remembers, in the order of its operations.
    pub checkpoints: Vec<HistoryStep>,
}

/// One thing that a task remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryStep {
    /// The concrete name of the operation.
    pub name: String,
    /// Its place among the operations of the function, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<i32>,
    /// What it returned.
    pub state: Value,
}

impl History {
    fn of(queue: &str, task: TaskDetails, mut checkpoints: Vec<HistoryStep>) -> Self {
        checkpoints.sort_by(|a, b| {
            let key = |step: &HistoryStep| (step.place.is_none(), step.place);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let failed = task.summary.state == TaskState::Failed;
        Self {
            task_id: task.summary.task_id,
            run_id: task.summary.last_attempt_run,
            task_name: task.summary.task_name,
            queue: queue.to_owned(),
            attempt: task.summary.attempts,
            max_attempts: task.summary.max_attempts,
            headers: task.summary.headers.unwrap_or_default(),
            params: task.params,
            state: task.summary.state,
            result: task.completed_payload,
            failure: failed.then(|| Failure::read(task.failure_reason)),
            checkpoints,
        }
    }
}

impl Client {
    /// A task's history, for a file that replay tests read. Params, results and checkpoints are
    /// in it as they are stored.
    pub async fn history(&self, task: TaskId) -> Result<History, Error> {
        let details = self.get_task(task).await?;
        let details = details.ok_or_else(|| Error::TaskMissing {
            task,
            queue: self.queue().to_string(),
        })?;
        let mut checkpoints = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let page = self.list_checkpoints(task, last.as_deref(), PAGE).await?;
            let is_last = page.len() < usize::from(PAGE);
            last = page.last().map(|step| step.checkpoint_name.clone());
            checkpoints.extend(page.into_iter().map(|step| HistoryStep {
                name: step.checkpoint_name,
                place: step.place,
                state: step.state.unwrap_or(Value::Null),
            }));
            if is_last {
                let queue = self.queue().as_str();
                return Ok(History::of(queue, details, checkpoints));
            }
        }
    }
}
