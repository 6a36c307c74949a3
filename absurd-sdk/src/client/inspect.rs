//! Read models: what servers, dashboards and the command line show. They need our schema.
//!
//! Lists are paged by key: pass the last item's key to read what follows it. A page costs
//! the same however long the history is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::Client;
use crate::{
    db::ReadModel,
    error::Error,
    ids::{QueueName, RunId, TaskId},
    payload,
    state::{RunState, TaskState},
};

/// Which tasks to list. Fields that are absent don't restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TaskFilter {
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// Of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// With this idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// With all of these attributes.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// Spawned by this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// Spawned at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<Timestamp>,
    /// Spawned before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Timestamp>,
}

/// Which events to list. Fields that are absent don't restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EventFilter {
    /// Of exactly this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    /// Whose name begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskSummary {
    /// Its id; ids order by the time of the spawn.
    pub task_id: TaskId,
    /// Its name.
    pub task_name: String,
    /// Its state.
    pub state: TaskState,
    /// The number of the attempt that runs, is scheduled, or was the last.
    pub attempts: i32,
    /// How many attempts it has; `None` when there is no limit.
    pub max_attempts: Option<i32>,
    /// When it was spawned.
    pub enqueue_at: Timestamp,
    /// When its first attempt was first claimed.
    pub first_started_at: Option<Timestamp>,
    /// When it completed, failed or was cancelled.
    pub ended_at: Option<Timestamp>,
    /// Its current or last run.
    pub last_attempt_run: Option<RunId>,
    /// The key it was spawned with.
    pub idempotency_key: Option<String>,
    /// The headers it was spawned with.
    pub headers: Option<Map<String, Value>>,
    /// Its attributes.
    pub attributes: Option<Map<String, Value>>,
    /// Its priority; larger goes first.
    pub priority: Option<i32>,
    /// Whom it is for.
    pub key: Option<String>,
    /// Whether it is kept from being claimed.
    pub is_paused: bool,
    /// The task that spawned it.
    pub parent_task_id: Option<TaskId>,
}

/// A task in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskDetails {
    /// What lists show of it.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// What it was given.
    pub params: Value,
    /// Its retry policy, as stored.
    pub retry_strategy: Option<Value>,
    /// Its cancellation policy, as stored.
    pub cancellation: Option<Value>,
    /// Its result, once completed.
    pub completed_payload: Option<Value>,
    /// The last attempt's failure, once failed.
    pub failure_reason: Option<Value>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When its current run is due; `None` when only an event can wake it.
    pub available_at: Option<Timestamp>,
    /// The event that it waits for.
    pub wake_event: Option<String>,
    /// What else is stored of it: its timeout, its chain.
    pub policy: Option<Value>,
    /// How far it has come, by its own words.
    pub progress: Option<Progress>,
}

/// How far a task has come, by its own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f64,
    /// What it is at.
    pub message: Option<String>,
    /// When it said so.
    pub updated_at: Timestamp,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// Its id.
    pub run_id: RunId,
    /// The number of the attempt, from 1.
    pub attempt: i32,
    /// Its state.
    pub state: RunState,
    /// The worker that holds it, or held it when it ended.
    pub claimed_by: Option<String>,
    /// Until when that worker holds it.
    pub claim_expires_at: Option<Timestamp>,
    /// When it is due; `None` when only an event can wake it.
    pub available_at: Option<Timestamp>,
    /// The event that it waits for.
    pub wake_event: Option<String>,
    /// When it was last claimed.
    pub started_at: Option<Timestamp>,
    /// When it completed.
    pub completed_at: Option<Timestamp>,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its result, once completed.
    pub result: Option<Value>,
    /// Its failure, once failed.
    pub failure_reason: Option<Value>,
}

/// One thing that a task remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckpointRecord {
    /// The concrete name of the operation.
    pub checkpoint_name: String,
    /// What it returned.
    pub state: Option<Value>,
    /// The run that wrote it.
    pub owner_run_id: Option<RunId>,
    /// When it was written.
    pub updated_at: Timestamp,
    /// Its place among the operations of the function; not known of branches.
    pub place: Option<i32>,
}

/// A run that waits for an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitRecord {
    /// The task.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// The concrete name of the operation that waits.
    pub step_name: String,
    /// The event.
    pub event_name: String,
    /// When it gives up.
    pub timeout_at: Option<Timestamp>,
    /// Since when it waits.
    pub created_at: Timestamp,
}

/// An event that was emitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// Its name.
    pub event_name: String,
    /// Its payload.
    pub payload: Value,
    /// When it was emitted.
    pub emitted_at: Timestamp,
}

/// How a queue stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Its name.
    pub queue_name: String,
    /// Tasks that wait for a worker.
    pub pending: i64,
    /// Tasks that a worker holds.
    pub running: i64,
    /// Tasks that wait for a time or an event.
    pub sleeping: i64,
    /// Tasks with a result.
    pub completed: i64,
    /// Tasks that have failed for good.
    pub failed: i64,
    /// Tasks that were cancelled.
    pub cancelled: i64,
    /// Runs that a worker could claim now.
    pub due: i64,
    /// Since when the oldest of them is due.
    pub oldest_due_at: Option<Timestamp>,
    /// Since when the queue is paused.
    pub paused_at: Option<Timestamp>,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskPlace {
    /// Its queue.
    pub queue_name: String,
    /// Its id.
    pub task_id: TaskId,
}

impl Client {
    /// Tasks of the queue, newest first, spawned before task `before`.
    pub async fn list_tasks(
        &self,
        filter: &TaskFilter,
        before: Option<TaskId>,
        limit: u16,
    ) -> Result<Vec<TaskSummary>, Error> {
        let filter = payload::encode(|| "the filter".into(), filter)?;
        let queue = self.queue();
        self.read(&ReadModel::Tasks(queue, &filter, before, limit.into()))
            .await
    }

    /// A task in full; `None` when the queue has no such task.
    pub async fn get_task(&self, task: TaskId) -> Result<Option<TaskDetails>, Error> {
        let found = self.read(&ReadModel::Task(self.queue(), task)).await?;
        Ok(found.into_iter().next())
    }

    /// A task's attempts, first one first.
    pub async fn list_runs(&self, task: TaskId) -> Result<Vec<RunRecord>, Error> {
        self.read(&ReadModel::Runs(self.queue(), task)).await
    }

    /// A task's checkpoints by name, those after the name `after`.
    pub async fn list_checkpoints(
        &self,
        task: TaskId,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<CheckpointRecord>, Error> {
        let queue = self.queue();
        self.read(&ReadModel::Checkpoints(queue, task, after, limit.into()))
            .await
    }

    /// Who waits for events: one task, or all who wait for one event, or all; 1,000 at most.
    pub async fn list_waits(
        &self,
        task: Option<TaskId>,
        event: Option<&str>,
    ) -> Result<Vec<WaitRecord>, Error> {
        self.read(&ReadModel::Waits(self.queue(), task, event))
            .await
    }

    /// Events of the queue, newest first, those that come after event `before`.
    pub async fn list_events(
        &self,
        filter: &EventFilter,
        before: Option<&EventRecord>,
        limit: u16,
    ) -> Result<Vec<EventRecord>, Error> {
        let filter = payload::encode(|| "the filter".into(), filter)?;
        let before = before.map(|event| (event.emitted_at, event.event_name.as_str()));
        let queue = self.queue();
        self.read(&ReadModel::Events(queue, &filter, before, limit.into()))
            .await
    }

    /// How the client's queue stands; `None` when there is no such queue.
    pub async fn queue_stats(&self) -> Result<Option<QueueStats>, Error> {
        let found = self.read(&ReadModel::Stats(Some(self.queue()))).await?;
        Ok(found.into_iter().next())
    }

    /// How all queues stand, by name.
    pub async fn all_queue_stats(&self) -> Result<Vec<QueueStats>, Error> {
        self.read(&ReadModel::Stats(None)).await
    }

    /// The queue that holds a task; the id may be a run's as well.
    pub async fn find_task(&self, id: TaskId) -> Result<Option<TaskPlace>, Error> {
        let found = self.read(&ReadModel::Find(id)).await?;
        Ok(found.into_iter().next())
    }

    async fn read<T: DeserializeOwned>(&self, model: &ReadModel<'_>) -> Result<Vec<T>, Error> {
        if !self.features().await?.read_models {
            return Err(Error::FeatureMissing {
                feature: "looking into queues",
            });
        }
        let rows = self.db().read_model(model).await;
        let rows = rows.map_err(|error| Error::from_db(error, self.queue().as_str()))?;
        let decoded = rows
            .iter()
            .map(|row| payload::decode(|| "the database's answer".into(), row));
        Ok(decoded.collect::<Result<_, _>>()?)
    }
}

impl TaskPlace {
    /// The queue, as a name that calls take.
    pub fn queue(&self) -> Result<QueueName, Error> {
        Ok(QueueName::new(&self.queue_name)?)
    }
}
