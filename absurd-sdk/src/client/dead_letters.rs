//! Dead letters: tasks that have failed for good, until somebody deals with them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Client, Spawned};
use crate::{
    db::Command,
    error::{Error, Failure},
    ids::{RunId, TaskId},
    payload,
    period::Period,
};

const FEATURE: &str = "dead letters";

/// How a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeadLetterState {
    /// Nobody has dealt with it.
    Pending,
    /// Its task is being tried again.
    Retrying,
    /// The retry has completed, or somebody said that nothing more is needed.
    Resolved,
    /// The retry has failed too.
    Failed,
}

/// A task that has failed for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its id; ids order by the time of the failure.
    pub dead_letter_id: Uuid,
    /// The task's queue.
    pub queue_name: String,
    /// The task.
    pub task_id: TaskId,
    /// The task's name.
    pub task_name: String,
    /// The step that failed last, if it was one.
    pub step: Option<String>,
    /// Kind of the last error: see [`Failure::name`].
    pub error_type: String,
    /// What happened.
    pub message: String,
    /// The last attempts (20 at most of each task), first one first.
    pub attempts: Vec<FailedAttempt>,
    /// What the task was given.
    pub params: Value,
    /// How it stands.
    pub state: DeadLetterState,
    /// The task that tries it again; the same one for a retry in place.
    pub retried_as: Option<TaskId>,
    /// What was said when it was resolved.
    pub note: Option<String>,
    /// When the task failed.
    pub created_at: Timestamp,
    /// When the state last changed.
    pub updated_at: Timestamp,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// Its number, from 1.
    pub attempt: i32,
    /// Its run.
    pub run_id: RunId,
    /// When it failed.
    pub failed_at: Timestamp,
    /// Why.
    pub error: Failure,
}

/// Which dead letters. Fields that are absent don't restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeadLetterFilter {
    /// Of this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_name: Option<String>,
    /// Of this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Of tasks of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// That failed in this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// With this kind of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeadLetterState>,
}

/// What was done with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetterAct {
    /// When.
    pub acted_at: Timestamp,
    /// By whom.
    pub actor: String,
    /// `retry in_place`, `retry as_new`, `retry from_step`, `resolve` or `delete`.
    pub action: String,
    /// What was said.
    pub note: Option<String>,
}

/// One letter of a bulk retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BulkRetried {
    /// The letter.
    pub dead_letter_id: Uuid,
    /// The task that tries it again.
    pub task_id: Option<TaskId>,
    /// Why it can't be tried again.
    pub refusal: Option<String>,
}

/// How a dead letter's task is tried again.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is retried until this is given to the client"]
pub struct Redrive {
    options: Map<String, Value>,
    period: Option<Period>,
}

impl Redrive {
    /// The same task, from its last checkpoint.
    pub fn in_place() -> Self {
        Self::mode("in_place")
    }

    /// A new task, from the first step.
    pub fn as_new() -> Self {
        Self::mode("as_new")
    }

    /// A new task that keeps what was remembered before the named step.
    pub fn from_step(step: impl Into<String>) -> Self {
        Self::mode("from_step").with("step", json!(step.into()))
    }

    fn mode(mode: &str) -> Self {
        Self::default().with("mode", json!(mode))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.options.insert(name.into(), value);
        self
    }

    /// Attempts up to this limit, for a retry in place; one more where it is not set.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.with("max_attempts", json!(attempts))
    }

    /// Who does it, for the audit; the database's user where it is not set.
    pub fn actor(self, actor: impl Into<String>) -> Self {
        self.with("actor", json!(actor.into()))
    }

    /// Why, for the audit.
    pub fn note(self, note: impl Into<String>) -> Self {
        self.with("note", json!(note.into()))
    }

    /// For bulk: at most that many; 100 where it is not set, 1,000 at most.
    pub fn limit(self, letters: u32) -> Self {
        self.with("limit", json!(letters))
    }

    /// For bulk: each begins that long after the one before.
    pub fn stagger(mut self, by: impl Into<Period>) -> Self {
        self.period = Some(by.into());
        self
    }

    fn into_json(mut self) -> Result<Value, Error> {
        if let Some(period) = self.period {
            let seconds = period.get()?.as_secs_f64();
            self.options
                .insert("stagger_seconds".into(), json!(seconds));
        }
        Ok(Value::Object(self.options))
    }
}

impl Client {
    /// Dead letters of all queues, newest first, those older than letter `before`.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<DeadLetter>, Error> {
        let filter = payload::encode(|| "the filter".into(), filter)?;
        let command = Command::DeadLetters(&filter, before, limit.into());
        self.ask(FEATURE, &command).await
    }

    /// One dead letter; `None` when there is none of this id.
    pub async fn dead_letter(&self, letter: Uuid) -> Result<Option<DeadLetter>, Error> {
        let filter = json!({ "dead_letter_id": letter });
        let command = Command::DeadLetters(&filter, None, 1);
        let found = self.ask(FEATURE, &command).await?;
        Ok(found.into_iter().next())
    }

    /// Tries a dead letter's task again. When that completes, the letter is resolved.
    pub async fn retry_dead_letter(&self, letter: Uuid, how: Redrive) -> Result<Spawned, Error> {
        let options = how.into_json()?;
        self.ask_one(FEATURE, &Command::RetryDeadLetter(letter, &options))
            .await
    }

    /// Tries all again that a filter finds, oldest first. Those that can't be are left as they
    /// are, with the reason in the answer.
    pub async fn retry_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        how: Redrive,
    ) -> Result<Vec<BulkRetried>, Error> {
        let filter = payload::encode(|| "the filter".into(), filter)?;
        let options = how.into_json()?;
        self.ask(FEATURE, &Command::RetryDeadLetters(&filter, &options))
            .await
    }

    /// Says that a dead letter needs nothing more.
    pub async fn resolve_dead_letter(
        &self,
        letter: Uuid,
        actor: &str,
        note: Option<&str>,
    ) -> Result<(), Error> {
        self.perform(FEATURE, &Command::ResolveDeadLetter(letter, actor, note))
            .await
    }

    /// Deletes a dead letter. Its task and the audit stay.
    pub async fn delete_dead_letter(
        &self,
        letter: Uuid,
        actor: &str,
        note: Option<&str>,
    ) -> Result<(), Error> {
        self.perform(FEATURE, &Command::DeleteDeadLetter(letter, actor, note))
            .await
    }

    /// What was done with a dead letter, first things first.
    pub async fn dead_letter_audit(&self, letter: Uuid) -> Result<Vec<DeadLetterAct>, Error> {
        self.ask(FEATURE, &Command::DeadLetterAudit(letter)).await
    }
}
